"""Which format a path is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ..errors import UserError
from .maildir import OWN_FOLDERS, Maildir, is_maildir
from .mbox import QUOTING, Mbox, looks_like_mbox
from .model import Note, Source

FORMATS: Final = ("auto", "maildir", "maildir++", *QUOTING, "sdbox", "mdbox")
_HOMES: Final = ("Maildir", "mdbox", "sdbox", "mail")  # where a home folder has its mail
_DEPTH_MAX: Final = 8


def detect(path: Path) -> str:
    """A key of FORMATS other than "auto". Raises UserError when nothing fits."""
    if path.is_file():
        if looks_like_mbox(path):
            return "mbox"
        raise UserError(f"{path}: is no mbox: it does not begin with a From_ line")
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    if (path / "storage").is_dir() and (path / "mailboxes").is_dir():
        return "mdbox"
    if (path / "mailboxes").is_dir():
        return "sdbox"
    names = sorted(os.listdir(path))
    dotted = any(name.startswith(".") and is_maildir(path / name) for name in names)
    if dotted:
        return "maildir++"
    plain = [path / name for name in names if not name.startswith(".") and name not in OWN_FOLDERS]
    if any(_holds_maildir(folder, 0) for folder in plain):
        return "maildir"
    if is_maildir(path):
        return "maildir++"
    if any(_holds_mbox(one, 0) for one in plain):
        return "mbox"
    raise UserError(f"{path}: holds no Maildir, no mbox and no dbox (say which by --format)")


def home(path: Path) -> Path:
    """The mail within a home folder, when it is one and holds exactly one kind of it; else the path itself."""
    if not path.is_dir() or is_maildir(path) or (path / "mailboxes").is_dir():
        return path
    found = [path / name for name in _HOMES if (path / name).is_dir()]
    return found[0] if len(found) == 1 else path


def open_source(
    path: Path,
    kind: str,
    note: Note,
    *,
    utf8: bool = False,
    follow: bool = False,
    keep_fields: bool = False,
    owner: str = "",
) -> Source:
    """A reader. `owner`: local part of the address, the name of an INBOX in a spool. Raises UserError."""
    from . import dbox

    if kind == "auto":
        path = home(path)
        kind = detect(path)
    elif not path.exists():
        raise UserError(f"{path}: no such file or folder")
    try:
        path.stat()
        if path.is_dir():
            os.listdir(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if kind in ("maildir", "maildir++"):
        layout = "fs" if kind == "maildir" else "++"
        return Maildir(path, note, layout=layout, utf8=utf8, follow=follow)
    if kind in ("sdbox", "mdbox"):
        return dbox.Dbox(path, note, kind=kind, follow=follow)
    return Mbox(path, note, kind=kind, utf8=utf8, follow=follow, keep_fields=keep_fields, owner=owner)


def _holds_maildir(folder: Path, depth: int) -> bool:
    if not folder.is_dir() or folder.is_symlink() or depth > _DEPTH_MAX:
        return False
    return is_maildir(folder) or any(_holds_maildir(inner, depth + 1) for inner in _inner(folder))


def _holds_mbox(path: Path, depth: int) -> bool:
    if path.is_file():
        return path.stat().st_size > 0 and looks_like_mbox(path)
    return depth < _DEPTH_MAX and any(_holds_mbox(inner, depth + 1) for inner in _inner(path))


def _inner(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    except OSError:
        return []  # told when it is read
