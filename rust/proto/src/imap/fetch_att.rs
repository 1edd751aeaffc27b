//! What a FETCH asks for (RFC 9051 §6.4.5, RFC 3501 §6.4.5): the types, then the parser as a table of items.

use super::fault::{BadKind, Fault};
use super::lexer::Lexer;

/// One FETCH data item. Macros (ALL, FAST, FULL) are expanded by the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchAttribute {
    /// `UID`.
    Uid,
    /// `FLAGS`.
    Flags,
    /// `INTERNALDATE`.
    InternalDate,
    /// `RFC822.SIZE`.
    Rfc822Size,
    /// `ENVELOPE`.
    Envelope,
    /// `BODY`: the structure without extension data.
    Body,
    /// `BODYSTRUCTURE`.
    BodyStructure,
    /// `BODY[section]<partial>` and `BODY.PEEK[...]`.
    Section {
        /// Without PEEK the message becomes \Seen.
        peek: bool,
        /// Which octets.
        section: Section,
        /// A window over them.
        partial: Option<Partial>,
        /// How the client spelt it, for the answer's name.
        spelling: Spelling,
    },
    /// `BINARY[part]<partial>` and `BINARY.PEEK[...]` (RFC 3516, RFC 9051 §6.4.5).
    Binary {
        /// Without PEEK the message becomes \Seen.
        peek: bool,
        /// Part numbers; empty means the whole message.
        path: Vec<u32>,
        /// A window over the decoded octets.
        partial: Option<Partial>,
    },
    /// `BINARY.SIZE[part]`.
    BinarySize {
        /// Part numbers; empty means the whole message.
        path: Vec<u32>,
    },
    /// `PREVIEW`, with or without LAZY: it is never dear enough to be put off (RFC 8970).
    Preview,
    /// `MODSEQ` (RFC 7162).
    ModSeq,
    /// `SAVEDATE` (RFC 8514).
    SaveDate,
    /// `EMAILID` (RFC 8474).
    EmailId,
    /// `THREADID` (RFC 8474).
    ThreadId,
}

impl FetchAttribute {
    /// True when answering sets \Seen.
    #[must_use]
    pub fn sets_seen(&self) -> bool {
        match self {
            Self::Section { peek, .. } | Self::Binary { peek, .. } => !peek,
            _ => false,
        }
    }
}

/// The name under which a section is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `BODY[...]`.
    Body,
    /// `RFC822` (RFC 3501 only): BODY[].
    Rfc822,
    /// `RFC822.HEADER`: `BODY.PEEK[HEADER]`.
    Rfc822Header,
    /// `RFC822.TEXT`: `BODY[TEXT]`.
    Rfc822Text,
}

/// Which octets of a message (RFC 9051 §9, `section-spec`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Part numbers from 1; empty means the message itself.
    pub path: Vec<u32>,
    /// What of that part.
    pub text: SectionText,
}

impl Section {
    /// Reads `section-spec`, which may be empty, up to its `]` or the end.
    pub(super) fn parse(lexer: &mut Lexer<'_>) -> Result<Self, Fault> {
        let (path, dot) = part_path(lexer)?;
        let text = if (lexer.peek() == Some(b']') || lexer.at_end()) && !dot {
            SectionText::Whole
        } else if path.is_empty() || dot {
            section_text(lexer, !path.is_empty())?
        } else {
            return Err(Fault::syntax("malformed section"));
        };
        Ok(Self { path, text })
    }
}

/// What of a part is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// The part's body; with an empty path the whole message.
    Whole,
    /// The header of the message, or of a message/rfc822 part.
    Header,
    /// Chosen header fields, names as the client wrote them.
    HeaderFields {
        /// Field names.
        names: Vec<Vec<u8>>,
        /// True for HEADER.FIELDS.NOT.
        not: bool,
    },
    /// The text of the message, or of a message/rfc822 part.
    Text,
    /// The MIME header of a part (path not empty).
    Mime,
}

/// `<offset.length>`: a window over a section; length is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// First octet, from 0.
    pub offset: u64,
    /// Octets at most.
    pub length: u64,
}

