"""Clients that fetch, sort into folders and clear away: imapfilter, getmail, and Python's imapclient."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import imapclient
import pytest

from tests.support.programs import need, private, run, subjects
from tests.support.server import DOMAIN, PASSWORD, Server

pytestmark = pytest.mark.client

MESSAGE = b"From: %s@example.test\r\nTo: bob@example.test\r\nSubject: %s\r\n\r\nfrom a real client\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own: clients may leave things behind in its mailboxes."""
    with Server(tmp_path_factory.mktemp("fetchers") / "data").serving() as server:
        yield server


def test_imapfilter(running: Server, tmp_path: Path) -> None:
    """Searches of several keys; flags; a move between mailboxes; a deletion."""
    imapfilter = need("imapfilter")
    running.add_account(f"filter@{DOMAIN}")
    for sender, subject in ((b"boss", b"work one"), (b"shop", b"offer"), (b"boss", b"work two"), (b"pal", b"lunch")):
        running.deliver(MESSAGE % (sender, subject), "filter")
    (tmp_path / ".imapfilter").mkdir()
    config = private(
        tmp_path / "config.lua",
        f"""options.timeout = 30
options.create = true
options.subscribe = true
options.certificates = true
options.cafile = "{running.folder}/tls/chain.pem"
options.truststore = "/nonexistent"
account = IMAP {{ server = "localhost", port = {running.port("imaps")}, username = "filter@{DOMAIN}",
                  password = "{PASSWORD}", ssl = "auto" }}
work = account.INBOX:contain_from("boss@") * account.INBOX:contain_subject("work") * account.INBOX:is_unseen()
work:mark_seen()
work:move_messages(account["Work/Boss"])
account.INBOX:contain_from("shop@"):delete_messages()
account.INBOX:match_subject("^lun"):mark_flagged()
exist, unread, recent, next = account.INBOX:check_status()
print("left " .. exist)
""",
    )
    assert "left 1" in run(tmp_path, imapfilter, "-c", str(config), "-t", f"{running.folder}/tls/chain.pem")
    assert subjects(running, "filter") == ["lunch"]
    with running.imap("filter") as client:
        client.select("INBOX", readonly=True)
        assert client.search(None, "FLAGGED")[1] == [b"1"]
        assert client.select("Work/Boss", readonly=True)[1] == [b"2"]
        assert client.search(None, "SEEN")[1] == [b"1 2"]
        assert any(b"Work/Boss" in line for line in client.lsub()[1] if isinstance(line, bytes))


@pytest.mark.parametrize(
    ("kind", "service"), [("SimpleIMAPSSLRetriever", "imaps"), ("SimplePOP3SSLRetriever", "pop3s")]
)
def test_getmail(running: Server, tmp_path: Path, kind: str, service: str) -> None:
    """Fetches what is new and leaves it; then fetches only what is newer, and deletes all it has."""
    getmail = need("getmail")
    user = f"getmail-{service}"
    running.add_account(f"{user}@{DOMAIN}")
    fetched = tmp_path / "fetched"
    (tmp_path / "rc").mkdir(mode=0o700)

    def fetch(delete: str) -> list[str]:
        private(
            tmp_path / "rc" / "getmailrc",
            f"""[retriever]
type = {kind}
server = localhost
port = {running.port(service)}
username = {user}@{DOMAIN}
password = {PASSWORD}
ca_certs = {running.folder}/tls/chain.pem
timeout = 30
[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >>{fetched}")
allow_root_commands = true
unixfrom = false
[options]
read_all = false
delete = {delete}
delivered_to = false
received = false
message_log_syslog = false
""",
        )
        run(tmp_path, getmail, f"--getmaildir={tmp_path}/rc", "--rcfile=getmailrc")
        return [line for line in fetched.read_text().splitlines() if line.startswith("Subject: ")]

    running.deliver(MESSAGE % (b"alice", b"one"), user)
    assert fetch("false") == ["Subject: one"]
    running.deliver(MESSAGE % (b"alice", b"two"), user)
    assert fetch("false") == ["Subject: one", "Subject: two"]
    assert subjects(running, user) == ["one", "two"]
    assert fetch("true") == ["Subject: one", "Subject: two"]
    assert subjects(running, user) == []


def test_imapclient(running: Server) -> None:
    """What this library parses strictly: responses of FETCH, SORT, THREAD, QUOTA, NAMESPACE, IDLE and CONDSTORE."""
    running.add_account(f"library@{DOMAIN}")
    with imapclient.IMAPClient(
        "localhost", running.port("imaps"), ssl_context=running.tls(), timeout=imapclient.SocketTimeout(30, 30)
    ) as client:
        client.login(f"library@{DOMAIN}", PASSWORD)
        assert client.has_capability("SORT")
        client.id_({"name": "test"})
        assert client.namespace().personal[0] == ("", "/")
        assert client.create_folder("Früchte/Äpfel")
        assert "Früchte/Äpfel" in [name for _, _, name in client.list_folders()]
        when = datetime.datetime(2024, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
        parent = MESSAGE.replace(b"Subject", b"Message-ID: <1@x>\r\nSubject") % (b"zoe", b"b")
        child = MESSAGE.replace(b"Subject", b"References: <1@x>\r\nSubject") % (b"adam", b"a")
        for octets in (parent, child):
            client.append("Früchte/Äpfel", octets, [imapclient.SEEN, "$Label"], when)
        chosen = client.select_folder("Früchte/Äpfel")
        assert chosen[b"EXISTS"] == 2
        answer = client.fetch(
            [1, 2], ["ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "FLAGS", "RFC822.SIZE", "BODY[TEXT]"]
        )
        first = answer[1]
        assert first[b"ENVELOPE"].subject == b"b"
        assert first[b"ENVELOPE"].from_[0].mailbox == b"zoe"
        assert first[b"BODYSTRUCTURE"][:2] == (b"text", b"plain")
        assert first[b"INTERNALDATE"].timestamp() == when.timestamp()
        assert first[b"RFC822.SIZE"] == len(parent)
        assert first[b"BODY[TEXT]"] == b"from a real client\r\n"
        assert set(first[b"FLAGS"]) >= {b"\\Seen", b"$Label"}
        assert client.search(["SUBJECT", "b", "SINCE", datetime.date(2024, 2, 3)]) == [1]
        assert client.search(["KEYWORD", "$Label", "NOT", "DELETED"]) == [1, 2]
        assert client.sort("SUBJECT") == [2, 1]
        assert client.sort(["REVERSE FROM"], "SEEN") == [1, 2]
        assert client.thread("REFERENCES") == ((1, 2),)
        assert client.folder_status("INBOX", ["MESSAGES", "UIDNEXT", "HIGHESTMODSEQ"])[b"MESSAGES"] == 0
        assert imapclient.FLAGGED in client.add_flags([1], [imapclient.FLAGGED])[1]
        client.idle()
        running.deliver(MESSAGE % (b"late", b"c"), "library")
        client.idle_done()
        client.copy([1, 2], "INBOX")
        client.move([2], "INBOX")
        client.delete_messages([1])
        client.uid_expunge([1])
        assert client.search() == []
        client.close_folder()
        client.rename_folder("Früchte/Äpfel", "Obst")
        client.subscribe_folder("Obst")
        assert "Obst" in [name for _, _, name in client.list_sub_folders()]
        client.delete_folder("Obst")
        assert client.get_quota_root("INBOX") is not None
        with pytest.raises(imapclient.exceptions.IMAPClientError):
            client.select_folder("Obst")
        assert client.folder_status("INBOX", ["MESSAGES"])[b"MESSAGES"] == 4
