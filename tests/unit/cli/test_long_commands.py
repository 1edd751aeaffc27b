"""Commands that open the store beside a running server, and what root leaves behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ironpost.cli import access, task
from ironpost.config import Config
from ironpost.supervisor import privileges

STOPPING = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def test_the_terminal_cannot_stop_what_has_the_store_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ironpost.config.load", lambda _: SimpleNamespace())
    monkeypatch.setattr(privileges, "drop", lambda _: None)
    before = [signal.getsignal(number) for number in STOPPING]
    try:
        task.opened(tmp_path)
        assert [signal.getsignal(number) for number in STOPPING] == [signal.SIG_IGN] * 3
    finally:
        for number, handler in zip(STOPPING, before, strict=True):
            signal.signal(number, handler)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_has_made_is_handed_over_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "data" / "run"
    run.mkdir(parents=True)
    os.chown(run.parent, 12345, 12345)
    (run / "lock").touch()
    foreign, linked = tmp_path / "foreign", tmp_path / "linked"
    foreign.touch()
    linked.touch()
    (run / "link").symlink_to(foreign)
    os.link(linked, run / "hard")
    for name in ("setgroups", "setresgid", "setresuid"):
        monkeypatch.setattr(os, name, lambda *_: None)
    config = cast(Config, SimpleNamespace(user="", directory=run.parent, runtime_folder=run))
    privileges.drop(config)
    assert [(run / name).stat().st_uid for name in (".", "lock")] == [12345, 12345]
    assert [path.lstat().st_uid for path in (foreign, linked, run / "link")] == [0, 0, 0]


def test_an_interrupt_without_a_server_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: Any) -> dict[str, Any]:
        raise BaseExceptionGroup("", [KeyboardInterrupt()])

    door = object.__new__(access._Offline)
    monkeypatch.setattr(access._Offline, "_perform", interrupted)
    with pytest.raises(KeyboardInterrupt):
        door.request("store.check")
