"""FETCH, SEARCH, SORT and THREAD over the same messages answer as Debian's Dovecot does, but for what the tables here explain.

A difference that no table names fails, and so does an entry that is not needed any more. Skipped where scripts/peers.sh
has not unpacked Dovecot, or where the corpora do not lie beside the project.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import pytest

from tests.support.differential import Mail, Pair, both, fetched, mails, same_structure, sections, threads, uids
from tests.support.dovecot import missing
from tests.support.imap_wire import Tree

pytestmark = [pytest.mark.client, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

PACKED = 60  # messages of the packed corpus, besides all others
OCTETS_MAX = 200_000
WORDS = 300
SEED = 5


class Scene(NamedTuple):
    """The sessions, with INBOX selected, and what lies in it: message n is at n - 1, and has UID n."""

    pair: Pair
    mails: list[Mail]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    messages = mails(packed=PACKED, octets_max=OCTETS_MAX)
    with both(tmp_path_factory.mktemp("differential")) as servers:
        pair = servers.pair()
        pair.fill(messages)
        pair.ok(b"SELECT INBOX")
        yield Scene(pair, messages)


# -- what differs, and why

CRLF_OF_BOUNDARY = (
    "RFC 2046 §5.1.1: the line end before a boundary line belongs to the boundary. Dovecot leaves it to a part that ends "
    "in a closing boundary of its own or in a header section, and reads such a header section on into what follows."
)
LONG_BOUNDARY = (
    "RFC 2046 §5.1.1: a boundary has at most 70 octets. We compare longer ones whole, Dovecot their first 80."
)
NO_TYPE = "RFC 2045 §5.2: a Content-Type that can't be read means text/plain. Dovecot gives empty strings."
NO_LINE_END = "RFC 5322 §2.2: a field ends in CRLF. Where the message ends without one, we add it to chosen fields."
NO_EMPTY_LINE = (
    "RFC 9051 §6.4.5.1: chosen fields end with an empty line. Dovecot leaves it out where the message has none."
)
TWO_DATES = "RFC 5322 §3.6: there is one Date. Of two we take the first, Dovecot the last."
NO_SEMICOLON = (
    "RFC 2045 §5.1: a `;` is missing before the boundary. To us that is a multipart without a boundary, with one empty part, "
    "to Dovecot a part without a type."
)
TWO_SEMICOLONS = "RFC 2045 §5.1: an empty parameter. We pass over it; Dovecot stops there and misses the boundary."

FETCH_KNOWN: Mapping[str, str] = {
    "malformed/016.eml": LONG_BOUNDARY,
    "malformed/017.eml": NO_SEMICOLON,
    "malformed/019.eml": TWO_DATES,
    "malformed/020.eml": CRLF_OF_BOUNDARY,
    "malformed/021.eml": CRLF_OF_BOUNDARY,
    "malformed/022.eml": CRLF_OF_BOUNDARY,
    "rfc/008.eml": CRLF_OF_BOUNDARY,
    "thirdparty/007.eml": CRLF_OF_BOUNDARY,
    "thirdparty/008.eml": CRLF_OF_BOUNDARY,
    "thirdparty/015.eml": CRLF_OF_BOUNDARY,
    "mimetools-testmsgs/bluedot-postcard_decoded_1_2_1.txt": NO_LINE_END,
    "mimetools-testmsgs/double-semicolon.msg": TWO_SEMICOLONS,
    "mimetools-testmsgs/multi-2gifs-base64.msg": NO_EMPTY_LINE,
    "mimetools-testmsgs/multi-clen_decoded_1_1.txt": NO_LINE_END,
    "mimetools-testmsgs/multi-digest.msg": NO_TYPE,
    "mimetools-testmsgs/multi-digest_decoded_1_1_1.txt": NO_LINE_END,
    "mimetools-testmsgs/multi-simple_decoded_1_1.txt": NO_LINE_END,
    "testmsgs/boundary-name-clash.msg": CRLF_OF_BOUNDARY,
    "testmsgs/boundary-name-clash_decoded_1_1_1.txt": NO_LINE_END,
    "testmsgs/boundary-name-clash_decoded_1_1_2.txt": NO_LINE_END,
    "testmsgs/missing-inner-start-boundary.msg": CRLF_OF_BOUNDARY,
    "testmsgs/very-long-boundary.msg": LONG_BOUNDARY,
    "testmsgs/very-very-long-boundary.msg": LONG_BOUNDARY,
    "messages/body.5.txt": CRLF_OF_BOUNDARY,
    "messages/body.6.txt": CRLF_OF_BOUNDARY,
    "messages/body.7.txt": CRLF_OF_BOUNDARY,
    "messages/missing-subtype.txt": NO_TYPE,
    "messages/rfc2060.txt": CRLF_OF_BOUNDARY,
    "python-email/msg_14.txt": NO_TYPE,
    "python-email/msg_38.txt": CRLF_OF_BOUNDARY,
}


class Known(NamedTuple):
    """A difference of SEARCH."""

    keys: str  # pattern of the search keys
    ours: bool  # whether we find more; else Dovecot does
    messages: Callable[[Mail], bool]
    reason: str


def named(*ends: str) -> Callable[[Mail], bool]:
    """Messages by the ends of their names."""
    return lambda mail: mail.name.endswith(ends)


def holding(pattern: bytes) -> Callable[[Mail], bool]:
    """Messages by what they hold."""
    return lambda mail: re.search(pattern, mail.octets, re.IGNORECASE | re.MULTILINE) is not None


def undated(mail: Mail) -> bool:
    """Messages without a date that can be read."""
    header = mail.octets.partition(b"\r\n\r\n")[0]
    return re.search(rb"^date:[ \t]*([a-z]+,)?[ \t]*\d", header, re.IGNORECASE | re.MULTILINE) is None


SEARCH_KNOWN = (
    Known(
        "SENT(BEFORE|SINCE)",
        False,
        undated,
        "RFC 9051 §6.4.4: SENTBEFORE looks at the Date field. Where there is none we find nothing, Dovecot the epoch.",
    ),
    Known("SENTSINCE", True, named("malformed/019.eml"), TWO_DATES),
    Known("SENTBEFORE", False, named("malformed/019.eml"), TWO_DATES),
    Known(
        "SENTBEFORE",
        False,
        named("python-email/msg_47.txt"),
        "RFC 5322 §3.3: no space before the zone. We read the date all the same.",
    ),
    Known(
        "(NOT )?(OR )*(CHARSET .*|BODY|TEXT)",
        True,
        holding(rb"message/(rfc822|partial|external|delivery)|multipart/digest"),
        "RFC 9051 §6.4.4: the header of an embedded message is text of the one around it to us; Dovecot passes over it in "
        "BODY, and over encoded ones (illegal, RFC 2046 §5.2.1) in TEXT.",
    ),
    Known("BODY|TEXT", True, named("malformed/016.eml", "very-long-boundary.msg"), LONG_BOUNDARY),
    Known("BODY|TEXT|CHARSET", True, named("double-semicolon.msg"), TWO_SEMICOLONS),
    Known("BODY|TEXT|CHARSET", True, named("missing-subtype.txt", "msg_14.txt"), NO_TYPE),
    Known(
        "BODY|TEXT|CHARSET",
        True,
        holding(rb"^Content-Transfer-Encoding:[ \t]*(x-|[678][ -]|6bit|7bits)"),
        "RFC 2045 §6.4: an unknown encoding. We search the octets as they are, Dovecot does not.",
    ),
    Known(
        "BODY|TEXT", True, holding(rb"[a-z]<!-"), "A comment within a word of HTML: we search what a reader sees, too."
    ),
    Known(
        "CHARSET .*\\r\\n(ß|ﬁ)",
        True,
        holding(rb"ss|fi"),
        "RFC 9051 §6.4.4 leaves matching to us: case folding makes ß of ss and ﬁ of fi. Dovecot compares single letters.",
    ),
    Known(
        "CHARSET",
        True,
        holding(rb"[\x80-\xff]"),
        "RFC 2046 §4.1.2: 8-bit text that names no charset. We take it for windows-1252 where it is no UTF-8.",
    ),
    Known(
        "CHARSET",
        True,
        named("mimetools-testmsgs/infinite.msg"),
        "RFC 2046 §4.1.2: us-ascii with octets above 127, which we take for windows-1252 as the web does.",
    ),
    Known(
        "TEXT",
        False,
        named("rfc/008.eml"),
        "RFC 2046 §5.2.1: an embedded message in base64. We search what it encodes, Dovecot the base64.",
    ),
    Known(
        "TO org",
        True,
        named("00351.fd1b8a6cd42e81125fb38c2660cd9317.txt"),
        "RFC 5322 §3.4: an address that can't be read. We find its text, Dovecot nothing.",
    ),
    Known(
        "SUBJECT",
        True,
        named("mimetools-testmsgs/infinite_decoded_1.txt"),
        "RFC 2047 §2: an encoded word without a charset is left as it stands. Dovecot decodes it.",
    ),
    Known(
        '(FROM|TO) "',
        False,
        lambda mail: True,
        'RFC 9051 §6.4.4: FROM and TO look at the envelope. We look at the field, Dovecot puts `"`, `<` and `@` around all.',
    ),
    Known(
        '(FROM|TO) "',
        True,
        lambda mail: True,
        "The same: quotes of the field that the address does not need.",
    ),
)


# Left out of SORT and THREAD.
ORDER_KNOWN: Mapping[str, str] = {
    "malformed/019.eml": TWO_DATES,
    "python-email/msg_47.txt": "RFC 5322 §3.3: no space before the zone. We read the date all the same.",
    "01155.e8634e51df914973d548076958ed90b2.txt": "RFC 5322 §4.3: the year 0102. It is that year to us.",
    "mimetools-testmsgs/infinite_decoded_1.txt": "RFC 2047 §2: an encoded word without a charset, as it stands to us.",
}


# -- FETCH


def same(value: Tree) -> Tree:
    """As it is."""
    return value


def same_day(value: Tree) -> Tree:
    """RFC 9051 §9: date-day-fixed may begin with a space or a zero."""
    assert isinstance(value, bytes)
    return b"0" + value[1:] if value.startswith(b" ") else value


def same_flags(value: Tree) -> Tree:
    """In one order; RFC 9051 §2.3.2 knows no \\Recent."""
    assert isinstance(value, tuple)
    return tuple(sorted(str(flag) for flag in value if flag != "\\RECENT"))


ITEMS: Mapping[str, Callable[[Tree], Tree]] = {
    "ENVELOPE": same,
    "BODYSTRUCTURE": same_structure,
    "BODY": same_structure,
    "RFC822.SIZE": same,
    "RFC822.HEADER": same,
    "INTERNALDATE": same_day,
    "FLAGS": same_flags,
    "BODY.PEEK[]": same,
    "BODY.PEEK[]<0.1>": same,
    "BODY.PEEK[]<100.300>": same,
    "BODY.PEEK[]<999999.5>": same,
    "BODY.PEEK[HEADER]": same,
    "BODY.PEEK[HEADER]<7.70>": same,
    "BODY.PEEK[TEXT]": same,
    "BODY.PEEK[TEXT]<7.70>": same,
    "BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)]": same,
    "BODY.PEEK[HEADER.FIELDS (Received)]<10.100>": same,
    "BODY.PEEK[HEADER.FIELDS (x-no-such)]": same,
    "BODY.PEEK[HEADER.FIELDS.NOT (RECEIVED DATE)]": same,
}


def test_fetch(scene: Scene) -> None:
    differing: dict[str, list[str]] = {}
    for item, change in ITEMS.items():
        ours, theirs = map(fetched, scene.pair.ok(f"FETCH 1:* {item}".encode()))
        for number, mail in enumerate(scene.mails, 1):
            assert len(ours[number]) == len(theirs[number]) == 1
            if list(map(change, ours[number].values())) != list(map(change, theirs[number].values())):
                differing.setdefault(mail.name, []).append(item)
    structures = fetched(scene.pair.ours.ok(b"FETCH 1:* BODYSTRUCTURE"))
    for number, mail in enumerate(scene.mails, 1):
        items = list(of_parts(structures[number]["BODYSTRUCTURE"]))
        ours, theirs = map(fetched, scene.pair.ok(f"FETCH {number} ({' '.join(items)})".encode()))
        assert list(ours[number]) == list(theirs[number])
        assert len(ours[number]) == len(items)
        if ours[number] != theirs[number]:
            differing.setdefault(mail.name, []).append("parts")
    unknown = {name: items for name, items in differing.items() if not name.endswith(tuple(FETCH_KNOWN))}
    assert not unknown
    assert len(differing) == len(FETCH_KNOWN), "an entry of FETCH_KNOWN is not needed any more"


def of_parts(structure: Tree) -> Iterator[str]:
    """Everything that can be asked of the parts of a message (RFC 9051 §6.4.5.1)."""
    for section, is_message in sections(structure):
        yield f"BODY.PEEK[{section}]"
        yield f"BODY.PEEK[{section}]<3.40>"
        yield f"BODY.PEEK[{section}.MIME]"
        if is_message:
            for text in ("HEADER", "TEXT", "HEADER.FIELDS (SUBJECT DATE)", "HEADER.FIELDS.NOT (SUBJECT DATE)"):
                yield f"BODY.PEEK[{section}.{text}]"


def test_fetch_of_parts_that_are_not_there(scene: Scene) -> None:
    """RFC 9051 §7.5.2: nstring; we answer NIL, Dovecot the empty string."""
    for section in ("99", "99.MIME", "1.99", "99.HEADER", "99.TEXT"):
        for answer in scene.pair.ok(f"FETCH 1:* BODY.PEEK[{section}]".encode()):
            found = fetched(answer)
            assert len(found) == len(scene.mails)
            assert not any(value for items in found.values() for value in items.values())


# -- SEARCH

KEYS = re.split(
    r"\s*\|\s*",
    r"""ALL | ANSWERED | DELETED | DRAFT | FLAGGED | SEEN | UNANSWERED | UNDELETED | UNDRAFT | UNFLAGGED | UNSEEN |
    KEYWORD x | UNKEYWORD x | 1:50 | UID 3:9 | UID 400:* | *:390 | * | 7:3 | 2 | 4:6 | 9 | BEFORE 10-Jul-2021 |
    ON 3-Jul-2021 | SINCE 20-Jul-2021 | SENTBEFORE 1-Jan-2000 | SENTON 22-Aug-2002 | SENTSINCE 1-Jan-2003 |
    LARGER 5000 | SMALLER 900 | LARGER 4294967295 | SMALLER 0 | FROM com | TO org | CC a | BCC e | SUBJECT test |
    SUBJECT "" | HEADER Received "" | HEADER X-Mailer "" | HEADER Content-Type multipart | HEADER Message-ID "@" |
    HEADER Date "," | HEADER Date 2002 | HEADER X-No-Such "" | HEADER Subject "iso" | FROM "<" | FROM "@" | TO ">" |
    FROM "\"" | SUBJECT "=?" | SUBJECT " " | TEXT "" | BODY "" | BODY "the" | TEXT "boundary=" | BODY "--" |
    BODY "a  b" | BODY " " | BODY charset | NOT SEEN | NOT NOT SEEN | (((SEEN))) | NOT (NOT (1:20) UNSEEN) |
    SEEN SEEN 1:99 NOT 50:60 | OR FROM com SUBJECT a | OR NOT (SEEN LARGER 2000) (NOT SMALLER 900 SUBJECT re) |
    OR OR SEEN 1:4 OR FROM com TO edu | NOT OR SUBJECT re SUBJECT fw | NOT HEADER Date 2002 NOT SUBJECT re |
    OR (OR 1 2) (OR 3 (OR 4 NOT 5:*))""",
)
LITERALS = ("é", "ü", "Ä", "ß", "日本", "İ", "Σ", "ﬁ", "и")


def keys_of(messages: list[Mail]) -> Iterator[bytes]:
    """The keys above, words in UTF-8, and words of the messages themselves."""
    yield from (key.encode() for key in KEYS)
    for text in LITERALS:
        for key in ("TEXT", "BODY", "SUBJECT", "FROM"):
            octets = text.encode()
            yield b"CHARSET UTF-8 %s {%d+}\r\n%s" % (key.encode(), len(octets), octets)
    chosen = random.Random(SEED)
    for mail in chosen.sample(messages, min(WORDS, len(messages))):
        words = re.findall(rb"[A-Za-z0-9]{4,12}", mail.octets)
        if words:
            yield chosen.choice((b"BODY ", b"TEXT ", b"SUBJECT ", b"FROM ")) + chosen.choice(words)


def test_search(scene: Scene) -> None:
    unknown: list[tuple[bytes, str, str]] = []
    used: set[Known] = set()
    for key in keys_of(scene.mails):
        ours, theirs = (set(uids(answer)) for answer in scene.pair.ok(b"UID SEARCH " + key))
        for uid in sorted(ours ^ theirs):
            mail = scene.mails[uid - 1]
            for known in SEARCH_KNOWN:
                if known.ours == (uid in ours) and re.match(known.keys, key.decode()) and known.messages(mail):
                    used.add(known)
                    break
            else:
                unknown.append((key, "ours" if uid in ours else "theirs", mail.name))
    assert not unknown
    assert used == set(SEARCH_KNOWN), "an entry of SEARCH_KNOWN is not needed any more"


# -- SORT and THREAD


def alike(scene: Scene) -> bytes:
    """The UIDs of the messages that both read in the same way."""
    odd = [uid for uid, mail in enumerate(scene.mails, 1) if mail.name.endswith(tuple(ORDER_KNOWN))]
    assert len(odd) == len(ORDER_KNOWN)
    return b",".join(b"%d" % uid for uid in range(1, len(scene.mails) + 1) if uid not in odd)


def test_sort(scene: Scene) -> None:
    chosen = alike(scene)
    for key in ("ARRIVAL", "DATE", "SIZE", "SUBJECT", "FROM", "TO", "CC", "DISPLAYFROM", "DISPLAYTO"):
        for criteria in (key, f"REVERSE {key}", f"{key} REVERSE SIZE", f"CC {key}"):
            ours, theirs = map(uids, scene.pair.ok(f"UID SORT ({criteria}) UTF-8 UID ".encode() + chosen))
            assert ours == theirs, criteria


def test_thread(scene: Scene) -> None:
    """Of REFS (a draft) the threads are compared: Dovecot puts them in the order of their sent dates."""
    chosen = alike(scene)
    for algorithm in (b"ORDEREDSUBJECT", b"REFERENCES", b"REFS"):
        answers = scene.pair.ok(b"UID THREAD " + algorithm + b" UTF-8 UID " + chosen)
        ours, theirs = (next(line for line in answer.lines if line.startswith(b"THREAD")) for answer in answers)
        if algorithm == b"REFS":
            assert threads(ours) == threads(theirs)
        else:
            assert ours == theirs
