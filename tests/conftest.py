"""Async tests run under Trio: each in a run of its own, on the autojump clock when it is marked so. No plugin needed.

`@pytest.mark.autojump` gives virtual time: whenever all tasks wait, the clock jumps to the next deadline. It is for
tests without other processes and without threads.
"""

from __future__ import annotations

import functools
import gc
import inspect

import pytest
import trio
import trio.testing

WATCHDOG_SECONDS = 60


def pytest_configure(config: pytest.Config) -> None:
    """Announces our mark."""
    config.addinivalue_line("markers", "autojump: virtual time for an async test")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine function with its fixtures; others are left to pytest."""
    function = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    autojump = pyfuncitem.get_closest_marker("autojump") is not None
    clock = trio.testing.MockClock(autojump_threshold=0) if autojump else None

    async def limited() -> None:
        if autojump:
            await function(**arguments)
            return
        with trio.fail_after(WATCHDOG_SECONDS):
            await function(**arguments)

    trio.run(functools.partial(limited), clock=clock)
    return True


# Tests that drive the standard library's mail clients: imaplib and poplib leave their sockets to the collector when a
# login fails, which is no fault of the server's.
_CLIENT_FOLDERS = ("e2e", "clients", "crash", "dialogs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets those tests leave sockets to the collector; everywhere else an unclosed file is an error."""
    for item in items:
        if item.path.parent.name in _CLIENT_FOLDERS:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Collects what such a test has left, here and now: the next test may be one that forgives nothing."""
    if item.path.parent.name in _CLIENT_FOLDERS:
        gc.collect()
