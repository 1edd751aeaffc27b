"""Real messages that lie beside the project; what is not there is skipped with a sentence that says so."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
CORPORA = SHARED / "corpora"
_MAIL_SUFFIXES = {".eml", ".txt", ".msg", ".mbox", ""}
_NOT_MAIL = {"SOURCE.txt", "README.md", "LICENSE", "NOTICE"}


def require() -> None:
    """Skips the test when the corpora are absent."""
    if not CORPORA.is_dir():
        pytest.skip(f"the corpora are not there: {CORPORA}")


def messages(*, packed: int = 0) -> Iterator[tuple[str, bytes]]:
    """(name, octets) of every message file; `packed`: at most so many of the packed corpus, evenly spread."""
    for folder in sorted(CORPORA.iterdir()):
        if not folder.is_dir():
            continue
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in _NOT_MAIL and path.suffix in _MAIL_SUFFIXES:
                octets = path.read_bytes()
                if octets:
                    yield str(path.relative_to(CORPORA)), octets
    archive = CORPORA / "spamassassin" / "spamassassin-6046.tar.xz"
    if packed and archive.exists():
        with tarfile.open(archive) as tar:
            members = [member for member in tar.getmembers() if member.isfile()]
            step = max(1, len(members) // packed)
            for member in members[::step]:
                file = tar.extractfile(member)
                assert file is not None
                octets = file.read()
                if octets.startswith(b"From "):
                    octets = octets.partition(b"\n")[2]
                if octets:
                    yield f"spamassassin/{member.name}", octets


def line_ends(octets: bytes) -> str:
    """`lf`, `crlf`, or `mixed` (which a bare CR makes too)."""
    crlf = octets.count(b"\r\n")
    lf = octets.count(b"\n")
    if octets.count(b"\r") > crlf:
        return "mixed"
    if crlf == lf:
        return "crlf"
    return "lf" if crlf == 0 else "mixed"


def with_crlf(octets: bytes) -> bytes:
    """Uniform LF to CRLF."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", octets)
