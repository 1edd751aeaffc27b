//! Grammar of commands (RFC 5321 §4.1.1 and its extensions): one clean line in, one command out.
//!
//! Order is not judged here (`state`), only form.

use super::event::{Bad, HelloVerb, MailFrom, RcptTo};
use super::{auth, params};
use crate::address::{self, AddressFault, Charset, Path};
use crate::chars;
use crate::error::PeerMisbehaved;

/// What a command's grammar depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// LMTP: LHLO in place of HELO and EHLO (RFC 2033 §4.1).
    pub lmtp: bool,
    /// The client said EHLO or LHLO, so parameters are allowed.
    pub extended: bool,
    /// The open transaction has SMTPUTF8.
    pub smtputf8: bool,
}

/// A well-formed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// HELO, EHLO, LHLO
    Hello(HelloVerb, String),
    /// MAIL
    Mail(MailFrom),
    /// RCPT
    Rcpt(RcptTo),
    /// DATA
    Data,
    /// BDAT (RFC 3030 §2)
    Bdat {
        /// Octets of the chunk.
        size: u64,
        /// `LAST`
        last: bool,
    },
    /// AUTH (RFC 4954 §4)
    Auth {
        /// Upper case.
        mechanism: String,
        /// Decoded initial response.
        initial: Option<Vec<u8>>,
    },
    /// STARTTLS (RFC 3207 §4)
    StartTls,
    /// RSET
    Reset,
    /// VRFY, EXPN
    Verify(&'static str, String),
    /// HELP
    Help,
    /// NOOP
    Noop,
    /// QUIT
    Quit,
}

const UNKNOWN_VERB: Bad = Bad::new(PeerMisbehaved::UnknownVerb, 500, "5.5.1", "Command not recognized");
const NO_ARGUMENT: Bad = Bad::new(PeerMisbehaved::Syntax, 501, "5.5.4", "This command takes no argument");
const BAD_HELLO: Bad = Bad::new(
    PeerMisbehaved::Syntax,
    501,
    "5.5.4",
    "A domain or address literal is required",
);
const BAD_MAIL: Bad = Bad::new(PeerMisbehaved::Syntax, 501, "5.5.2", "Syntax: MAIL FROM:<address>");
const BAD_RCPT: Bad = Bad::new(PeerMisbehaved::Syntax, 501, "5.5.2", "Syntax: RCPT TO:<address>");
const BAD_ARGUMENT: Bad = Bad::new(PeerMisbehaved::Syntax, 501, "5.5.4", "Bad or missing argument");
const BAD_AUTH: Bad = Bad::new(
    PeerMisbehaved::Syntax,
    501,
    "5.5.4",
    "Syntax: AUTH mechanism [initial-response]",
);
const NOT_ASCII: Bad = Bad::new(PeerMisbehaved::NotAscii, 501, "5.5.2", "Only ASCII is allowed here");
/// The chunk that follows cannot be told from commands, so the connection has to end.
const BAD_BDAT: Bad = Bad::new(
    PeerMisbehaved::Syntax,
    421,
    "4.5.4",
    "BDAT without a valid size; closing",
);

type Parser = fn(&[u8], &Context) -> Result<Command, Bad>;

/// Where a verb exists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Both,
    Smtp,
    Lmtp,
}

/// Verb, where it exists, and the parser of what stands behind its space.
const TABLE: &[(&str, Where, Parser)] = &[
    ("MAIL", Where::Both, |text, context| {
        mail(text, context).map(Command::Mail)
    }),
    ("RCPT", Where::Both, |text, context| {
        rcpt(text, context).map(Command::Rcpt)
    }),
    ("DATA", Where::Both, |text, _| bare(text, Command::Data)),
    ("BDAT", Where::Both, |text, _| bdat(text)),
    ("EHLO", Where::Smtp, |text, _| hello(text, HelloVerb::Ehlo)),
    ("HELO", Where::Smtp, |text, _| hello(text, HelloVerb::Helo)),
    ("LHLO", Where::Lmtp, |text, _| hello(text, HelloVerb::Lhlo)),
    ("RSET", Where::Both, |text, _| bare(text, Command::Reset)),
    ("QUIT", Where::Both, |text, _| bare(text, Command::Quit)),
    ("NOOP", Where::Both, |_, _| Ok(Command::Noop)),
    ("HELP", Where::Both, |_, _| Ok(Command::Help)),
    ("VRFY", Where::Both, |text, _| verify(text, "VRFY")),
    ("EXPN", Where::Both, |text, _| verify(text, "EXPN")),
    ("STARTTLS", Where::Both, |text, _| bare(text, Command::StartTls)),
    ("AUTH", Where::Both, |text, _| authenticate(text)),
];

