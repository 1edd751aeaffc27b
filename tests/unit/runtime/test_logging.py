"""One line for each event, bounded, without secrets."""

from __future__ import annotations

import json
import os

import pytest

from ironpost.runtime.logging import Log, LogOptions


def written(format: str, level: str = "info") -> tuple[Log, int]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    return Log(LogOptions(level, format, writer), {"worker": 1}), reader


def test_text() -> None:
    log, reader = written("text")
    log.bind(session="s1").info("mail taken", size=5, peer="a b", text="x\r\ny", nothing=None)
    line = os.read(reader, 10_000).decode()
    assert line.endswith('mail taken worker=1 session=s1 size=5 peer="a b" text="x\\r\\ny" nothing=None\n')
    assert line.count("\n") == 1


def test_json_and_levels() -> None:
    log, reader = written("json", "warning")
    log.info("unseen")
    log.debug("unseen")
    log.warning("seen", count=3)
    record = json.loads(os.read(reader, 10_000))
    assert (record["event"], record["level"], record["count"], record["worker"]) == ("seen", "warning", 3, 1)


@pytest.mark.parametrize("name", ["password", "new_password", "client_secret", "passwd", "verifiers"])
def test_secrets_have_no_way_in(name: str) -> None:
    log, reader = written("text")
    log.info("login", **{name: "hunter2"})
    assert b"hunter2" not in os.read(reader, 10_000)


def test_values_are_bounded() -> None:
    log, reader = written("text")
    log.info("long", value="x" * 100_000)
    assert len(os.read(reader, 200_000)) < 1000


def test_exceptions_stay_on_one_line() -> None:
    log, reader = written("text")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.bind(session="s9").exception("failed")
    line = os.read(reader, 20_000)
    assert line.count(b"\n") == 1
    assert b"ValueError" in line
    assert log.bind(session="s9").reference == "s9"
