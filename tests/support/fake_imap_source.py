"""An IMAP server in a task, with the faults that real ones have: what a migration must survive."""

from __future__ import annotations

import re
import socket as sockets
from dataclasses import dataclass, field
from typing import Any

import trio

from ironpost.migrate.connection import Broken
from ironpost.runtime.stream import Address, MailStream

USER, PASSWORD = "joe", "s3cret"


@dataclass
class Mail:
    """A message at the source."""

    uid: int
    body: bytes
    flags: str = ""
    date: str = "17-Jul-1996 02:44:25 -0700"


@dataclass
class Box:
    """A folder at the source."""

    mails: list[Mail] = field(default_factory=list)
    validity: int | None = 77
    attributes: str = ""

    @property
    def next(self) -> int:
        return max((mail.uid for mail in self.mails), default=0) + 1


@dataclass
class FakeSource:
    """What it holds and how it misbehaves."""

    boxes: dict[str, Box]
    separator: str = "/"
    refused: set[int] = field(default_factory=set)  # UIDs: NO
    empty: set[int] = field(default_factory=set)  # UIDs: NIL
    poison: set[int] = field(default_factory=set)  # UIDs: hangs up
    connections_max: int = 100
    hang_up_after: int = 0  # messages on one connection; 0: never
    hang_ups: int = 10**9
    expunge_at_scan: list[int] = field(default_factory=list)  # message numbers, told with the first scan
    labels: dict[int, str] = field(default_factory=dict)  # of Gmail, by UID in All Mail
    open: int = 0
    most: int = 0
    fetched: int = 0
    commands: list[str] = field(default_factory=list)

    def serve(self, monkeypatch: Any, nursery: trio.Nursery) -> None:
        """Connections of the migration come here from now on."""

        async def connect(source: Any) -> MailStream:
            if self.open >= self.connections_max:
                raise Broken("connection refused")
            self.open += 1
            self.most = max(self.most, self.open)
            ours, theirs = sockets.socketpair()
            nursery.start_soon(self._session, trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
            return MailStream(ours, Address("127.0.0.1", 143))

        monkeypatch.setattr("ironpost.migrate.connection._connect", connect)

    async def _session(self, stream: trio.SocketStream) -> None:
        try:
            await self._talk(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.open -= 1
            await stream.aclose()

    async def _talk(self, stream: trio.SocketStream) -> None:
        await stream.send_all(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR SPECIAL-USE] fake\r\n")
        buffer = b""
        self_box: Box | None = None
        given = 0
        gmail = " X-GM-EXT-1" if self.labels else ""
        while True:
            while b"\r\n" not in buffer:
                octets = await stream.receive_some(65536)
                if not octets:
                    return
                buffer += octets
            line, _, buffer = buffer.partition(b"\r\n")
            tag, _, command = line.decode().partition(" ")
            self.commands.append(command)
            verb = command.split(" ")[0]
            if verb == "AUTHENTICATE":
                answer = (
                    f"OK [CAPABILITY IMAP4rev1 SPECIAL-USE{gmail}] in"
                    if command.endswith("AGpvZQBzM2NyZXQ=")
                    else "NO wrong"
                )
                await stream.send_all(f"{tag} {answer}\r\n".encode())
            elif verb == "LIST":
                for name, box in self.boxes.items():
                    row = f'* LIST ({box.attributes}) "{self.separator}" "{name}"\r\n'
                    await stream.send_all(row.encode())
                await stream.send_all(f"{tag} OK\r\n".encode())
            elif verb == "STATUS":
                name = command.split('"')[1]
                items = f"MESSAGES {len(self.boxes[name].mails)} UIDVALIDITY {self.boxes[name].validity or 0}"
                await stream.send_all(f'* STATUS "{name}" ({items})\r\n'.encode())
                await stream.send_all(f"{tag} OK\r\n".encode())
            elif verb == "EXAMINE":
                self_box = self.boxes[command.split('"')[1]]
                text = f"* {len(self_box.mails)} EXISTS\r\n* OK [UIDNEXT {self_box.next}]\r\n"
                if self_box.validity is not None:
                    text += f"* OK [UIDVALIDITY {self_box.validity}]\r\n"
                await stream.send_all(f"{text}{tag} OK [READ-ONLY]\r\n".encode())
            elif verb == "FETCH" and self_box is not None:
                first, last = map(int, command.split(" ")[1].split(":"))
                for number in range(first, min(last, len(self_box.mails)) + 1):
                    mail = self_box.mails[number - 1]
                    labels = f" X-GM-LABELS ({self.labels.get(mail.uid, '')})" if "X-GM-LABELS" in command else ""
                    await stream.send_all(
                        f'* {number} FETCH (UID {mail.uid} FLAGS ({mail.flags}) INTERNALDATE "{mail.date}" '
                        f"RFC822.SIZE {len(mail.body)}{labels})\r\n".encode()
                    )
                await stream.send_all(f"{tag} OK\r\n".encode())
                while self.expunge_at_scan:
                    number = self.expunge_at_scan.pop(0)
                    del self_box.mails[number - 1]
                    await stream.send_all(f"* {number} EXPUNGE\r\n".encode())
            elif verb == "UID" and self_box is not None:
                wanted = _numbers(command.split(" ")[2])
                status = "OK"
                for number, mail in enumerate(list(self_box.mails), 1):
                    if mail.uid not in wanted:
                        continue
                    if mail.uid in self.refused:
                        status = "NO cannot read it"
                        continue
                    if mail.uid in self.poison or (
                        self.hang_ups and self.hang_up_after and given >= self.hang_up_after
                    ):
                        self.hang_ups -= 1
                        return
                    given += 1
                    self.fetched += 1
                    head = f"* {number} FETCH (UID {mail.uid} BODY[] "
                    if mail.uid in self.empty:
                        await stream.send_all(f"{head}NIL)\r\n".encode())
                    else:
                        await stream.send_all(f"{head}{{{len(mail.body)}}}\r\n".encode() + mail.body + b")\r\n")
                await stream.send_all(f"{tag} {status}\r\n".encode())
            elif verb == "LOGOUT":
                await stream.send_all(f"* BYE\r\n{tag} OK\r\n".encode())
                return
            else:
                await stream.send_all(f"{tag} {'OK' if verb in ('LSUB', 'CAPABILITY', 'NOOP') else 'BAD'}\r\n".encode())


def _numbers(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?::(\d+))?", part)
        assert match is not None, text
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found
