"""IMAP URLs as a session reads them: whose message, which octets, and getting them (RFC 5092, RFC 4469 §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import _core

if TYPE_CHECKING:
    from .session import Session

__all__ = ["BadUrl", "Piece", "UrlReader"]

_STEP_OCTETS: Final = 1 << 20  # read at once


class BadUrl(Exception):
    """A URL names nothing that this session may read. `printable`: it may stand in a response code."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(why)
        self.printable = len(url) <= 1000 and all("!" <= character <= "~" and character != "]" for character in url)


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

    async def copy(self, sink: _core.Sink) -> None:
        """Moves them into a sink, in bounded steps. Raises StoreError."""
        store = self._session.store
        if self._fields:
            await store.write_sink(sink, self._fields)
        while self._start < self._end:
            step = min(self._end - self._start, _STEP_OCTETS)
            octets = await store.call(store.core.read_message(self._view, self._uid, self._start, step))
            await store.write_sink(sink, octets)
            self._start += len(octets)


class UrlReader:
    """Opens URLs for one command; each mailbox is opened once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._views: dict[str, _core.MailboxView] = {}

    async def open(self, text: str) -> Piece:
        """What the URL names. Raises BadUrl, and StoreError when the store fails."""
        url = _core.ImapUrl.parse(text)
        if url is None:
            raise BadUrl(text, "the URL is malformed or names no message")
        self._own(text, url)
        store = self._session.store
        try:
            view = await self._view(text, url)
            place = await store.call(store.core.locate(view, url))
        except _core.NotFound:
            raise BadUrl(text, "there is no such mailbox or message") from None
        except _core.StoreCorrupt:
            raise BadUrl(text, "the message is damaged on the server") from None
        if place is None:
            raise BadUrl(text, "the message has no such part")
        return Piece(self._session, view, url.uid, place)

    def _own(self, text: str, url: _core.ImapUrl) -> None:
        """Another server's URLs are never fetched, another user's not without authorisation."""
        host = self._session.context.config.hostname.lower()
        if url.host is not None and url.host != host:
            raise BadUrl(text, "the URL is not of this server")
        account = self._session.account
        if url.access is not None or (url.user and (account is None or url.user.lower() != account.address.lower())):
            raise BadUrl(text, "the URL is not of this user")

    async def _view(self, text: str, url: _core.ImapUrl) -> _core.MailboxView:
        session = self._session
        if url.mailbox is None:
            if session.view is None:
                raise BadUrl(text, "no mailbox is selected that the URL could be relative to")
            return session.view
        view = self._views.get(url.mailbox)
        if view is None:
            store = session.store
            view = await store.call(store.core.open_view(session.account_id, url.mailbox, True))
            self._views[url.mailbox] = view
        if url.uid_validity is not None and url.uid_validity != view.uid_validity:
            raise BadUrl(text, "the mailbox has another UIDVALIDITY")
        return view