impl FetchAttribute {
    /// Reads `fetch-att`, or a macro or list of them (RFC 9051 §9, `fetch`); duplicates are dropped.
    ///
    /// At most [`FETCH_ITEMS_MAX`] items and [`PART_DEPTH_MAX`] part numbers each.
    pub fn parse_list(lexer: &mut Lexer<'_>) -> Result<Vec<Self>, Fault> {
        let mut items = Vec::new();
        if !lexer.eat(b'(') {
            let mut attempt = lexer.clone();
            let word = attempt.take_while(|octet| octet.is_ascii_alphanumeric());
            for (name, expansion) in MACROS {
                if word.eq_ignore_ascii_case(name.as_bytes()) && (attempt.at_end() || attempt.peek() == Some(b' ')) {
                    *lexer = attempt;
                    return Ok(expansion.to_vec());
                }
            }
            items.push(Self::parse(lexer)?);
            return Ok(items);
        }
        loop {
            let item = Self::parse(lexer)?;
            if !items.contains(&item) {
                if items.len() >= FETCH_ITEMS_MAX {
                    return Err(Fault::new(BadKind::Limit, "too many FETCH items"));
                }
                items.push(item);
            }
            if !lexer.another()? {
                return Ok(items);
            }
        }
    }

    fn parse(lexer: &mut Lexer<'_>) -> Result<Self, Fault> {
        let word = lexer.take_while(|octet| octet.is_ascii_alphanumeric() || octet == b'.');
        let row = ITEMS
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        row.map_or(Err(Fault::syntax("unknown FETCH item")), |(_, parse)| parse(lexer))
    }
}

/// Distinct items in one FETCH; clients ask for a dozen.
pub const FETCH_ITEMS_MAX: usize = 256;

/// Numbers in one part path; no deeper message is taken apart either.
pub const PART_DEPTH_MAX: usize = 100;

use FetchAttribute::{Body, BodyStructure, Envelope, Flags, InternalDate, Rfc822Size, Uid};

/// RFC 9051 §6.4.5; valid only alone.
const MACROS: &[(&str, &[FetchAttribute])] = &[
    ("ALL", &[Flags, InternalDate, Rfc822Size, Envelope]),
    ("FAST", &[Flags, InternalDate, Rfc822Size]),
    ("FULL", &[Flags, InternalDate, Rfc822Size, Envelope, Body]),
];

