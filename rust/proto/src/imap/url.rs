//! IMAP URLs that name a message or a part of one (RFC 5092), with their authorisation (URLAUTH, RFC 4467, RFC 5092 §6.1).

use super::date_time::internet_date_time;
use super::fault::Fault;
use super::fetch_att::{Partial, Section};
use super::lexer::{Lexer, decimal};

/// Octets of a URL at most.
pub const URL_OCTETS_MAX: usize = 4096;

/// An IMAP URL that names a message, or a part or window of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImapUrl {
    /// Host and port of an absolute one, in lower case; `None`: relative to the server.
    pub server: Option<(String, Option<u16>)>,
    /// Whose mailboxes; "" when it does not say.
    pub user: String,
    /// Unicode; `None`: the selected mailbox.
    pub mailbox: Option<String>,
    /// UIDVALIDITY that the mailbox must have.
    pub uid_validity: Option<u32>,
    /// Which message.
    pub uid: u32,
    /// What of it.
    pub section: Section,
    /// Octets of that: `length` is `u64::MAX` when only the beginning is given.
    pub partial: Option<Partial>,
    /// Of a URL that authorises others.
    pub authorisation: Option<Authorisation>,
}

/// `;EXPIRE=...;URLAUTH=access[:mechanism:token]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorisation {
    /// Unix seconds after which it is void.
    pub expires: Option<i64>,
    /// Whom it admits.
    pub access: Access,
    /// Octets of the URL that the token covers: up to the end of the access identifier.
    pub rump_octets: usize,
    /// Mechanism in upper case, and the token in lower-case hexadecimal; `None`: only the rump was given.
    pub verifier: Option<(String, String)>,
}

/// Access identifiers (RFC 4467 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// `submit+user`: a submission server that acts for that user.
    Submit(String),
    /// `user+user`: that user.
    User(String),
    /// `authuser`: anybody who is logged in.
    AnyUser,
    /// `anonymous`: everybody.
    Anonymous,
}

const MALFORMED: Fault = Fault::syntax("malformed IMAP URL");

impl ImapUrl {
    /// Reads `imapurl` or a relative one: `imap://[user[;AUTH=...]@]host[:port]/mailbox[;UIDVALIDITY=n]/;UID=n[/;SECTION=...]
    /// [/;PARTIAL=...][;EXPIRE=...][;URLAUTH=...]`, `/mailbox...`, or `;UID=...` of the selected mailbox.
    ///
    /// # Errors
    /// A syntax fault for anything else, what names no message included, and above [`URL_OCTETS_MAX`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > URL_OCTETS_MAX || !text.bytes().all(|octet| (0x21..0x7f).contains(&octet)) {
            return Err(MALFORMED);
        }
        let (rest, authorisation) = split_authorisation(text)?;
        let (server, user, path) = match strip_prefix(rest, "imap://") {
            Some(rest) => {
                let (authority, path) = rest.find('/').map(|at| rest.split_at(at)).ok_or(MALFORMED)?;
                let (server, user) = authority_of(authority)?;
                (Some(server), user, path)
            }
            None => (None, String::new(), rest),
        };
        let (mailbox, mut fields) = if path.starts_with(';') {
            (None, path)
        } else {
            let path = path.strip_prefix('/').ok_or(MALFORMED)?;
            let at = find(path, "/;UID=").ok_or(MALFORMED)?;
            let (mailbox, fields) = path.split_at(at);
            (Some(mailbox), &fields[1..])
        };
        let (mailbox, uid_validity) = match mailbox {
            None => (None, None),
            Some(mailbox) => {
                let at = find(mailbox, ";UIDVALIDITY=");
                let (name, validity) = at.map_or((mailbox, None), |at| {
                    (&mailbox[..at], Some(&mailbox[at + ";UIDVALIDITY=".len()..]))
                });
                let name = decode(name)?;
                if name.is_empty() {
                    return Err(MALFORMED);
                }
                let name = if name.eq_ignore_ascii_case("INBOX") {
                    "INBOX".to_owned()
                } else {
                    name
                };
                (Some(name), validity.map(number32).transpose()?)
            }
        };
        let uid = number32(field(&mut fields, ";UID=").ok_or(MALFORMED)?)?;
        let section = section(&decode(field(&mut fields, ";SECTION=").unwrap_or_default())?)?;
        let partial = field(&mut fields, ";PARTIAL=").map(partial).transpose()?;
        if !fields.is_empty() {
            return Err(MALFORMED);
        }
        Ok(Self {
            server,
            user,
            mailbox,
            uid_validity,
            uid,
            section,
            partial,
            authorisation,
        })
    }
}

