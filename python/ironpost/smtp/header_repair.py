"""What submission mends in a header section (RFC 6409 §8): Date, Message-ID and From that are missing, Bcc that is not.

Works on the header section alone, which the sink bounds; the body is never looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_REMOVED: Final = frozenset((b"bcc", b"resent-bcc", b"return-path"))
_NEEDED: Final = (b"date", b"message-id", b"from")


@dataclass(frozen=True, slots=True)
class Repair:
    """What to do: fields to put at the end of the header section, and the header section without what must go.

    `rest` is what stands from the first line on that is no field: many readers take the body to begin there, so the
    new fields go before it.
    """

    kept: bytes  # the header section's fields that stay, each with its CRLF
    added: bytes
    rest: bytes
    original_octets: int  # length of the header section in the message, empty line not included

    @property
    def header(self) -> bytes:
        """The new header section, empty line not included."""
        return self.kept + self.added + self.rest


def plan(header: bytes, *, sender: str, date: str, message_id: str) -> Repair | None:
    """The repair that a header section needs, None when it is in order.

    A message that begins with no field at all gets a whole header section, and the empty line after it.
    """
    if header and not header.endswith(b"\n"):
        header += b"\r\n"
    fields = list(split(header))
    present = {name for name, _ in fields}
    missing = [name for name in _NEEDED if name not in present]
    if not missing and _REMOVED.isdisjoint(present):
        return None
    values = {b"date": f"Date: {date}", b"message-id": f"Message-ID: <{message_id}>", b"from": f"From: <{sender}>"}
    added = b"".join(values[name].encode() + b"\r\n" for name in missing)
    if not any(present):
        return Repair(b"", added + b"\r\n" if header else added, b"", 0)
    end = next((at for at, (name, raw) in enumerate(fields) if not name and raw[0] not in b" \t"), len(fields))
    kept, rest = (b"".join(raw for name, raw in part if name not in _REMOVED) for part in (fields[:end], fields[end:]))
    return Repair(kept, added, rest, len(header))


def split(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name in lower case, raw field with its line ends); continuation lines belong to their field.

    A line that is neither comes with an empty name, so that nothing is lost.
    """
    name = b""
    start = position = 0
    while position < len(header):
        end = header.find(b"\n", position)
        end = len(header) if end < 0 else end + 1
        if position == start or header[position] not in b" \t":
            if position > start:
                yield name, header[start:position]
            start = position
            name = _field_name(header[position:end])
        position = end
    if position > start:
        yield name, header[start:]


def _field_name(line: bytes) -> bytes:
    name, colon, _ = line.partition(b":")
    name = name.rstrip(b" \t")
    if not colon or not name or any(octet <= 32 or octet == 127 for octet in name):
        return b""
    return name.lower()
