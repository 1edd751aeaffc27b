"""Maildirs made by hand, after the formats' descriptions: what arrives, what is told, what is never lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.portable import Door

from ironpost import _core
from ironpost.errors import UserError
from ironpost.portable import maildir
from ironpost.portable.detect import detect

DATE = 1_600_000_000
TEXT = b"Subject: one\n\nbody\n"
WIRE = b"Subject: one\r\n\r\nbody\r\n"


def make(path: Path) -> Path:
    """An empty Maildir."""
    for sub in ("cur", "new", "tmp"):
        (path / sub).mkdir(parents=True)
    return path


def put(path: Path, name: str, octets: bytes = TEXT, date: int = DATE) -> Path:
    """A message."""
    file = path / name
    file.write_bytes(octets)
    os.utime(file, (date, date))
    return file


def test_flags_dates_and_line_ends(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    put(root, "cur/1600000001.M1P1.host,S=19,W=22:2,DFRSTP")
    put(root, "new/1600000002.M1P1.host", b"Subject: two\r\n\r\nbody\n", DATE + 5)
    put(root, "tmp/1600000003.M1P1.host")
    put(root, "cur/1600000004.M1P1.host:2,", b"Subject: no end")
    report = door.take_in(root)
    assert (report.found, report.stored, report.left_out, report.format) == (3, 3, 0, "maildir++")
    flags = {"\\Draft", "\\Flagged", "\\Answered", "\\Seen", "\\Deleted", "$Forwarded"}
    assert door.mail() == [
        (1, WIRE, flags, DATE),
        (2, b"Subject: two\r\n\r\nbody\n", frozenset(), DATE + 5),
        (3, b"Subject: no end", frozenset(), DATE),
    ]


def test_dovecot_bookkeeping(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    work = make(root / ".Work.J&APw-rgen")
    put(root, "cur/a.host,S=19:2,Sab")
    put(root, "cur/b.host:2,")
    put(root, "new/c.host")
    put(work, "cur/d.host:2,c")
    (root / "dovecot-uidlist").write_text(
        "3 V1234567 N90 G3085f01b7f11094c501100008c4a11c1\n"
        "70 :b.host\n75 G1e4f W22 :a.host,S=19:2,S\n89 :gone.host:2,\n"
    )
    (work / "dovecot-uidlist").write_text("1 7654321 8\n7 d.host:2,\n")
    (root / "dovecot-keywords").write_text("0 $Junk\n1 NonJunk\n26 Beyond\n")
    (root / "subscriptions").write_text("Work.J&APw-rgen\nGone\n")
    report = door.take_in(root)
    assert (report.stored, report.kept_uids, report.subscriptions) == (4, 3, 2)
    boxes = door.boxes()
    assert [boxes["INBOX"][key] for key in ("uid_validity", "uid_next")] == [1234567, 91]
    assert [(uid, flags) for uid, _, flags, _ in door.mail()] == [
        (70, frozenset()),
        (75, {"\\Seen", "$Junk", "NonJunk"}),
        (90, frozenset()),  # new to Dovecot, too: it gets what Dovecot would have given
    ]
    box = boxes["Work/Jürgen"]
    assert (box["uid_validity"], box["uid_next"], box["subscribed"]) == (7654321, 8, True)
    assert door.mail("Work/Jürgen")[0][0] == 7
    assert boxes["Gone"]["id"] == 0


def test_courier_bookkeeping(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    put(root, "cur/a.host:2,S")
    put(root, "cur/b.host:2,")
    put(root, "cur/c.host:2,")
    (root / "courierimapuiddb").write_text("1 1111 12\n4 b.host\n11 a.host\n")
    (root / "courierimapsubscribed").write_text("INBOX\nINBOX.Sent\n")
    make(root / ".Sent")
    keywords = root / "courierimapkeywords"
    keywords.mkdir()
    (keywords / ":list").write_text("Work\nHome\n\na.host:0 1\nb.host:1\nc.host:9\n")
    (keywords / ".2.b.host").write_text("Newer\n")
    (keywords / ".1.b.host").write_text("Older\n")
    door.take_in(root)
    assert [(uid, set(flags)) for uid, _, flags, _ in door.mail()] == [
        (4, {"Newer"}),
        (11, {"\\Seen", "Work", "Home"}),
        (12, set()),
    ]
    assert door.boxes()["Sent"]["subscribed"]


def test_subscriptions_of_version_2(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    make(root / ".A.B")
    (root / "subscriptions").write_text("V\t2\n\nA\tB\nTab\x01t\n")
    door.take_in(root)
    assert door.boxes()["A/B"]["subscribed"]
    assert door.boxes()["Tab_"]["subscribed"]
    assert any("control characters" in note for note in door.notes)


def test_nested_folders(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    put(make(root / "Work" / "Größe"), "cur/a:2,")
    (root / "empty" / "deep").mkdir(parents=True)
    assert detect(root) == "maildir"
    door.take_in(root, utf8=True)
    assert len(door.mail("Work/Größe")) == 1
    assert "empty" not in door.boxes()


def test_plus_folders_are_not_lost_to_the_wrong_format(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    make(root / ".Sent")
    report = door.take_in(root, "maildir")
    assert report.faults == 1
    assert "maildir++" in door.notes[0]


def test_again_nothing_is_doubled(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    for number in range(5):
        put(root, f"cur/{number}.host:2,", b"Subject: same\n\n%d\n" % (number // 2), DATE + number // 2)
    big = b"Subject: big\n\n" + b"0123456789\n" * 500_000
    put(root, "cur/9.host:2,S", big)
    assert door.take_in(root).stored == 6
    assert len(door.mail()) == 6
    assert door.take_in(root).known == 6
    # One more of a kind that is there twice, one new one, and one that differs by its date alone.
    put(root, "cur/5.host:2,", b"Subject: same\n\n0\n", DATE)
    put(root, "cur/6.host:2,", b"Subject: other\n\n")
    put(root, "cur/7.host:2,", b"Subject: same\n\n0\n", DATE + 100)
    report = door.take_in(root)
    assert (report.known, report.stored) == (6, 3)
    assert len(door.mail()) == 9
    assert door.mail()[5][1] == big.replace(b"\n", b"\r\n")
    assert door.take_in(root, skip_known=False).stored == 9


def test_the_same_uid_on_both_sides_is_no_proof(tmp_path: Path, door: Door) -> None:
    """After a first import, both servers take new mail: both call it UID 2."""
    root = make(tmp_path / "Maildir")
    put(root, "cur/a:2,")
    (root / "dovecot-uidlist").write_text("3 V77 N2\n1 :a\n")
    door.take_in(root)
    put(root, "cur/b:2,", b"Subject: straggler\n\n")
    (root / "dovecot-uidlist").write_text("3 V77 N3\n1 :a\n2 :b\n")
    other = make(tmp_path / "other")
    put(other, "cur/z:2,", b"Subject: arrived here\n\n")
    door.take_in(other)
    report = door.take_in(root)
    assert (report.known, report.stored, report.kept_uids) == (1, 1, 0)
    assert [octets for _, octets, _, _ in door.mail()] == [
        WIRE,
        b"Subject: arrived here\r\n\r\n",
        b"Subject: straggler\r\n\r\n",
    ]


def test_mail_that_was_there_keeps_its_uids(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    put(root, "cur/a:2,")
    door.take_in(root)
    before = door.boxes()["INBOX"]["uid_validity"]
    put(root, "cur/b:2,", b"Subject: two\n\n")
    (root / "dovecot-uidlist").write_text("3 V77 N9\n7 :a\n8 :b\n")
    report = door.take_in(root)
    assert report.kept_uids == 0
    assert door.boxes()["INBOX"]["uid_validity"] == before
    assert any("new UIDs" in note for note in door.notes)


@pytest.mark.parametrize("text", ["", "4 V1 N2\n", "3 V1 N2\nx :a\n", "3 V1 N2\n0 :a\n", "3 Vx N2\n", "3 V1 N2\n1\n"])
def test_a_damaged_uidlist_costs_uids_alone(tmp_path: Path, door: Door, text: str) -> None:
    root = make(tmp_path / "Maildir")
    put(root, "cur/a:2,S")
    (root / "dovecot-uidlist").write_text(text)
    report = door.take_in(root)
    assert (report.stored, report.left_out) == (1, 0)
    assert any("damaged" in note for note in door.notes)


def test_bad_files_are_told_and_cost_nothing_else(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    put(root, "cur/1:2,", b"")
    put(root, "cur/2:2,", b"\x1f\x8b\x08compressed")
    put(root, "cur/3:2,", b"Subject: nul\n\n\0 and \r here\n")
    os.mkfifo(root / "cur" / "4:2,")
    (root / "cur" / "5:2,").mkdir()
    (root / "cur" / "6:2,").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").write_bytes(TEXT)
    (root / "cur" / "7:2,").symlink_to("7:2,")
    put(root, "cur/8:2,")
    put(root, "cur/\udcff\udcfe:2,", b"Subject: name\n\n")
    report = door.take_in(root)
    assert (report.stored, report.left_out, report.faults) == (3, 2, 2)
    text = "\n".join(door.notes)
    for part in ("1:2,: is empty", "2:2,: is compressed", "holds NUL", "CR without LF", "6:2,: is a symbolic link out"):
        assert part in text, part
    assert b"\0 and \r here\r\n" in door.mail()[1][1]
    assert door.take_in(root, follow=True).stored == 1


def test_a_loop_of_folders_ends(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    put(make(root / "a"), "cur/1:2,")
    (root / "a" / "again").symlink_to(root)
    (root / "b").symlink_to("a")
    report = door.take_in(root, "maildir", follow=True)
    assert report.stored == 1
    assert sum("same folder" in note for note in door.notes) == 2


def test_a_file_that_is_renamed_or_goes_while_we_read(
    tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "Maildir")
    for number in range(3):
        put(root, f"cur/{number}.host:2,", b"Subject: %d\n\n" % number)
    moved: list[int] = []

    def flags_once(name: str, letters: dict[str, str]) -> object:
        if not moved:
            moved.append(1)
            (root / "cur" / "0.host:2,").rename(root / "cur" / "0.host:2,S")
            (root / "cur" / "1.host:2,").unlink()
        return real_flags(name, letters)

    real_flags = maildir._flags
    monkeypatch.setattr(maildir, "_flags", flags_once)
    report = door.take_in(root)
    assert (report.stored, report.left_out) == (2, 1)
    assert [octets for _, octets, _, _ in door.mail()] == [b"Subject: 0\r\n\r\n", b"Subject: 2\r\n\r\n"]


def test_more_keywords_than_the_account_may_have(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    for number in range(10):
        folder = make(root / f".{number}")
        put(folder, "cur/a:2,S" + "abcdefghij")
        (folder / "dovecot-keywords").write_text("".join(f"{row} kw{number}x{row}\n" for row in range(10)))
    report = door.take_in(root)
    assert report.stored == 10
    assert any("keywords could not be kept" in note for note in door.notes)
    assert "\\Seen" in door.mail("9")[0][2]


def test_dry_run_stores_nothing(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    put(root, "cur/a:2,")
    put(make(root / ".B"), "cur/b:2,", b"")
    report = door.take_in(root, dry_run=True)
    assert (report.stored, report.left_out) == (1, 1)
    assert not door.mail()
    assert "B" not in door.boxes()


def test_into_and_only(tmp_path: Path, door: Door) -> None:
    root = make(tmp_path / "Maildir")
    put(root, "cur/a:2,")
    put(make(root / ".B"), "cur/b:2,")
    door.take_in(root, into="old/", only=("B",))
    assert len(door.mail("old/B")) == 1
    assert "old/INBOX" not in door.boxes()


def test_many_folders(tmp_path: Path, door: Door) -> None:
    """The store takes 10,000 mailboxes; what is beyond is told with its messages."""
    root = make(tmp_path / "Maildir")
    for number in range(300):
        make(root / f".f{number}")
    report = door.take_in(root)
    assert report.folders == 301
    assert len([name for name in door.boxes() if name.startswith("f")]) == 300


def test_nothing_fits(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    for path in (tmp_path, tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(UserError):
            detect(path)


def test_the_store_refuses_a_mailbox(tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "Maildir")
    put(make(root / ".Bad"), "cur/a:2,")
    put(root, "cur/b:2,")
    real = door.request

    def request(operation: str, **arguments: object) -> object:
        if operation == "mail.adopt" and arguments["name"] == "Bad":
            raise UserError("no")
        return real(operation, **arguments)

    monkeypatch.setattr(door, "request", request)
    report = door.take_in(root)
    assert (report.stored, report.left_out) == (1, 1)


def test_the_fingerprint_is_blake3_of_the_octets() -> None:
    one = _core.Fingerprint(b"abc")
    two = _core.Fingerprint()
    two.update(b"a")
    two.update(b"bc")
    # The test vector of BLAKE3 for "abc", its first half.
    assert one.digest() == two.digest() == bytes.fromhex("6437b3ac38465133ffb63b75273a8db5")
