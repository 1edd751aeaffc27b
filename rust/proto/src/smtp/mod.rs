//! SMTP and LMTP (RFC 5321, RFC 2033): server core and client core.
