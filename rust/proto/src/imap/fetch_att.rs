//! What a FETCH asks for (RFC 9051 §6.4.5, RFC 3501 §6.4.5): the types; the parser stands beside them.

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
    /// `MODSEQ` (RFC 7162), reserved for CONDSTORE.
    ModSeq,
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
    /// `RFC822.HEADER`: BODY.PEEK[HEADER].
    Rfc822Header,
    /// `RFC822.TEXT`: BODY[TEXT].
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
