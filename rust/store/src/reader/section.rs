//! What a section of a message is made of, for who moves its octets elsewhere instead of answering a FETCH (CATENATE, URLFETCH).

use std::ops::Range;
use std::sync::Arc;

use ironpost_proto::imap::fetch_att::{Partial, Section};

use super::content;
use crate::fetch::items::{chosen_fields, cut};
use crate::fetch::message::Access;
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
                let chosen = chosen_fields(&access, &mut content, range, &section)?;
                Located::Fields(cut(&chosen, partial).to_vec())
            }
        };
        Ok(Outcome::Boxed(Box::new(located)))
    })
}
