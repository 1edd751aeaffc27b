"""AUTH in a submission session (RFC 4954): the exchange and its verdict are `identity.login`'s."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from ..errors import AuthenticationBusy, AuthenticationFailed, SaslError, TooManyFailures
from ..identity import login
from ..identity.presence import Present
from . import replies
from .replies import Answer

if TYPE_CHECKING:
    from .. import _core
    from .session import Session


def begin(session: Session, event: _core.AuthBegin) -> Awaitable[None] | None:
    """AUTH: refused where it is not offered, else the first step."""
    if not session.policy.offers_auth:
        _done(session, replies.AUTH_NOT_OFFERED)
        return None
    if not session.login_allowed:
        _done(session, replies.AUTH_NEEDS_TLS)
        return None
    authenticator, peer = session.context.authenticator, session.stream.peer.host
    session.exchange = login.begin(authenticator, event.mechanism, peer, "submission", session.wire.tls)
    if session.exchange is None:
        _done(session, replies.AUTH_MECHANISM)
        return None
    return _step(session, event.initial)


def response(session: Session, event: _core.AuthResponse) -> Awaitable[None] | None:
    """The client's answer to a challenge; None is its `*`."""
    if event.data is None or session.exchange is None:
        _done(session, replies.AUTH_CANCELLED)
        return None
    return _step(session, event.data)


async def _step(session: Session, data: bytes | None) -> None:
    context, exchange = session.context, session.exchange
    assert exchange is not None
    try:
        outcome = await exchange.step(data)
    except SaslError as error:
        _done(session, replies.AUTH_FAILED if error.code == 535 else replies.AUTH_MALFORMED)
        return
    except AuthenticationFailed:
        peer = session.stream.peer.host
        context.log.info("login failed", service=session.policy.name, peer=peer, user=exchange.user[:200])
        session.bad_commands += 1
        if session.bad_commands > session.settings.errors_per_session:
            _done(session, replies.AUTH_TOO_MANY)
            session.closing = True
        else:
            _done(session, replies.AUTH_FAILED)
        return
    except AuthenticationBusy:
        _done(session, replies.AUTH_BUSY)
        return
    except TooManyFailures:
        _done(session, replies.AUTH_TOO_MANY)
        session.closing = True
        return
    if isinstance(outcome, bytes):
        session.wire.auth_challenge(outcome)
        return
    session.account = outcome
    session.present = Present(context.session_id(), "submission", outcome, exchange.proof, session.stream)
    session.present.secure = session.wire.secure
    session.present.client = session.hello
    context.presence.enter(session.present)
    session.peer_line = ""
    context.counters.add("smtp_logins")
    _done(session, replies.AUTH_OK)


def _done(session: Session, answer: Answer) -> None:
    session.exchange = None
    session.wire.auth_done(answer.code == 235, answer.code, answer.enhanced, answer.text)
