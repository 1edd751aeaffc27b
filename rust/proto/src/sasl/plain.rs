//! PLAIN (RFC 4616): one message, `[authzid] NUL authcid NUL passwd`.

use super::Credentials;

/// Octets of each of the three parts (RFC 4616 §2).
pub const PART_OCTETS_MAX: usize = 255;

/// Reads the message; `None` when it is not UTF-8, a part is missing, empty (but the first) or too long.
pub fn parse(message: &[u8]) -> Option<Credentials> {
    let text = std::str::from_utf8(message).ok()?;
    let mut parts = text.split('\0');
    let (authorization, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = |part: &str| part.len() <= PART_OCTETS_MAX;
    if parts.next().is_some()
        || user.is_empty()
        || password.is_empty()
        || ![authorization, user, password].into_iter().all(fits)
    {
        return None;
    }
    Some(Credentials {
        authorization: authorization.into(),
        user: user.into(),
        password: password.into(),
    })
}

/// The message of a client; `None` when a part holds NUL, or user or password is empty.
pub fn message(credentials: &Credentials) -> Option<Vec<u8>> {
    let Credentials {
        authorization,
        user,
        password,
    } = credentials;
    let message = format!("{authorization}\0{user}\0{password}").into_bytes();
    parse(&message).map(|_| message)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn messages_of_the_rfc() {
        let plain = parse("\0tim\0tanstaaftanstaaf".as_bytes()).unwrap();
        assert_eq!((plain.authorization.as_str(), plain.user.as_str()), ("", "tim"));
        let both = parse(b"Ursel\0Kurt\0xipj3plmq").unwrap();
        assert_eq!(
            (both.authorization.as_str(), both.password.as_str()),
            ("Ursel", "xipj3plmq")
        );
        assert_eq!(message(&both).unwrap(), b"Ursel\0Kurt\0xipj3plmq");
    }

    #[test]
    fn malformed_messages() {
        for message in [&b""[..], b"a", b"\0a", b"\0\0b", b"\0a\0", b"\0a\0b\0", b"\0a\0\xff"] {
            assert_eq!(parse(message), None, "{message:?}");
        }
        assert_eq!(parse(format!("\0{}\0b", "u".repeat(256)).as_bytes()), None);
        assert!(parse(format!("\0{}\0b", "u".repeat(255)).as_bytes()).is_some());
    }
}
