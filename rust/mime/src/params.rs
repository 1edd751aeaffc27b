//! Content-Type, Content-Disposition and their parameters (RFC 2045 §5.1, RFC 2183, RFC 2231).
//!
//! Names and values stay as the message has them, unquoted; only continuations (`name*0`, `name*1*`) are joined, as
//! RFC 2231 §6 asks of IMAP servers. Decoding of charsets and percent signs is [`decoded`]'s work.
use crate::charset;
use crate::encoded_word;
use crate::headers::unfold;
use crate::lexer::{Scanner, Step};

/// One parameter as BODYSTRUCTURE shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name; it ends in `*` when the value is in the extended notation.
    pub name: Vec<u8>,
    /// The value, unquoted.
    pub value: Vec<u8>,
}

/// A media type with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// `text` of `text/plain`, case as in the message.
    pub main: Vec<u8>,
    /// `plain` of `text/plain`, case as in the message.
    pub sub: Vec<u8>,
    /// The parameters.
    pub params: Vec<Parameter>,
}

impl ContentType {
    /// True when both names match, whatever their case.
    #[must_use]
    pub fn is(&self, main: &[u8], sub: &[u8]) -> bool {
        self.main.eq_ignore_ascii_case(main) && self.sub.eq_ignore_ascii_case(sub)
    }

    /// The value of a plain parameter.
    #[must_use]
    pub fn param(&self, name: &[u8]) -> Option<&[u8]> {
        self.params
            .iter()
            .find(|param| param.name.eq_ignore_ascii_case(name))
            .map(|param| param.value.as_slice())
    }
}

/// Parameters kept of one field; more are nonsense.
const PARAMS_MAX: usize = 1000;

/// Reads a raw Content-Type value; `None` when it is no media type (RFC 2045 §5.2: text/plain then).
#[must_use]
pub fn content_type(value: &[u8]) -> Option<ContentType> {
    let value = unfold(value);
    let mut scanner = Scanner::new(&value);
    let (mut main, mut sub) = (Vec::new(), Vec::new());
    if scanner.skip_cfws() != Step::More
        || scanner.token(&mut main) != Step::More
        || main.is_empty()
        || !scanner.is_at(b'/')
    {
        return None;
    }
    scanner.advance();
    if scanner.skip_cfws() != Step::More || scanner.token(&mut sub) == Step::Broken || sub.is_empty() {
        return None;
    }
    Some(ContentType {
        main,
        sub,
        params: parameters(&mut scanner),
    })
}

/// Reads a raw Content-Disposition value; `None` when it is empty or broken (RFC 2183 §2).
#[must_use]
pub fn disposition(value: &[u8]) -> Option<(Vec<u8>, Vec<Parameter>)> {
    let value = unfold(value);
    let mut scanner = Scanner::new(&value);
    let mut kind = Vec::new();
    if scanner.skip_cfws() != Step::More || scanner.token(&mut kind) == Step::Broken {
        return None;
    }
    let params = parameters(&mut scanner);
    if kind.is_empty() && params.is_empty() {
        None
    } else {
        Some((kind, params))
    }
}

/// Reads a raw value that is one token, as Content-Transfer-Encoding (RFC 2045 §6.1).
#[must_use]
pub fn single_token(value: &[u8]) -> Option<Vec<u8>> {
    let value = unfold(value);
    let mut scanner = Scanner::new(&value);
    let mut token = Vec::new();
    if scanner.skip_cfws() != Step::More || scanner.token(&mut token) != Step::End || token.is_empty() {
        return None;
    }
    Some(token)
}

/// Reads a raw Content-Language value (RFC 3282 §2).
#[must_use]
pub fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let value = unfold(value);
    let mut scanner = Scanner::new(&value);
    let mut found = Vec::new();
    scanner.skip_cfws();
    loop {
        let mut language = Vec::new();
        let step = scanner.atom(&mut language);
        if language.is_empty() || found.len() >= PARAMS_MAX {
            return found;
        }
        found.push(language);
        if step != Step::More || !scanner.is_at(b',') {
            return found;
        }
        scanner.advance();
        scanner.skip_cfws();
    }
}

