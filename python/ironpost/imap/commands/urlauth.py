"""GENURLAUTH, URLFETCH and RESETKEY (RFC 4467 §7): URLs by which others may read one message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ... import _core
from ..urls import MECHANISM, BadUrl, Piece, UrlReader, authorise

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["gen_url_auth", "reset_key", "url_fetch"]

_FILL_OCTETS: Final = 65536


async def gen_url_auth(session: Session, tag: str, name: str, wanted: tuple[tuple[str, str], ...]) -> None:
    """GENURLAUTH: all URLs or none."""
    made = []
    for rump, mechanism in wanted:
        if mechanism != MECHANISM:
            session.wire.respond(tag, "BAD", "", f"the only mechanism is {MECHANISM}")
            return
        try:
            made.append(await authorise(session, rump))
        except BadUrl as error:
            session.wire.respond(tag, "NO", error.code, str(error))
            return
    session.wire.untagged_genurlauth(made)
    await session.finish(tag, name)


async def url_fetch(session: Session, tag: str, name: str, urls: tuple[str, ...]) -> None:
    """URLFETCH: NIL for what may not be read or is not there; nobody learns which."""
    reader = UrlReader(session)
    whole = True
    for url in urls:
        try:
            piece = await reader.open_authorised(url)
        except BadUrl as error:
            session.log.debug("url not fetched", why=str(error))
            session.wire.untagged_urlfetch(url, None)
            continue
        session.wire.untagged_urlfetch(url, piece.octets)
        whole = await _send(session, piece) and whole
        session.wire.append_output(b"\r\n")
    if whole:
        await session.finish(tag, name)
    else:
        session.wire.respond(tag, "NO", "CORRUPTION", "a message is damaged on the server")


async def _send(session: Session, piece: Piece) -> bool:
    """The octets that have been announced. Those that can't be read are made up with spaces, as by FETCH; false then."""
    left = piece.octets
    try:
        async for octets in piece.read():
            session.wire.append_output(octets)
            left -= len(octets)
            await session.drain_if_high()
    except _core.StoreFailed:
        raise
    except _core.StoreError as error:
        session.log.warning("url not read to its end", error=str(error))
        while left:
            step = min(left, _FILL_OCTETS)
            session.wire.append_output(b" " * step)
            left -= step
            await session.drain_if_high()
        return False
    return True


async def reset_key(session: Session, tag: str, name: str, mailbox: str | None, mechanisms: tuple[str, ...]) -> None:
    """RESETKEY: URLs made so far, of a mailbox or of all, admit nobody any more."""
    if any(mechanism != MECHANISM for mechanism in mechanisms):
        session.wire.respond(tag, "BAD", "", f"the only mechanism is {MECHANISM}")
        return
    directory, store = session.context.directory, session.store
    number = None
    if mailbox is not None:
        try:
            number = (await store.call(store.core.mailbox(session.account_id, mailbox))).id
        except _core.NotFound:
            session.wire.respond(tag, "NO", "NONEXISTENT", "no such mailbox")
            return
    await directory.drop_url_keys(session.account_id, number)
    await session.finish(tag, name, f"URLMECH {MECHANISM}", "keys reset")
