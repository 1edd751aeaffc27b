//! Part numbers to octets (RFC 9051 §6.4.5.1).
use std::ops::Range;

use ironpost_proto::imap::fetch_att::{Section, SectionText};

use crate::structure::{Part, PartKind, Structure};
use crate::transfer::TransferEncoding;

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

/// What a part number names.
enum Found {
    Part(usize),
    /// Part 1 of a multipart without parts: BODYSTRUCTURE shows an empty text there. Holds the multipart's end.
    Empty(usize),
}

impl Structure {
    /// Where a section lies (RFC 9051 §6.4.5). For HEADER.FIELDS the range is that of the whole header;
    /// [`crate::headers::select`] then takes the fields out of it.
    #[must_use]
    pub fn section(&self, section: &Section) -> SectionRange {
        self.range(section).map_or(SectionRange::Missing, SectionRange::Octets)
    }

    /// The body and encoding of one part; an empty path is the whole message as it is.
    #[must_use]
    pub fn leaf(&self, path: &[u32]) -> Option<Leaf> {
        if path.is_empty() {
            return Some(Leaf {
                body: 0..self.message_len(),
                encoding: TransferEncoding::Identity,
            });
        }
        match self.find(path)? {
            Found::Empty(at) => Some(Leaf {
                body: at..at,
                encoding: TransferEncoding::Identity,
            }),
            Found::Part(index) => {
                let part = &self.parts[index];
                // RFC 2045 §6.4: a multipart has no encoding of its own.
                let encoding = match part.kind {
                    PartKind::Multipart => TransferEncoding::Identity,
                    _ => part.encoding,
                };
                Some(Leaf {
                    body: part.body.clone(),
                    encoding,
                })
            }
        }
    }

    fn range(&self, section: &Section) -> Option<Range<usize>> {
        let root = self.root();
        if section.path.is_empty() {
            return match section.text {
                SectionText::Whole => Some(0..self.message_len()),
                SectionText::Header | SectionText::HeaderFields { .. } => Some(root.header.clone()),
                SectionText::Text => Some(root.body.clone()),
                SectionText::Mime => None,
            };
        }
        let index = match self.find(&section.path)? {
            Found::Part(index) => index,
            Found::Empty(at) => {
                let has_octets = matches!(section.text, SectionText::Whole | SectionText::Mime);
                return has_octets.then_some(at..at);
            }
        };
        let part = &self.parts[index];
        match section.text {
            SectionText::Whole => Some(part.body.clone()),
            SectionText::Mime => Some(part.header.clone()),
            SectionText::Header | SectionText::HeaderFields { .. } => Some(self.embedded(index)?.header.clone()),
            SectionText::Text => Some(self.embedded(index)?.body.clone()),
        }
    }

    /// The message within a message/rfc822 part.
    fn embedded(&self, index: usize) -> Option<&Part> {
        let is_message = self.parts.get(index)?.kind == PartKind::Message;
        if is_message { self.parts.get(index + 1) } else { None }
    }

    /// Walks down a path. The body of a message that is no multipart is its part 1.
    fn find(&self, path: &[u32]) -> Option<Found> {
        let mut current: Option<usize> = None;
        for (position, &number) in path.iter().enumerate() {
            let container = match current {
                None => 0,
                Some(index) => match self.parts[index].kind {
                    PartKind::Multipart => index,
                    PartKind::Message => index + 1,
                    PartKind::Leaf | PartKind::Opaque => return None,
                },
            };
            let part = self.parts.get(container)?;
            if part.kind != PartKind::Multipart {
                if number != 1 {
                    return None;
                }
                current = Some(container);
                continue;
            }
            let wanted = usize::try_from(number.checked_sub(1)?).ok()?;
            current = match self.children(container).nth(wanted) {
                Some(child) => Some(child),
                None if wanted == 0 && position + 1 == path.len() => return Some(Found::Empty(part.body.end)),
                None => return None,
            };
        }
        current.map(Found::Part)
    }
}
