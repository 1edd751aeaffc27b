"""Stores of their own for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.portable import Door, opened


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """A new store."""
    with opened(tmp_path / "store") as one:
        yield one


@pytest.fixture
def new_door(tmp_path: Path) -> Iterator[Callable[[], Door]]:
    """More stores, for journeys from one to another."""
    doors: list[Door] = []

    def make() -> Door:
        doors.append(Door(tmp_path / f"store-{len(doors)}"))
        return doors[-1]

    yield make
    for one in doors:
        one.close()
