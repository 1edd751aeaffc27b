//! Message-IDs for threading (RFC 5256 §3).

/// The message IDs in a Message-ID, References or In-Reply-To value, normalised, without angle brackets.
#[must_use]
pub fn message_ids(_value: &[u8]) -> Vec<Vec<u8>> {
    Vec::new()
}
