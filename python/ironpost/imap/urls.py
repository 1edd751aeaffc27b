"""IMAP URLs as a session reads them: whose message, which octets, and getting them (RFC 5092, RFC 4469 §3, RFC 4467).

A mailbox's access key lies in the directory; a token is a keyed hash of the URL up to its access identifier, so that whoever
has it has no other URL. The key is made with the first URL and goes with RESETKEY.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from .. import _core
from . import namespaces

if TYPE_CHECKING:
    from ..state.directory import Account
    from .session import Session

__all__ = ["MECHANISM", "BadUrl", "Piece", "UrlReader", "authorise"]

MECHANISM: Final = "INTERNAL"
_STEP_OCTETS: Final = 1 << 20  # read at once
_TOKEN_VERSION: Final = "01"  # the first octet of every token


class BadUrl(Exception):
    """A URL names nothing that this session may read. `code`: the response code (RFC 4469 §4), "" when the URL can't stand in
    one."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(why)
        printable = len(url) <= 1000 and all("!" <= character <= "~" and character != "]" for character in url)
        self.code = f"BADURL {url}" if printable else ""


class Piece:
    """Octets that a URL names."""

    __slots__ = ("_end", "_fields", "_session", "_start", "_uid", "_view", "octets")

    def __init__(self, session: Session, view: _core.MailboxView, uid: int, place: tuple[int, int] | bytes) -> None:
        self._session = session
        self._view = view
        self._uid = uid
        self._fields = place if isinstance(place, bytes) else b""
        self._start, self._end = (0, 0) if isinstance(place, bytes) else place
        self.octets = len(self._fields) or self._end - self._start

    async def read(self) -> AsyncIterator[bytes]:
        """In bounded steps. Raises StoreError."""
        store = self._session.store
        if self._fields:
            yield self._fields
        start = self._start
        while start < self._end:
            step = min(self._end - start, _STEP_OCTETS)
            octets: bytes = await store.call(store.core.read_message(self._view, self._uid, start, step))
            if not octets:
                raise _core.StoreCorrupt("the message is shorter than its part table says")
            yield octets
            start += len(octets)

    async def copy(self, sink: _core.Sink) -> None:
        """Moves them into a sink. Raises StoreError."""
        async for octets in self.read():
            await self._session.store.write_sink(sink, octets)


class UrlReader:
    """Opens URLs for one command; each mailbox is opened once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._views: dict[tuple[int, str], _core.MailboxView] = {}

    async def open(self, text: str) -> Piece:
        """What a URL of the session's own mail, or one that admits it, names. Raises BadUrl and StoreError."""
        url = _parsed(text)
        if url.access is not None:
            return await self._open_authorised(text, url)
        _require_own_server(self._session, text, url)
        account = self._session.account
        if account is None or (url.user and url.user.lower() != account.address.lower()):
            raise BadUrl(text, "the URL is not of this user")
        return await self._open(text, url, account)

    async def open_authorised(self, text: str) -> Piece:
        """What a URL names that admits this session. Raises BadUrl and StoreError."""
        return await self._open_authorised(text, _parsed(text))

    async def _open_authorised(self, text: str, url: _core.ImapUrl) -> Piece:
        _require_own_server(self._session, text, url)
        if url.access is None or url.verifier is None or url.mailbox is None or not url.host:
            raise BadUrl(text, "the URL has no authorisation")
        owner = self._session.context.directory.account(url.user) if "@" in url.user else None
        if owner is None:
            raise BadUrl(text, "there is no such user")
        if url.expires is not None and url.expires < time.time():
            raise BadUrl(text, "the URL has expired")
        self._require_admitted(text, url)
        view = await self._view(text, url, owner)
        key = self._session.context.directory.url_key(owner.id, view.mailbox)
        mechanism, token = url.verifier
        if key is None or mechanism != MECHANISM or not hmac.compare_digest(token, _token(key, url.rump)):
            raise BadUrl(text, "the URL's token is not valid")
        return await self._open(text, url, owner)

    def _require_admitted(self, text: str, url: _core.ImapUrl) -> None:
        """RFC 4467 §2. `submit+` admits submission servers, which none of the sessions here is."""
        kind, user = url.access or ("", "")
        account = self._session.account
        if account is None or kind == "submit" or (kind == "user" and user.lower() != account.address.lower()):
            raise BadUrl(text, "the URL admits somebody else")

    async def _open(self, text: str, url: _core.ImapUrl, owner: Account) -> Piece:
        store = self._session.store
        view = await self._view(text, url, owner)
        try:
            place = await store.call(store.core.locate(view, url))
        except _core.NotFound:
            raise BadUrl(text, "there is no such message") from None
        except _core.StoreCorrupt:
            raise BadUrl(text, "the message is damaged on the server") from None
        if place is None:
            raise BadUrl(text, "the message has no such part")
        return Piece(self._session, view, url.uid, place)

    async def _view(self, text: str, url: _core.ImapUrl, owner: Account) -> _core.MailboxView:
        session = self._session
        if url.mailbox is None:
            if session.view is None:
                raise BadUrl(text, "no mailbox is selected that the URL could be relative to")
            if "r" not in namespaces.rights_of(session, session.view):
                raise BadUrl(text, "the selected mailbox may not be read any more")
            return session.view
        view = self._views.get((owner.id, url.mailbox))
        if view is None:
            store = session.store
            # Others' URLs name mailboxes of their own; this session's are named as it sees them.
            own = owner.id == session.account_id
            try:
                found = await namespaces.find(session, url.mailbox, "r") if own else None
                account, name = (owner.id, url.mailbox) if found is None else (found.owner.id, found.name)
                view = await store.call(store.core.open_view(account, name, True))
                if own:
                    namespaces.require(namespaces.rights_of(session, view), "r")
            except namespaces.NoRight as error:
                raise BadUrl(text, str(error)) from None
            except _core.NotFound:
                raise BadUrl(text, "there is no such mailbox") from None
            self._views[owner.id, url.mailbox] = view
        if url.uid_validity is not None and url.uid_validity != view.uid_validity:
            raise BadUrl(text, "the mailbox has another UIDVALIDITY")
        return view


async def authorise(session: Session, rump: str) -> str:
    """The URL that a rump becomes with its token. Raises BadUrl (RFC 4467 §7), StoreError."""
    url = _parsed(rump)
    _require_own_server(session, rump, url)
    account = session.account
    if account is None or url.host is None or url.user.lower() != account.address.lower():
        raise BadUrl(rump, "only for URLs with this server and this user in them")
    if url.access is None or url.verifier is not None or url.rump != rump:
        raise BadUrl(rump, "the URL must end with its access identifier")
    store = session.store
    try:
        mailbox = await store.call(store.core.mailbox(account.id, url.mailbox or ""))
    except _core.NotFound:
        raise BadUrl(rump, "there is no such mailbox") from None
    key = await session.context.directory.make_url_key(account.id, mailbox.id)
    return f"{rump}:{MECHANISM}:{_token(key, rump)}"


def _parsed(text: str) -> _core.ImapUrl:
    url = _core.ImapUrl.parse(text)
    if url is None:
        raise BadUrl(text, "the URL is malformed or names no message")
    return url


def _require_own_server(session: Session, text: str, url: _core.ImapUrl) -> None:
    """Another server's URLs are never fetched."""
    if url.host is not None and url.host != session.context.config.hostname.lower():
        raise BadUrl(text, "the URL is not of this server")


def _token(key: bytes, rump: str) -> str:
    return _TOKEN_VERSION + hmac.digest(key, rump.encode(), hashlib.sha256).hex()
