"""The errors of the Python side. What a peer may read is `text`; what the log gets beside it is `fields`.

When in doubt an error is temporary: refusing twice is cheap, losing mail is not. Enhanced codes: RFC 3463, RFC 5248.
"""

from __future__ import annotations


class IronpostError(Exception):
    """Base of every error that ironpost raises by intent."""


class UserError(IronpostError):
    """The person at the command line can mend it: shown as one line, never with a traceback."""


class MailError(IronpostError):
    """A refusal that a peer is told.

    `code` and `enhanced` are for SMTP, `imap_code` is the IMAP response code without brackets ("" for none).
    """

    def __init__(
        self,
        text: str,
        *,
        temporary: bool = True,
        code: int | None = None,
        enhanced: str = "",
        imap_code: str = "",
        fields: dict[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.temporary = temporary
        self.code = code if code is not None else (451 if temporary else 550)
        self.enhanced = enhanced or ("4.3.0" if temporary else "5.0.0")
        self.imap_code = imap_code
        self.fields = fields or {}


class AuthenticationError(MailError):
    """Base of what `Authenticator.verify` raises."""


class AuthenticationFailed(AuthenticationError):
    """Unknown account or wrong password; the peer is never told which (RFC 4954 §6, RFC 5530 §3)."""

    def __init__(self, **fields: str) -> None:
        super().__init__(
            "Authentication failed",
            temporary=False,
            code=535,
            enhanced="5.7.8",
            imap_code="AUTHENTICATIONFAILED",
            fields=fields,
        )


class TokenRefused(AuthenticationFailed):
    """A token that is no login here. `why` is for the log alone; the peer is told `status` (RFC 7628 §3.2.2, RFC 6750 §3.1).

    `honest`: clients come to this without fault of theirs, as when a token has just expired.
    """

    def __init__(self, why: str, *, status: str = "invalid_token", honest: bool = False) -> None:
        super().__init__()
        self.why = why
        self.status = status
        self.honest = honest


class AuthenticationBusy(AuthenticationError):
    """Too many passwords are being checked already, or nobody can say now whether a token is good: the client may try again."""

    def __init__(self, **fields: str) -> None:
        super().__init__(
            "Temporary authentication failure, try again",
            code=454,
            enhanced="4.7.0",
            imap_code="UNAVAILABLE",
            fields=fields,
        )


class TooManyFailures(AuthenticationError):
    """Failed logins from this address or for this account have reached their limit; it opens by itself later."""

    def __init__(self, **fields: str) -> None:
        super().__init__(
            "Too many failed logins, try again later",
            code=454,
            enhanced="4.7.0",
            imap_code="UNAVAILABLE",
            fields=fields,
        )


class SaslError(MailError):
    """A SASL message that breaks its mechanism's grammar, or a mechanism that we do not offer."""

    def __init__(self, text: str, *, code: int = 501, enhanced: str = "5.5.2") -> None:
        super().__init__(text, temporary=False, code=code, enhanced=enhanced)


class StreamError(IronpostError):
    """Base of what ends a connection."""


class PeerTimeout(StreamError):
    """The peer did not read or write in the time that its protocol grants."""


class ConnectionLost(StreamError):
    """The connection was reset, or broke beneath us."""


class ServerDraining(StreamError):
    """The server stops, and the session has said that this is a good moment to be told."""


class SessionDismissed(StreamError):
    """The session is to end, and this is a good moment to be told; the text says why and is fit for the peer."""


class DirectoryError(UserError):
    """An edit of the directory that its rules forbid. `code` is one of a closed set, for programs."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class ConfigFault(IronpostError):
    """One fault of a configuration: the key, what is wrong with it, and what would be right."""

    def __init__(self, key: str, wrong: str, right: str) -> None:
        super().__init__(f"{key}: {wrong}; {right}" if right else f"{key}: {wrong}")
        self.key = key
        self.wrong = wrong
        self.right = right


class ConfigError(UserError):
    """All the faults of a configuration at once."""

    def __init__(self, source: str, faults: list[ConfigFault]) -> None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(f"{source}: {count}: " + " | ".join(str(fault) for fault in faults))
        self.source = source
        self.faults = tuple(faults)
