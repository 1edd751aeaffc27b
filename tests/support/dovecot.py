"""A real Dovecot for tests: its `imap` and `pop3` programs on pipes, from the unpacked root of scripts/peers.sh; no port."""

from __future__ import annotations

import imaplib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ROOT / ".cache" / "peers" / "root"
USER = 705  # vmail in that root
CONFIGURATION = """
base_dir = /var/bench/run
state_dir = /var/bench/state
log_path = /var/bench/log
info_log_path = /dev/null
ssl = no
mail_home = /var/bench/home
first_valid_uid = 100
protocols = imap
namespace inbox {
  inbox = yes
}
"""


def missing() -> str:
    """Why Dovecot can't be run here, or ""."""
    if not (PEERS / "usr/lib/dovecot/imap").exists():
        return "Dovecot is not unpacked: scripts/peers.sh unpack"
    if os.geteuid() != 0:
        return "Dovecot runs in a root of its own, which needs root"
    done = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "no mount namespaces here"


class Dovecot:
    """Serves one home folder, `home` below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        folder.chmod(0o755)
        (folder / "dovecot.conf").write_text(CONFIGURATION)
        for path in (folder, self.home):
            os.chown(path, USER, USER)
        (PEERS / "var/bench").mkdir(parents=True, exist_ok=True)

    def own(self, path: Path) -> None:
        """Gives a tree to Dovecot's user."""
        subprocess.run(["chown", "-R", f"{USER}:{USER}", str(path)], check=True)

    def adopt(self, tree: Path, name: str) -> None:
        """Puts a tree into the home."""
        shutil.copytree(tree, self.home / name, copy_function=shutil.copy2)
        self.own(self.home / name)

    @contextmanager
    def imap(self, location: str, *settings: str) -> Iterator[imaplib.IMAP4]:
        """A session, logged in. `location`: mail_location with ~ for the home."""
        client = imaplib.IMAP4_stream(shlex.join(self._command("imap", location, settings)))
        try:
            yield client
        finally:
            client.logout()
            client.process.wait(30)

    def pop3(self, location: str, commands: bytes, *settings: str) -> bytes:
        """What a POP3 session, logged in, answers to these lines, of which the last is QUIT."""
        command = self._command("pop3", location, settings)
        done = subprocess.run(command, input=commands, capture_output=True, timeout=30, check=False)
        return done.stdout

    def _command(self, program: str, location: str, settings: tuple[str, ...]) -> list[str]:
        """Starts one of Dovecot's session programs on its standard input and output."""
        options = [f"mail_location={location.replace('~', '/var/bench/home')}", *settings]
        inner = (
            "mount --make-rprivate / && "
            f"mount --bind {shlex.quote(str(self.folder))} {shlex.quote(str(PEERS / 'var/bench'))} && "
            f"mount --rbind /dev {shlex.quote(str(PEERS / 'dev'))} && "
            f"exec chroot --userspec={USER}:{USER} {shlex.quote(str(PEERS))} /usr/bin/env USER=tester "
            f"HOME=/var/bench/home /usr/lib/dovecot/{program} -c /var/bench/dovecot.conf "
            + " ".join(f"-o {shlex.quote(option)}" for option in options)
        )
        return ["unshare", "-m", "bash", "-c", inner]
