"""SEARCH, SORT and THREAD over real mail answer as Debian's Dovecot does.

Skipped where scripts/peers.sh has not unpacked Dovecot, or where the corpora do not lie beside the project.
"""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support import corpora
from tests.support.differential import threads
from tests.support.dovecot import Dovecot, missing
from tests.support.server import DOMAIN, PASSWORD, Server

pytestmark = [pytest.mark.client, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

MESSAGES = 400
OCTETS_MAX = 200_000

# Read differently, and neither is wrong: years of the first century, a zone with two signs or without a space, a name that
# begins with a space, an address with a comma in its domain.
_ODD = re.compile(rb"^(date:.*( 01\d\d |\+-|\d\d:\d\d[+-])|from: (\" |\S+@\[\d+\],))", re.IGNORECASE | re.MULTILINE)

Pair = tuple[imaplib.IMAP4, imaplib.IMAP4]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Ours and Dovecot, each with the same INBOX selected."""
    corpora.require()
    mails = []
    for _, octets in corpora.messages(packed=MESSAGES):
        octets = corpora.with_crlf(octets)
        header = octets.partition(b"\r\n\r\n")[0]
        if _ODD.search(header):
            continue
        if len(octets) <= OCTETS_MAX and b"\0" not in octets and corpora.line_ends(octets) == "crlf":
            mails.append(octets)
    mails = mails[-MESSAGES:]
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("search")
        server = stack.enter_context(Server(folder / "data", accounts=("alice",)).serving())
        ours = imaplib.IMAP4("127.0.0.1", server.port("imap"), timeout=60)
        ours.login(f"alice@{DOMAIN}", PASSWORD)
        stack.callback(ours.logout)
        theirs = stack.enter_context(Dovecot(folder / "dovecot").imap("sdbox:~/tree"))
        for client in (ours, theirs):
            for number, octets in enumerate(mails):
                day = f'"{1 + number % 28:2}-Jul-2021 12:{number % 60:02}:{number * 7 % 60:02} +0000"'
                status, data = client.append("INBOX", "(\\Seen)" if number % 3 else "()", day, octets)
                assert status == "OK", data
            assert client.select()[1] == [b"%d" % len(mails)]
        yield ours, theirs


def ask(client: imaplib.IMAP4, name: str, *arguments: str) -> bytes:
    status, data = client.uid(name, *arguments)
    assert status == "OK", data
    return data[0] or b""


@pytest.mark.parametrize(
    "criteria",
    [
        "ARRIVAL",
        "REVERSE DATE",
        "SIZE",
        "SUBJECT",
        "REVERSE SUBJECT DATE",
        "FROM",
        "TO",
        "CC",
        "DISPLAYFROM",
        "DISPLAYTO",
    ],
)
def test_sort(pair: Pair, criteria: str) -> None:
    ours, theirs = (ask(client, "SORT", f"({criteria})", "UTF-8", "ALL").split() for client in pair)
    assert ours == theirs


@pytest.mark.parametrize("algorithm", ["ORDEREDSUBJECT", "REFERENCES"])
def test_thread(pair: Pair, algorithm: str) -> None:
    ours, theirs = (ask(client, "THREAD", algorithm, "UTF-8", "ALL") for client in pair)
    assert ours == theirs


def test_thread_refs(pair: Pair) -> None:
    """The same threads; Dovecot puts them in the order of their sent dates, the draft in that of their latest arrivals."""
    ours, theirs = (ask(client, "THREAD", "REFS", "UTF-8", "ALL") for client in pair)
    assert threads(ours) == threads(theirs)


@pytest.mark.parametrize(
    "keys",
    [
        "UNSEEN",
        "SUBJECT re",
        'FROM "com"',
        "TO list",
        "SENTSINCE 1-Sep-2002",
        "SENTON 22-Aug-2002",
        "BEFORE 10-Jul-2021 NOT SEEN",
        "LARGER 5000 SMALLER 9000",
        "HEADER List-Id linux",
        "OR SUBJECT spam BODY viagra",
        "TEXT received",
    ],
)
def test_search(pair: Pair, keys: str) -> None:
    ours, theirs = (ask(client, "SEARCH", "CHARSET", "UTF-8", keys) for client in pair)
    assert ours.split() == theirs.split()
