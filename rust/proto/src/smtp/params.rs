//! Parameters of MAIL and RCPT (RFC 5321 §4.1.2 `esmtp-param`): one table row for each keyword.
//!
//! An extension adds a row and a field; nothing else changes. A keyword without a row is answered 555 (RFC 5321
//! §4.1.1.11), and so is every parameter of a client that said HELO.

use super::event::{Bad, BodyType, MailFrom, Notify, RcptTo, Ret};
use crate::address::{self, Charset};
use crate::chars;
use crate::error::PeerMisbehaved;

/// Encoded octets of ENVID (RFC 3461 §4.4).
const ENVID_OCTETS_MAX: usize = 100;
/// Octets of the ORCPT value (RFC 3461 §4.2).
const ORCPT_OCTETS_MAX: usize = 500;
/// Digits of SIZE (RFC 1870 §4).
const SIZE_DIGITS_MAX: usize = 20;

const UNKNOWN: Bad = Bad::new(
    PeerMisbehaved::UnknownParameter,
    555,
    "5.5.4",
    "Parameter not recognized or not implemented",
);
const BAD_VALUE: Bad = Bad::new(PeerMisbehaved::Syntax, 501, "5.5.4", "Bad value of a parameter");
const REPEATED: Bad = Bad::new(PeerMisbehaved::Syntax, 501, "5.5.4", "Parameter given twice");
const BAD_SYNTAX: Bad = Bad::new(PeerMisbehaved::Syntax, 501, "5.5.4", "Bad syntax of parameters");

