"""Malformed commands are refused here where Debian's Dovecot refuses them, and in the same way.

A difference that no table names fails, and so does an entry that is not needed any more. Skipped where scripts/peers.sh
has not unpacked Dovecot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.differential import both, small
from tests.support.dovecot import missing

pytestmark = [pytest.mark.client, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

MESSAGES = 12

STRICT = "RFC 9051 §9: the command has no such form. Dovecot looks no further than it needs."
NO_SUCH_DATE = "RFC 9051 §9: no month has such a day. Dovecot takes it for no date and finds everything."
COMMANDS = r"""
NOSUCH
FETCH
FETCH 1
FETCH 0 FLAGS
FETCH 1 ()
FETCH 1 NOSUCH
FETCH 1 (FLAGS
FETCH 1 FLAGS)
FETCH 1 BODY[
FETCH 1 BODY[]<1>
FETCH 1 BODY[]<0.0>
FETCH 1 BODY[0]
FETCH 1 BODY[1.]
FETCH 1 BODY[HEADER.FIELDS]
FETCH 1 BODY[HEADER.FIELDS ()]
FETCH 1 BODY[MIME]
FETCH 1 BODY[NOSUCH]
FETCH 999 FLAGS
FETCH 1:999 (UID)
FETCH * (UID)
FETCH 5:3 (UID)
FETCH 1,,2 FLAGS
FETCH -1 FLAGS
FETCH 4294967296 FLAGS
FETCH a FLAGS
UID FETCH 999 FLAGS
UID FETCH 999:* (UID)
UID FETCH 0 FLAGS
UID
UID NOSUCH
UID EXPUNGE
STORE 1 FLAGS
STORE 1 FLAGS \Seen
STORE 1 FLAGS (\Nosuch)
STORE 1 FLAGS (\Recent)
STORE 1 +FLAGS (a b
STORE 1 NOSUCH (a)
STORE 999 FLAGS (a)
STORE 1 +FLAGS.SILENT ()
STORE 1 FLAGS (a) b
SEARCH
SEARCH NOSUCH
SEARCH SUBJECT
SEARCH OR SEEN
SEARCH NOT
SEARCH (SEEN
SEARCH SEEN)
SEARCH ()
SEARCH BEFORE x
SEARCH BEFORE 31-Feb-2020
SEARCH BEFORE 32-Jan-2020
SEARCH ON 1-Jan-99
SEARCH LARGER x
SEARCH LARGER -1
SEARCH 0
SEARCH 999
SEARCH UID 0
SEARCH KEYWORD
SEARCH KEYWORD \Seen
SEARCH CHARSET
SEARCH CHARSET UTF-8
SEARCH CHARSET X-NONE SUBJECT a
SEARCH HEADER a
SORT
SORT (DATE) UTF-8
SORT () UTF-8 ALL
SORT (NOSUCH) UTF-8 ALL
SORT (REVERSE) UTF-8 ALL
SORT (DATE) ALL
THREAD
THREAD NOSUCH UTF-8 ALL
THREAD REFERENCES UTF-8
COPY 1
COPY 1 nosuch
COPY 999 INBOX
UID COPY 999 INBOX
MOVE 1 nosuch
MOVE 1
UID MOVE 999 INBOX
SELECT a b
EXAMINE
CREATE
DELETE
RENAME
RENAME a
SUBSCRIBE
LIST
LIST ""
LIST "" a b
LSUB ""
STATUS
STATUS INBOX
APPEND
APPEND INBOX
APPEND INBOX (\Seen)
NOOP x
CHECK x
EXPUNGE x
CAPABILITY x
LOGIN a b
ENABLE
ENABLE NOSUCH
NAMESPACE x
ID
ID ()
ID NIL
ID ("a")
ID ("a" NIL)
FETCH 1 RFC822.PEEK
FETCH 1 FULL
FETCH 1 (ALL)
FETCH 1 ALL
FETCH 1 FAST
FETCH 1 (FLAGS ALL)
FETCH  1 FLAGS
FETCH 1  FLAGS
fetch 1 flags
FeTcH 1 (fLaGs UiD)
"FETCH" 1 FLAGS
SELECT "INBOX
SELECT INBOX"
SELECT "in\box"
"""
COMMANDS_KNOWN: Mapping[str, str] = {
    "FETCH 1 BODY[]<1>": STRICT,
    "FETCH 1 BODY[]<0.0>": "RFC 9051 §9: partial has nz-number octets. Dovecot sends none.",
    "FETCH 1 BODY[0]": "RFC 9051 §9: section-part is made of nz-numbers. Dovecot finds no such part.",
    "STORE 1 FLAGS": STRICT,
    "STORE 1 FLAGS (a) b": STRICT,
    "SEARCH BEFORE 31-Feb-2020": NO_SUCH_DATE,
    "SEARCH BEFORE 32-Jan-2020": NO_SUCH_DATE,
    "SEARCH KEYWORD \\Seen": "RFC 9051 §9: flag-keyword is an atom. Dovecot knows no such keyword and finds nothing.",
    "SORT (DATE) ALL": "RFC 5256 §3: here ALL is the charset, which neither knows. Dovecot misses the keys first.",
    "SELECT a b": STRICT,
    "NOOP x": STRICT,
    "CAPABILITY x": STRICT,
    "CHECK x": STRICT,
    "EXPUNGE x": STRICT,
    "FETCH  1 FLAGS": STRICT,
    "FETCH 1  FLAGS": STRICT,
    "ENABLE": STRICT,
    "NAMESPACE x": STRICT,
    "ID": STRICT,
    'ID ("a")': "RFC 2971 §4: fields and values come in pairs. Dovecot does not look.",
    'SELECT "in\\box"': "RFC 9051 §9: a backslash quotes only itself and the double quote. Dovecot drops it.",
}


def test_malformed(tmp_path: Path) -> None:
    differing = []
    with both(tmp_path) as servers:
        pair = servers.pair()
        pair.fill(small(MESSAGES))
        for command in COMMANDS.strip().splitlines():
            pair.ok(b"SELECT INBOX")
            ours, theirs = pair.do(command.encode())
            if ours.status != theirs.status:
                differing.append(command)
    unknown = set(differing) - set(COMMANDS_KNOWN)
    assert not unknown
    assert len(differing) == len(COMMANDS_KNOWN), "an entry of COMMANDS_KNOWN is not needed any more"
