//! What a section of a message is made of, for who moves its octets elsewhere instead of answering a FETCH (CATENATE, URLFETCH).

use std::ops::Range;
use std::sync::Arc;

use ironpost_mime::headers;
use ironpost_proto::imap::fetch_att::{Partial, Section, SectionText};

use super::content;
use crate::fetch::message::{Access, HEADER_OCTETS_MAX};
use crate::fetch::section::{Place, place, window};
use crate::ids::Uid;
use crate::jobs::ReadJob;
use crate::ops::Outcome;
use crate::view::MailboxView;

/// Where the octets of a section are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// These of the stored message, to be read by [`super::read_message`].
    Octets(Range<u64>),
    /// Chosen header fields.
    Fields(Vec<u8>),
    /// The message has no such part.
    Missing,
}

/// Finds a section, or a window of it; answers `Boxed(Located)`, `NotFound` when the message is gone.
#[must_use]
pub fn locate(view: Arc<MailboxView>, uid: Uid, section: Section, partial: Option<Partial>) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let access = Access { context, txn: &txn };
        let mut content = content(context, &txn, view.mailbox, uid)?;
        let (prefix, blob) = (content.prefix_octets(), content.blob_octets());
        let located = match place(&section, content.structure(&access)?, prefix, blob) {
            Place::Missing => Located::Missing,
            Place::Octets(range) => Located::Octets(window(range, partial)),
            Place::Fields(range) => {
                let mut header = Vec::new();
                content.read(
                    &access,
                    range.start..range.end.min(range.start + HEADER_OCTETS_MAX),
                    &mut header,
                )?;
                let mut chosen = Vec::new();
                if let SectionText::HeaderFields { names, not } = &section.text {
                    headers::select(&header, names, *not, &mut chosen);
                }
                let wanted = window(0..chosen.len() as u64, partial);
                chosen.truncate(wanted.end as usize);
                Located::Fields(chosen.split_off(wanted.start as usize))
            }
        };
        Ok(Outcome::Boxed(Box::new(located)))
    })
}
