//! IMAP ENVELOPE.

/// Appends the parenthesised ENVELOPE of a header section (RFC 9051 §7.5.2).
pub fn envelope(_header: &[u8], _out: &mut Vec<u8>) {}
