//! What SORT and THREAD know of each message: its hot row and its card, in one pass of two cursors, without a message's octets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ironpost_mime::{Limits, Structure};

use super::STRETCH_LIMIT;
use super::cards::CardCursor;
use crate::card::{self, Card};
use crate::db::records::MessageRecord;
use crate::error::{Result, StoreError};
use crate::fetch::message::{Access, Content, HEADER_OCTETS_MAX};
use crate::ids::Uid;
use crate::jobs::ReadContext;
use crate::view::MailboxView;
use crate::view::rows::each_row;
use crate::view::uids::UidSet;

/// Calls `take` with every message of a set that has a row, ascending. A message that can't be read has no card.
///
/// # Errors
/// Corrupt for a damaged index; `NotFound` once `cancelled` is set.
pub(super) fn each_card(
    context: &ReadContext,
    view: &MailboxView,
    uids: &UidSet,
    cancelled: &AtomicBool,
    mut take: impl FnMut(Uid, &MessageRecord, Option<&Card<'_>>),
) -> Result<()> {
    let mut next: Option<Uid> = Some(0);
    while let Some(from) = next.take() {
        let txn = context.begin()?;
        let access = Access { context, txn: &txn };
        let mut cards = CardCursor::new(context.tables.cards, &txn);
        let started = Instant::now();
        let mut looked_at = 0_u32;
        each_row(
            &context.tables,
            &txn,
            view.mailbox,
            uids.iter_range(from, Uid::MAX),
            |uid, row| {
                let Ok(row) = row else {
                    take(uid, &MessageRecord::default(), None);
                    return Ok(true);
                };
                match cards.get(row.blob)?.and_then(Card::decode) {
                    Some(card) if card.extras.is_some() => take(uid, row, Some(&card)),
                    // Of an older release, or not in the index: the pack has it.
                    _ => match slowly(&access, row, |card| take(uid, row, card)) {
                        Ok(()) => {}
                        Err(StoreError::Corrupt(_)) => take(uid, row, None),
                        Err(error) => return Err(error),
                    },
                }
                looked_at += 1;
                if looked_at.is_multiple_of(256) && started.elapsed() > STRETCH_LIMIT {
                    next = uid.checked_add(1);
                    return Ok(false);
                }
                Ok(!cancelled.load(Ordering::Relaxed))
            },
        )?;
        if cancelled.load(Ordering::Relaxed) {
            return Err(StoreError::NotFound("nobody waits for this search any more".to_owned()));
        }
    }
    Ok(())
}

/// A card made from the header in the pack.
fn slowly(access: &Access<'_>, row: &MessageRecord, take: impl FnOnce(Option<&Card<'_>>)) -> Result<()> {
    let mut content = Content::new(row);
    let prefix = content.prefix_octets();
    let end = prefix + (content.structure(access)?.header_len() as u64).min(HEADER_OCTETS_MAX);
    let mut header = Vec::new();
    content.read(access, prefix..end.min(content.octets()), &mut header)?;
    let structure = Structure::parse(&header, &Limits::default());
    take(Card::decode(&card::build(&header, &structure)).as_ref());
    Ok(())
}
