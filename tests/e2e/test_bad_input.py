"""Bad input through every door: what is taken comes back octet for octet, what is refused is refused by a named limit, what
is damaged answers an error for itself alone."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.bare import Imap, Pop3
from tests.support.server import DOMAIN, Server, ironpost

NOISE = random.Random(7).randbytes(60_000)
HEAD = b"Subject: x\r\nFrom: a@remote.test\r\n"

# What LMTP, BDAT, a literal and an import can carry: any octets at all, yet the lines end in CRLF or not at all.
MESSAGES: dict[str, bytes] = {
    "one octet": b"x",
    "one line end": b"\r\n",
    "headers only": HEAD,
    "body only": b"\r\nbody\r\n",
    "no line end": b"a" * 1_000_000,
    "mbox": b"From a@b Mon Jan  1 00:00:00 2026\r\nSubject: x\r\n\r\nFrom here\r\n>From there\r\n",
    "dots": b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\n",
    "lone surrogates": b"Subject: \xed\xa0\x80 x \xed\xb0\x80\r\n\r\n\xed\xa0\xbd\xed\xb8\x80\r\n",
    "not UTF-8": b"Subject: \xff\xfe\xc0\xaf\r\nFrom: \x80@\x81\r\nTo: \xc3(\r\n\r\n\xf8\x88\x80\x80\x80\r\n",
    "unterminated": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n",
    "boundary in itself": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 2000,
    "ten thousand levels": b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (level, level) for level in range(10_000)
    ),
    "ten thousand parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"".join(b"--b\r\nContent-Type: text/plain; name=n%d\r\n\r\npart %d\r\n" % (n, n) for n in range(10_000)),
    "many references": HEAD
    + b"References:"
    + b"".join(b"\r\n <%d@x.test>" % n for n in range(10_000))
    + b"\r\n\r\nx\r\n",
}
BINARY: dict[str, bytes] = {
    "NULs": b"\0" * 300_000,
    "ELF": b"\x7fELF\x02\x01\x01" + NOISE,
    "bare CRs": b"Subject: x\r\rbody\r\r\n\r\r\nx\r",
    "bare LFs": b"Subject: x\n\nbody\n",
}


def by_bdat(server: Server, user: str, octets: bytes) -> None:
    with server.raw("smtp") as client:
        client.reply()
        client.command(b"EHLO x.test")
        client.command(b"MAIL FROM:<s@remote.test> BODY=8BITMIME")
        assert client.command(f"RCPT TO:<{user}@{DOMAIN}>".encode()).startswith(b"250")
        client.send(b"BDAT %d LAST\r\n" % len(octets) + octets)
        answer = client.reply()[-1]
        assert answer.startswith(b"250"), answer


def by_data(server: Server, user: str, octets: bytes, service: str = "smtp") -> None:
    with server.raw(service) as client:
        client.reply()
        client.command(b"EHLO x.test" if service == "smtp" else b"LHLO x.test")
        client.command(b"MAIL FROM:<s@remote.test> BODY=8BITMIME")
        assert client.command(f"RCPT TO:<{user}@{DOMAIN}>".encode()).startswith(b"250")
        assert client.command(b"DATA").startswith(b"354")
        stuffed = octets.replace(b"\r\n.", b"\r\n..")
        client.send((b"." if octets.startswith(b".") else b"") + stuffed + b".\r\n")
        answer = client.reply()[-1]
        assert answer.startswith(b"250"), answer


def by_append(server: Server, user: str, octets: bytes, *, literal8: bool = False) -> None:
    with Imap(server, user) as client:
        client.append(octets, literal8=literal8)


def compare(server: Server, user: str, expected: dict[str, bytes]) -> None:
    """The messages of INBOX end with those octets, by IMAP and by POP3; all that describes them answers."""
    with Imap(server, user) as client:
        client.do("SELECT INBOX")
        for number, (name, octets) in enumerate(expected.items(), 1):
            read = client.body(number)
            assert read.endswith(octets), name
            # A message without a line end is a header whole, so that trace headers stand before it.
            assert client.body(number, "BODY.PEEK[HEADER]") + client.body(number, "BODY.PEEK[TEXT]") == read, name
        for item in ("ENVELOPE", "BODYSTRUCTURE", "BODY", "BODY.PEEK[1]", "BODY.PEEK[HEADER.FIELDS (Subject)]"):
            assert len(client.do(f"FETCH 1:* {item}")) == len(expected) + 1, item
        client.do('SEARCH TEXT "needle in no message"')
        client.do('SEARCH HEADER References "9999@x.test"')
    with Pop3(server, user) as client:
        for number, (name, octets) in enumerate(expected.items(), 1):
            lines = octets if octets.endswith(b"\r\n") else octets + b"\r\n"
            digest = hashlib.sha256(client.message(f"RETR {number}")[-len(lines) :]).digest()
            assert digest == hashlib.sha256(lines).digest(), name
            client.message(f"TOP {number} 3")


@pytest.mark.parametrize("door", [by_bdat, by_append, partial(by_append, literal8=True)])
def test_octets_come_back(running: Server, user: str, door: Callable[[Server, str, bytes], None]) -> None:
    for octets in MESSAGES.values():
        door(running, user, octets)
    compare(running, user, MESSAGES)


@pytest.mark.parametrize("service", ["smtp", "lmtp"])
def test_lines_come_back(running: Server, user: str, service: str) -> None:
    lines = {name: octets for name, octets in MESSAGES.items() if octets.endswith(b"\r\n")}
    for octets in lines.values():
        by_data(running, user, octets, service)
    compare(running, user, lines)


def test_binary_by_literal8(running: Server, user: str) -> None:
    for octets in BINARY.values():
        by_append(running, user, octets, literal8=True)
    with Imap(running, user) as client:
        client.do("SELECT INBOX")
        for number, (name, octets) in enumerate(BINARY.items(), 1):
            assert client.body(number) == octets, name
            assert client.body(number, "BINARY.PEEK[]") == octets, name


def test_import(running: Server, user: str, tmp_path: Path) -> None:
    for folder in ("cur", "new", "tmp"):
        (tmp_path / "box" / folder).mkdir(parents=True)
    messages = {**MESSAGES, "NULs": BINARY["NULs"], "bare CRs": BINARY["bare CRs"]}
    for number, octets in enumerate(messages.values()):
        (tmp_path / "box" / "cur" / f"{number:03}:2,").write_bytes(octets)
    done = ironpost(
        "mailbox", "import", f"{user}@{DOMAIN}", str(tmp_path / "box"), "--dir", str(running.folder), "--json"
    )
    assert json.loads(done.stdout)["stored"] == len(messages)
    with Imap(running, user) as client:
        client.do("SELECT INBOX")
        found = {hashlib.sha256(client.body(number)).digest() for number in range(1, len(messages) + 1)}
    missing = [name for name, octets in messages.items() if hashlib.sha256(octets).digest() not in found]
    assert not missing


def test_a_large_header_is_refused_by_name_or_stored(running: Server, user: str) -> None:
    header = b"X-A: some text in a field\r\n" * 400_000 + b"Subject: last\r\n\r\nb\r\n"
    with running.raw("smtp") as client:
        client.reply()
        client.command(b"EHLO x.test")
        client.command(b"MAIL FROM:<s@remote.test>")
        client.command(f"RCPT TO:<{user}@{DOMAIN}>".encode())
        client.send(b"BDAT %d LAST\r\n" % len(header) + header)
        answer = client.reply()[-1]
    assert answer == b"552 5.3.4 Header section is larger than 1048576 octets"
    long = b"X-Long: " + b"a" * (8 << 20) + b"\r\nSubject: s\r\n\r\nb\r\n"
    many = b"To: " + b"".join(b"u%d@x.test,\r\n " % n for n in range(100_000)) + b"\r\n\r\nb\r\n"
    named = b"Message-ID: <" + b"a" * (1 << 20) + b"@x>\r\n\r\nb\r\n"
    large = {"10 MB": header, "one line": long, "recipients": many, "Message-ID": named}
    for octets in large.values():
        by_append(running, user, octets)
    compare(running, user, large)
    with Imap(running, user) as client:
        client.do("SELECT INBOX")
        assert b"* SEARCH 1" in client.do("SEARCH SUBJECT last")


def test_an_empty_message(running: Server, user: str) -> None:
    with Imap(running, user) as client:
        # RFC 3501 §6.3.11 and RFC 3502: an empty literal abandons the APPEND in MULTIAPPEND; a server may refuse it.
        client.send(b"t APPEND INBOX {0}\r\n")
        answer = client.line()
        if answer.startswith(b"+"):
            client.send(b"\r\n")
            answer = client.answer()[1]
        assert answer.startswith((b"t OK", b"t NO", b"t BAD")), answer
        stored = int(answer.startswith(b"t OK"))
        assert b"* %d EXISTS" % stored in client.do("SELECT INBOX")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes 200 MiB."""
    config = '\n[limits]\nmessage_octets_max = "200 MiB"\n'
    with Server(tmp_path_factory.mktemp("large") / "data", config=config).serving() as server:
        yield server


