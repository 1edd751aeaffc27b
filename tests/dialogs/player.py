"""Plays written dialogues against a running server. The language:

    == title, with the section of the RFC      begins a dialogue; each has a fresh account
    login: no                                  sessions begin with the greeting instead of being logged in
    users: 1 2 2                               whose the first, second, third session is: {user}, {user2}, {user3}
    @name                                      begins a text of the dialogue; each of its lines begins with |
    # remark
    C: line          C2: line                  sends a line in the first (second) session
    S: line          S2: line                  the next line received must be this
    S*: line                                   lines are skipped up to this one
    S~: line                                   neighbours of this kind may come in any order

In lines to send `{name}` is a captured value or, when it ends its line's words and names a text, a literal; `{name+}` and
`{"octets"}`, `{"octets"+}` are literals too, with and without waiting for consent. In expected lines `{name}` captures
a word on first use and must be the same afterwards; `{_}` is any word; `/.../` is a regular expression for the whole line.
`\\r`, `\\n`, `\\0`, `\\t` and `\\xHH` in a quoted literal are octets. A trailing `\\` sends no line end.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_SECONDS = 20.0
SKIPPED_LINES_MAX = 1000

_STEP = re.compile(r"(C|S|S\*|S~)(\d?)([*~]?):(?: (.*))?$")
_SENT = re.compile(r'\{(?:"((?:[^"\\]|\\.)*)"|([a-z][a-z0-9_]*))(\+?)\}')
_EXPECTED = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)")
_PLAIN = {b"r": b"\r", b"n": b"\n", b"0": b"\0", b"t": b"\t"}


class Mismatch(AssertionError):
    """The server said something else."""


@dataclass
class Step:
    """One line of a dialogue."""

    kind: str  # C, S, S*, S~
    session: str
    text: str
    line: int


@dataclass
class Dialogue:
    """A title and its steps."""

    title: str
    path: Path
    login: bool = True
    users: list[int] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)


def read(path: Path) -> list[Dialogue]:
    """Reads all dialogues of a file."""
    dialogues: list[Dialogue] = []
    lines: list[str] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if lines is not None and line.startswith("|"):
            lines.append(line[1:])
            continue
        if lines is not None:
            _close(dialogues[-1], lines)
            lines = None
        if line.startswith("== "):
            dialogues.append(Dialogue(line[3:], path))
        elif not line or line.startswith("#"):
            continue
        elif not dialogues:
            raise ValueError(f"{path.name}:{number}: a dialogue begins with ==")
        elif line == "login: no":
            dialogues[-1].login = False
        elif line.startswith("users: "):
            dialogues[-1].users = [int(number) for number in line.split()[1:]]
        elif line.startswith("@"):
            lines = [line[1:]]
        elif match := _STEP.match(line):
            kind, session, more, text = match.groups()
            dialogues[-1].steps.append(Step(kind + more, session or "1", text or "", number))
        else:
            raise ValueError(f"{path.name}:{number}: what is {line!r}?")
    if lines is not None:
        _close(dialogues[-1], lines)
    return dialogues


def _close(dialogue: Dialogue, lines: list[str]) -> None:
    name, *body = lines
    dialogue.texts[name] = "".join(f"{line}\r\n" for line in body).encode()


class Session:
    """A connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self.file = self.socket.makefile("rb")

    def line(self) -> str:
        """The next line; "<closed>" at the end."""
        octets = self.file.readline()
        if not octets:
            return "<closed>"
        return octets.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "backslashreplace")

    def close(self) -> None:
        """Closes it."""
        self.file.close()
        self.socket.close()


def other_user(user: str, number: int) -> str:
    """The address of a dialogue's second or third user."""
    return user.replace("@", f"-{number}@")


