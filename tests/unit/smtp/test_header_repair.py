"""What submission mends in a header section (RFC 6409 §8)."""

from __future__ import annotations

import pytest

from ironpost.smtp.header_repair import Repair, plan, split

GOOD = b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nFrom: a@b.test\r\nMessage-ID: <1@b.test>\r\nSubject: x\r\n"


def mend(header: bytes) -> Repair | None:
    return plan(header, sender="alice@b.test", date="NOW", message_id="19a0@mail.b.test")


def test_a_good_header_is_left_alone() -> None:
    assert mend(GOOD) is None
    assert mend(GOOD.upper()) is None


def test_what_is_missing_is_added_at_the_end() -> None:
    repair = mend(b"Subject: x\r\n")
    assert repair is not None
    assert repair.header == (b"Subject: x\r\nDate: NOW\r\nMessage-ID: <19a0@mail.b.test>\r\nFrom: <alice@b.test>\r\n")
    assert repair.original_octets == len(b"Subject: x\r\n")


def test_bcc_goes_with_its_continuations() -> None:
    repair = mend(GOOD + b"BCC : secret@b.test,\r\n\tother@b.test\r\n x\r\nTo: c@d.test\r\nbcc: again@b.test\r\n")
    assert repair is not None
    assert repair.header == GOOD + b"To: c@d.test\r\n"


def test_bcc_in_front() -> None:
    repair = mend(b"Bcc: s@b.test\r\n x\r\n" + GOOD)
    assert repair is not None
    assert repair.header == GOOD


def test_a_name_within_a_continuation_is_no_field() -> None:
    assert mend(GOOD + b"X-Note: see\r\n Bcc: not a field\r\n") is None


def test_a_message_without_header_gets_one_and_its_empty_line() -> None:
    repair = mend(b"hello there\r\nsecond line\r\n")
    assert repair is not None
    assert repair.original_octets == 0
    assert repair.header.endswith(b"From: <alice@b.test>\r\n\r\n")


def test_an_empty_header_needs_no_second_empty_line() -> None:
    repair = mend(b"")
    assert repair is not None
    assert repair.header.endswith(b"From: <alice@b.test>\r\n")
    assert not repair.header.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"A: b",
        b"A: b\r\n c\r\nD: e\r\n",
        b" starts folded\r\nA: b\r\n",
        b"junk\r\nA: b\r\n\r\n",
        b"\xff: x\r\n:\r\n",
    ],
)
def test_split_loses_nothing(header: bytes) -> None:
    assert b"".join(raw for _, raw in split(header)) == header


def test_an_old_mailbox_line_stays() -> None:
    assert [name for name, _ in split(b"From a@b Mon\r\nFrom: a@b\r\n")] == [b"", b"from"]


def test_fields_are_added_before_a_line_that_is_none() -> None:
    repair = mend(b"Subject: x\r\nno field at all\r\nBcc: secret@b.test\r\nTo: c@d.test\r\n")
    assert repair is not None
    assert repair.header == (
        b"Subject: x\r\nDate: NOW\r\nMessage-ID: <19a0@mail.b.test>\r\nFrom: <alice@b.test>\r\n"
        b"no field at all\r\nTo: c@d.test\r\n"
    )


def test_an_added_field_is_never_continued_by_what_follows() -> None:
    repair = mend(b" continues nothing\r\nSubject: x\r\n")
    assert repair is not None
    assert repair.header.startswith(b" continues nothing\r\nSubject: x\r\nDate: NOW\r\n")
