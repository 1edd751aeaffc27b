//! One POP3 command line to one command (RFC 1939 §3, §9; RFC 5034 §4; RFC 6856 §2, §3).
//!
//! Keywords in any case; arguments behind one space each. Message numbers are 1 to 4294967295. USER and PASS take the
//! whole rest of the line, spaces included, in UTF-8.

use crate::error::PeerMisbehaved;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A well-formed command other than AUTH.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// `USER name`
    User(String),
    /// `PASS string`
    Pass(String),
    /// `STAT`
    Stat,
    /// `LIST [number]`
    List(Option<u32>),
    /// `RETR number`
    Retr(u32),
    /// `DELE number`
    Dele(u32),
    /// `NOOP`
    Noop,
    /// `RSET`
    Rset,
    /// `QUIT`
    Quit,
    /// `TOP number lines`
    Top(u32, u32),
    /// `UIDL [number]`
    Uidl(Option<u32>),
    /// `CAPA`
    Capa,
    /// `STLS`
    Stls,
    /// `UTF8`
    Utf8,
    /// `LANG [tag]`: a language tag of RFC 5646, or `*`
    Lang(Option<String>),
}

impl Command {
    /// The keyword, in upper case.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::User(_) => "USER",
            Self::Pass(_) => "PASS",
            Self::Stat => "STAT",
            Self::List(_) => "LIST",
            Self::Retr(_) => "RETR",
            Self::Dele(_) => "DELE",
            Self::Noop => "NOOP",
            Self::Rset => "RSET",
            Self::Quit => "QUIT",
            Self::Top(..) => "TOP",
            Self::Uidl(_) => "UIDL",
            Self::Capa => "CAPA",
            Self::Stls => "STLS",
            Self::Utf8 => "UTF8",
            Self::Lang(_) => "LANG",
        }
    }
}

impl std::fmt::Debug for Command {
    /// The keyword only: arguments may be secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A parsed line.
#[derive(PartialEq, Eq)]
pub(super) enum Parsed {
    Command(Command),
    Auth {
        mechanism: String,
        initial: Option<Vec<u8>>,
    },
}

impl Parsed {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Command(command) => command.name(),
            Self::Auth { .. } => "AUTH",
        }
    }
}

/// What is wrong with a line, and a text for the peer.
pub(super) type Fault = (PeerMisbehaved, &'static str);

/// Longest mechanism name (RFC 4422 §3.1).
const MECHANISM_OCTETS_MAX: usize = 20;

/// Longest language tag: RFC 5646 §4.4.1 advises room for 35.
const LANGUAGE_OCTETS_MAX: usize = 35;

/// Parses a line without its CRLF.
pub(super) fn parse(line: &[u8]) -> Result<Parsed, Fault> {
    let (keyword, rest) = match memchr::memchr(b' ', line) {
        Some(at) => (
            line.get(..at).unwrap_or_default(),
            Some(line.get(at + 1..).unwrap_or_default()),
        ),
        None => (line, None),
    };
    let is = |name: &str| keyword.eq_ignore_ascii_case(name.as_bytes());
    let command = if is("USER") {
        Command::User(whole(rest)?)
    } else if is("PASS") {
        Command::Pass(whole(rest)?)
    } else if is("AUTH") {
        return auth(rest);
    } else {
        // Space behind the last argument is harmless and some clients send it.
        let rest = rest.map(trim_end).filter(|rest| !rest.is_empty());
        if is("STAT") {
            none(rest, Command::Stat)?
        } else if is("LIST") {
            Command::List(rest.map(number).transpose()?)
        } else if is("UIDL") {
            Command::Uidl(rest.map(number).transpose()?)
        } else if is("RETR") {
            Command::Retr(number(rest.ok_or(MISSING)?)?)
        } else if is("DELE") {
            Command::Dele(number(rest.ok_or(MISSING)?)?)
        } else if is("TOP") {
            let rest = rest.ok_or(MISSING)?;
            let at = memchr::memchr(b' ', rest).ok_or(MISSING)?;
            let lines = digits(rest.get(at + 1..).unwrap_or_default())?;
            Command::Top(number(rest.get(..at).unwrap_or_default())?, lines)
        } else if is("NOOP") {
            none(rest, Command::Noop)?
        } else if is("RSET") {
            none(rest, Command::Rset)?
        } else if is("QUIT") {
            none(rest, Command::Quit)?
        } else if is("CAPA") {
            none(rest, Command::Capa)?
        } else if is("STLS") {
            none(rest, Command::Stls)?
        } else if is("UTF8") {
            none(rest, Command::Utf8)?
        } else if is("LANG") {
            Command::Lang(rest.map(language).transpose()?)
        } else {
            return Err((PeerMisbehaved::UnknownVerb, "unknown command"));
        }
    };
    Ok(Parsed::Command(command))
}

const MISSING: Fault = (PeerMisbehaved::Syntax, "argument missing");

fn none(rest: Option<&[u8]>, command: Command) -> Result<Command, Fault> {
    match rest {
        None => Ok(command),
        Some(_) => Err((PeerMisbehaved::Syntax, "this command takes no argument")),
    }
}

fn whole(rest: Option<&[u8]>) -> Result<String, Fault> {
    let rest = rest.filter(|rest| !rest.is_empty()).ok_or(MISSING)?;
    match std::str::from_utf8(rest) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err((PeerMisbehaved::NotAscii, "neither ASCII nor UTF-8")),
    }
}

