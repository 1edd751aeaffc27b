"""CAPABILITY, ID, ENABLE, STARTTLS, LOGIN, AUTHENTICATE, LOGOUT (RFC 9051 §6.1, §6.2; RFC 2971; RFC 5161)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import __version__
from ...errors import AuthenticationBusy, AuthenticationFailed, SaslError, TooManyFailures
from ...identity import login as logins
from ...identity.presence import Present
from .. import sync
from ..capability import ENABLEABLE

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["begin", "capability", "enable", "identify", "login", "logout", "response", "starttls", "unauthenticate"]


async def capability(session: Session, tag: str, name: str) -> None:
    """CAPABILITY."""
    session.wire.untagged(f"CAPABILITY {session.capabilities}")
    await session.finish(tag, name)


async def identify(session: Session, tag: str, name: str, fields: dict[str, str | None] | None) -> None:
    """ID: who we are; what the client says goes to the log, cut short, and may choose a mask (docs/compatibility.md)."""
    if fields:
        names = (value for key, value in fields.items() if key.lower() == "name")
        session.client_name = (next(names, None) or "")[:100]
        if session.present is not None:
            session.present.client = session.client_name
        session.log.debug(
            "imap client", **{f"client_{key.lower()[:30]}": (value or "")[:100] for key, value in fields.items()}
        )
    session.wire.untagged_id([("name", "ironpost"), ("version", __version__)])
    await session.finish(tag, name)


async def enable(session: Session, tag: str, name: str, wanted: tuple[str, ...]) -> None:
    """ENABLE: unknown names are ignored (RFC 5161 §3.1)."""
    hide = session.hidden_capabilities
    enabled = [entry for entry in dict.fromkeys(wanted) if entry in ENABLEABLE and entry not in hide]
    if "IMAP4REV2" in enabled:
        session.rev2 = True
        session.wire.enable_rev2()
        if session.view is not None:
            session.view.hide_recent()
    if "UTF8=ACCEPT" in enabled:
        session.wire.enable_utf8()
    if "CONDSTORE" in enabled:
        sync.enable_modseqs(session)
    if "QRESYNC" in enabled:
        sync.enable_vanished(session)
    if "UIDONLY" in enabled:
        sync.enable_uids_only(session)
    session.wire.untagged("ENABLED" + "".join(f" {entry}" for entry in enabled).replace("IMAP4REV2", "IMAP4rev2"))
    await session.finish(tag, name)


async def starttls(session: Session, tag: str, name: str) -> None:
    """STARTTLS: octets that came with it end the connection (the injection class of CVE-2011-0411)."""
    config = session.context.certificates.current
    if session.wire.compressed:
        # RFC 4978 §3: compression lies within TLS; after UNAUTHENTICATE it is too late for that order.
        session.wire.respond(tag, "BAD", "", "compression is active already")
        return
    if session.wire.secure or config is None:
        session.wire.respond(tag, "BAD", "", "TLS is active already" if session.wire.secure else "TLS is not available")
        return
    session.wire.start_tls(config, tag, "begin TLS now")


async def login(session: Session, tag: str, name: str, user: str, password: str) -> None:
    """LOGIN: refused in cleartext outside loopback (RFC 9051 §6.2.3)."""
    if not session.login_allowed:
        session.wire.respond(tag, "NO", "PRIVACYREQUIRED", "start TLS first")
        return
    authenticator, host = session.context.authenticator, session.stream.peer.host
    session.exchange = logins.with_password(authenticator, user, password, host, "imap")
    await _step(session, tag, None)


async def begin(session: Session, mechanism: str, initial: bytes | None) -> None:
    """AUTHENTICATE with an optional initial response (RFC 4959)."""
    tag = session.wire.auth_tag
    if not session.login_allowed:
        session.wire.respond(tag, "NO", "PRIVACYREQUIRED", "start TLS first")
        return
    authenticator, peer = session.context.authenticator, session.stream.peer.host
    session.exchange = logins.begin(authenticator, mechanism, peer, "imap", session.wire.tls)
    if session.exchange is None:
        session.wire.respond(tag, "NO", "CANNOT", "that mechanism is not offered")
        return
    await _step(session, tag, initial)


async def response(session: Session, data: bytes | None) -> None:
    """The client's next line of an exchange."""
    tag = session.wire.auth_tag
    if data is None:
        session.exchange = None
        session.wire.respond(tag, "BAD", "", "authentication cancelled")
        return
    await _step(session, tag, data)


async def _step(session: Session, tag: str, data: bytes | None) -> None:
    exchange = session.exchange
    assert exchange is not None
    try:
        outcome = await exchange.step(data)
    except SaslError as error:
        _refuse(session, tag, "AUTHENTICATIONFAILED", str(error))
        return
    except TooManyFailures:
        session.wire.respond("*", "BYE", "UNAVAILABLE", "too many failed logins, try again later")
        _refuse(session, tag, "UNAVAILABLE", "too many failed logins, try again later")
        session.closing = True
        return
    except AuthenticationBusy:
        _refuse(session, tag, "UNAVAILABLE", "the server is busy, try again")
        return
    except AuthenticationFailed:
        session.log.info("login failed", user=exchange.user[:200])
        _refuse(session, tag, "AUTHENTICATIONFAILED", exchange.refusal)
        return
    if isinstance(outcome, bytes):
        session.wire.auth_challenge(outcome)
        return
    session.exchange = None
    session.account = outcome
    session.present = Present(session.log.reference, "imap", outcome, exchange.proof, session.stream)
    session.present.secure = session.wire.secure
    session.present.client = session.client_name
    session.context.presence.enter(session.present)
    session.log = session.log.bind(account=outcome.address)
    session.wire.authenticated()
    session.context.counters.add("imap_logins")
    session.wire.respond(tag, "OK", f"CAPABILITY {session.capabilities}", "logged in")


def _refuse(session: Session, tag: str, code: str, text: str) -> None:
    session.exchange = None
    session.wire.respond(tag, "NO", code, text)


async def unauthenticate(session: Session, tag: str, name: str) -> None:
    """UNAUTHENTICATE (RFC 8437): the connection is as before login, TLS and compression go on. Removes nothing."""
    session.view = None
    session.mailbox_gone = False
    session.rev2 = session.condstore = session.qresync = session.uid_only = False
    session.watch = None
    session.account = None
    session.context.presence.leave(session.present)
    session.present = None
    session.log = session.log.bind(account=None)
    session.wire.unauthenticated()
    session.wire.respond(tag, "OK", f"CAPABILITY {session.capabilities}", f"{name} completed")


async def logout(session: Session, tag: str, name: str) -> None:
    """LOGOUT: BYE, then OK, then close."""
    session.wire.respond("*", "BYE", "", "logging out")
    session.wire.respond(tag, "OK", "", "LOGOUT completed")
    session.wire.logout()
    session.closing = True