/// The value as it stands on the wire; `None` when the keyword stood alone.
type Value<'a> = Option<&'a [u8]>;
type Setter<T> = fn(&mut T, Value<'_>) -> Option<()>;

/// Keyword and what it sets; a setter gives `None` for a value that cannot be.
const MAIL_TABLE: &[(&str, Setter<MailFrom>)] = &[
    ("SIZE", |mail, value| {
        let digits = value.filter(|digits| digits.len() <= SIZE_DIGITS_MAX && chars::all(digits, chars::DIGIT))?;
        // Twenty digits may pass 2^64; such a message is too big for anybody.
        mail.size = Some(chars::number(digits, u64::MAX).unwrap_or(u64::MAX));
        Some(())
    }),
    ("BODY", |mail, value| {
        let types = [BodyType::SevenBit, BodyType::EightBitMime];
        mail.body = Some(one_of(value?, types, BodyType::name)?);
        Some(())
    }),
    ("SMTPUTF8", |mail, value| {
        mail.smtputf8 = true;
        value.is_none().then_some(())
    }),
    ("AUTH", |mail, value| {
        let text = printable(xtext(value?)?)?;
        if text != "<>" {
            address::mailbox(text.as_bytes(), Charset::Utf8).ok()?;
        }
        mail.auth = Some(text);
        Some(())
    }),
    ("RET", |mail, value| {
        mail.ret = Some(one_of(value?, [Ret::Full, Ret::Headers], Ret::name)?);
        Some(())
    }),
    ("ENVID", |mail, value| {
        let value = value.filter(|value| value.len() <= ENVID_OCTETS_MAX)?;
        mail.envid = Some(printable(xtext(value)?)?);
        Some(())
    }),
];

/// As [`MAIL_TABLE`], for RCPT.
const RCPT_TABLE: &[(&str, Setter<RcptTo>)] = &[
    ("NOTIFY", |rcpt, value| {
        for item in value?.split(|&octet| octet == b',') {
            let kinds = [Notify::Never, Notify::Success, Notify::Failure, Notify::Delay];
            let kind = one_of(item, kinds, Notify::name)?;
            if rcpt.notify.contains(&kind) {
                return None;
            }
            rcpt.notify.push(kind);
        }
        // RFC 3461 §4.1: NEVER must appear by itself.
        (rcpt.notify.len() == 1 || !rcpt.notify.contains(&Notify::Never)).then_some(())
    }),
    ("ORCPT", |rcpt, value| {
        let value = value.filter(|value| value.len() <= ORCPT_OCTETS_MAX)?;
        let at = memchr::memchr(b';', value)?;
        let (kind, rest) = value.split_at(at);
        // addr-type = atom
        if !chars::all(kind, chars::ATEXT) {
            return None;
        }
        let kind = std::str::from_utf8(kind).ok()?.to_ascii_lowercase();
        let rest = rest.get(1..).filter(|rest| !rest.is_empty())?;
        let decoded = if kind == "utf-8" {
            utf8_address(rest)?
        } else {
            xtext(rest)?
        };
        rcpt.orcpt = Some(format!("{kind};{}", printable(decoded)?));
        Some(())
    }),
];

/// Reads the parameters behind a reverse-path into `mail`.
pub fn mail(text: &[u8], extended: bool, mail: &mut MailFrom) -> Result<(), Bad> {
    read(text, extended, mail, MAIL_TABLE)
}

/// Reads the parameters behind a forward-path into `rcpt`.
pub fn rcpt(text: &[u8], extended: bool, rcpt: &mut RcptTo) -> Result<(), Bad> {
    read(text, extended, rcpt, RCPT_TABLE)
}

/// `*( SP esmtp-param )`, `esmtp-param = esmtp-keyword ["=" esmtp-value]`; more than one space is tolerated.
fn read<T>(text: &[u8], extended: bool, target: &mut T, table: &[(&str, Setter<T>)]) -> Result<(), Bad> {
    if text.first().is_some_and(|&octet| octet != b' ') {
        return Err(BAD_SYNTAX);
    }
    let mut seen: u32 = 0;
    for parameter in text
        .split(|&octet| octet == b' ')
        .filter(|parameter| !parameter.is_empty())
    {
        let (keyword, value) = match memchr::memchr(b'=', parameter) {
            Some(at) => (parameter.get(..at).unwrap_or_default(), parameter.get(at + 1..)),
            None => (parameter, None),
        };
        let keyword_fits = chars::all(keyword, chars::LDH) && keyword.first() != Some(&b'-');
        let value_fits = value.is_none_or(|value| chars::all(value, chars::ESMTP_VALUE | chars::NON_ASCII));
        if !keyword_fits || !value_fits {
            return Err(BAD_SYNTAX);
        }
        let found = table
            .iter()
            .enumerate()
            .find(|(_, (name, _))| keyword.eq_ignore_ascii_case(name.as_bytes()));
        let Some((index, (_, set))) = found.filter(|_| extended) else {
            return Err(UNKNOWN);
        };
        let bit = 1 << index;
        if seen & bit != 0 {
            return Err(REPEATED);
        }
        seen |= bit;
        set(target, value).ok_or(BAD_VALUE)?;
    }
    Ok(())
}

fn one_of<T: Copy, const N: usize>(value: &[u8], choices: [T; N], name: fn(T) -> &'static str) -> Option<T> {
    choices
        .into_iter()
        .find(|&choice| value.eq_ignore_ascii_case(name(choice).as_bytes()))
}

/// `xtext = *( xchar / hexchar )`, `hexchar = "+" 2(%x30-39 / %x41-46)` (RFC 3461 §4), decoded.
///
/// Lower-case hex digits are taken too.
pub fn xtext(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        if chars::is(octet, chars::XCHAR) {
            decoded.push(octet);
        } else if octet == b'+' {
            let (digits, behind) = rest.split_at_checked(2)?;
            decoded.push(hex(digits)?.try_into().ok()?);
            rest = behind;
        } else {
            return None;
        }
    }
    Some(decoded)
}

/// `utf-8-addr-xtext` and `utf-8-addr-unitext` (RFC 6533 §3): `\x{20AC}` escapes among plain octets, decoded.
fn utf8_address(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        if octet == b'\\' {
            let escape = rest.strip_prefix(b"x{")?;
            let (digits, behind) =
                escape.split_at(memchr::memchr(b'}', escape).filter(|length| (2..=6).contains(length))?);
            let character = char::from_u32(hex(digits)?)?;
            decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = behind.get(1..)?;
        } else if chars::is(octet, chars::XCHAR | chars::NON_ASCII) {
            decoded.push(octet);
        } else {
            return None;
        }
    }
    Some(decoded)
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(digit)
    })
}

