"""Ours and Debian's Dovecot side by side: the same messages in both, the same commands to both."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support import corpora
from tests.support.dovecot import Dovecot
from tests.support.imap_wire import Answer, Tree, Wire, parse
from tests.support.server import DOMAIN, Server

_TIMEOUT_SECONDS = 60
_MESSAGES_AT_ONCE = 100  # in one APPEND (RFC 3502), which costs one sync


class Mail(NamedTuple):
    """A message of the corpora, whose lines all end in CRLF."""

    name: str
    octets: bytes


def mails(*, packed: int, octets_max: int) -> list[Mail]:
    """The messages that both servers keep as they are: no NUL, no bare CR or LF; skips when the corpora are absent."""
    corpora.require()
    found = []
    for name, octets in corpora.messages(packed=packed):
        octets = corpora.with_crlf(octets)
        if len(octets) <= octets_max and b"\0" not in octets and corpora.line_ends(octets) == "crlf":
            found.append(Mail(name, octets))
    return found


def small(count: int) -> list[Mail]:
    """Messages that can be told apart."""
    return [Mail(f"m{n}", b"Subject: m%d\r\nFrom: a@b.test\r\n\r\ntext %d\r\n" % (n, n)) for n in range(count)]


class Pair:
    """A session with each server."""

    def __init__(self, ours: Wire, theirs: Wire) -> None:
        self.ours = ours
        self.theirs = theirs

    def do(self, *parts: bytes) -> tuple[Answer, Answer]:
        """The same command to both; ours first."""
        return self.ours.do(*parts), self.theirs.do(*parts)

    def ok(self, *parts: bytes) -> tuple[Answer, Answer]:
        """The same, and both must say OK."""
        return self.ours.ok(*parts), self.theirs.ok(*parts)

    def fill(self, messages: Sequence[Mail], mailbox: bytes = b"INBOX") -> None:
        """Appends messages, a third of them unseen, each with a date of its own."""
        for start in range(0, len(messages), _MESSAGES_AT_ONCE):
            command = b"APPEND " + mailbox
            for number, mail in enumerate(messages[start : start + _MESSAGES_AT_ONCE], start):
                flags = b"\\Seen" if number % 3 else b""
                date = b'"%2d-Jul-2021 12:%02d:%02d +0000"' % (1 + number % 28, number % 60, number * 7 % 60)
                command += b" (%s) %s {%d+}\r\n%s" % (flags, date, len(mail.octets), mail.octets)
            self.ok(command)


class Both:
    """The two servers, each with one account: our `alice` and their home folder."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._server = stack.enter_context(Server(folder / "data", accounts=("alice",)).serving())
        self._dovecot = Dovecot(folder / "dovecot")
        pair = self.pair()
        # What a new account has here and Dovecot has not.
        for answer in pair.ours.ok(b'LIST "" "*"').trees(b"LIST"):
            name = answer[2]
            if name not in ("INBOX", b"INBOX"):
                quoted = b'"%s"' % (name if isinstance(name, bytes) else str(name).encode())
                pair.ours.ok(b"DELETE " + quoted)
                pair.ours.ok(b"UNSUBSCRIBE " + quoted)
        pair.ours.ok(b"UNSUBSCRIBE INBOX")

    def pair(self) -> Pair:
        """New sessions, logged in."""
        ours = imaplib.IMAP4("127.0.0.1", self._server.port("imap"), timeout=_TIMEOUT_SECONDS)
        ours.login(f"alice@{DOMAIN}", "correct horse 42")
        self._stack.callback(ours.logout)
        return Pair(Wire(ours), Wire(self._stack.enter_context(self._dovecot.imap("sdbox:~/tree"))))


@contextmanager
def both(folder: Path) -> Iterator[Both]:
    """Starts the two; at the end ours must stop well and its store be clean."""
    with ExitStack() as stack:
        yield Both(stack, folder)


def fetched(answer: Answer) -> dict[int, dict[str, Tree]]:
    """Message number: item: value."""
    found: dict[int, dict[str, Tree]] = {}
    for line in answer.lines:
        number, _, rest = line.partition(b" FETCH ")
        if rest:
            (pairs,) = parse(rest)
            assert isinstance(pairs, tuple)
            items = found.setdefault(int(number), {})
            for at in range(0, len(pairs), 2):
                items[str(pairs[at])] = pairs[at + 1]
    return found


def uids(answer: Answer) -> list[int]:
    """The numbers of the one SEARCH or SORT line."""
    (line,) = [line for line in answer.lines if line.upper().startswith((b"SEARCH", b"SORT"))]
    return [int(number) for number in line.split()[1:]]


def threads(answer: bytes) -> list[bytes]:
    """The threads of an answer, in no order of their own."""
    depth, start, found = 0, 0, []
    for place, octet in enumerate(answer):
        if octet == ord("("):
            start = place if depth == 0 else start
            depth += 1
        elif octet == ord(")"):
            depth -= 1
            if depth == 0:
                found.append(answer[start : place + 1])
    assert depth == 0
    return sorted(found)


def same_structure(body: Tree) -> Tree:
    """A BODY or BODYSTRUCTURE with everything in lower case whose case means nothing (RFC 2045 §5.1, §6.1; RFC 2046 §4.1.2)."""
    assert isinstance(body, tuple)
    if isinstance(body[0], tuple):
        parts = [part for part in body if isinstance(part, tuple)]
        count = next(at for at, part in enumerate(body) if not isinstance(part, tuple))
        return (*map(same_structure, parts[:count]), _lower(body[count]), *map(_parameters, body[count + 1 :]))
    leaf = [*map(_lower, body[:2]), _parameters(body[2]), *body[3:5], _lower(body[5]), *body[6:]]
    if leaf[:2] == [b"message", b"rfc822"]:
        leaf[8] = same_structure(leaf[8])
    return tuple(leaf)


def _parameters(value: Tree) -> Tree:
    """Names of parameters, and charsets, in lower case; what is none is left as it is."""
    if not isinstance(value, tuple):
        return value
    lowered = [_lower(item) if at % 2 == 0 else item for at, item in enumerate(value)]
    for at in range(1, len(lowered), 2):
        lowered[at] = _lower(lowered[at]) if lowered[at - 1] == b"charset" else lowered[at]
    return tuple(lowered)


def _lower(value: Tree) -> Tree:
    return value.lower() if isinstance(value, bytes) else value


def sections(body: Tree, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Part specifiers of a structure (RFC 9051 §6.4.5.1), each with whether it is an embedded message."""
    assert isinstance(body, tuple)
    if not isinstance(body[0], tuple):
        yield from _leaf(body, f"{prefix}1")
        return
    for number, part in enumerate((part for part in body[: _children(body)]), 1):
        assert isinstance(part, tuple)
        if isinstance(part[0], tuple):
            yield f"{prefix}{number}", False
            yield from sections(part, f"{prefix}{number}.")
        else:
            yield from _leaf(part, f"{prefix}{number}")


def _leaf(part: tuple[Tree, ...], section: str) -> Iterator[tuple[str, bool]]:
    is_message = [_lower(item) for item in part[:2]] == [b"message", b"rfc822"]
    yield section, is_message
    if is_message:
        yield from sections(part[8], f"{section}.")


def _children(body: tuple[Tree, ...]) -> int:
    return next(at for at, part in enumerate(body) if not isinstance(part, tuple))
