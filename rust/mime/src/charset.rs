//! Charsets to UTF-8.
use std::borrow::Cow;

/// Text in UTF-8; what cannot be mapped becomes U+FFFD. An unknown label is read as UTF-8.
#[must_use]
pub fn to_utf8<'a>(_label: &[u8], octets: &'a [u8]) -> Cow<'a, str> {
    String::from_utf8_lossy(octets)
}

/// True when the label names a charset that [`to_utf8`] knows (SEARCH CHARSET).
#[must_use]
pub fn is_known(_label: &[u8]) -> bool {
    false
}