fn trim_end(octets: &[u8]) -> &[u8] {
    let length = octets.iter().rposition(|octet| *octet != b' ').map_or(0, |at| at + 1);
    octets.get(..length).unwrap_or_default()
}

/// A message number: they begin with 1 (RFC 1939 §5).
fn number(octets: &[u8]) -> Result<u32, Fault> {
    match digits(octets)? {
        0 => Err((PeerMisbehaved::Syntax, "message numbers begin with 1")),
        number => Ok(number),
    }
}

/// A language tag: letters, digits and hyphens (RFC 5646 §2.1), or `*` for the server's own choice.
fn language(octets: &[u8]) -> Result<String, Fault> {
    let is_tag = octets
        .iter()
        .all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-');
    if octets != b"*" && (!is_tag || octets.len() > LANGUAGE_OCTETS_MAX) {
        return Err((PeerMisbehaved::Syntax, "not a language tag"));
    }
    Ok(octets.iter().copied().map(char::from).collect())
}

fn digits(octets: &[u8]) -> Result<u32, Fault> {
    if octets.is_empty() || octets.len() > 10 || !octets.iter().all(u8::is_ascii_digit) {
        return Err((PeerMisbehaved::Syntax, "not a number in range"));
    }
    let value = octets
        .iter()
        .fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    u32::try_from(value).map_err(|_| (PeerMisbehaved::Syntax, "not a number in range"))
}

/// `AUTH mechanism [initial-response]` (RFC 5034 §4); "=" is an initial response of no octets.
fn auth(rest: Option<&[u8]>) -> Result<Parsed, Fault> {
    let rest = rest.map(trim_end).filter(|rest| !rest.is_empty()).ok_or(MISSING)?;
    let (name, initial) = match memchr::memchr(b' ', rest) {
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
        None => (rest, None),
    };
    let legal = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-' || *octet == b'_';
    if name.is_empty() || name.len() > MECHANISM_OCTETS_MAX || !name.iter().all(legal) {
        return Err((PeerMisbehaved::Syntax, "not a mechanism name"));
    }
    let initial = match initial {
        None => None,
        Some(b"=") => Some(Vec::new()),
        Some(text) => Some(base64(text)?),
    };
    Ok(Parsed::Auth {
        mechanism: name
            .iter()
            .map(|octet| char::from(octet.to_ascii_uppercase()))
            .collect(),
        initial,
    })
}

/// Decodes one line of a SASL exchange.
pub(super) fn base64(text: &[u8]) -> Result<Vec<u8>, Fault> {
    STANDARD
        .decode(text)
        .map_err(|_| (PeerMisbehaved::Base64, "not base64"))
}
