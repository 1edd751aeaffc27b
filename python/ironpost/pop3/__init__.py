"""POP3 sessions (RFC 1939) over the Rust core."""
