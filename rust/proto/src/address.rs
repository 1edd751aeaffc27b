//! Mailboxes, paths, domains and address literals as SMTP writes them (RFC 5321 §4.1.2, §4.1.3; RFC 6531 §3.3).