/// Takes `NAME value` off the front, up to the next slash.
fn field<'a>(fields: &mut &'a str, name: &str) -> Option<&'a str> {
    let rest = strip_prefix(fields, name)?;
    let (value, rest) = rest.split_once('/').unwrap_or((rest, ""));
    *fields = rest;
    Some(value)
}

/// Cuts `[;EXPIRE=date-time];URLAUTH=access[:mechanism:token]` off the end.
fn split_authorisation(text: &str) -> Result<(&str, Option<Authorisation>), Fault> {
    let Some(at) = find(text, ";URLAUTH=") else {
        return if find(text, ";EXPIRE=").is_some() {
            Err(MALFORMED)
        } else {
            Ok((text, None))
        };
    };
    let (before, clause) = text.split_at(at);
    let clause = &clause[";URLAUTH=".len()..];
    let (before, expires) = match find(before, ";EXPIRE=") {
        Some(at) => {
            let line = format!("{}\r\n", &before[at + ";EXPIRE=".len()..]);
            let mut lexer = Lexer::new(line.as_bytes());
            let expires = internet_date_time(&mut lexer).map_err(|_| MALFORMED)?;
            lexer.end().map_err(|_| MALFORMED)?;
            (&before[..at], Some(expires))
        }
        None => (before, None),
    };
    let (access, verifier) = clause
        .split_once(':')
        .map_or((clause, None), |(access, verifier)| (access, Some(verifier)));
    let verifier = match verifier {
        None => None,
        Some(verifier) => {
            let (mechanism, token) = verifier.split_once(':').ok_or(MALFORMED)?;
            let named = !mechanism.is_empty()
                && mechanism
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || b"-.".contains(&octet));
            // RFC 5092 §11, enc-urlauth = 32*HEXDIG
            if !named || token.len() < 32 || !token.bytes().all(|octet| octet.is_ascii_hexdigit()) {
                return Err(MALFORMED);
            }
            Some((mechanism.to_ascii_uppercase(), token.to_ascii_lowercase()))
        }
    };
    let authorisation = Authorisation {
        expires,
        access: access_of(access)?,
        rump_octets: text.len() - clause.len() + access.len(),
        verifier,
    };
    Ok((before, Some(authorisation)))
}

fn access_of(text: &str) -> Result<Access, Fault> {
    let user = |user: &str| decode(user).and_then(|user| if user.is_empty() { Err(MALFORMED) } else { Ok(user) });
    if let Some(name) = strip_prefix(text, "submit+") {
        Ok(Access::Submit(user(name)?))
    } else if let Some(name) = strip_prefix(text, "user+") {
        Ok(Access::User(user(name)?))
    } else if text.eq_ignore_ascii_case("authuser") {
        Ok(Access::AnyUser)
    } else if text.eq_ignore_ascii_case("anonymous") {
        Ok(Access::Anonymous)
    } else {
        Err(MALFORMED)
    }
}

/// `[user[;AUTH=mechanism]@]host[:port]`
fn authority_of(text: &str) -> Result<((String, Option<u16>), String), Fault> {
    let (user, server) = text.rsplit_once('@').unwrap_or(("", text));
    let user = find(user, ";AUTH=").map_or(user, |at| &user[..at]);
    // The colons of an IPv6 address stand within brackets.
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let digits = !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit());
            let port = digits.then(|| port.parse().ok()).flatten().ok_or(MALFORMED)?;
            (host, Some(port))
        }
        _ => (server, None),
    };
    if host.is_empty() {
        return Err(MALFORMED);
    }
    Ok(((decode(host)?.to_ascii_lowercase(), port), decode(user)?))
}

