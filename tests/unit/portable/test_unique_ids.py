"""Unique ids of POP3 in what other servers have left, and patterns by which they made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ironpost.errors import UserError
from ironpost.portable import bookkeeping, dbox
from ironpost.portable.unique_ids import checked, made


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("%08Xu%08Xv", "0000001f0000abcd"),
        ("%Xu%v", "1f43981"),
        ("UID%u-%v", "UID31-43981"),
        ("%v.%u", "43981.31"),
        ("%5u", "   31"),
        ("%%%u", "%31"),
    ],
)
def test_patterns(pattern: str, expected: str) -> None:
    assert made(checked(pattern), 31, 0xABCD) == expected


@pytest.mark.parametrize("pattern", ["", "x", "%v", "%u%", "%g%u", "%99u", "%%u", "%xu", "%Xx%u"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(UserError, match="no pattern"):
        checked(pattern)


def test_dovecot_uidlist(tmp_path: Path) -> None:
    (tmp_path / "dovecot-uidlist").write_text(
        "3 V9 N5 G00\n1 P<old@1> W5 :a.host\n2 :b.host\n3 W7 Pfour:five :c.host,S=1:2,S\n"
    )
    found = bookkeeping.uid_list(tmp_path, lambda *_: pytest.fail("a note"))
    assert found.uids == {"a.host": 1, "b.host": 2, "c.host,S=1": 3}
    assert found.uidls == {"a.host": "<old@1>", "c.host,S=1": "four:five"}


def test_dbox(tmp_path: Path) -> None:
    body = b"Subject: x\r\n\r\nx\r\n"
    head = b"\x01\x02N" + b" " * 10 + b"%016x\n" % len(body)
    file = tmp_path / "u.1"
    for line, expected in ((b"Pold-1\n", "old-1"), (b"", "")):
        file.write_bytes(
            b"2 M%x C5f\n" % len(head) + head + body + b"\n\x01\x03\nR5f000000\n" + line + b"V11\n\nPnot\n"
        )
        assert dbox.find(str(file), None).uidl == expected
