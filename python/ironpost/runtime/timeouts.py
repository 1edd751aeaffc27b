"""Named time limits of every wait on a peer, in seconds. RFC 5321 §4.5.3.2, RFC 9051 §5.4, RFC 1939 §3."""

from typing import Final

# SMTP server (RFC 5321 §4.5.3.2.7: at least 5 minutes while waiting for a command)
SMTP_COMMAND: Final = 300.0
SMTP_DATA: Final = 180.0  # §4.5.3.2.5: between two blocks of a body
SMTP_AUTH: Final = 300.0
SMTP_WRITE: Final = 300.0
SMTP_SINK: Final = 120.0  # our own disk takes the body's octets
LMTP_COMMAND: Final = 300.0

# SMTP client (RFC 5321 §4.5.3.2.1 to .6)
CONNECT: Final = 30.0
CLIENT_GREETING: Final = 300.0
CLIENT_HELLO: Final = 300.0
CLIENT_TLS: Final = 120.0
CLIENT_AUTH: Final = 300.0
CLIENT_MAIL: Final = 300.0
CLIENT_RCPT: Final = 300.0
CLIENT_DATA_INIT: Final = 120.0
CLIENT_DATA_BLOCK: Final = 180.0
CLIENT_DATA_END: Final = 600.0
CLIENT_QUIT: Final = 10.0  # the mail has been taken already; politeness has its bounds
CLIENT_WRITE: Final = 180.0

# IMAP (RFC 9051 §5.4: at least 30 minutes once logged in)
IMAP_LOGIN: Final = 180.0
IMAP_IDLE: Final = 1860.0
IMAP_LITERAL: Final = 300.0
IMAP_WRITE: Final = 300.0

# IMAP client (migration): servers of others open large mailboxes slowly
IMAP_CLIENT_GREETING: Final = 60.0
IMAP_CLIENT_REPLY: Final = 300.0
IMAP_CLIENT_LOGOUT: Final = 5.0

# POP3 (RFC 1939 §3: at least 10 minutes)
POP3_LOGIN: Final = 180.0
POP3_IDLE: Final = 660.0
POP3_WRITE: Final = 300.0

# OAuth: a client at login waits for it
OAUTH_REQUEST: Final = 10.0  # one question to the issuer
OAUTH_LOGIN: Final = 25.0  # whatever a token needs: waiting for others' questions, keys, then its own

# All
TLS_HANDSHAKE: Final = 60.0
FAREWELL: Final = 5.0  # a last line to a peer that may not read any more
LINGER: Final = 2.0  # reading away what a peer still sends, so that our last line is not lost to a reset
