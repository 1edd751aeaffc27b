"""dbox trees by hand: the message files, and Dovecot's index as snapshot and log; damage is told and never guessed over."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.portable import Door

from ironpost.portable.dovecot_index import Index, IndexFault, read_index

WIRE = b"Subject: %d\r\n\r\nbody\r\n"
EXTERNAL = 0x1000_0000


def note(*_: object) -> None:
    """No report here."""


def message(number: int, received: int = 0x5F5E1000, extra: bytes = b"") -> bytes:
    octets = WIRE % number
    head = b"\x01\x02N          %016x\n" % len(octets)
    return head + octets + b"\n\x01\x03\nR%x\n%s\n" % (received, extra)


def record(kind: int, data: bytes, *, written: bool = True) -> bytes:
    data += b"\0" * (-len(data) % 4)
    units = (8 + len(data)) >> 2
    size = bytes((units >> shift & 0x7F) | 0x80 for shift in (21, 14, 7, 0)) if written else bytes(4)
    return size + struct.pack("<I", kind) + data


def log(*records: bytes, number: int = 1, before: int = 0) -> bytes:
    return struct.pack("<BBHIIIIIQB7x", 1, 3, 40, 77, number, before, 0, 0, 1, 1) + b"".join(records)


def keyword(how: int, name: bytes, first: int, last: int) -> bytes:
    data = struct.pack("<BxH", how, len(name)) + name
    return record(0x400, data + b"\0" * (-len(data) % 4) + struct.pack("<II", first, last))


def header(at: int, value: int) -> bytes:
    return record(0x20, struct.pack("<HHI", at, 4, value))


def appended(*uids: int) -> bytes:
    return record(0x2, b"".join(struct.pack("<IB3x", uid, 8) for uid in uids))


STORY = (
    header(24, 555),
    appended(1, 2, 3, 4),
    record(0x4, struct.pack("<IIBBH", 2, 3, 1 | 16, 8, 0)),
    keyword(0, b"Work", 1, 4),
    keyword(1, b"Work", 2, 2),
    keyword(2, b"Only", 3, 3),
    record(0xCD91, struct.pack("<II", 4, 4)),  # a wish, not yet done
    record(0xCD90 | 0x2000 | EXTERNAL, struct.pack("<I16x", 1)),
)


def check_story(index: Index) -> None:
    assert index.uid_validity == 555
    assert index.uid_next == 5
    assert {uid: set(row.names()) for uid, row in index.rows.items()} == {
        2: {"\\Answered", "\\Draft"},
        3: {"\\Answered", "\\Draft", "Only"},
        4: {"\\Seen", "Work"},
    }


def test_a_log_alone(tmp_path: Path) -> None:
    (tmp_path / "dovecot.index.log").write_bytes(log(*STORY) + record(0x2, struct.pack("<IB3x", 9, 0), written=False))
    check_story(read_index(tmp_path, note))


def snapshot(log_number: int, log_offset: int) -> bytes:
    """After the first two records of the story and the keyword of the fourth, with room for an extension in front."""
    names = struct.pack("<I", 1) + struct.pack("<II", 0, 0) + b"Work\0"
    other = struct.pack("<IIHHHH", 4, 0, 8, 4, 4, 5) + b"other" + b"\0" * 3 + b"\x01\x02\x03\x04" + b"\0" * 4
    extension = struct.pack("<IIHHHH", len(names), 0, 12, 1, 1, 8) + b"keywords" + names
    extensions = other + extension + b"\0" * (-len(extension) % 8)
    base = bytearray(120)
    struct.pack_into("<BBHIIB", base, 0, 7, 3, 120, 120 + len(extensions), 16, 1)
    struct.pack_into("<III", base, 24, 555, 5, 4)
    struct.pack_into("<III", base, 60, log_number, log_offset, log_offset)
    rows = b"".join(struct.pack("<IB3xIB3x", uid, 8, 0, 1) for uid in (1, 2, 3, 4))
    return bytes(base) + extensions + rows


REST = (STORY[2], *STORY[4:])


def test_snapshot_and_log(tmp_path: Path) -> None:
    skipped = record(0xCD91 | EXTERNAL, struct.pack("<II", 1, 4))
    (tmp_path / "dovecot.index").write_bytes(snapshot(3, 40 + len(skipped)))
    (tmp_path / "dovecot.index.log").write_bytes(log(skipped, *REST, number=3, before=2))
    check_story(read_index(tmp_path, note))


def test_snapshot_and_two_logs(tmp_path: Path) -> None:
    (tmp_path / "dovecot.index").write_bytes(snapshot(2, 40))
    (tmp_path / "dovecot.index.log.2").write_bytes(log(*REST[:2], number=2, before=1))
    (tmp_path / "dovecot.index.log").write_bytes(log(*REST[2:], number=3, before=2))
    check_story(read_index(tmp_path, note))
    (tmp_path / "dovecot.index.log.2").unlink()
    with pytest.raises(IndexFault, match="rotation"):
        read_index(tmp_path, note)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IndexFault, match="none"):
        read_index(tmp_path, note)
    (tmp_path / "dovecot.index.log").write_bytes(log(*STORY, number=4, before=3))
    with pytest.raises(IndexFault, match="rotated"):
        read_index(tmp_path, note)
    (tmp_path / "dovecot.index").write_bytes(snapshot(9, 40))
    with pytest.raises(IndexFault, match="belong"):
        read_index(tmp_path, note)
    damaged = bytearray(snapshot(4, 40))
    damaged[12] = 0
    (tmp_path / "dovecot.index").write_bytes(damaged)
    with pytest.raises(IndexFault, match="big-endian"):
        read_index(tmp_path, note)


@given(st.binary(max_size=300), st.booleans(), st.integers(0, 400))
def test_damage_raises_one_error_only(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, inside: bool, at: int
) -> None:
    folder = tmp_path_factory.mktemp("index")
    whole = snapshot(3, 40)
    (folder / "dovecot.index").write_bytes(whole[:at] + junk + whole[at + len(junk) :] if inside else junk)
    (folder / "dovecot.index.log").write_bytes(log(*REST, record(at, junk), number=3, before=2))
    try:
        read_index(folder, note)
    except IndexFault:
        pass


def make_sdbox(root: Path) -> Path:
    mails = root / "mailboxes" / "INBOX" / "dbox-Mails"
    mails.mkdir(parents=True)
    for uid in (2, 3, 4):
        (mails / f"u.{uid}").write_bytes(b"2 M1e C5f5e0ff0\n" + message(uid))
    (mails / "dovecot.index.log").write_bytes(log(*STORY))
    return mails


def test_sdbox(tmp_path: Path, door: Door) -> None:
    make_sdbox(tmp_path / "box")
    report = door.take_in(tmp_path / "box")
    assert (report.format, report.stored, report.kept_uids, report.faults) == ("sdbox", 3, 3, 0)
    assert door.mail() == [
        (2, WIRE % 2, {"\\Answered", "\\Draft"}, 0x5F5E1000),
        (3, WIRE % 3, {"\\Answered", "\\Draft", "Only"}, 0x5F5E1000),
        (4, WIRE % 4, {"\\Seen", "Work"}, 0x5F5E1000),
    ]


def test_sdbox_without_its_index_comes_without_flags_and_says_so(tmp_path: Path, door: Door) -> None:
    mails = make_sdbox(tmp_path / "box")
    (mails / "dovecot.index.log").write_bytes(b"junk")
    report = door.take_in(tmp_path / "box")
    assert (report.stored, report.faults) == (3, 1)
    assert any("flags and keywords are not known" in line for line in door.notes)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "no dbox file"),
        (b"3 M1e C0\n" + message(3), "no dbox file"),
        (b"2 M1e C0\n" + message(3)[:20], "no message header"),
        (b"2 M1e C0\n" + message(3)[:40], "shorter"),
        (b"2 M1e C0\n\x01\x02N          zzzzzzzzzzzzzzzz\n", "damaged"),
        (b"2 M1e C0\n" + message(3, extra=b"X1 2 3 file\n"), "attachments"),
    ],
)
def test_bad_message_files(tmp_path: Path, door: Door, octets: bytes, why: str) -> None:
    mails = make_sdbox(tmp_path / "box")
    (mails / "u.3").write_bytes(octets)
    report = door.take_in(tmp_path / "box")
    assert (report.stored, report.left_out) == (2, 1)
    assert any("u.3: " in line and why in line for line in door.notes), door.notes


def introduced(name: bytes, size: int) -> bytes:
    return record(0x40, struct.pack("<IIIHHHH", 0xFFFF_FFFF, 0, 0, size, 4, 0, len(name)) + name)


def test_mdbox(tmp_path: Path, door: Door) -> None:
    root = tmp_path / "box"
    mails = root / "mailboxes" / "INBOX" / "dbox-Mails"
    storage = root / "storage"
    mails.mkdir(parents=True)
    storage.mkdir()
    head = b"2 M1e C5f5e0ff0\n"
    (storage / "m.1").write_bytes(head + message(1) + message(2))
    second = len(head) + len(message(1))
    places = [(7, 1, len(head)), (8, 1, second), (9, 5, 16)]
    (storage / "dovecot.map.index.log").write_bytes(
        log(
            appended(7, 8, 9),
            introduced(b"map", 12),
            record(0x200, b"".join(struct.pack("<IIII", uid, file, at, 0) for uid, file, at in places)),
        )
    )
    (mails / "dovecot.index.log").write_bytes(
        log(
            header(24, 555),
            introduced(b"other", 8),
            appended(1, 2, 3, 4),
            keyword(0, b"Work", 2, 2),
            introduced(b"mdbox", 8),
            # Another one, then back by number: the keywords have taken number 1.
            record(0x40, struct.pack("<IIIHHHH", 0, 0, 0, 8, 4, 0, 0)),
            record(0x40, struct.pack("<IIIHHHH", 2, 0, 0, 8, 4, 0, 0)),
            record(0x200, b"".join(struct.pack("<III", uid, uid + 6, 0x60000000) for uid in (1, 2, 3))),
        )
    )
    report = door.take_in(root)
    assert (report.format, report.found, report.stored, report.left_out) == ("mdbox", 4, 2, 2)
    assert [(uid, octets, set(flags)) for uid, octets, flags, _ in door.mail()] == [
        (1, WIRE % 1, {"\\Seen"}),
        (2, WIRE % 2, {"\\Seen", "Work"}),
    ]
    assert any("UID 4: the index does not say" in line for line in door.notes)
    assert any("m.5" in line and "No such file" in line for line in door.notes)
