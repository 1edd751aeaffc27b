"""Mailboxes, flags, copies and removals leave the same state here as in Debian's Dovecot.

A difference that no table names fails, and so does an entry that is not needed any more. Skipped where scripts/peers.sh
has not unpacked Dovecot.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.differential import Both, both, fetched, small
from tests.support.dovecot import missing
from tests.support.imap_wire import Answer, Wire, parse

pytestmark = [pytest.mark.client, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

MESSAGES = 12
STEPS = 60
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with both(tmp_path_factory.mktemp("state")) as servers:
        yield servers


# -- mailboxes

_LISTED = re.compile(rb'(LIST|LSUB) \((.*?)\) ("/"|NIL) ("(?:[^"\\]|\\.)*"|[^ "]+)(?: (.*))?', re.DOTALL)
# What need not be told, or only one of the two tells (RFC 9051 §7.3.1).
_HINTS = {"\\MARKED", "\\UNMARKED", "\\NONEXISTENT"}
_CHILDREN = {"\\HASCHILDREN", "\\HASNOCHILDREN"}


def told(command: str, answer: Answer) -> list[object]:
    """The status and what LIST, LSUB and STATUS tell, in no order of their own."""
    found: list[object] = []
    # RFC 5258 §4: an extended LIST tells of children when it is asked to; ours always does (RFC 9051 §6.3.9.2).
    extended = command.startswith("LIST (") or "RETURN" in command or command.endswith(")")
    for line in answer.lines:
        match = _LISTED.fullmatch(line)
        if match:
            kind, flags, separator, name, more = match.groups()
            (said,) = parse(b"(%s)" % flags)
            assert isinstance(said, tuple)
            seen = {str(flag) for flag in said} - _HINTS
            seen -= _CHILDREN if extended and "CHILDREN" not in command else set()
            found.append((kind, sorted(seen), separator, unquoted(name), more and more.upper().replace(b'"', b"")))
        elif line.startswith(b"STATUS "):
            name, _, values = line[7:].rpartition(b" (")
            items = values.rstrip(b")").split()
            found.append((b"STATUS", unquoted(name), sorted(zip(items[::2], items[1::2], strict=True))))
    return [answer.status, *sorted(found, key=repr)]


def unquoted(name: bytes) -> bytes:
    """A mailbox name as it is; INBOX in upper case (RFC 9051 §5.1)."""
    (value,) = parse(name) if name.startswith(b'"') else (name,)
    assert isinstance(value, bytes)
    return b"INBOX" if value.upper() == b"INBOX" else value


FILE_NAMES = (
    "RFC 9051 §5.1.1: such a name is no file here, and allowed. Dovecot, whose mailboxes are folders, refuses it."
)
ROOT = "RFC 9051 §6.3.9: what a reference with a leading separator means is left to the server. Here it is text like other."
MAILBOXES = r"""
CREATE Work
CREATE Work
CREATE Work/2024
CREATE Work/2024/Jan
CREATE Deep
CREATE Deep/a
CREATE Deep/a/b
CREATE Deep/a/b/c
CREATE Deep/a/b/c/d
CREATE "with space"
CREATE "quo\"ted"
CREATE "back\\slash"
CREATE Gr&APYA3w-e
CREATE &ZeVnLIqe-
CREATE &ZeVnLIqe-/&U,BTFw-
CREATE a&b
CREATE &Jjo!
CREATE "&U,BTFw-&ZeVnLIqe-"
CREATE "&AGE-"
CREATE "a//b"
CREATE "/lead"
CREATE ""
CREATE INBOX
CREATE inbox
CREATE INBOX/sub
CREATE inbox/sub2
CREATE InBoX/sub
CREATE "star*"
CREATE "per%cent"
CREATE "tilde~x"
CREATE "~root"
CREATE "."
CREATE ".."
CREATE "a.b"
CREATE "[brack]"
CREATE "(par)"
CREATE "{curl}"
CREATE "#hash"
CREATE "x&-y"
LIST "" ""
LIST "Work" ""
LIST "/" ""
LIST "" "*"
LIST "" "%"
LIST "" "Work/%"
LIST "Work/" "%"
LIST "Work/" "*"
LIST "Work" "/%"
LIST "" "%/%"
LIST "" "*2024*"
LIST "" "W*k"
LIST "" "inbox"
LIST "" "iNbOx"
LIST "" "INBOX/%"
LIST "" "inbox/*"
LIST "" "i%"
LIST "" "%o%"
LIST "" "Deep/%"
LIST "" "Deep/*/d"
LIST "" "Deep/%/%/%"
LIST "" "Deep"
LIST "" "%/%/%/%/%"
LIST "" "nosuch"
LIST "" "&*"
LIST "" "Gr&APYA3w-e"
LIST "" "with space"
LIST "" "quo\"ted"
LIST "" "back\\slash"
LIST "" work
LIST "" Work/
LIST "" "**"
LIST "" "%%"
LIST "" "*%"
LIST "" "%*"
LIST "" ("Work" "INBOX" "Deep/%")
LIST (SUBSCRIBED) "" "*"
LIST (RECURSIVEMATCH) "" "%"
LIST (REMOTE) "" "W*"
LIST "" "*" RETURN (CHILDREN)
LIST "" "W*" RETURN (SUBSCRIBED)
LIST "" "W*" RETURN (STATUS (MESSAGES UIDNEXT UNSEEN))
SUBSCRIBE Work
SUBSCRIBE Work/2024/Jan
SUBSCRIBE "with space"
SUBSCRIBE inbox
SUBSCRIBE nosuch
SUBSCRIBE Deep/a/b
SUBSCRIBE Work
LSUB "" "*"
LSUB "" "%"
LSUB "" "Work/%"
LSUB "" "Deep/%"
LSUB "" "D%"
LSUB "Work/" "*"
LSUB "" "INBOX"
LSUB "" ""
LIST (SUBSCRIBED) "" "*"
LIST (SUBSCRIBED) "" "%"
LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"
LIST (SUBSCRIBED) "" "*" RETURN (CHILDREN)
LIST "" "*" RETURN (SUBSCRIBED)
UNSUBSCRIBE nosuch
UNSUBSCRIBE Deep/a/b
UNSUBSCRIBE never
LSUB "" "*"
STATUS Work (MESSAGES)
STATUS INBOX (MESSAGES UIDNEXT UNSEEN)
STATUS inbox (UNSEEN UIDNEXT MESSAGES)
STATUS nosuch (MESSAGES)
STATUS Deep/a (MESSAGES)
STATUS "with space" (UNSEEN MESSAGES)
STATUS Work ()
STATUS Work (NOSUCH)
STATUS Work MESSAGES
RENAME Work Job
LIST "" "*o*"
LSUB "" "*"
RENAME nosuch other
RENAME Job "with space"
RENAME Job Job
RENAME Job Job/inner
CREATE New
CREATE New/place
RENAME Job/2024 New/place/2024
LIST "" "New*"
LIST "" "Job*"
RENAME Deep/a Deep/z
LIST "" "Deep*"
DELETE nosuch
DELETE INBOX
DELETE Deep
DELETE Deep/z/b/c/d
DELETE Deep/z/b/c
LIST "" "Deep*"
DELETE "with space"
LSUB "" "*"
DELETE "quo\"ted"
LIST "" "*"
EXAMINE nosuch
SELECT Deep/z
RENAME INBOX Old
STATUS INBOX (MESSAGES)
STATUS Old (MESSAGES)
"""
MAILBOXES_KNOWN: Mapping[str, str] = {
    'CREATE "~root"': FILE_NAMES,
    'CREATE "."': FILE_NAMES,
    'CREATE ".."': FILE_NAMES,
    'LIST "/" ""': ROOT,
    'LIST "Work" "/%"': ROOT,
    'LIST "" "&*"': "RFC 3501 §5.1.3: `&` begins a shift that is never ended. To us no name, to Dovecot one that is not there.",
    "SUBSCRIBE nosuch": "RFC 9051 §6.3.7: a server may look whether the mailbox exists. We do not, as LSUB keeps such names.",
    'LSUB "" "*"': "RFC 9051 §6.3.6 says nothing of subscriptions. Here they go with a renamed mailbox, too.",
}
# How what only we do is undone, so that both go on from the same state.
_OPPOSITES = {"CREATE": "DELETE", "SUBSCRIBE": "UNSUBSCRIBE"}


def test_mailboxes(servers: Both) -> None:
    pair = servers.pair()
    pair.fill(small(MESSAGES))
    differing = []
    for command in MAILBOXES.strip().splitlines():
        ours, theirs = (told(command, answer) for answer in pair.do(command.encode()))
        if ours != theirs:
            differing.append(command)
            assert command in MAILBOXES_KNOWN, (command, ours, theirs)
        verb, _, rest = command.partition(" ")
        if verb in _OPPOSITES and (ours[0], theirs[0]) == (b"OK", b"NO"):
            pair.ours.ok(f"{_OPPOSITES[verb]} {rest}".encode())
    assert set(differing) == set(MAILBOXES_KNOWN), "an entry of MAILBOXES_KNOWN is not needed any more"


# -- flags, copies, removals


def steps(seed: int) -> Iterator[bytes]:
    """A random walk over messages; what it names need not be there."""
    chosen = random.Random(seed)
    for _ in range(STEPS):
        uid = chosen.choice((b"", b"UID "))
        low = chosen.randint(1, MESSAGES)
        numbers = b"%d" % low if chosen.random() < 0.6 else b"%d:%d" % (low, low + chosen.randint(0, 3))
        flags = chosen.choice((b"\\Seen", b"\\Deleted", b"\\Flagged \\Answered", b"$Forwarded", b"Own \\Draft", b""))
        sign = chosen.choice((b"", b"+", b"-"))
        silent = chosen.choice((b"", b".SILENT"))
        match chosen.randint(0, 9):
            case 0 | 1 | 2 | 3:
                yield uid + b"STORE %s %sFLAGS%s (%s)" % (numbers, sign, silent, flags)
            case 4 | 5:
                yield uid + b"COPY %s Other" % numbers
            case 6:
                yield uid + b"MOVE %s Other" % numbers
            case 7:
                yield uid + b"COPY %s INBOX" % numbers
            case 8:
                yield b"UID EXPUNGE " + numbers
            case _:
                yield chosen.choice((b"EXPUNGE", b"NOOP", b"CHECK"))


class Watched:
    """What a session that only looks on has been told of its mailbox (RFC 9051 §7.4): flags by message number."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.flags: list[frozenset[str] | None] = [None] * self._exists(wire.ok(b"SELECT INBOX"))
        self._learn(wire.ok(b"FETCH 1:* FLAGS"))

    def look(self) -> None:
        """NOOP brings all that has changed."""
        self._learn(self.wire.ok(b"NOOP"))

    @staticmethod
    def _exists(answer: Answer) -> int:
        (count,) = [int(line.split()[0]) for line in answer.lines if line.endswith(b" EXISTS")]
        return count

    def _learn(self, answer: Answer) -> None:
        for line in answer.lines:
            number, _, rest = line.partition(b" ")
            if rest == b"EXPUNGE":
                del self.flags[int(number) - 1]
            elif rest == b"EXISTS":
                self.flags += [None] * (int(number) - len(self.flags))
            elif rest.startswith(b"FETCH "):
                for at, items in fetched(Answer([line], b"", b"")).items():
                    self.flags[at - 1] = plain_flags(items["FLAGS"])


