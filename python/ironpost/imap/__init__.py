"""IMAP4rev1 and IMAP4rev2 sessions (RFC 3501, RFC 9051) over the Rust core."""
