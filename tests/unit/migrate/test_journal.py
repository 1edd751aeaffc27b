"""The journal of a migration: what is written comes back, a torn end goes, a stranger's is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ironpost.errors import UserError
from ironpost.migrate.journal import Journal

SOURCE = "imaps://joe@mail.test:993"
D1, D2 = b"1" * 16, b"2" * 16


def filled(path: Path) -> Journal:
    journal = Journal(path, SOURCE).open()
    log = journal.folder(b"INBOX", 7, 3)
    seen, plain = journal.flags(("\\Seen",)), journal.flags(())
    journal.kept(log, [(5, 5, 100, seen, D1 + b"rest"), (6, 9, 1 << 33, plain, D2)])
    journal.write(journal.take())
    journal.flagged(log, [(1, seen)])
    journal.gone(log, [0])
    journal.write(journal.take())
    return journal


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    path = Journal.place(tmp_path, 4, SOURCE)
    filled(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    journal = Journal(path, SOURCE).open()
    log = journal.folder(b"INBOX", 7, 3)
    assert list(zip(log.uids, log.targets, log.sizes, strict=True)) == [(5, 0, 100), (6, 9, 1 << 33)]
    assert [journal.flag_sets[number] for number in log.flags] == [("\\Seen",), ("\\Seen",)]
    assert (log.digest(0), log.digest(1), log.index()) == (D1, D2, {6: 1})
    assert len(journal.folder(b"INBOX", 8, 3)) == 0, "made anew at the source"
    assert len(journal.folder(b"INBOX", 8, 4)) == 0, "made anew here"
    journal.close()


def test_every_torn_end_is_cut_off(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    filled(whole).close()
    octets = whole.read_bytes()
    counts = set()
    for length in range(len(octets)):
        path = tmp_path / "torn"
        path.write_bytes(octets[:length] + b"\0" * (length % 5))
        journal = Journal(path, SOURCE).open()
        log = journal.folder(b"INBOX", 7, 3)
        counts.add(len(log))
        journal.kept(log, [(99, 99, 1, journal.flags(("\\Draft",)), D1)])
        journal.write(journal.take())
        journal.close()
        again = Journal(path, SOURCE).open(write=False)
        found = again.known(b"INBOX", 7)
        assert found is not None
        assert found.uids[-1] == 99
        assert again.flag_sets[found.flags[-1]] == ("\\Draft",)
        again.close()
    assert counts == {0, 2}


def test_a_strangers_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    filled(path).close()
    with pytest.raises(UserError, match="another source"):
        Journal(path, "imaps://eve@mail.test:993").open()


def test_looking_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "none" / "j"
    journal = Journal(path, SOURCE).open(write=False)
    journal.folder(b"INBOX", 1, 0)
    journal.write(journal.take())
    assert not path.parent.exists()