/// Text that may be shown and written into a header: no control characters whatever the escapes said.
fn printable(octets: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(octets).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn mail_of(text: &str) -> Result<MailFrom, Bad> {
        let mut target = MailFrom::default();
        mail(text.as_bytes(), true, &mut target).map(|()| target)
    }

    fn rcpt_of(text: &str) -> Result<RcptTo, Bad> {
        let mut target = RcptTo::default();
        rcpt(text.as_bytes(), true, &mut target).map(|()| target)
    }

    #[test]
    fn every_mail_parameter() {
        let target =
            mail_of(" SIZE=123 body=8bitmime  SMTPUTF8 AUTH=e+3Dmc2@example.com RET=hdrs ENVID=a+2Bb ").unwrap();
        assert_eq!(target.size, Some(123));
        assert_eq!(target.body, Some(BodyType::EightBitMime));
        assert!(target.smtputf8);
        assert_eq!(target.auth.as_deref(), Some("e=mc2@example.com"));
        assert_eq!(target.ret, Some(Ret::Headers));
        assert_eq!(target.envid.as_deref(), Some("a+b"));
        assert_eq!(mail_of(" AUTH=<>").unwrap().auth.as_deref(), Some("<>"));
        assert_eq!(mail_of(" SIZE=99999999999999999999").unwrap().size, Some(u64::MAX));
    }

    #[test]
    fn bad_mail_parameters() {
        for text in [
            " SIZE",
            " SIZE=",
            " SIZE=1x",
            " SIZE=-1",
            " SIZE=100000000000000000000",
            " BODY=9BIT",
            " BODY",
            " SMTPUTF8=1",
            " AUTH",
            " AUTH=+",
            " AUTH=+4",
            " AUTH=no-at",
            " RET=BOTH",
            " ENVID=",
            " ENVID=a+0Ab",
            " ENVID=+FF",
            " =1",
            " -A=1",
            " SIZE=1 SIZE=1",
            " ENVID=a=b",
            "SIZE=1",
            " ENVID=a\tb",
        ] {
            let bad = mail_of(text).unwrap_err();
            assert_eq!((bad.kind, bad.code), (PeerMisbehaved::Syntax, 501), "{text}");
        }
        assert!(mail_of(&format!(" ENVID={}", "e".repeat(100))).is_ok());
        assert!(mail_of(&format!(" ENVID={}", "e".repeat(101))).is_err());
        assert_eq!(mail_of(" FOO=1").unwrap_err(), UNKNOWN);
        assert_eq!(mail_of(" NOTIFY=NEVER").unwrap_err(), UNKNOWN);
    }

    #[test]
    fn every_recipient_parameter() {
        let target = rcpt_of(" NOTIFY=SUCCESS,failure,DELAY ORCPT=RFC822;a+2Bb@c").unwrap();
        assert_eq!(target.notify, [Notify::Success, Notify::Failure, Notify::Delay]);
        assert_eq!(target.orcpt.as_deref(), Some("rfc822;a+b@c"));
        assert_eq!(rcpt_of(" NOTIFY=NEVER").unwrap().notify, [Notify::Never]);
        assert_eq!(
            rcpt_of(" ORCPT=utf-8;j\\x{F6}rg@x").unwrap().orcpt.as_deref(),
            Some("utf-8;jörg@x")
        );
    }

    #[test]
    fn bad_recipient_parameters() {
        for text in [
            " NOTIFY",
            " NOTIFY=",
            " NOTIFY=NEVER,DELAY",
            " NOTIFY=DELAY,DELAY",
            " NOTIFY=DELAY,",
            " ORCPT=a@b",
            " ORCPT=;a",
            " ORCPT=rfc822;",
            " ORCPT=rfc822;a+0D+0Ab",
            " ORCPT=utf-8;\\x{D800}",
            " ORCPT=utf-8;\\x{}",
            " ORCPT=utf-8;\\y",
            " ORCPT=utf-8;\\x{41",
        ] {
            let bad = rcpt_of(text).unwrap_err();
            assert_eq!((bad.kind, bad.code), (PeerMisbehaved::Syntax, 501), "{text}");
        }
        assert_eq!(rcpt_of(" SIZE=1").unwrap_err(), UNKNOWN);
    }

    #[test]
    fn none_after_helo() {
        let mut target = MailFrom::default();
        assert_eq!(mail(b" SIZE=1", false, &mut target), Err(UNKNOWN));
        assert_eq!(mail(b" ", false, &mut target), Ok(()));
    }
}