/// The readable value of a parameter: extended notation (RFC 2231 §4) or, as many mailers write, encoded words.
#[must_use]
pub fn decoded(params: &[Parameter], name: &[u8]) -> Option<String> {
    let extended = params.iter().find(|param| {
        param
            .name
            .strip_suffix(b"*")
            .is_some_and(|plain| plain.eq_ignore_ascii_case(name))
    });
    if let Some(param) = extended {
        let mut pieces = param.value.splitn(3, |&octet| octet == b'\'');
        if let (Some(label), Some(_language), Some(text)) = (pieces.next(), pieces.next(), pieces.next()) {
            return Some(charset::to_utf8(label, &percent_decoded(text)).into_owned());
        }
    }
    let plain = params.iter().find(|param| param.name.eq_ignore_ascii_case(name))?;
    Some(encoded_word::decode(&plain.value))
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&octet) = text.get(at) {
        let pair = text
            .get(at + 1..at + 3)
            .and_then(|pair| Some((hex(pair[0])?, hex(pair[1])?)));
        match pair {
            Some((high, low)) if octet == b'%' => {
                out.push(high << 4 | low);
                at += 3;
            }
            _ => {
                out.push(octet);
                at += 1;
            }
        }
    }
    out
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(octet: u8) -> Option<u8> {
    char::from(octet)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// One piece of a split or extended parameter.
struct Piece {
    key: Vec<u8>,
    index: u32,
    is_extended: bool,
    value: Vec<u8>,
}

/// Reads `*(";" parameter)`; a broken parameter is skipped up to the next semicolon.
fn parameters(scanner: &mut Scanner<'_>) -> Vec<Parameter> {
    let mut found = Vec::new();
    let mut pieces = Vec::new();
    while scanner.peek().is_some() && found.len() + pieces.len() < PARAMS_MAX {
        let start = scanner.position();
        match parameter(scanner) {
            // A semicolon may begin the next parameter at once: "a/b;; c=d".
            None => {
                if !scanner.is_at(b';') || scanner.position() == start {
                    scanner.advance();
                }
            }
            Some(Parameter { name, value }) => match split_name(&name) {
                Some((key, index, is_extended)) => pieces.push(Piece {
                    key: key.to_vec(),
                    index,
                    is_extended,
                    value,
                }),
                None => found.push(Parameter { name, value }),
            },
        }
    }
    pieces.sort_by(|a, b| {
        let folded = |piece: &Piece| piece.key.to_ascii_lowercase();
        folded(a).cmp(&folded(b)).then(a.index.cmp(&b.index))
    });
    for group in pieces.chunk_by(|a, b| a.key.eq_ignore_ascii_case(&b.key)) {
        join(group, &mut found);
    }
    found
}

/// Reads one `";" attribute "=" value`; `None` when it is broken.
fn parameter(scanner: &mut Scanner<'_>) -> Option<Parameter> {
    if !scanner.is_at(b';') {
        return None;
    }
    scanner.advance();
    let (mut name, mut value) = (Vec::new(), Vec::new());
    if scanner.skip_cfws() != Step::More || scanner.token(&mut name) != Step::More || !scanner.is_at(b'=') {
        return None;
    }
    scanner.advance();
    let step = match scanner.skip_cfws() {
        Step::More => match scanner.peek() {
            Some(b'"') => scanner.quoted_string(&mut value),
            // name==?utf-8?b?...?= without quotes, which some mailers write.
            Some(b'=') => scanner.until_semicolon_or_space(&mut value),
            _ => scanner.token(&mut value),
        },
        other => other,
    };
    if step == Step::Broken {
        None
    } else {
        Some(Parameter { name, value })
    }
}

/// Splits `name*2*` into name, index and whether it is extended; `None` for a plain name (RFC 2231 §3, §4).
fn split_name(name: &[u8]) -> Option<(&[u8], u32, bool)> {
    let star = name.iter().position(|&octet| octet == b'*')?;
    let (key, rest) = (&name[..star], &name[star + 1..]);
    if rest.is_empty() {
        return Some((key, 0, true));
    }
    let (digits, is_extended) = match rest.strip_suffix(b"*") {
        Some(digits) => (digits, true),
        None => (rest, false),
    };
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let index = if all_digits {
        std::str::from_utf8(digits).ok()?.parse().ok()?
    } else {
        return None;
    };
    Some((key, index, is_extended))
}

/// Joins the pieces of one parameter; when an index is missing they stay apart.
fn join(group: &[Piece], found: &mut Vec<Parameter>) {
    let Some(first) = group.first() else { return };
    let is_whole = group.iter().zip(0_u32..).all(|(piece, index)| piece.index == index);
    if !is_whole {
        for piece in group {
            let mut name = piece.key.clone();
            name.extend_from_slice(format!("*{}", piece.index).as_bytes());
            if piece.is_extended {
                name.push(b'*');
            }
            found.push(Parameter {
                name,
                value: piece.value.clone(),
            });
        }
        return;
    }
    let is_extended = group.iter().any(|piece| piece.is_extended);
    let mut name = first.key.clone();
    let mut value = Vec::new();
    if is_extended {
        name.push(b'*');
        if !first.is_extended {
            value.extend_from_slice(b"''");
        }
    }
    for piece in group {
        if is_extended && !piece.is_extended {
            for &octet in &piece.value {
                if octet == b'%' {
                    value.extend_from_slice(b"%25");
                } else {
                    value.push(octet);
                }
            }
        } else {
            value.extend_from_slice(&piece.value);
        }
    }
    found.push(Parameter { name, value });
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn pairs(value: &[u8]) -> Vec<(String, String)> {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let parsed = content_type(value).unwrap();
        parsed
            .params
            .iter()
            .map(|param| (text(&param.name), text(&param.value)))
            .collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn media_types() {
        let parsed =
            content_type(b" Text / Plain (c(o)m\\)ment) ; Charset = \"us-\\ascii\" (x); Format=flowed").unwrap();
        assert_eq!(
            (parsed.main.as_slice(), parsed.sub.as_slice()),
            (&b"Text"[..], &b"Plain"[..])
        );
        assert_eq!(parsed.param(b"charset"), Some(&b"us-ascii"[..]));
        assert_eq!(parsed.param(b"format"), Some(&b"flowed"[..]));
        for bad in [
            &b""[..],
            b"text",
            b"text/",
            b"/plain",
            b"text/ ;",
            b"=?x?=",
            b"(",
            b"text(/plain",
            b"text plain",
        ] {
            assert_eq!(content_type(bad), None, "{}", String::from_utf8_lossy(bad));
        }
        assert!(content_type(b"application/vnd.ms-excel.sheet+xml").is_some());
    }

    #[test]
    fn what_is_broken_is_skipped() {
        assert_eq!(pairs(b"a/b; name=x y z; c=d"), owned(&[("name", "x"), ("c", "d")]));
        assert_eq!(pairs(b"a/b; name=\"unterminated; c=d"), owned(&[]));
        assert_eq!(pairs(b"a/b;; ;c=d;"), owned(&[("c", "d")]));
        assert_eq!(
            pairs(b"a/b; name==?utf-8?q?x?=; c="),
            owned(&[("name", "=?utf-8?q?x?="), ("c", "")])
        );
        assert_eq!(pairs(b"a/b c=d; e=f"), owned(&[("e", "f")]));
    }

    #[test]
    fn continuations_are_joined() {
        let split = b"a/b; URL*1=\"two\"; x=y; URL*0=\"one%\"";
        assert_eq!(pairs(split), owned(&[("x", "y"), ("URL", "one%two")]));
        let mixed = b"a/b; t*0*=us-ascii'en'This%20is; t*1*=%20fun; t*2=\"not%it!\"";
        assert_eq!(pairs(mixed), owned(&[("t*", "us-ascii'en'This%20is%20funnot%25it!")]));
        assert_eq!(pairs(b"a/b; t*0=x; t*2=z"), owned(&[("t*0", "x"), ("t*2", "z")]));
        assert_eq!(
            pairs(b"a/b; t*99999999999=x; t**=q"),
            owned(&[("t*99999999999", "x"), ("t**", "q")])
        );
        assert_eq!(pairs(b"a/b; t*=utf-8''%e2%82%ac"), owned(&[("t*", "utf-8''%e2%82%ac")]));
    }

    #[test]
    fn readable_values() {
        let parsed =
            content_type(b"a/b; t*0*=utf-8''%e2%82; t*1*=%ac; t*2=\"5\"; n=\"=?iso-8859-1?q?gr=FCn?=\"").unwrap();
        assert_eq!(decoded(&parsed.params, b"T").unwrap(), "\u{20ac}5");
        assert_eq!(decoded(&parsed.params, b"n").unwrap(), "gr\u{fc}n");
        assert_eq!(decoded(&parsed.params, b"z"), None);
    }

    #[test]
    fn single_tokens_dispositions_languages() {
        assert_eq!(single_token(b" base64 (really)").unwrap(), b"base64");
        assert_eq!(single_token(b" base64 8bit"), None);
        let (kind, params) = disposition(b"attachment; filename=\"a b.txt\"").unwrap();
        assert_eq!(kind, b"attachment");
        assert_eq!(params[0].value, b"a b.txt");
        assert_eq!(disposition(b"  "), None);
        assert_eq!(languages(b"en, de-CH (x)"), vec![b"en".to_vec(), b"de-CH".to_vec()]);
        assert!(languages(b"").is_empty());
    }
}