type ParseItem = fn(&mut Lexer<'_>) -> Result<FetchAttribute, Fault>;

/// One row per item: its name, and what reads the rest of it.
const ITEMS: &[(&str, ParseItem)] = &[
    ("UID", |_| Ok(Uid)),
    ("FLAGS", |_| Ok(Flags)),
    ("INTERNALDATE", |_| Ok(InternalDate)),
    ("RFC822.SIZE", |_| Ok(Rfc822Size)),
    ("ENVELOPE", |_| Ok(Envelope)),
    ("MODSEQ", |_| Ok(FetchAttribute::ModSeq)),
    ("SAVEDATE", |_| Ok(FetchAttribute::SaveDate)),
    ("EMAILID", |_| Ok(FetchAttribute::EmailId)),
    ("THREADID", |_| Ok(FetchAttribute::ThreadId)),
    ("BODYSTRUCTURE", |_| Ok(BodyStructure)),
    ("BODY", |lexer| {
        if lexer.peek() == Some(b'[') {
            section(lexer, false)
        } else {
            Ok(Body)
        }
    }),
    ("BODY.PEEK", |lexer| section(lexer, true)),
    ("BINARY", |lexer| binary(lexer, false)),
    ("BINARY.PEEK", |lexer| binary(lexer, true)),
    ("BINARY.SIZE", |lexer| {
        Ok(FetchAttribute::BinarySize {
            path: bracketed_path(lexer)?,
        })
    }),
    ("PREVIEW", preview),
    ("RFC822", |_| {
        Ok(whole_message(false, SectionText::Whole, Spelling::Rfc822))
    }),
    ("RFC822.HEADER", |_| {
        Ok(whole_message(true, SectionText::Header, Spelling::Rfc822Header))
    }),
    ("RFC822.TEXT", |_| {
        Ok(whole_message(false, SectionText::Text, Spelling::Rfc822Text))
    }),
];

/// `"PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"]`, `preview-mod = "LAZY"` (RFC 8970 §6)
fn preview(lexer: &mut Lexer<'_>) -> Result<FetchAttribute, Fault> {
    let mut attempt = lexer.clone();
    // Anything else in parentheses belongs to the FETCH.
    if attempt.eat(b' ') && attempt.eat(b'(') {
        let word = attempt.take_while(|octet| octet.is_ascii_alphabetic());
        if word.eq_ignore_ascii_case(b"LAZY") {
            attempt.expect(b')', "unknown PREVIEW modifier")?;
            *lexer = attempt;
        }
    }
    Ok(FetchAttribute::Preview)
}

fn whole_message(peek: bool, text: SectionText, spelling: Spelling) -> FetchAttribute {
    FetchAttribute::Section {
        peek,
        section: Section { path: Vec::new(), text },
        partial: None,
        spelling,
    }
}

/// `section ["<" number64 "." nz-number64 ">"]`
fn section(lexer: &mut Lexer<'_>, peek: bool) -> Result<FetchAttribute, Fault> {
    lexer.expect(b'[', "expected [")?;
    let section = Section::parse(lexer)?;
    lexer.expect(b']', "expected ] at the end of the section")?;
    let partial = partial(lexer)?;
    Ok(FetchAttribute::Section {
        peek,
        section,
        partial,
        spelling: Spelling::Body,
    })
}

/// `section-msgtext / "MIME"`
fn section_text(lexer: &mut Lexer<'_>, of_part: bool) -> Result<SectionText, Fault> {
    let word = lexer.take_while(|octet| octet.is_ascii_alphabetic() || octet == b'.');
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is("HEADER") {
        Ok(SectionText::Header)
    } else if is("TEXT") {
        Ok(SectionText::Text)
    } else if is("MIME") && of_part {
        Ok(SectionText::Mime)
    } else if is("HEADER.FIELDS") || is("HEADER.FIELDS.NOT") {
        let mut names = Vec::new();
        lexer.space()?;
        lexer.open()?;
        loop {
            names.push(lexer.astring()?.into_owned());
            if !lexer.another()? {
                break;
            }
        }
        Ok(SectionText::HeaderFields {
            names,
            not: is("HEADER.FIELDS.NOT"),
        })
    } else {
        Err(Fault::syntax("unknown section"))
    }
}

/// `section-part`, may be empty; true when a dot stands behind it with something else than a number to follow.
fn part_path(lexer: &mut Lexer<'_>) -> Result<(Vec<u32>, bool), Fault> {
    let mut path = Vec::new();
    if !lexer.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        return Ok((path, false));
    }
    loop {
        if path.len() >= PART_DEPTH_MAX {
            return Err(Fault::new(BadKind::Limit, "too many part numbers"));
        }
        path.push(lexer.nz_number()?);
        if !lexer.eat(b'.') {
            return Ok((path, false));
        }
        if !lexer.peek().is_some_and(|octet| octet.is_ascii_digit()) {
            return Ok((path, true));
        }
    }
}

/// `section-binary = "[" [section-part] "]"`
fn bracketed_path(lexer: &mut Lexer<'_>) -> Result<Vec<u32>, Fault> {
    lexer.expect(b'[', "expected [")?;
    let (path, dot) = part_path(lexer)?;
    if dot {
        return Err(Fault::syntax("BINARY takes part numbers only"));
    }
    lexer.expect(b']', "BINARY takes part numbers only")?;
    Ok(path)
}

fn binary(lexer: &mut Lexer<'_>, peek: bool) -> Result<FetchAttribute, Fault> {
    let path = bracketed_path(lexer)?;
    let partial = partial(lexer)?;
    Ok(FetchAttribute::Binary { peek, path, partial })
}

