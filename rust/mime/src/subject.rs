//! Base subjects (RFC 5256 §2.1).

/// A subject without its reply and forward marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseSubject {
    /// The base subject in UTF-8.
    pub text: String,
    /// True when a mark of a reply or forward was taken off.
    pub is_reply_or_forward: bool,
}

/// The base subject of a raw Subject value.
#[must_use]
pub fn base_subject(_value: &[u8]) -> BaseSubject {
    BaseSubject { text: String::new(), is_reply_or_forward: false }
}
