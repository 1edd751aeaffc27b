//! IMAP BODY and BODYSTRUCTURE.
use crate::structure::Structure;

/// Appends the parenthesised BODY, or BODYSTRUCTURE when `extended` (RFC 9051 §7.5.2).
pub fn bodystructure(_message: &[u8], _structure: &Structure, _extended: bool, _out: &mut Vec<u8>) {}
