"""OAUTHBEARER (RFC 7628) and XOAUTH2 over IMAP, POP3 and submission, with an issuer on loopback."""

from __future__ import annotations

import base64
import imaplib
import json
import poplib
import signal
import smtplib
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.issuer import Issuer
from tests.support.server import DOMAIN, RawClient, Server, eventually

MECHANISMS = ("OAUTHBEARER", "XOAUTH2")
ALICE = f"alice@{DOMAIN}"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer().serving() as made:
        yield made


@pytest.fixture(scope="module")
def server(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It checks JWTs itself."""
    made = issuer.known_to(Server(tmp_path_factory.mktemp("oauth") / "data"))
    with made.serving():
        yield made


class Client:
    """Call it with each challenge; `challenges` are those that it got."""

    def __init__(self, mechanism: str, token: str, user: str = ALICE) -> None:
        if mechanism == "XOAUTH2":
            self.message, self.last = f"user={user}\x01auth=Bearer {token}\x01\x01", b""
        else:
            self.message = f"n,a={user},\x01host=localhost\x01port=143\x01auth=Bearer {token}\x01\x01"
            self.last = b"\x01"
        self.mechanism = mechanism
        self.challenges: list[bytes] = []

    def __call__(self, challenge: bytes | None) -> bytes:
        if not challenge:
            return self.message.encode()
        self.challenges.append(challenge)
        return self.last


def imap_login(server: Server, client: Client) -> str:
    """OK, or what the server says instead."""
    with imaplib.IMAP4("127.0.0.1", server.port("imap"), timeout=60) as imap:
        assert f"AUTH={client.mechanism}" in imap.capabilities
        try:
            assert imap.authenticate(client.mechanism, client)[0] == "OK"
        except imaplib.IMAP4.error as error:
            assert imap.noop()[0] == "OK", "the session goes on"
            return str(error)
        assert imap.select()[0] == "OK"
        return "OK"


def pop3_login(server: Server, client: Client, *, initial: bool = True) -> str:
    """The last line of the exchange."""
    pop = poplib.POP3("127.0.0.1", server.port("pop3"), timeout=60)
    try:
        assert client.mechanism in pop.capa()["SASL"]
        pop._putcmd(f"AUTH {client.mechanism}" + (f" {encoded(client(None))}" if initial else ""))
        while True:
            line, _ = pop._getline()
            if not line.startswith(b"+ "):
                return line.decode()
            pop._putline(encoded(client(base64.b64decode(line[2:]))).encode())
    finally:
        pop.close()


def smtp_login(server: Server, client: Client) -> str:
    """The last reply. By hand: smtplib leaves an exchange after its first challenge."""
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=60) as smtp:
        smtp.ehlo()
        assert client.mechanism in smtp.esmtp_features["auth"].split()
        code, text = smtp.docmd("AUTH", f"{client.mechanism} {encoded(client(None))}")
        while code == 334:
            code, text = smtp.docmd(encoded(client(base64.b64decode(text))))
        return f"{code} {text.decode()}"


def encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


LOGINS: dict[str, tuple[Callable[[Server, Client], str], str, str, str]] = {
    # protocol to its login, and the beginnings of: good, refused, come again
    "imap": (imap_login, "OK", "[AUTHENTICATIONFAILED] the token", "[UNAVAILABLE]"),
    "pop3": (pop3_login, "+OK", "-ERR [AUTH] the token", "-ERR [SYS/TEMP]"),
    "submission": (smtp_login, "235 2.7.0", "535 5.7.8", "454 4.7.0"),
}
every_protocol = pytest.mark.parametrize("protocol", LOGINS)
every_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS)


@every_protocol
@every_mechanism
def test_a_token_is_a_login(server: Server, issuer: Issuer, protocol: str, mechanism: str) -> None:
    login, good, _, _ = LOGINS[protocol]
    client = Client(mechanism, issuer.token())
    assert login(server, client).startswith(good)
    assert client.challenges == []


@every_protocol
@every_mechanism
def test_long_tokens(server: Server, issuer: Issuer, protocol: str, mechanism: str) -> None:
    login, good, _, _ = LOGINS[protocol]
    short = len(issuer.token(groups=""))
    token = issuer.token(groups="g" * ((8190 - short) * 3 // 4))
    assert 8180 <= len(token) <= 8192
    assert login(server, Client(mechanism, token)).startswith(good)
    if protocol == "pop3":
        assert pop3_login(server, Client(mechanism, token), initial=False).startswith(good)


@every_protocol
@every_mechanism
def test_a_refused_token_is_told_why(server: Server, issuer: Issuer, protocol: str, mechanism: str) -> None:
    login, _, refused, _ = LOGINS[protocol]
    for token, status in (
        (issuer.token(exp=int(time.time()) - 3600), "invalid_token"),
        (issuer.token(email=f"bob@{DOMAIN}"), "invalid_token"),
        (issuer.token(scope="openid"), "insufficient_scope"),
        ("opaque", "invalid_token"),
    ):
        client = Client(mechanism, token)
        assert login(server, client).startswith(refused)
        assert [json.loads(challenge) for challenge in client.challenges] == [
            {
                "status": status,
                "scope": "mail",
                "openid-configuration": f"{issuer.url}/.well-known/openid-configuration",
            }
        ]


def test_as_the_rfc_has_it(server: Server, issuer: Issuer) -> None:
    # RFC 7628 §4.3, and the client that gives up instead of acknowledging
    with server.raw("imap") as raw:
        raw.line()
        for answer, last in ((b"AQ==", b"t1 NO [AUTHENTICATIONFAILED]"), (b"*", b"t1 BAD"), (b"AA==", b"t1 NO")):
            message = f"n,a={ALICE},\x01host=server.example.com\x01port=143\x01auth=\x01\x01"
            raw.send(f"t1 AUTHENTICATE OAUTHBEARER {encoded(message.encode())}\r\n".encode())
            challenge = raw.line()
            assert challenge.startswith(b"+ ")
            assert json.loads(base64.b64decode(challenge[2:]))["status"] == "invalid_token"
            raw.send(answer + b"\r\n")
            assert raw.line().startswith(last)
        message = f"n,,\x01auth=Bearer {issuer.token()}\x01\x01"
        raw.send(b"t2 AUTHENTICATE OAUTHBEARER\r\n")
        assert raw.line() == b"+ \r\n"
        raw.send(encoded(message.encode()).encode() + b"\r\n")
        assert raw.until(b"t2 ")[-1].startswith(b"t2 OK")


def test_malformed_messages_end_the_exchange_alone(server: Server, issuer: Issuer) -> None:
    with imaplib.IMAP4("127.0.0.1", server.port("imap"), timeout=30) as imap:
        for mechanism in MECHANISMS:
            for answer in (b"nonsense", b"\x01", b"n,,\x01auth=Basic x\x01\x01"):
                with pytest.raises(imaplib.IMAP4.error):
                    imap.authenticate(mechanism, lambda _, answer=answer: answer)
        assert imap.authenticate("XOAUTH2", Client("XOAUTH2", issuer.token()))[0] == "OK"


def test_passwords_are_logins_as_before(server: Server) -> None:
    assert server.imap("alice").select()[0] == "OK"
    assert server.pop3("alice").stat() == (0, 0)


def test_no_token_in_the_log(server: Server, issuer: Issuer) -> None:
    token = issuer.token(aud="web")
    imap_login(server, Client("XOAUTH2", token))
    eventually("a line about it", lambda: any("another audience" in line for line in server.output))
    assert not any(part[:40] in line for line in server.output for part in token.split(".")[1:])


def test_tokens_are_not_offered_where_nobody_is_configured(running: Server) -> None:
    with imaplib.IMAP4("127.0.0.1", running.port("imap"), timeout=30) as imap:
        assert not {f"AUTH={mechanism}" for mechanism in MECHANISMS} & set(imap.capabilities)
        with pytest.raises(imaplib.IMAP4.error, match="not offered"):
            imap.authenticate("XOAUTH2", Client("XOAUTH2", "x"))
    with smtplib.SMTP("127.0.0.1", running.port("submission"), timeout=30) as smtp:
        smtp.ehlo()
        assert not set(MECHANISMS) & set(smtp.esmtp_features["auth"].split())
    assert not set(MECHANISMS) & set(poplib.POP3("127.0.0.1", running.port("pop3"), timeout=30).capa()["SASL"])


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Issuer]]:
    """A server that shows each token to an issuer of its own."""
    with Issuer().serving() as issuer:
        made = issuer.known_to(Server(tmp_path_factory.mktemp("introspection") / "data"), introspection=True)
        with made.serving():
            yield made, issuer


@every_protocol
@every_mechanism
def test_introspection(asking: tuple[Server, Issuer], protocol: str, mechanism: str) -> None:
    server, issuer = asking
    login, good, refused, temporary = LOGINS[protocol]
    name = f"opaque-{protocol}-{mechanism}"
    issuer.tokens[name] = issuer.claims()
    assert login(server, Client(mechanism, name)).startswith(good)
    client = Client(mechanism, "unknown")
    assert login(server, client).startswith(refused)
    assert json.loads(client.challenges[0])["status"] == "invalid_token"
    # An issuer that is down, or far too slow, is nobody's wrong password.
    issuer.answers["/introspect"] = (503, {})
    client = Client(mechanism, name + "-2")
    assert login(server, client).startswith(temporary)
    assert client.challenges == []
    del issuer.answers["/introspect"]
    issuer.tokens[name + "-2"] = issuer.claims()
    assert login(server, Client(mechanism, name + "-2")).startswith(good)


def test_while_the_issuer_thinks_others_go_on(asking: tuple[Server, Issuer]) -> None:
    server, issuer = asking
    issuer.tokens["thinking"] = issuer.claims()
    issuer.gate.clear()
    clients = [waiting(server, "thinking") for _ in range(4)]
    eventually("the issuer is asked", lambda: any("thinking" in body for _, _, body in issuer.asked))
    for _ in range(4):  # in every worker, those that wait among them
        assert server.imap("bob").select()[0] == "OK"
    issuer.gate.set()
    for raw in clients:
        assert raw.line().startswith(b"t1 OK")
        raw.close()


@pytest.mark.slow
def test_an_issuer_that_does_not_answer_is_given_up(asking: tuple[Server, Issuer]) -> None:
    server, issuer = asking
    issuer.gate.clear()
    with waiting(server, "forever") as raw:
        assert raw.line().startswith(b"t1 NO [UNAVAILABLE]")
        issuer.gate.set()
        issuer.tokens["forever"] = issuer.claims()
        raw.send(f"t2 AUTHENTICATE XOAUTH2 {encoded(Client('XOAUTH2', 'forever')(None))}\r\n".encode())
        assert raw.line().startswith(b"t2 OK")


def waiting(server: Server, token: str) -> RawClient:
    """A client whose token is being looked at."""
    raw = server.raw("imap")
    raw.line()
    raw.send(f"t1 AUTHENTICATE XOAUTH2 {encoded(Client('XOAUTH2', token)(None))}\r\n".encode())
    return raw


@pytest.mark.slow
def test_a_reload_has_the_keys_read_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = Server(tmp_path_factory.mktemp("keys") / "data")
    with Issuer().serving() as issuer:
        issuer.known_to(server)
        with server.serving():
            good, issuer.answers["/keys"] = issuer.answers["/keys"], (500, {})
            assert imap_login(server, Client("OAUTHBEARER", issuer.token())).startswith("[UNAVAILABLE]")
            issuer.answers["/keys"] = good
            workers = len(server.workers())
            assert server.process is not None
            server.process.send_signal(signal.SIGHUP)
            eventually(
                "all workers have reloaded",
                lambda: sum("configuration reloaded" in line for line in server.output) >= workers,
            )
            assert imap_login(server, Client("OAUTHBEARER", issuer.token())) == "OK"