def peak(server: Server) -> int:
    """The most resident memory that any worker has had."""
    found: list[int] = []
    for worker in server.workers():
        lines = Path(f"/proc/{worker}/status").read_text().splitlines()
        found.extend(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return max(found)


@pytest.mark.slow
def test_a_hundred_and_fifty_megabytes(large: Server) -> None:
    before = peak(large)
    piece = b"".join(b"line %06d of a large message, that is read back octet for octet\r\n" % n for n in range(16_000))
    count = (150 << 20) // len(piece)
    digest = hashlib.sha256(HEAD + b"\r\n")
    total = len(HEAD) + 2 + count * len(piece)
    with large.raw("smtp") as client:
        client.reply()
        client.command(b"EHLO x.test")
        client.command(b"MAIL FROM:<s@remote.test> SIZE=%d" % total)
        client.command(f"RCPT TO:<bob@{DOMAIN}>".encode())
        client.send(b"BDAT %d LAST\r\n" % total + HEAD + b"\r\n")
        for _ in range(count):
            client.send(piece)
            digest.update(piece)
        assert client.reply()[-1].startswith(b"250")
    with Imap(large, "bob") as client:
        client.do("SELECT INBOX")
        client.send(b"t FETCH 1 BODY.PEEK[]\r\n")
        line = client.line()
        left = int(line[line.rindex(b"{") + 1 : -3])
        skip = left - total
        client.file.read(skip)
        left -= skip
        read = hashlib.sha256()
        while left:
            octets = client.file.read(min(left, 1 << 20))
            read.update(octets)
            left -= len(octets)
        assert client.line() == b")\r\n"
        assert client.line().startswith(b"t OK")
        assert read.digest() == digest.digest()
        # One part of it, its structure, its text.
        start = count * len(piece) - 1500
        assert client.body(1, f"BODY.PEEK[1]<{start}.1000>") == piece[-1500:-500]
        client.do("FETCH 1 (ENVELOPE BODYSTRUCTURE)")
        client.socket.settimeout(120)
        assert b"* SEARCH 1" in client.do('SEARCH BODY "line 015999 of a large"')
        assert b"* SEARCH" in client.do('SEARCH BODY "not in there"')
    with Pop3(large, "bob") as client:
        assert client.say("RETR 1").startswith(b"+OK")
        read = hashlib.sha256()
        octets = client.file.read(skip + total)
        read.update(octets[skip:])
        assert read.digest() == digest.digest()
        assert client.file.read(3) == b".\r\n"
    assert peak(large) - before < 100 << 20, (before, peak(large))


def modified_utf7(name: str) -> bytes:
    """RFC 3501 §5.1.3, by way of Python's UTF-7."""
    out = bytearray()
    run = ""
    for char in [*name, ""]:
        if char and not " " <= char <= "~":
            run += char
            continue
        if run:
            encoded = run.encode("utf-16-be")
            out += b"&" + base64.b64encode(encoded).rstrip(b"=").replace(b"/", b",") + b"-"
            run = ""
        out += b"&-" if char == "&" else char.encode()
    return bytes(out)


NAMES = [
    " leading",
    "trailing ",
    '"quoted"',
    "back\\slash",
    "per%cent",
    "st*r",
    "&",
    "&-",
    "a&b",
    "..",
    "../../etc/passwd",
    "~",
    "#news",
    "{5}",
    "(x)",
    "NIL",
    "\u00e9",
    "e\u0301",
    "\u00c9",
    "日本語/台北",
    "\U0001f600",
    "\U0010fffd",
    "x" * 1000,
    "/".join(["l"] * 64),
    "INBOX/inbox",
]


def literal(name: str) -> bytes:
    encoded = modified_utf7(name)
    return b"{%d+}\r\n" % len(encoded) + encoded


def test_names(running: Server, user: str) -> None:
    with Imap(running, user) as client:
        for name in NAMES:
            client.do(b"CREATE " + literal(name))
            client.do(b"STATUS " + literal(name) + b" (MESSAGES)")
            client.do(b"SUBSCRIBE " + literal(name))
            listed = client.do(b'LIST "" ' + literal(name.replace("%", "*")))
            quoted = modified_utf7(name).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            assert any(quoted in line or modified_utf7(name) in line for line in listed), (name, listed)
        client.do(b"CREATE inbox", "NO")
        client.do(b"CREATE iNbOx/Child")
        client.do(b"CREATE INBOX/Child", "NO")
        for name in NAMES:
            client.do(b"SELECT " + literal(name))
            client.do(b"UNSELECT")
            client.do(b"RENAME " + literal(name) + b" elsewhere")
            client.do(b"RENAME elsewhere " + literal(name))
            client.do(b"DELETE " + literal(name))
        for bad in (
            b'""',
            b'"/"',
            b'"a//b"',
            b'"x\x7fy"',
            b'"' + b"x" * 1001 + b'"',
            literal("/".join(["l"] * 65)),
            b'"&AAA-"',
        ):
            client.send(b"t CREATE " + bad + b"\r\n")
            answer = client.answer()[1]
            assert answer.startswith((b"t NO", b"t BAD")), (bad, answer)


def spoil(server: Server, mark: bytes) -> None:
    """Changes an octet of the one record that holds the mark."""
    hits = 0
    for pack in (server.folder / "store").rglob("*.pack"):
        octets = bytearray(pack.read_bytes())
        at = octets.find(mark)
        if at >= 0:
            octets[at] ^= 1
            pack.write_bytes(octets)
            hits += 1
    assert hits == 1


def test_a_damaged_record(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    try:
        server.start()
        for number in range(1, 6):
            server.deliver(HEAD + b"\r\nUNIQUE-%d text of all\r\n" % number)
        assert server.stop() == 0
        spoil(server, b"UNIQUE-3")
        server.start()
        workers, folder = server.workers(), str(server.folder)
        with Imap(server, "bob") as client:
            client.do("SELECT INBOX")
            lines = client.do("FETCH 1:* (UID BODY.PEEK[])", "NO")
            told = [line.split()[1] for line in lines if b" FETCH (" in line]
            assert told == [b"1", b"2", b"4", b"5"]
            for number, line in zip((1, 2, 4, 5), lines, strict=False):
                assert b"UNIQUE-%d text of all\r\n" % number in line
            # Its row and its card are sound.
            assert len(client.do("FETCH 1:* (FLAGS ENVELOPE)")) == 6
            assert b"* SEARCH 1 2 4 5" in client.do('SEARCH BODY "text of all"')
            client.do("CREATE Copy")
            client.do("COPY 1:* Copy")
            client.do("MOVE 1 Copy")
        with Pop3(server, "bob") as client:
            # The first has moved: the damaged one is the second now.
            assert b"UNIQUE-2" in client.message("RETR 1")
            assert client.say("RETR 2").startswith(b"-ERR")
            assert b"UNIQUE-4" in client.message("RETR 3")
        done = ironpost(
            "mailbox",
            "export",
            f"bob@{DOMAIN}",
            str(tmp_path / "out"),
            "--format",
            "maildir",
            "--dir",
            folder,
            check=False,
        )
        exported = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
        for number in (2, 4, 5):
            assert b"UNIQUE-%d" % number in exported, (done.stdout, done.stderr)
        assert done.returncode == 1, (done.stdout, done.stderr)
        saved = ironpost("backup", str(tmp_path / "backup"), "--dir", folder, check=False)
        assert "Traceback" not in saved.stderr, saved.stderr
        with Imap(server, "bob") as client:
            client.do("SELECT INBOX")
            client.do("STORE 2 +FLAGS (\\Deleted)")
            client.do("EXPUNGE")
            assert len(client.do("FETCH 1:* BODY.PEEK[]")) == 4
        assert server.workers() == workers
        server.deliver(HEAD + b"\r\nlater\r\n")
        assert server.stop() == 0
        checked = ironpost("store", "check", str(server.folder), "--full", "--json", check=False)
        problems = json.loads(checked.stdout)["problems"]
        assert problems
        assert all(problem.startswith("blob ") for problem in problems), problems
    finally:
        server.kill()
