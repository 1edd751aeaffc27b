"""Real clients that log in with a token: curl and msmtp, by OAUTHBEARER (RFC 7628) and XOAUTH2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.issuer import Issuer
from tests.support.programs import need, private, run, subjects
from tests.support.server import DOMAIN, Server

pytestmark = pytest.mark.client

ALICE = f"alice@{DOMAIN}"
MESSAGE = b"From: alice@example.test\r\nTo: alice@example.test\r\nSubject: %s\r\n\r\nfrom a real client\r\n"
LOGIN_DENIED = 67  # curl's exit code


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer().serving() as made:
        yield made


@pytest.fixture(scope="module")
def server(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = issuer.known_to(Server(tmp_path_factory.mktemp("tokens") / "data"))
    with made.serving():
        yield made


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_curl(server: Server, issuer: Issuer, tmp_path: Path, mechanism: str) -> None:
    curl = need("curl")
    before = len(subjects(server, "alice"))
    common = ["--silent", "--show-error", "--cacert", str(server.folder / "tls" / "chain.pem"), "--max-time", "60"]
    common += ["--user", ALICE, "--login-options", f"AUTH={mechanism}", "--oauth2-bearer"]
    good, expired = issuer.token(), issuer.token(exp=1_700_000_000)
    mail = tmp_path / "mail"
    mail.write_bytes(MESSAGE % mechanism.encode())
    send = [
        f"smtps://localhost:{server.port('submissions')}/client.test",
        "--mail-from", ALICE, "--mail-rcpt", ALICE, "--upload-file", str(mail),
    ]  # fmt: skip
    imap = f"imaps://localhost:{server.port('imaps')}/INBOX;MAILINDEX={before + 1}"
    pop3 = f"pop3s://localhost:{server.port('pop3s')}/{before + 1}"
    run(tmp_path, curl, *common, good, *send)
    for url in (imap, pop3):
        assert f"Subject: {mechanism}" in run(tmp_path, curl, *common, good, url)
    for command in (send, [imap], [pop3]):
        run(tmp_path, curl, *common, expired, *command, good=(LOGIN_DENIED,))


@pytest.mark.parametrize("mechanism", ["oauthbearer", "xoauth2"])
def test_msmtp(server: Server, issuer: Issuer, tmp_path: Path, mechanism: str) -> None:
    msmtp = need("msmtp")
    subject = f"by msmtp {mechanism}"
    for token, codes in ((issuer.token(), (0,)), (issuer.token(aud="web"), (77,))):  # EX_NOPERM
        config = private(
            tmp_path / "msmtprc",
            f"""account default
host localhost
port {server.port("submission")}
tls on
tls_starttls on
tls_trust_file {server.folder}/tls/chain.pem
auth {mechanism}
user {ALICE}
password {token}
from {ALICE}
""",
        )
        run(tmp_path, msmtp, "--file", str(config), ALICE, stdin=MESSAGE % subject.encode(), good=codes)
    assert subjects(server, "alice").count(subject) == 1
