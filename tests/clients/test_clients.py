"""Real clients from Debian's packages against a running server: curl, swaks, mbsync, msmtp, fetchmail, mutt."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import in_terminal, need, private, run, subjects
from tests.support.server import DOMAIN, PASSWORD, Server

pytestmark = pytest.mark.client

MESSAGE = b"From: alice@example.test\r\nTo: bob@example.test\r\nSubject: %s\r\n\r\nfrom a real client\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own: clients may leave things behind in its mailboxes."""
    with Server(tmp_path_factory.mktemp("clients") / "data").serving() as server:
        yield server


def test_curl(running: Server, tmp_path: Path) -> None:
    curl = need("curl")
    running.add_account(f"curl@{DOMAIN}")
    certificate = str(running.folder / "tls" / "chain.pem")
    common = [
        "--silent",
        "--show-error",
        "--cacert",
        certificate,
        "--user",
        f"curl@{DOMAIN}:{PASSWORD}",
        "--max-time",
        "60",
    ]
    mail = tmp_path / "mail"
    mail.write_bytes(MESSAGE % b"by curl")
    for url in (
        f"smtp://localhost:{running.port('submission')}/client.test",
        f"smtps://localhost:{running.port('submissions')}/client.test",
    ):
        run(
            tmp_path, curl, *common, "--ssl-reqd", url,
            "--mail-from", f"curl@{DOMAIN}", "--mail-rcpt", f"curl@{DOMAIN}", "--upload-file", str(mail),
        )  # fmt: skip
    assert subjects(running, "curl") == ["by curl", "by curl"]
    text = run(tmp_path, curl, *common, f"imaps://localhost:{running.port('imaps')}/INBOX;MAILINDEX=1")
    assert "from a real client" in text
    text = run(
        tmp_path, curl, *common, "--ssl-reqd", f"imap://localhost:{running.port('imap')}/INBOX", "-X", "SEARCH ALL"
    )
    assert "SEARCH 1 2" in text
    text = run(tmp_path, curl, *common, f"pop3s://localhost:{running.port('pop3s')}/1")
    assert "from a real client" in text
    text = run(tmp_path, curl, *common, "--ssl-reqd", f"pop3://localhost:{running.port('pop3')}/")
    assert text.split()[:1] == ["1"]
    run(tmp_path, curl, *common, f"imaps://localhost:{running.port('imaps')}/Drafts", "--upload-file", str(mail))


def test_swaks(running: Server, tmp_path: Path) -> None:
    swaks = need("swaks")
    running.add_account(f"swaks@{DOMAIN}")
    run(
        tmp_path, swaks, "--server", "127.0.0.1", "--port", str(running.port("smtp")), "--from", "a@remote.test",
        "--to", f"swaks@{DOMAIN}", "--ehlo", "client.test", "--header", "Subject: by swaks", "--pipeline",
    )  # fmt: skip
    text = run(
        tmp_path, swaks, "--server", "127.0.0.1", "--port", str(running.port("lmtp")), "--protocol", "LMTP",
        "--from", "a@remote.test", "--to", f"swaks@{DOMAIN}", "--header", "Subject: by LMTP",
    )  # fmt: skip
    assert "250" in text
    text = run(
        tmp_path, swaks, "--server", "127.0.0.1", "--port", str(running.port("smtp")), "--from", "a@remote.test",
        "--to", "someone@elsewhere.test", good=(24,),
    )  # fmt: skip
    assert "554 5.7.1" in text
    assert subjects(running, "swaks") == ["by swaks", "by LMTP"]


def test_msmtp(running: Server, tmp_path: Path) -> None:
    msmtp = need("msmtp")
    running.add_account(f"msmtp@{DOMAIN}")
    config = private(
        tmp_path / "msmtprc",
        f"""defaults
tls on
tls_starttls on
tls_trust_file {running.folder}/tls/chain.pem
account default
host localhost
port {running.port("submission")}
from msmtp@{DOMAIN}
auth plain
user msmtp@{DOMAIN}
password "{PASSWORD}"
""",
    )
    run(tmp_path, msmtp, "-C", str(config), f"msmtp@{DOMAIN}", stdin=(MESSAGE % b"by msmtp").replace(b"\r\n", b"\n"))
    assert subjects(running, "msmtp") == ["by msmtp"]