fn section(text: &str) -> Result<Section, Fault> {
    let line = format!("{text}\r\n");
    let mut lexer = Lexer::new(line.as_bytes());
    let section = Section::parse(&mut lexer).map_err(|_| MALFORMED)?;
    lexer.end().map_err(|_| MALFORMED)?;
    Ok(section)
}

/// `partial-range = number ["." nz-number]`
fn partial(text: &str) -> Result<Partial, Fault> {
    let (offset, length) = text
        .split_once('.')
        .map_or((text, None), |(offset, length)| (offset, Some(length)));
    let length = length.map_or(Ok(u64::MAX), number)?;
    if length == 0 {
        return Err(MALFORMED);
    }
    Ok(Partial {
        offset: number(offset)?,
        length,
    })
}

fn number(text: &str) -> Result<u64, Fault> {
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(MALFORMED);
    }
    decimal(text.as_bytes()).ok_or(MALFORMED)
}

/// `nz-number`
fn number32(text: &str) -> Result<u32, Fault> {
    u32::try_from(number(text)?)
        .ok()
        .filter(|&number| number > 0)
        .ok_or(MALFORMED)
}

/// Percent-encoding undone: UTF-8 without NUL, CR and LF.
fn decode(text: &str) -> Result<String, Fault> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let high = rest
            .next()
            .and_then(|digit| char::from(digit).to_digit(16))
            .ok_or(MALFORMED)?;
        let low = rest
            .next()
            .and_then(|digit| char::from(digit).to_digit(16))
            .ok_or(MALFORMED)?;
        octets.push(u8::try_from(high * 16 + low).map_err(|_| MALFORMED)?);
    }
    String::from_utf8(octets)
        .ok()
        .filter(|text| !text.contains(['\0', '\r', '\n']))
        .ok_or(MALFORMED)
}

