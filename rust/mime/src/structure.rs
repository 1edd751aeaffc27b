//! The part tree as one flat table of ranges.
use std::ops::Range;

use ironpost_proto::imap::fetch_att::Section;

use crate::transfer::TransferEncoding;

/// What a message may make us keep; beyond a bound the rest is opaque text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Parts in all, the message itself included.
    pub parts_max: u32,
    /// Multiparts and messages within one another.
    pub depth_max: u32,
    /// Octets of one header section that are searched for Content fields.
    pub header_octets_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { parts_max: 10_000, depth_max: 100, header_octets_max: 1 << 20 }
    }
}

/// Where a section lies in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionRange {
    /// These octets, relative to the start of the message.
    Octets(Range<usize>),
    /// The message has no such section: NIL.
    Missing,
}

impl SectionRange {
    /// The octets, if there are any.
    #[must_use]
    pub fn octets(self) -> Option<Range<usize>> {
        match self {
            Self::Octets(range) => Some(range),
            Self::Missing => None,
        }
    }
}

/// One part's body, for BINARY (RFC 3516, RFC 9051 §6.4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The encoded octets, relative to the start of the message.
    pub body: Range<usize>,
    /// How they are encoded.
    pub encoding: TransferEncoding,
}

/// The part tree of one message: ranges relative to the message's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {}

impl Structure {
    /// Reads a message once. Never fails: beyond a limit the rest is an opaque leaf.
    #[must_use]
    pub fn parse(_message: &[u8], _limits: &Limits) -> Self {
        Self {}
    }

    /// Appends the table in its versioned compact form.
    pub fn encode(&self, _out: &mut Vec<u8>) {}

    /// Reads a table back; `None` on any damage or unknown version.
    #[must_use]
    pub fn decode(_bytes: &[u8]) -> Option<Self> {
        None
    }

    /// Octets of the message's header section, the empty line included.
    #[must_use]
    pub fn header_len(&self) -> usize {
        0
    }

    /// Octets of the whole message that was parsed.
    #[must_use]
    pub fn message_len(&self) -> usize {
        0
    }

    /// Where a section lies (RFC 9051 §6.4.5). For HEADER.FIELDS the range is that of the whole header;
    /// [`crate::headers::select`] then takes the fields out of it.
    #[must_use]
    pub fn section(&self, _section: &Section) -> SectionRange {
        SectionRange::Missing
    }

    /// The body and encoding of one part; an empty path is the whole message as it is.
    #[must_use]
    pub fn leaf(&self, _path: &[u32]) -> Option<Leaf> {
        None
    }
}
