"""What verifying a login may raise; defined with the other errors, named here for the sessions."""

from ..errors import (
    AuthenticationBusy,
    AuthenticationError,
    AuthenticationFailed,
    SaslError,
    TooManyFailures,
)

__all__ = ["AuthenticationBusy", "AuthenticationError", "AuthenticationFailed", "SaslError", "TooManyFailures"]
