"""mbox files by hand: separators, quoting, lengths, bookkeeping of UW-IMAP, mutt and Dovecot, and files that are broken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.portable import Door

from ironpost.portable import mbox
from ironpost.portable.mbox_lines import parse_from, write_from

DATE = 1_625_142_896  # Thu Jul  1 12:34:56 2021 UTC
FROM = b"From a@b.test Thu Jul  1 12:34:56 2021 +0000\n"


def take_in(door: Door, path: Path, text: bytes, kind: str = "auto", **wishes: object) -> list[bytes]:
    """The messages of a file `inbox`."""
    path.mkdir(exist_ok=True)
    (path / "inbox").write_bytes(text)
    report = door.take_in(path / "inbox", kind, **wishes)
    assert report.left_out == 0, door.notes
    return [octets for _, octets, _, _ in door.mail()]


@pytest.mark.parametrize(
    ("line", "date", "zone"),
    [
        (b"From a@b.test Thu Jul  1 12:34:56 2021 +0000\n", DATE, 0),
        (b"From a@b.test Thu Jul  1 14:34:56 +0200 2021\n", DATE, 120),
        (b"From a@b.test Thu Jul  1 14:34:56 CEST 2021\r\n", DATE, 120),
        (b"From a@b.test  Thu Jul 01 12:34:56 2021 GMT", DATE, 0),
        (b'From "a b"@c Thu Jul  1 12:34:56 UTC 2021\n', DATE, 0),
        (b"From  Thu Jul  1 07:34:56 2021 -0500\n", DATE, -300),
        (b"From uucp Thu Jul  1 12:34 2021 +0000 remote from host\n", DATE - 56, 0),
    ],
)
def test_separators(line: bytes, date: int, zone: int) -> None:
    found = parse_from(line)
    assert found is not None
    assert (found.date, found.zone) == (date, zone)


@pytest.mark.parametrize(
    "line",
    [
        b"From here to there\n",
        b"From a Thu Jul 41 12:34:56 2021\n",
        b"From a Thu Jul  1 25:34:56 2021\n",
        b"From: a@b Thu Jul  1 12:34:56 2021\n",
        b"From a Thu Jul  1 12:34:56 2021 and more\n",
    ],
)
def test_lines_that_are_text(line: bytes) -> None:
    assert parse_from(line) is None


def test_a_written_separator_is_read() -> None:
    found = parse_from(write_from("x@y", DATE))
    assert found is not None
    assert found.date == DATE


def test_mboxrd(tmp_path: Path, door: Door) -> None:
    text = FROM + b"Subject: 1\n\n>From x\n>>From y\nFrom plain text\n\n" + FROM + b"Subject: 2\n\nlast\n\n"
    assert take_in(door, tmp_path / "m", text) == [
        b"Subject: 1\r\n\r\nFrom x\r\n>From y\r\nFrom plain text\r\n",
        b"Subject: 2\r\n\r\nlast\r\n",
    ]
    assert {date for _, _, _, date in door.mail()} == {DATE}


def test_mboxo(tmp_path: Path, door: Door) -> None:
    assert take_in(door, tmp_path / "m", FROM + b"Subject: 1\n\n>From x\n>>From y\n", "mboxo") == [
        b"Subject: 1\r\n\r\nFrom x\r\n>>From y\r\n"
    ]


def test_mboxcl2_where_the_length_fits(tmp_path: Path, door: Door) -> None:
    inner = b">From kept\n" + FROM + b"not a header\n"
    text = (
        FROM + b"Subject: 1\nContent-Length: %d\n\n" % len(inner) + inner + b"\n"
        + FROM + b"Subject: 2\nContent-Length: 9999\n\n>From x\n\n"
        + FROM + b"Subject: 3\nContent-Length: 3\n\nbody\n"
    )  # fmt: skip
    octets = take_in(door, tmp_path / "m", text)
    assert octets[0] == b"Subject: 1\r\n\r\n" + inner.replace(b"\n", b"\r\n")
    assert octets[1] == b"Subject: 2\r\nContent-Length: 9999\r\n\r\nFrom x\r\n"
    assert octets[2] == b"Subject: 3\r\nContent-Length: 3\r\n\r\nbody\r\n"
    assert any("shorter than its Content-Length" in note for note in door.notes)


def test_bookkeeping_of_uw_imap(tmp_path: Path, door: Door) -> None:
    text = (
        FROM + b"From: Mail System Internal Data\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
        b"X-IMAP: 900100 0000000012 $Work\nStatus: RO\n\nThis text is part of the internal format.\n\n"
        + FROM + b"Subject: 1\nStatus: RO\nX-Status: AF\nX-Keywords: $Work     \nX-UID: 7\n\nbody\n\n"
        + FROM + b"Status: Open\nSubject: 2\nX-Status: \nX-UID: 5\nX-Keywords:\n\nbody\n\n"
        + FROM + b"Subject: 3\nStatus: D\n X-UID: folded\nX-UID: 12\n\n"
    )  # fmt: skip
    octets = take_in(door, tmp_path / "m", text)
    mail = door.mail()
    assert octets[0] == b"Subject: 1\r\n\r\nbody\r\n"
    assert octets[1] == b"Status: Open\r\nSubject: 2\r\n\r\nbody\r\n"
    assert octets[2] == b"Subject: 3\r\nStatus: D\r\n X-UID: folded\r\n\r\n"
    assert mail[0][2] == {"\\Seen", "\\Answered", "\\Flagged", "$Work"}
    box = door.boxes()["INBOX"]
    assert box["uid_validity"] == 900100
    assert mail[0][0] == 7  # 5 does not ascend, so that message gets a new number
    assert len(mail) == 3


def test_bookkeeping_may_be_kept(tmp_path: Path, door: Door) -> None:
    octets = take_in(door, tmp_path / "m", FROM + b"Subject: 1\nStatus: R\n\nx\n", keep_fields=True)
    assert octets == [b"Subject: 1\r\nStatus: R\r\n\r\nx\r\n"]
    assert door.mail()[0][2] == {"\\Seen"}


def test_crlf_files(tmp_path: Path, door: Door) -> None:
    text = (FROM + b"Subject: 1\n\n>From x\n\n" + FROM + b"Subject: 2\n\n\n").replace(b"\n", b"\r\n")
    assert take_in(door, tmp_path / "m", text) == [b"Subject: 1\r\n\r\nFrom x\r\n", b"Subject: 2\r\n\r\n"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FROM + b"Subject: 1", [b"Subject: 1"]),
        (FROM + b"Subject: 1\n" + FROM + b"Subject: 2\n\nx", [b"Subject: 1\r\n", b"Subject: 2\r\n\r\nx"]),
        (FROM + b"\nbody only\n", [b"\r\nbody only\r\n"]),
        (FROM + b"Subject: 1\n\nno empty line\n" + FROM + b"Subject: 2\n\n", 2),
        (FROM + b"Subject: cut\n\nx\n\nFrom a@b.test Thu Jul", 1),
        (b"", []),
    ],
)
def test_what_is_cut_off_or_squeezed(tmp_path: Path, door: Door, text: bytes, expected: list[bytes] | int) -> None:
    octets = take_in(door, tmp_path / "m", text)
    assert (len(octets) if isinstance(expected, int) else octets) == expected
    if text and not text.endswith(b"\n"):
        assert any("cut off" in note for note in door.notes)


def test_an_empty_message_is_told(tmp_path: Path, door: Door) -> None:
    (tmp_path / "inbox").write_bytes(FROM + FROM + b"Subject: 2\n\n")
    report = door.take_in(tmp_path / "inbox")
    assert (report.found, report.stored, report.left_out) == (2, 1, 1)
    assert any("is empty" in note for note in door.notes)


def test_separators_are_found_at_every_seam(tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"".join(FROM + b"Subject: %d\n\n%s\n\n" % (number, b"x" * number) for number in range(60))
    monkeypatch.setattr(mbox, "SCAN_OCTETS", 17)
    octets = take_in(door, tmp_path / "m", text)
    assert octets == [b"Subject: %d\r\n\r\n%s\r\n" % (number, b"x" * number) for number in range(60)]


def test_a_tree(tmp_path: Path, door: Door) -> None:
    root = tmp_path / "mail"
    (root / "Work").mkdir(parents=True)
    (root / "inbox").write_bytes(FROM + b"Subject: 1\n\n")
    (root / "Work" / "J&APw-rgen").write_bytes(FROM + b"Subject: 2\n\n")
    (root / "Work.mbox").write_bytes(FROM + b"Subject: 3\n\n")
    (root / "notes.txt").write_text("no mail")
    (root / ".subscriptions").write_text("Work/J&APw-rgen\n")
    (root / "Work" / "empty").write_bytes(b"")
    report = door.take_in(root)
    assert (report.stored, report.faults, report.format) == (3, 1, "mbox")
    assert {"INBOX", "Work", "Work/Jürgen", "Work/empty"} <= set(door.boxes())
    assert door.boxes()["Work/Jürgen"]["subscribed"]
    assert any("notes.txt: is no mbox" in note for note in door.notes)


def test_a_single_file_goes_where_it_is_told(tmp_path: Path, door: Door) -> None:
    file = tmp_path / "archive-2019.mbox"
    file.write_bytes(FROM + b"Subject: 1\n\n")
    door.take_in(file)
    assert len(door.mail("archive-2019")) == 1
    door.take_in(file, rename="Old/2019")
    assert len(door.mail("Old/2019")) == 1


def test_long_messages_of_an_mbox(tmp_path: Path, door: Door) -> None:
    long = b"0123456789abcde\n" * 200_000
    text = FROM + b"Subject: long\nStatus: R\n\n" + long + b">From x\n\n" + FROM + b"Subject: 2\n\n\n"
    octets = take_in(door, tmp_path / "m", text)
    assert octets[0] == b"Subject: long\r\n\r\n" + long.replace(b"\n", b"\r\n") + b"From x\r\n"
    assert door.take_in(tmp_path / "m" / "inbox").known == 2


def test_an_unreadable_folder_costs_nothing_else(tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "mail"
    (root / "secret").mkdir(parents=True)
    (root / "a").write_bytes(FROM + b"Subject: 1\n\n")
    real = os.scandir

    def scandir(path: str) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return real(path)  # type: ignore[return-value]

    monkeypatch.setattr(os, "scandir", scandir)
    report = door.take_in(root, "mbox")
    assert (report.stored, report.faults) == (1, 1)
    assert any("secret: Permission denied" in note for note in door.notes)
