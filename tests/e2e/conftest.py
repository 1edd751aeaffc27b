"""One running server for the tests of this folder that need nothing special; each test has accounts of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import Server


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Started once; its store must be clean at the end."""
    with Server(tmp_path_factory.mktemp("server") / "data").serving() as server:
        yield server


_numbers = iter(range(1, 1_000_000))


@pytest.fixture
def user(running: Server) -> str:
    """The local part of a new account."""
    name = f"user{next(_numbers)}"
    running.add_account(f"{name}@example.test")
    return name
