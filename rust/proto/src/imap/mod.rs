//! IMAP4rev1 and IMAP4rev2 (RFC 3501, RFC 9051): types, grammar, server core.

pub mod fetch_att;
pub mod quoting;
pub mod search_key;
pub mod sequence;
