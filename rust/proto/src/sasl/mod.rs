//! SASL mechanisms as step functions (RFC 4422): wire form only, no user look-up and no comparison of secrets inside.

pub mod login;
pub mod plain;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Decodes base64 with its padding and no white space (RFC 4648 §4); `None` when it is anything else.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Appends base64 with padding.
pub fn encode(data: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(STANDARD.encode(data).as_bytes());
}

/// Who a client says it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// As whom to act; empty: as the user.
    pub authorization: String,
    /// Whose password it is.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn base64_is_strict() {
        assert_eq!(decode(b"AGEAYg==").unwrap(), b"\0a\0b");
        assert_eq!(decode(b"").unwrap(), b"");
        for text in [
            &b"AGEAYg"[..],
            b"AGEAYg= =",
            b"A",
            b"AGEA\r\nYg==",
            b"====",
            b"AGEAYg==x",
            b"-_-_",
            b"AGEAYh==",
        ] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let credentials = Credentials {
            authorization: String::new(),
            user: "u".into(),
            password: "secret".into(),
        };
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