def test_mbsync(running: Server, tmp_path: Path) -> None:
    mbsync = need("mbsync")
    running.add_account(f"mbsync@{DOMAIN}")
    for number in range(5):
        running.deliver(MESSAGE % b"number %d" % number, "mbsync")
    (tmp_path / "mail").mkdir()
    config = private(
        tmp_path / "mbsyncrc",
        f"""IMAPAccount server
Host localhost
Port {running.port("imaps")}
User mbsync@{DOMAIN}
Pass "{PASSWORD}"
SSLType IMAPS
CertificateFile {running.folder}/tls/chain.pem

IMAPStore far
Account server

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""",
    )
    run(tmp_path, mbsync, "-c", str(config), "-a")
    inbox = tmp_path / "mail" / "INBOX"
    here = sorted((inbox / "new").iterdir()) + sorted((inbox / "cur").iterdir())
    assert len(here) == 5
    # Read one, delete one, write one, here; mark one there.
    here[0].rename(inbox / "cur" / (here[0].name.partition(":")[0] + ":2,S"))
    here[1].rename(inbox / "cur" / (here[1].name.partition(":")[0] + ":2,T"))
    (inbox / "new" / "1700000000.1.here").write_bytes((MESSAGE % b"from here").replace(b"\r\n", b"\n"))
    with running.imap("mbsync") as client:
        client.select("INBOX")
        client.store("5", "+FLAGS", "(\\Flagged)")
    run(tmp_path, mbsync, "-c", str(config), "-a")
    assert sorted(subjects(running, "mbsync")) == ["from here", "number 0", "number 2", "number 3", "number 4"]
    with running.imap("mbsync") as client:
        client.select("INBOX", readonly=True)
        assert client.search(None, "SEEN")[1] == [b"1"]
    assert any(":2,F" in path.name for path in (inbox / "cur").iterdir())


def test_fetchmail(running: Server, tmp_path: Path) -> None:
    fetchmail = need("fetchmail")
    running.add_account(f"fetchmail@{DOMAIN}")
    for protocol, service in (("POP3", "pop3s"), ("IMAP", "imaps")):
        running.deliver(MESSAGE % protocol.encode(), "fetchmail")
        target = tmp_path / f"fetched.{protocol}"
        config = private(
            tmp_path / f"fetchmailrc.{protocol}",
            f"""poll localhost protocol {protocol} port {running.port(service)}
user "fetchmail@{DOMAIN}" password "{PASSWORD}" ssl sslcertck sslcertfile "{running.folder}/tls/chain.pem"
mda "/bin/sh -c 'cat >>{target}'" no rewrite
""",
        )
        run(tmp_path, fetchmail, "-f", str(config), "--pidfile", str(tmp_path / "pid"), "--nosyslog")
        assert f"Subject: {protocol}" in target.read_text()
    assert subjects(running, "fetchmail") == []


def test_mutt(running: Server, tmp_path: Path) -> None:
    mutt = need("mutt")
    running.add_account(f"mutt@{DOMAIN}")
    running.deliver(MESSAGE % b"for mutt", "mutt")
    certificates = tmp_path / "certificates"
    shutil.copy(running.folder / "tls" / "chain.pem", certificates)
    config = private(
        tmp_path / "muttrc",
        f"""set imap_user="mutt@{DOMAIN}" imap_pass="{PASSWORD}"
set folder="imaps://localhost:{running.port("imaps")}/" spoolfile="+INBOX" record="+Sent"
set smtp_url="smtps://mutt%40{DOMAIN.replace(".", "%2e")}@localhost:{running.port("submissions")}/" smtp_pass="{PASSWORD}"
set from="mutt@{DOMAIN}" use_from=yes realname="Mutt" hostname="client.test"
set ssl_ca_certificates_file="{certificates}" certificate_file="{certificates}" ssl_verify_host=yes
set confirmappend=no delete=yes quit=yes wait_key=no copy=yes move=no mark_old=no
""",
    )
    run(tmp_path, mutt, "-n", "-F", str(config), "-s", "by mutt", f"mutt@{DOMAIN}", stdin=b"from a real client\n")
    assert subjects(running, "mutt") == ["for mutt", "by mutt"]
    with running.imap("mutt") as client:
        assert client.select("Sent", readonly=True)[1] == [b"1"]
    # Opens the mailbox, deletes its first message, leaves.
    in_terminal(tmp_path, mutt, "-n", "-F", str(config), "-e", 'push "<first-entry><delete-message><quit>"')
    assert subjects(running, "mutt") == ["by mutt"]
