"""Every reply of the SMTP family, once (RFC 5321 §4.2, enhanced codes of RFC 3463 and RFC 5248).

A text says what is wrong and what the sender can do; it never shows a path, an exception or an account's existence
beyond what the code itself tells. Texts with `{...}` are filled by `Answer.with_`.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Answer(NamedTuple):
    """One reply: what `SmtpServer.reply` takes."""

    code: int
    enhanced: str
    text: str

    def with_(self, **values: object) -> Answer:
        """The same reply with its blanks filled. Values must be free of CR and LF: the core refuses them."""
        return self._replace(text=self.text.format(**values))


# -- transaction
SENDER_OK: Final = Answer(250, "2.1.0", "Sender OK")
RECIPIENT_OK: Final = Answer(250, "2.1.5", "Recipient OK")
RESET_OK: Final = Answer(250, "2.0.0", "Reset")
CHUNK_OK: Final = Answer(250, "2.0.0", "{size} octets received")
STORED: Final = Answer(250, "2.0.0", "Stored as {id}")
BYE: Final = Answer(221, "2.0.0", "{hostname} closing connection")
NOOP_OK: Final = Answer(250, "2.0.0", "OK")
HELP: Final = Answer(214, "2.0.0", "See RFC 5321; postmaster@{hostname} is a person")
VERIFY: Final = Answer(252, "2.5.2", "Cannot verify, but will take a message and try")
EXPAND: Final = Answer(502, "5.7.0", "Lists are not expanded here")

# -- refused senders and recipients
RELAY_DENIED: Final = Answer(554, "5.7.1", "Relay access denied")
LMTP_NOT_LOCAL: Final = Answer(550, "5.7.1", "Not a domain of this server")
UNKNOWN_USER: Final = Answer(550, "5.1.1", "No such user here")
LITERAL_REFUSED: Final = Answer(550, "5.1.2", "Mail to address literals is not relayed")
BAD_RECIPIENT_DOMAIN: Final = Answer(550, "5.1.2", "The recipient's domain is not a domain name")
TOO_MANY_RECIPIENTS: Final = Answer(452, "4.5.3", "Too many recipients, send the rest in another transaction")
NO_RECIPIENTS: Final = Answer(554, "5.5.1", "No valid recipients")
SENDER_NOT_ALLOWED: Final = Answer(553, "5.7.1", "Sender address is not owned by the authenticated user")
HELLO_FIRST: Final = Answer(503, "5.5.1", "Send EHLO first")
AUTH_REQUIRED: Final = Answer(530, "5.7.0", "Authentication required")
MAILBOX_FULL: Final = Answer(552, "5.2.2", "Mailbox is full")
MAILBOX_FULL_NOW: Final = Answer(452, "4.2.2", "Mailbox is full, try again later")
ALIAS_MEMBER_FULL: Final = Answer(552, "5.2.2", "A mailbox behind this address is full; the others have the message")
SOME_MAILBOX_FULL: Final = Answer(452, "4.2.2", "A recipient's mailbox is full, nothing was delivered, send it again")
NOTHING_SENT: Final = Answer(552, "5.2.2", "A recipient's mailbox is full, the message was sent to nobody")
SEND_APART: Final = Answer(452, "4.5.3", "Send to this recipient in a transaction of its own: a mailbox is nearly full")
UTF8_REFUSED: Final = Answer(553, "5.6.7", "SMTPUTF8 is needed for this address")

# -- refused messages
SIZE_REFUSED: Final = Answer(552, "5.3.4", "Message is larger than {limit} octets")
HEADER_TOO_BIG: Final = Answer(552, "5.3.4", "Header section is larger than {limit} octets")
BARE_CR: Final = Answer(550, "5.6.0", "Message holds a bare CR: lines must end in CRLF (RFC 5321 section 2.3.8)")
BARE_LF: Final = Answer(550, "5.6.0", "Message holds a bare LF: lines must end in CRLF (RFC 5321 section 2.3.8)")
NUL: Final = Answer(550, "5.6.0", "Message holds a NUL octet (RFC 5321 section 4.5.2)")
LOOP: Final = Answer(554, "5.4.6", "Mail loop: more than {limit} Received fields")

# -- trouble of ours
DISK_FULL: Final = Answer(452, "4.3.1", "Insufficient storage, try again later")
STORE_BUSY: Final = Answer(451, "4.3.2", "Server is busy, try again later")
OUTCOME_UNKNOWN: Final = Answer(451, "4.3.0", "The message may not have been stored, send it again")
STORE_ERROR: Final = Answer(451, "4.3.0", "Storing the message failed, try again later (reference {id})")
INTERNAL: Final = Answer(421, "4.3.0", "Internal error, closing connection (reference {id})")
DRAINING: Final = Answer(421, "4.3.2", "{hostname} is stopping, try again later")
DISMISSED: Final = Answer(421, "4.7.0", "Closing connection: {why}")
TIMEOUT: Final = Answer(421, "4.4.2", "{hostname} timed out waiting for you")
TOO_MANY_ERRORS: Final = Answer(421, "4.7.0", "Too many errors, closing connection")
NO_PROGRESS: Final = Answer(421, "4.7.0", "Too many commands without a message, closing connection")

# -- TLS and AUTH
TLS_READY: Final = Answer(220, "2.0.0", "Ready to start TLS")
TLS_ACTIVE: Final = Answer(503, "5.5.1", "TLS is already active")
TLS_UNAVAILABLE: Final = Answer(454, "4.7.0", "TLS is not available now")
AUTH_OK: Final = Answer(235, "2.7.0", "Authentication succeeded")
AUTH_FAILED: Final = Answer(535, "5.7.8", "Authentication failed")
AUTH_BUSY: Final = Answer(454, "4.7.0", "Authentication is not possible now, try again later")
AUTH_TOO_MANY: Final = Answer(421, "4.7.0", "Too many failed logins, try again later")
AUTH_CANCELLED: Final = Answer(501, "5.7.0", "Authentication cancelled")
AUTH_MALFORMED: Final = Answer(501, "5.5.2", "Malformed authentication data")
AUTH_NOT_OFFERED: Final = Answer(503, "5.5.1", "AUTH is not offered here")
AUTH_NEEDS_TLS: Final = Answer(538, "5.7.11", "Encryption is required for authentication")
AUTH_MECHANISM: Final = Answer(504, "5.5.4", "Authentication mechanism is not offered")
