"""`ironpost quickstart`: a running server with two accounts, and a message that is seen to move.

Everything goes through the same doors that an operator and a mail client use: the other commands of this program, the
submission port, IMAP and POP3, all over TLS and with the server's own certificate checked.
"""

from __future__ import annotations

import contextlib
import ctypes
import email.message
import email.utils
import imaplib
import json
import os
import poplib
import secrets
import signal
import smtplib
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DEFAULT_FOLDER", "run"]

DEFAULT_FOLDER = "ironpost-data"
_DOMAIN = "example.test"
_PORT_BASE = 10000
_USERS = ("alice", "bob")
# A first start makes two accounts and opens a new store; on a busy machine that may take a while.
_READY_SECONDS = 60
_CLIENT_SECONDS = 20


class QuickstartError(Exception):
    """A step failed; the text is fit for the user."""


@dataclass(frozen=True, slots=True)
class _Plan:
    folder: Path
    passwords: dict[str, str]

    def address(self, user: str) -> str:
        return f"{user}@{_DOMAIN}"

    def password(self, user: str) -> str:
        return self.passwords[self.address(user)]


def run(folder: str) -> int:
    """Starts the server and shows it at work; returns when the server has ended, with its exit code."""
    path = Path(folder)
    try:
        plan = _prepare(path)
        server = _start(path)
    except QuickstartError as error:
        print(f"quickstart: {error}", file=sys.stderr)
        return 1
    with _forwarded_signals(server):
        try:
            _wait_ready(server)
            _show(plan)
            _print_settings(plan)
        except QuickstartError as error:
            print(f"quickstart: {error}", file=sys.stderr)
            server.terminate()
            server.wait()
            return 1
        return max(server.wait(), 0)


# -- what must be there before the server starts -----------------------------------------------------------------------


def _ironpost(*arguments: str, stdin: str = "") -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ironpost", *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise QuickstartError(f"`ironpost {' '.join(arguments[:2])}` failed: {lines[-1]}")


def _prepare(folder: Path) -> _Plan:
    """The data folder, the accounts and their passwords; a second start finds them as they were."""
    notes = folder / "quickstart.json"
    if not (folder / "ironpost.toml").exists():
        # A certificate that verifies and ports that need no privilege.
        _ironpost("init", str(folder), "--domain", _DOMAIN, "--hostname", "localhost", "--port-base", str(_PORT_BASE))
    passwords: dict[str, str] = {}
    if notes.exists():
        try:
            passwords = dict(json.loads(notes.read_text())["accounts"])
        except (ValueError, KeyError, TypeError) as error:
            raise QuickstartError(f"{notes} is damaged ({error}); remove it to get new passwords") from None
    for user in _USERS:
        address = f"{user}@{_DOMAIN}"
        if address in passwords:
            continue
        passwords[address] = secrets.token_urlsafe(12)
        try:
            _ironpost("account", "add", address, "--password-stdin", "--dir", str(folder), stdin=passwords[address])
        except QuickstartError:
            # The account is there, its note was lost: a new password is the way back in.
            _ironpost("account", "passwd", address, "--password-stdin", "--dir", str(folder), stdin=passwords[address])
    _write_private(notes, json.dumps({"accounts": passwords}, indent=2) + "\n")
    return _Plan(folder, passwords)


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(temporary, path)


# -- the server --------------------------------------------------------------------------------------------------------


def _end_with_parent() -> None:
    """In the child: the server stops when quickstart dies, however it dies."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _start(folder: Path) -> subprocess.Popen[str]:
    # A group of its own: Ctrl-C reaches this process alone, which then asks the server to stop, once.
    return subprocess.Popen(
        [sys.executable, "-m", "ironpost", "serve", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=_end_with_parent,
    )


@contextlib.contextmanager
def _forwarded_signals(server: subprocess.Popen[str]) -> Iterator[None]:
    def forward(number: int, _frame: object) -> None:
        server.send_signal(signal.SIGTERM)

    former = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _wait_ready(server: subprocess.Popen[str]) -> None:
    """Passes the server's lines on until it says `ready`."""
    assert server.stdout is not None
    deadline = time.monotonic() + _READY_SECONDS
    for line in server.stdout:
        print(line, end="", flush=True)
        if line.strip() == "ready":
            return
        if time.monotonic() > deadline:
            break
    code = server.poll()
    raise QuickstartError("the server did not start" if code is None else f"the server ended with code {code}")


# -- a message on its way ----------------------------------------------------------------------------------------------


def _show(plan: _Plan) -> None:
    tls = ssl.create_default_context(cafile=str(plan.folder / "tls" / "chain.pem"))
    message = email.message.EmailMessage()
    message["From"] = plan.address("alice")
    message["To"] = plan.address("bob")
    message["Date"] = email.utils.localtime()
    message["Message-ID"] = email.utils.make_msgid(domain=_DOMAIN)
    message["Subject"] = "Hello from ironpost"
    message.set_content("This message went through submission, was stored durably, and is read over IMAP and POP3.\n")
    try:
        print()
        with smtplib.SMTP("localhost", _PORT_BASE + 587, timeout=_CLIENT_SECONDS) as submission:
            submission.starttls(context=tls)
            submission.login(plan.address("alice"), plan.password("alice"))
            submission.send_message(message)
        print(f"submission: {plan.address('alice')} sent a message to {plan.address('bob')}")
        with imaplib.IMAP4_SSL("localhost", _PORT_BASE + 993, ssl_context=tls, timeout=_CLIENT_SECONDS) as mailbox:
            mailbox.login(plan.address("bob"), plan.password("bob"))
            _, counts = mailbox.select("INBOX", readonly=True)
            _, found = mailbox.search(None, "HEADER", "Message-ID", f'"{message["Message-ID"]}"')
            if not found[0]:
                raise QuickstartError("the message was accepted but IMAP does not show it")
            print(
                f"IMAP:       {plan.address('bob')} has it as message {found[0].decode()} of {(counts[0] or b'').decode()}"
            )
        drop = poplib.POP3_SSL("localhost", _PORT_BASE + 995, context=tls, timeout=_CLIENT_SECONDS)
        drop.user(plan.address("bob"))
        drop.pass_(plan.password("bob"))
        count = drop.stat()[0]
        lines = drop.top(count, 0)[1]
        drop.quit()
        if not any(str(message["Message-ID"]).encode() in line for line in lines):
            raise QuickstartError("the message was accepted but POP3 does not show it")
        print(f"POP3:       {plan.address('bob')} has it as message {count} of {count}")
    except (OSError, smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto) as error:
        raise QuickstartError(f"the demonstration failed: {error}") from None


def _print_settings(plan: _Plan) -> None:
    print(
        f"""
Settings for a mail client (the certificate is self-signed: {plan.folder / "tls" / "chain.pem"})
  incoming  IMAP  localhost  port {_PORT_BASE + 993} TLS  or {_PORT_BASE + 143} STARTTLS
            POP3  localhost  port {_PORT_BASE + 995} TLS  or {_PORT_BASE + 110} STARTTLS
  outgoing  SMTP  localhost  port {_PORT_BASE + 465} TLS  or {_PORT_BASE + 587} STARTTLS
"""
    )
    for user in _USERS:
        print(f"  user name {plan.address(user)}   password {plan.password(user)}")
    print(
        f"\nData is in {plan.folder}; Ctrl-C stops the server, `make run` starts it again with the same mail.",
        flush=True,
    )
