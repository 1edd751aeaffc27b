"""The command line as a user types it, mistakes included: one clear line, a code that is not 0, no traceback."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import DOMAIN, PASSWORD, Server, ServerFailed, eventually, free_port_base, ironpost


def mistake(*arguments: str, stdin: str | None = None) -> str:
    """Runs a command that must fail; its one line."""
    done = ironpost(*arguments, stdin=stdin, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) <= 3, lines
    assert lines
    return lines[-1]


def test_every_command_has_help() -> None:
    for command in (
        (), ("init",), ("serve",), ("quickstart",), ("status",), ("config", "check"), ("domain", "add"), ("domain", "list"),
        ("domain", "remove"), ("account", "add"), ("account", "list"), ("account", "remove"), ("account", "passwd"),
        ("account", "import"), ("alias", "add"), ("alias", "list"), ("alias", "remove"), ("store", "check"),
        ("quota", "show"), ("quota", "set"), ("mailbox", "list"), ("mailbox", "recover"), ("mailbox", "expire"),
        ("mailbox", "purge"),
    ):  # fmt: skip
        done = ironpost(*command, "--help")
        assert "Usage" in done.stdout, command


def test_init_refuses_what_cannot_work(tmp_path: Path) -> None:
    assert "60000" in mistake("init", str(tmp_path / "a"), "--domain", DOMAIN, "--port-base", "60001").replace(",", "")
    mistake("init", str(tmp_path / "b"), "--domain", "not a domain")
    ironpost("init", str(tmp_path / "c"), "--domain", DOMAIN, "--port-base", "20000")
    before = (tmp_path / "c" / "ironpost.toml").read_text()
    mistake("init", str(tmp_path / "c"), "--domain", DOMAIN, "--port-base", "21000")
    assert (tmp_path / "c" / "ironpost.toml").read_text() == before


def test_config_check_tells_all_faults_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    ironpost("init", str(folder), "--domain", DOMAIN, "--port-base", "20000")
    ironpost("config", "check", str(folder))
    with (folder / "ironpost.toml").open("a") as file:
        file.write('\n[limits]\nmessage_octets_max = "huge"\nrecipient_max = 5\n[identity]\nargon2_time = -1\n')
    done = ironpost("config", "check", str(folder), check=False)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    for part in ("limits.message_octets_max", "limits.recipient_max", "recipients_max", "identity.argon2_time"):
        assert part in text, part


def test_commands_work_with_and_without_a_server(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    folder = str(server.folder)

    def exercise(name: str) -> None:
        ironpost("domain", "add", f"{name}.test", "--dir", folder)
        ironpost("account", "add", f"user@{name}.test", "--password-stdin", "--dir", folder, stdin="secret1\n")
        ironpost("account", "passwd", f"user@{name}.test", "--password-stdin", "--dir", folder, stdin="secret2\n")
        ironpost("alias", "add", f"other@{name}.test", f"user@{name}.test", "--dir", folder)
        assert f"user@{name}.test" in ironpost("account", "list", "--dir", folder).stdout
        assert f"other@{name}.test" in ironpost("alias", "list", "--dir", folder).stdout
        assert f"{name}.test" in ironpost("domain", "list", "--dir", folder).stdout
        mistake("account", "add", f"user@{name}.test", "--password-stdin", "--dir", folder, stdin="again\n")
        mistake("account", "add", "user@unknown.test", "--password-stdin", "--dir", folder, stdin="x\n")
        mistake("account", "remove", f"nobody@{name}.test", "--dir", folder)

    exercise("before")
    assert json.loads(ironpost("status", folder, "--json").stdout)["running"] is False
    server.start()
    try:
        exercise("during")
        status = json.loads(ironpost("status", folder, "--json").stdout)
        assert status["running"] is True
        # New accounts and passwords count at once, in every worker.
        for _ in range(6):
            for name in ("before", "during"):
                client = server.imap(None)
                client.login(f"user@{name}.test", "secret2")
                client.logout()
        with server.smtp() as client:
            client.sendmail("a@remote.test", ["other@during.test"], b"Subject: x\r\n\r\ny\r\n")
        ironpost("account", "passwd", "user@during.test", "--password-stdin", "--dir", folder, stdin="secret3\n")
        for _ in range(6):
            client = server.imap(None)
            with pytest.raises(Exception, match="AUTHENTICATIONFAILED"):
                client.login("user@during.test", "secret2")
            client.shutdown()
        ironpost("account", "remove", "user@during.test", "--dir", folder)
        with server.smtp() as client:
            client.ehlo()
            client.mail("a@remote.test")
            assert client.rcpt("user@during.test")[0] == 550
        assert server.stop() == 0
        server.check()
    finally:
        server.kill()


def test_import_of_accounts(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", accounts=())
    rows = tmp_path / "accounts.csv"
    rows.write_text("".join(f"person{number}@{DOMAIN},password {number}\n" for number in range(500)))
    ironpost("account", "import", str(rows), "--dir", str(server.folder))
    assert ironpost("account", "list", "--dir", str(server.folder)).stdout.count("@") == 500
    server.start()
    try:
        client = server.imap("person321", "password 321")
        client.logout()
        assert server.stop() == 0
    finally:
        server.kill()


def test_busy_port_is_named(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", server.port("imap")))
        holder.listen()
        done = ironpost("serve", str(server.folder), check=False)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert str(server.port("imap")) in text
    assert str(os.getpid()) in text
    assert "Traceback" not in text


def test_a_damaged_directory_is_named(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    (tmp_path / "data/state/directory/data.mdb").write_bytes(b"damaged" * 1000)
    with pytest.raises(ServerFailed, match="directory not opened") as caught:
        server.start()
    assert "MDB_INVALID" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    try:
        done = ironpost("serve", str(server.folder), check=False)
        assert done.returncode != 0
        assert "Traceback" not in done.stdout + done.stderr
        assert server.stop() == 0
    finally:
        server.kill()


def test_reload_in_place(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    try:
        with server.smtp() as session:
            session.ehlo()
            text = (server.folder / "ironpost.toml").read_text()
            assert server.process is not None
            server.write_config(text + "\n[limits]\nmessage_octets_max = 1234567\n")
            server.process.send_signal(signal.SIGHUP)

            def announced() -> bool:
                with server.smtp() as client:
                    client.ehlo()
                    return client.esmtp_features["size"] == "1234567"

            eventually("the new limit", announced)
            assert session.noop()[0] == 250
            server.write_config(text + "\n[limits]\nmessage_octets_max = -1\n")
            server.process.send_signal(signal.SIGHUP)
            eventually("the refusal", lambda: any("message_octets_max" in line for line in server.output))
            assert announced()
            assert session.noop()[0] == 250
        assert server.stop() == 0
    finally:
        server.kill()


def test_systemd_is_told(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        server.start(NOTIFY_SOCKET=str(tmp_path / "notify"))
        try:
            assert b"READY=1" in manager.recv(4096)
            assert server.process is not None
            server.process.send_signal(signal.SIGHUP)
            assert b"RELOADING=1" in manager.recv(4096)
            assert b"READY=1" in manager.recv(4096)
            assert server.stop() == 0
            assert b"STOPPING=1" in manager.recv(4096)
        finally:
            server.kill()


def test_stop_finishes_a_message_under_way(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    try:
        client = server.raw("smtp")
        client.reply()
        client.command(b"EHLO client.test")
        client.command(b"MAIL FROM:<a@remote.test>")
        client.command(f"RCPT TO:<bob@{DOMAIN}>".encode())
        client.command(b"DATA")
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        client.send(b"Subject: last\r\n\r\nbody\r\n.\r\n")
        assert client.reply()[-1].startswith(b"250")
        assert server.process.wait(30) == 0
        server.process = None
        server.start()
        with server.imap("bob") as mailbox:
            assert mailbox.select("INBOX")[1] == [b"1"]
        assert server.stop() == 0
        server.check()
    finally:
        server.kill()


def test_quickstart(tmp_path: Path) -> None:
    probe = socket.socket()
    try:
        probe.bind(("127.0.0.1", 10025))
    except OSError:
        pytest.skip("port 10025 is taken: another quickstart runs on this machine")
    finally:
        probe.close()
    folder = tmp_path / "quick"
    passwords = None
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "ironpost", "quickstart", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C" in line:
                    break
            text = "".join(lines)
            assert "IMAP:" in text, text
            assert "POP3:" in text, text
            notes = folder / "quickstart.json"
            assert notes.stat().st_mode & 0o777 == 0o600
            found = json.loads(notes.read_text())["accounts"]
            assert passwords in (None, found)
            passwords = found
            assert all(password in text for password in found.values())
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    assert "message 2 of 2" in "".join(lines)


def test_wrong_words(tmp_path: Path) -> None:
    mistake("frobnicate")
    mistake("serve", str(tmp_path / "nothing"))
    mistake("status", str(tmp_path / "nothing"))
    mistake("account", "list", "--dir", str(tmp_path / "nothing"))
    mistake("account", "import", str(tmp_path / "none.csv"), "--dir", str(tmp_path))
    base = free_port_base()
    ironpost("init", str(tmp_path / "data"), "--domain", DOMAIN, "--port-base", str(base))
    (tmp_path / "data" / "ironpost.toml").write_text("this is not toml [")
    assert "ironpost.toml" in mistake("serve", str(tmp_path / "data"))


def test_failed_logins_lock_an_account_for_a_while(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    try:
        codes = set()
        for _ in range(60):
            with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as client:
                client.starttls(context=server.tls())
                client.ehlo()
                try:
                    client.login(f"alice@{DOMAIN}", "wrong")
                except smtplib.SMTPAuthenticationError as error:
                    codes.add(error.smtp_code)
                except smtplib.SMTPServerDisconnected:
                    codes.add(421)
            if codes - {535}:
                break
        assert 535 in codes
        assert codes - {535}, "never locked"
        # Another account from the same (exempt) address is not touched.
        with server.imap("bob", PASSWORD) as client:
            client.noop()
        assert server.stop() == 0
    finally:
        server.kill()