fn partial(lexer: &mut Lexer<'_>) -> Result<Option<Partial>, Fault> {
    if !lexer.eat(b'<') {
        return Ok(None);
    }
    let offset = lexer.number64()?;
    lexer.expect(b'.', "malformed partial")?;
    let length = lexer.number64()?;
    if length == 0 {
        return Err(Fault::syntax("a partial of no octets"));
    }
    lexer.expect(b'>', "malformed partial")?;
    Ok(Some(Partial { offset, length }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(text: &str) -> Result<Vec<FetchAttribute>, Fault> {
        let line = format!("{text}\r\n");
        let mut lexer = Lexer::new(line.as_bytes());
        let items = FetchAttribute::parse_list(&mut lexer)?;
        lexer.end()?;
        Ok(items)
    }

    fn body(path: &[u32], text: SectionText, partial: Option<(u64, u64)>) -> FetchAttribute {
        FetchAttribute::Section {
            peek: false,
            section: Section {
                path: path.to_vec(),
                text,
            },
            partial: partial.map(|(offset, length)| Partial { offset, length }),
            spelling: Spelling::Body,
        }
    }

    #[test]
    fn items_and_macros() {
        assert_eq!(parse("fast").unwrap(), [Flags, InternalDate, Rfc822Size]);
        assert_eq!(parse("ALL").unwrap(), [Flags, InternalDate, Rfc822Size, Envelope]);
        assert_eq!(
            parse("FULL").unwrap(),
            [Flags, InternalDate, Rfc822Size, Envelope, Body]
        );
        assert_eq!(parse("(UID flags UID BODY)").unwrap(), [Uid, Flags, Body]);
        assert_eq!(parse("BODYSTRUCTURE").unwrap(), [BodyStructure]);
        for (name, _) in ITEMS
            .iter()
            .filter(|(name, _)| !name.contains("PEEK") && !name.starts_with("BINARY"))
        {
            assert!(parse(name).is_ok(), "{name}");
        }
        assert_eq!(
            parse("RFC822.HEADER").unwrap(),
            [whole_message(true, SectionText::Header, Spelling::Rfc822Header)]
        );
        assert!(!parse("RFC822.HEADER").unwrap()[0].sets_seen());
        assert!(parse("RFC822").unwrap()[0].sets_seen());
    }

    #[test]
    fn sections() {
        assert_eq!(parse("BODY[]").unwrap(), [body(&[], SectionText::Whole, None)]);
        assert_eq!(
            parse("BODY[]<0.2048>").unwrap(),
            [body(&[], SectionText::Whole, Some((0, 2048)))]
        );
        assert_eq!(
            parse("BODY[4.2.2.1]").unwrap(),
            [body(&[4, 2, 2, 1], SectionText::Whole, None)]
        );
        assert_eq!(
            parse("BODY[4.1.MIME]").unwrap(),
            [body(&[4, 1], SectionText::Mime, None)]
        );
        assert_eq!(
            parse("body[3.header]").unwrap(),
            [body(&[3], SectionText::Header, None)]
        );
        let fields = SectionText::HeaderFields {
            names: vec![b"Date".to_vec(), b"From".to_vec()],
            not: true,
        };
        assert_eq!(
            parse("BODY[1.2.HEADER.FIELDS.NOT (Date \"From\")]<5.7>").unwrap(),
            [body(&[1, 2], fields, Some((5, 7)))]
        );
        assert_eq!(
            parse("BINARY.PEEK[1.2]<0.10>").unwrap(),
            [FetchAttribute::Binary {
                peek: true,
                path: vec![1, 2],
                partial: Some(Partial { offset: 0, length: 10 })
            }]
        );
        assert_eq!(
            parse("BINARY.SIZE[]").unwrap(),
            [FetchAttribute::BinarySize { path: vec![] }]
        );
    }

    #[test]
    fn refused() {
        for bad in [
            "",
            "()",
            "(FLAGS",
            "FLAGS)",
            "(ALL)",
            "(FLAGS FAST)",
            "BODY[",
            "BODY[1.]",
            "BODY[0]",
            "BODY[MIME]",
            "BODY[1 ]",
            "BODY[1HEADER]",
            "BODY[.HEADER]",
            "BODY[HEADER.FIELDS]",
            "BODY[HEADER.FIELDS ()]",
            "BODY[FOO]",
            "BODY[]<0>",
            "BODY[]<0.0>",
            "BODY[]<1.2",
            "BODY.PEEK",
            "BINARY",
            "BINARY[HEADER]",
            "BINARY[1.]",
            "BINARY.SIZE[1]<0.1>",
            "FLAGSX",
            "FLAGS  UID",
            "( FLAGS)",
            "BODY[1.2.3.x]",
            "MODSEQ 1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&format!("BODY[1{}]", ".1".repeat(99))).is_ok());
        assert_eq!(
            parse(&format!("BODY[1{}]", ".1".repeat(100))).unwrap_err().kind,
            BadKind::Limit
        );
        let many: Vec<String> = (1..=300).map(|part| format!("BODY[{part}]")).collect();
        assert_eq!(
            parse(&format!("({})", many.join(" "))).unwrap_err().kind,
            BadKind::Limit
        );
    }
}
