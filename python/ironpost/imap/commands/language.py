"""LANGUAGE (RFC 5255 §3): in which language our texts are; there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["language"]

# RFC 5255 §3.2: i-default is always there, and is English that everybody understands.
_SPOKEN: Final = ("i-default", "en")


async def language(session: Session, tag: str, name: str, ranges: tuple[str, ...]) -> None:
    """Tells what is spoken, or settles on the first range that fits (RFC 4647 §3.4, lookup)."""
    if not ranges:
        session.wire.untagged(f"LANGUAGE ({' '.join(_SPOKEN)})")
        await session.finish(tag, name)
        return
    chosen = next((found for wanted in ranges if (found := _lookup(wanted)) is not None), None)
    if chosen is None:
        session.wire.respond(tag, "NO", "", "that language is not spoken here")
        return
    session.wire.untagged(f"LANGUAGE ({chosen})")
    await session.finish(tag, name)


def _lookup(wanted: str) -> str | None:
    if wanted.lower() == "default":
        return _SPOKEN[0]
    subtags = wanted.lower().split("-")
    while subtags:
        if "-".join(subtags) in _SPOKEN:
            return "-".join(subtags)
        subtags.pop()
    return None