/// Reads one line, without its CRLF and already free of CR, LF and NUL.
///
/// White space before the line end is tolerated (RFC 5321 §4.1.1).
pub fn parse(line: &[u8], context: &Context) -> Result<Command, Bad> {
    let line = trim_end(line);
    let (verb, text) = match memchr::memchr(b' ', line) {
        Some(at) => (
            line.get(..at).unwrap_or_default(),
            line.get(at + 1..).unwrap_or_default(),
        ),
        None => (line, &b""[..]),
    };
    let here = if context.lmtp { Where::Lmtp } else { Where::Smtp };
    TABLE
        .iter()
        .find(|(name, place, _)| {
            verb.eq_ignore_ascii_case(name.as_bytes()) && (*place == Where::Both || *place == here)
        })
        .ok_or(UNKNOWN_VERB)
        .and_then(|(_, _, parser)| parser(text, context))
}

fn trim_end(line: &[u8]) -> &[u8] {
    let kept = line
        .iter()
        .rposition(|&octet| !chars::is(octet, chars::WSP))
        .map_or(0, |at| at + 1);
    line.get(..kept).unwrap_or_default()
}

fn bare(text: &[u8], command: Command) -> Result<Command, Bad> {
    if text.is_empty() { Ok(command) } else { Err(NO_ARGUMENT) }
}

/// `ehlo = "EHLO" SP ( Domain / address-literal ) CRLF`.
///
/// Any printable ASCII word passes: names with underscores and unbracketed addresses are common, and a name must not
/// lead to refusal by itself (RFC 5321 §4.1.4). What does not look like a name at all is refused.
fn hello(text: &[u8], verb: HelloVerb) -> Result<Command, Bad> {
    let word = text
        .split(|&octet| octet == b' ')
        .find(|word| !word.is_empty())
        .unwrap_or_default();
    if !chars::all(word, chars::VCHAR) || word.len() > address::DOMAIN_OCTETS_MAX {
        return Err(BAD_HELLO);
    }
    let name = String::from_utf8(word.to_vec()).map_err(|_| BAD_HELLO)?;
    Ok(Command::Hello(verb, name))
}

/// `"FROM:"` or `"TO:"`, then a path; one space before the path is tolerated, as many clients send it.
fn path<'a>(text: &'a [u8], keyword: &str, syntax: Bad) -> Result<(Result<Path, AddressFault>, &'a [u8]), Bad> {
    let (word, rest) = text.split_at_checked(keyword.len()).ok_or(syntax)?;
    if !word.eq_ignore_ascii_case(keyword.as_bytes()) {
        return Err(syntax);
    }
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    if rest.first() != Some(&b'<') {
        return Err(syntax);
    }
    match address::path(rest, Charset::Utf8) {
        Ok((path, length)) => Ok((Ok(path), rest.get(length..).unwrap_or_default())),
        Err(fault) => Ok((Err(fault), b"")),
    }
}

/// RFC 3463: X.1.3 is a bad destination address, X.1.7 a bad sender's; X.6.7 a non-ASCII one that is not permitted.
fn address_fault(fault: AddressFault, sender: bool) -> Bad {
    match fault {
        AddressFault::NotAscii => Bad::new(PeerMisbehaved::NotAscii, 553, "5.6.7", fault.text()),
        _ => Bad::new(
            PeerMisbehaved::Address,
            501,
            if sender { "5.1.7" } else { "5.1.3" },
            fault.text(),
        ),
    }
}

/// `mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF`
fn mail(text: &[u8], context: &Context) -> Result<MailFrom, Bad> {
    let (path, rest) = path(text, "FROM:", BAD_MAIL)?;
    let path = path.map_err(|fault| address_fault(fault, true))?;
    let mut mail = MailFrom::default();
    params::mail(rest, context.extended, &mut mail)?;
    mail.address = path.to_string();
    match path {
        Path::Null => {}
        // Only a forward-path may be without a domain.
        Path::Postmaster(_) => return Err(address_fault(AddressFault::Syntax, true)),
        Path::Mailbox(mailbox) => (mail.local, mail.domain) = (mailbox.local, mailbox.domain),
    }
    let texts = [Some(&mail.address), mail.auth.as_ref()];
    if !mail.smtputf8 && !texts.into_iter().flatten().all(|text| text.is_ascii()) {
        return Err(address_fault(AddressFault::NotAscii, true));
    }
    Ok(mail)
}