/// The first place of an ASCII text in whatever case.
fn find(text: &str, wanted: &str) -> Option<usize> {
    let wanted = wanted.as_bytes();
    text.as_bytes()
        .windows(wanted.len())
        .position(|window| window.eq_ignore_ascii_case(wanted))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let begins = text
        .as_bytes()
        .get(..prefix.len())?
        .eq_ignore_ascii_case(prefix.as_bytes());
    begins.then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::imap::fetch_att::SectionText;

    /// Examples of RFC 5092 §4, §6.1.1, §10 and RFC 4469 §5.
    #[test]
    fn examples() {
        let url =
            ImapUrl::parse("imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024")
                .unwrap();
        assert_eq!(url.server, Some(("minbari.example.org".to_owned(), None)));
        assert_eq!(url.mailbox.as_deref(), Some("gray-council"));
        assert_eq!((url.uid_validity, url.uid), (Some(385_759_045), 20));
        assert_eq!(
            url.partial,
            Some(Partial {
                offset: 0,
                length: 1024
            })
        );
        assert_eq!(url.section.text, SectionText::Whole);

        let url = ImapUrl::parse("imap://joe@Example.com:143/INBOX/;uid=20/;section=1.2;urlauth=submit+fred:internal:91354a473744909de610943775f92038").unwrap();
        assert_eq!(url.user, "joe");
        assert_eq!(url.server, Some(("example.com".to_owned(), Some(143))));
        assert_eq!(url.section.path, [1, 2]);
        let authorisation = url.authorisation.unwrap();
        assert_eq!(authorisation.access, Access::Submit("fred".to_owned()));
        let verifier = ("INTERNAL".to_owned(), "91354a473744909de610943775f92038".to_owned());
        assert_eq!(authorisation.verifier, Some(verifier));
        let rump = "imap://joe@Example.com:143/INBOX/;uid=20/;section=1.2;urlauth=submit+fred";
        assert_eq!(authorisation.rump_octets, rump.len());

        let url =
            ImapUrl::parse("/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER.FIELDS%20(From%20%22To%22)").unwrap();
        assert!(matches!(&url.section.text, SectionText::HeaderFields { names, not: false } if names.len() == 2));
        assert!(url.server.is_none() && url.user.is_empty() && url.authorisation.is_none());

        let url = ImapUrl::parse("imap://%E6%97%A5;AUTH=*@[::1]/%E6%97%A5%E6%9C%AC/sub%2Fx/;UID=1;EXPIRE=2006-12-02T00:00:00Z;URLAUTH=anonymous").unwrap();
        assert_eq!(url.user, "日");
        assert_eq!(url.mailbox.as_deref(), Some("日本/sub/x"));
        assert_eq!(url.server, Some(("[::1]".to_owned(), None)));
        let authorisation = url.authorisation.unwrap();
        assert_eq!(
            (authorisation.expires, authorisation.access),
            (Some(1_165_017_600), Access::Anonymous)
        );

        let url = ImapUrl::parse(";UID=7/;PARTIAL=5").unwrap();
        assert_eq!((url.mailbox, url.uid), (None, 7));
        assert_eq!(
            url.partial,
            Some(Partial {
                offset: 5,
                length: u64::MAX
            })
        );
        assert_eq!(
            ImapUrl::parse("/inbox/;UID=7").unwrap().mailbox.as_deref(),
            Some("INBOX")
        );
    }

    #[test]
    fn malformed() {
        for text in [
            "",
            "/",
            "/INBOX",
            "/INBOX/",
            "//;UID=1",
            "/INBOX/;UID=",
            "/INBOX/;UID=0",
            "/INBOX/;UID=4294967296",
            "/INBOX/;UID=1/;SECTION=1.",
            "/INBOX/;UID=1/;SECTION=FOO",
            "/INBOX/;UID=1/;SECTION=TEXT]",
            "/INBOX/;UID=1/;PARTIAL=1.0",
            "/INBOX/;UID=1/;PARTIAL=a",
            "/INBOX/;UID=1/;PARTIAL=1/;SECTION=1",
            "/INBOX/;UID=1;URLAUTH=",
            "/INBOX/;UID=1;URLAUTH=user+",
            "/INBOX/;UID=1;URLAUTH=user+a:INTERNAL",
            "/INBOX/;UID=1;URLAUTH=user+a:INTERNAL:91354a47",
            "/INBOX/;UID=1;URLAUTH=user+a:INTERNAL:91354a473744909de610943775f9203x",
            "/INBOX/;UID=1;EXPIRE=2006-12-02T00:00:00Z",
            "/INBOX/;UID=1;EXPIRE=2006-13-02T00:00:00Z;URLAUTH=anonymous",
            "/INBOX;UIDVALIDITY=x/;UID=1",
            "/%zz/;UID=1",
            "/%00/;UID=1",
            "/%ff/;UID=1",
            "/a b/;UID=1",
            "/\u{e9}/;UID=1",
            "imap:///INBOX/;UID=1",
            "imap://host",
            "imap://host:x/INBOX/;UID=1",
            "http://host/INBOX/;UID=1",
            "INBOX/;UID=1",
        ] {
            assert!(ImapUrl::parse(text).is_err(), "{text}");
        }
        assert!(ImapUrl::parse(&format!("/{}/;UID=1", "a".repeat(URL_OCTETS_MAX))).is_err());
    }

    /// Cuts at octets that are no boundary must not be reached: everything is ASCII by then.
    #[test]
    fn every_prefix_is_answered() {
        let url = "imap://joe;AUTH=*@h:1/a%C3%A9;UIDVALIDITY=1/;UID=2/;SECTION=1.MIME/;PARTIAL=1.2;EXPIRE=2006-12-02T00:00:00.1+01:00;URLAUTH=user+a:INTERNAL:91354a473744909de610943775f92038";
        assert!(ImapUrl::parse(url).is_ok());
        for end in 0..url.len() {
            let _ = ImapUrl::parse(&url[..end]);
        }
    }
}