def plain_flags(value: object) -> frozenset[str]:
    """Without \\Recent, which RFC 9051 §2.3.2 has no more."""
    assert isinstance(value, tuple)
    return frozenset(map(str, value)) - {"\\RECENT"}


def contents(wire: Wire, mailbox: bytes) -> list[tuple[object, frozenset[str], object]]:
    """UID, flags and octets of all messages."""
    wire.ok(b"SELECT " + mailbox)
    found = (
        fetched(wire.ok(b"FETCH 1:* (UID FLAGS BODY.PEEK[])")) if wire.ok(b"SEARCH ALL").lines[0] != b"SEARCH" else {}
    )
    return [(items["UID"], plain_flags(items["FLAGS"]), items["BODY[]"]) for _, items in sorted(found.items())]


def outcome(answer: Answer) -> tuple[bytes, bytes]:
    """The status, and the UIDs of COPYUID without the UIDVALIDITY (RFC 4315 §3)."""
    lines = b" ".join([*answer.lines, answer.text])
    copied = re.search(rb"\[COPYUID \d+ (\S+ \S+)\]", lines)
    return answer.status, copied[1] if copied else b""


@pytest.mark.parametrize("seed", SEEDS)
def test_changes_seen_by_another_session(tmp_path: Path, seed: int) -> None:
    with both(tmp_path) as servers:
        pair, watchers, after = servers.pair(), servers.pair(), servers.pair()
        pair.fill(small(MESSAGES))
        pair.ok(b"CREATE Other")
        pair.ok(b"SELECT INBOX")
        watching = [Watched(watchers.ours), Watched(watchers.theirs)]
        for number, command in enumerate(steps(seed)):
            ours, theirs = map(outcome, pair.do(command))
            assert ours == theirs, command
            if number % 4 == 0:
                for one in watching:
                    one.look()
        for mailbox in (b"Other", b"INBOX"):
            ours, theirs = contents(after.ours, mailbox), contents(after.theirs, mailbox)
            assert ours == theirs
        for one in watching:
            one.look()
            assert len(one.flags) == len(ours)
            assert all(seen in (None, flags) for seen, (_, flags, _) in zip(one.flags, ours, strict=True))