class Player:
    """Plays one dialogue as one user, or as several."""

    def __init__(self, dialogue: Dialogue, connect: Callable[[], Session], user: str, password: str) -> None:
        self.dialogue = dialogue
        self.connect = connect
        self.values = {"user": user, "password": password}
        for number in set(dialogue.users) - {1}:
            self.values[f"user{number}"] = other_user(user, number)
        self.sessions: dict[str, Session] = {}
        self.heard: list[str] = []

    def play(self) -> None:
        """Plays it to its end."""
        steps = self.dialogue.steps
        position = 0
        try:
            while position < len(steps):
                step = steps[position]
                group = [step]
                if step.kind == "S~":
                    for other in steps[position + 1 :]:
                        if (other.kind, other.session) != (step.kind, step.session):
                            break
                        group.append(other)
                position += len(group)
                self._step(group)
        finally:
            for session in self.sessions.values():
                session.close()

    def _session(self, name: str) -> Session:
        session = self.sessions.get(name)
        if session is None:
            session = self.sessions[name] = self.connect()
            if self.dialogue.login:
                session.line()
                number = self.dialogue.users[int(name) - 1] if self.dialogue.users else 1
                user = self.values["user" if number == 1 else f"user{number}"]
                session.socket.sendall(f'l LOGIN {user} "{self.values["password"]}"\r\n'.encode())
                answer = session.line()
                if not answer.startswith("l OK "):
                    raise Mismatch(f"login: {answer}")
        return session

    def _step(self, group: list[Step]) -> None:
        step = group[0]
        session = self._session(step.session)
        try:
            if step.kind == "C":
                self._send(session, step)
            elif step.kind == "S~":
                left = list(group)
                while left:
                    line = self._hear(session, step)
                    found = next((each for each in left if self._matches(each.text, line)), None)
                    if found is None:
                        raise self._mismatch(step, " | ".join(each.text for each in left), line)
                    left.remove(found)
            else:
                for _ in range(SKIPPED_LINES_MAX if step.kind == "S*" else 1):
                    line = self._hear(session, step)
                    if self._matches(step.text, line):
                        return
                    if line == "<closed>":
                        break
                raise self._mismatch(step, step.text, line)
        except TimeoutError:
            raise self._mismatch(step, step.text, "<nothing>") from None

    def _hear(self, session: Session, step: Step) -> str:
        line = session.line()
        self.heard.append(f"S{step.session}: {line}")
        return line

    def _mismatch(self, step: Step, wanted: str, line: str) -> Mismatch:
        place = f"{self.dialogue.path.name}:{step.line} ({self.dialogue.title})"
        tail = "\n".join(self.heard[-12:])
        return Mismatch(f"{place}\nwanted: {wanted}\nheard:  {line}\n---- before\n{tail}")

    def _send(self, session: Session, step: Step) -> None:
        text = step.text
        end = b"\r\n"
        if text.endswith("\\"):
            text, end = text[:-1], b""
        self.heard.append(f"C{step.session}: {text}")
        position = 0
        out = b""
        for match in _SENT.finditer(text):
            quoted, name, plus = match.groups()
            out += text[position : match.start()].encode()
            position = match.end()
            if quoted is None and name in self.values and name not in self.dialogue.texts:
                out += self.values[name].encode()
                continue
            if quoted is None and name not in self.dialogue.texts:
                out += match[0].encode()
                continue
            octets = self.dialogue.texts[name] if quoted is None else unescape(quoted.encode())
            out += b"{%d%s}\r\n" % (len(octets), plus.encode())
            if not plus:
                session.socket.sendall(out)
                out = b""
                line = self._hear(session, step)
                if not line.startswith("+ "):
                    raise self._mismatch(step, "+ ", line)
            out += octets
        session.socket.sendall(out + text[position:].encode() + end)

    def _matches(self, wanted: str, line: str) -> bool:
        if len(wanted) > 1 and wanted[0] == wanted[-1] == "/":
            return re.fullmatch(wanted[1:-1], line) is not None
        pattern = ""
        position = 0
        new: set[str] = set()
        for match in _EXPECTED.finditer(wanted):
            name = match[1]
            pattern += re.escape(wanted[position : match.start()])
            position = match.end()
            if name == "_":
                pattern += r"[^ \])]+"
            elif name in self.values:
                pattern += re.escape(self.values[name])
            elif name in new:
                pattern += f"(?P={name})"
            else:
                pattern += rf"(?P<{name}>[^ \])]+)"
                new.add(name)
        # What the server says in words is its own affair: `a OK ...`.
        rest = wanted[position:]
        pattern += re.escape(rest.removesuffix("...")) + (".*" if rest.endswith("...") else "")
        found = re.fullmatch(pattern, line)
        if found is None:
            return False
        self.values.update(found.groupdict())
        return True


def unescape(octets: bytes) -> bytes:
    """Octets of a quoted literal."""

    def one(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        if len(escape) == 3:
            return bytes.fromhex(escape[1:].decode())
        return _PLAIN.get(escape, escape)

    return _ESCAPE.sub(one, octets)