/// `rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP Rcpt-parameters] CRLF`
fn rcpt(text: &[u8], context: &Context) -> Result<RcptTo, Bad> {
    let (path, rest) = path(text, "TO:", BAD_RCPT)?;
    let path = path.map_err(|fault| address_fault(fault, false))?;
    let mut rcpt = RcptTo::default();
    params::rcpt(rest, context.extended, &mut rcpt)?;
    rcpt.address = path.to_string();
    match path {
        Path::Null => return Err(address_fault(AddressFault::Syntax, false)),
        Path::Postmaster(local) => rcpt.local = local,
        Path::Mailbox(mailbox) => (rcpt.local, rcpt.domain) = (mailbox.local, mailbox.domain),
    }
    if !context.smtputf8 && !rcpt.address.is_ascii() {
        return Err(address_fault(AddressFault::NotAscii, false));
    }
    Ok(rcpt)
}

/// `bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ] CR LF` (RFC 3030 §2)
fn bdat(text: &[u8]) -> Result<Command, Bad> {
    let mut words = text.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
    let size = words
        .next()
        .and_then(|digits| chars::number(digits, u64::MAX))
        .ok_or(BAD_BDAT)?;
    let last = match words.next() {
        None => false,
        Some(marker) if marker.eq_ignore_ascii_case(b"LAST") => true,
        Some(_) => return Err(BAD_BDAT),
    };
    if words.next().is_some() {
        return Err(BAD_BDAT);
    }
    Ok(Command::Bdat { size, last })
}

/// `vrfy = "VRFY" SP String CRLF`; printable ASCII.
fn verify(text: &[u8], verb: &'static str) -> Result<Command, Bad> {
    if !text.is_ascii() {
        return Err(NOT_ASCII);
    }
    if !chars::all(text, chars::VCHAR | chars::WSP) {
        return Err(BAD_ARGUMENT);
    }
    let argument = String::from_utf8(text.to_vec()).map_err(|_| BAD_ARGUMENT)?;
    Ok(Command::Verify(verb, argument))
}

