"""The queue record: what goes in comes out, damage is told and never guessed at."""

import msgpack
import pytest

from ironpost.store.queue import QueueRecipient, QueueState, QueueStateError, by_domain, unpack

FULL = QueueState(
    message_id="19a0",
    sender="alice@example.test",
    recipients=(
        QueueRecipient("bob@b.test", ("SUCCESS", "FAILURE"), "rfc822;bob@b.test", 451, "4.2.1", "later", "mx.b.test"),
        QueueRecipient("jörg@b.test"),
    ),
    created=1_700_000_000.25,
    attempts=3,
    delay_told=True,
    body="8BITMIME",
    smtputf8=True,
    ret="HDRS",
    envid="QQ314159",
)


def test_round_trip() -> None:
    assert unpack(FULL.pack()) == FULL


def test_unknown_keys_of_a_later_release_are_kept() -> None:
    record = msgpack.unpackb(FULL.pack())
    record["zz"] = [1, 2]
    state = unpack(msgpack.packb(record))
    assert msgpack.unpackb(state.pack()) == record


@pytest.mark.parametrize(
    "data", [b"", b"\xc0", b"\x80", b"junk", msgpack.packb({"v": 1}), FULL.pack()[:-1], FULL.pack() + b"x"]
)
def test_damage_is_told(data: bytes) -> None:
    with pytest.raises(QueueStateError):
        unpack(data)


def test_newer_version_is_refused() -> None:
    record = msgpack.unpackb(FULL.pack())
    record["v"] = 2
    with pytest.raises(QueueStateError, match="version 2"):
        unpack(msgpack.packb(record))


def test_by_domain_groups_whatever_the_case() -> None:
    recipients = [QueueRecipient(a) for a in ("x@a.test", "y@b.test", '"z@b.test"@A.test')]
    groups = by_domain(FULL, recipients)
    assert [(g.domain, [r.address for r in g.recipients]) for g in groups] == [
        ("a.test", ["x@a.test", '"z@b.test"@A.test']),
        ("b.test", ["y@b.test"]),
    ]


def test_last_reply_is_bounded() -> None:
    assert len(QueueRecipient("a@b").answered(450, "4.0.0", "x" * 10_000, "h").reply) == 512