/// `auth-command = "AUTH" SP sasl-mech [SP initial-response] *(CRLF [base64]) [CRLF cancel-response] CRLF` (RFC 4954 §8)
fn authenticate(text: &[u8]) -> Result<Command, Bad> {
    let mut words = text.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
    let mechanism = words.next().ok_or(BAD_AUTH)?;
    if mechanism.len() > auth::MECHANISM_OCTETS_MAX || !chars::all(mechanism, chars::SASL_MECHANISM) {
        return Err(BAD_AUTH);
    }
    let mechanism = String::from_utf8(mechanism.to_ascii_uppercase()).map_err(|_| BAD_AUTH)?;
    let initial = words.next().map(auth::initial).transpose()?;
    if words.next().is_some() {
        return Err(BAD_AUTH);
    }
    Ok(Command::Auth { mechanism, initial })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const PLAIN: Context = Context {
        lmtp: false,
        extended: true,
        smtputf8: false,
    };

    fn parsed(line: &str) -> Result<Command, Bad> {
        parse(line.as_bytes(), &PLAIN)
    }

    #[test]
    fn verbs_in_any_case_with_trailing_space() {
        assert_eq!(parsed("rSeT \t"), Ok(Command::Reset));
        assert_eq!(parsed("QUIT"), Ok(Command::Quit));
        assert_eq!(parsed("noop whatever"), Ok(Command::Noop));
        assert_eq!(parsed("help"), Ok(Command::Help));
        assert_eq!(parsed("VRFY joe"), Ok(Command::Verify("VRFY", "joe".to_string())));
        assert_eq!(
            parsed("ehlo  a_b "),
            Ok(Command::Hello(HelloVerb::Ehlo, "a_b".to_string()))
        );
        assert_eq!(parsed("Bdat 10 last"), Ok(Command::Bdat { size: 10, last: true }));
        assert_eq!(parsed("starttls"), Ok(Command::StartTls));
    }

    #[test]
    fn each_fault_has_its_reply() {
        for (line, code, enhanced) in [
            ("", 500, "5.5.1"),
            (" MAIL FROM:<a@b>", 500, "5.5.1"),
            ("MAILFROM:<a@b>", 500, "5.5.1"),
            ("LHLO x", 500, "5.5.1"),
            ("GET / HTTP/1.1", 500, "5.5.1"),
            ("DATA now", 501, "5.5.4"),
            ("RSET x", 501, "5.5.4"),
            ("STARTTLS x", 501, "5.5.4"),
            ("EHLO", 501, "5.5.4"),
            ("EHLO ö", 501, "5.5.4"),
            ("VRFY", 501, "5.5.4"),
            ("VRFY ö", 501, "5.5.2"),
            ("MAIL", 501, "5.5.2"),
            ("MAIL FROM", 501, "5.5.2"),
            ("MAIL FROM:", 501, "5.5.2"),
            ("MAIL FROM:a@b", 501, "5.5.2"),
            ("MAIL TO:<a@b>", 501, "5.5.2"),
            ("MAIL FROM:  <a@b>", 501, "5.5.2"),
            ("MAIL FROM :<a@b>", 501, "5.5.2"),
            ("MAIL FROM:<a@b", 501, "5.1.7"),
            ("MAIL FROM:<postmaster>", 501, "5.1.7"),
            ("MAIL FROM:<ö@b>", 553, "5.6.7"),
            ("MAIL FROM:<a@b>x", 501, "5.5.4"),
            ("MAIL FROM:<a@b> FOO=1", 555, "5.5.4"),
            ("RCPT TO:<>", 501, "5.1.3"),
            ("RCPT TO:<a>", 501, "5.1.3"),
            ("RCPT TO:<a@ö>", 553, "5.6.7"),
            ("BDAT", 421, "4.5.4"),
            ("BDAT x", 421, "4.5.4"),
            ("BDAT -1", 421, "4.5.4"),
            ("BDAT 1 LAST x", 421, "4.5.4"),
            ("BDAT 99999999999999999999", 421, "4.5.4"),
            ("AUTH", 501, "5.5.4"),
            ("AUTH MECHANISM-OF-TWENTYONE", 501, "5.5.4"),
            ("AUTH PLAIN ???", 501, "5.5.2"),
            ("AUTH PLAIN = =", 501, "5.5.4"),
        ] {
            let bad = parsed(line).unwrap_err();
            assert_eq!((bad.code, bad.enhanced), (code, enhanced), "{line}");
        }
    }

    #[test]
    fn lmtp_knows_lhlo_alone() {
        let lmtp = Context { lmtp: true, ..PLAIN };
        assert!(matches!(
            parse(b"LHLO x", &lmtp),
            Ok(Command::Hello(HelloVerb::Lhlo, _))
        ));
        for line in ["EHLO x", "HELO x"] {
            assert_eq!(parse(line.as_bytes(), &lmtp).unwrap_err().code, 500);
        }
    }

    #[test]
    fn paths_and_their_tolerance() {
        let Ok(Command::Mail(mail)) = parsed("MAIL FROM: <\"a b\"@C.D> SIZE=5") else {
            panic!()
        };
        assert_eq!(
            (mail.address.as_str(), mail.local.as_str(), mail.domain.as_str()),
            ("\"a b\"@c.d", "a b", "c.d")
        );
        assert_eq!(mail.size, Some(5));
        let Ok(Command::Mail(mail)) = parsed("mail from:<>") else {
            panic!()
        };
        assert_eq!(mail.address, "");
        let Ok(Command::Mail(mail)) = parsed("MAIL FROM:<ö@ä.example> SMTPUTF8") else {
            panic!()
        };
        assert_eq!(mail.address, "ö@ä.example");
        let Ok(Command::Rcpt(rcpt)) = parsed("RCPT TO:<PostMaster>") else {
            panic!()
        };
        assert_eq!((rcpt.local.as_str(), rcpt.domain.as_str()), ("PostMaster", ""));
        let wide = Context {
            smtputf8: true,
            ..PLAIN
        };
        assert!(parse("RCPT TO:<ö@b>".as_bytes(), &wide).is_ok());
    }

    #[test]
    fn auth_and_its_initial_response() {
        let initial = |line: &str| match parsed(line) {
            Ok(Command::Auth { mechanism, initial }) => (mechanism, initial),
            other => panic!("{other:?}"),
        };
        assert_eq!(initial("auth plain"), ("PLAIN".to_string(), None));
        assert_eq!(initial("AUTH PLAIN ="), ("PLAIN".to_string(), Some(Vec::new())));
        assert_eq!(
            initial("AUTH PLAIN AGEAYg=="),
            ("PLAIN".to_string(), Some(b"\0a\0b".to_vec()))
        );
    }
}
