//! What an account still has to be indexed: by the change log if it reaches back, else by all its messages.

use std::ops::Bound;
use std::sync::Arc;

use super::manifest::Manifest;
use super::segment::{Document, Segment};
use crate::db::keys;
use crate::db::records::{ChangeKind, ChangeRecord, MessageRecord};
use crate::db::tables::{ReadTxn, damaged};
use crate::error::Result;
use crate::ids::{AccountId, ModSeq};
use crate::jobs::ReadContext;
use crate::view::rows::each_row;

/// A document that no segment covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) document: Document,
    pub(super) prefix_len: u32,
    pub(super) size: u32,
}

/// What waits in an account.
pub(super) struct Listed {
    pub(super) waiting: Vec<Waiting>,
    /// When all of it is covered, so are all changes up to here.
    pub(super) covered: ModSeq,
    /// Nothing else waits.
    pub(super) whole: bool,
}

/// What no segment covers: from the change log if it reaches back, else from all messages.
pub(super) fn list(
    context: &ReadContext,
    account: AccountId,
    manifest: &Manifest,
    segments: &[Arc<Segment>],
    most: usize,
) -> Result<Listed> {
    let tables = &context.tables;
    let txn = context.begin()?;
    let record = tables.account(&txn, account)?.unwrap_or_default();
    let mut listed = Listed {
        waiting: Vec::new(),
        covered: record.highest_modseq,
        whole: true,
    };
    let mut hints = vec![0; segments.len()];
    let mut add = |row: &MessageRecord, waiting: &mut Vec<Waiting>| {
        let document = Document {
            blob: row.blob,
            prefix: row.prefix,
        };
        let covered = segments
            .iter()
            .zip(&mut hints)
            .any(|(segment, hint)| segment.ordinal(document, hint).is_some());
        if !covered {
            waiting.push(Waiting {
                document,
                prefix_len: row.prefix_len,
                size: row.size,
            });
        }
    };
    if manifest.covered > 0 && record.changes_after <= manifest.covered {
        let mut reached = manifest.covered;
        for row in changes(context, &txn, account, manifest.covered)? {
            if listed.waiting.len() >= most {
                (listed.covered, listed.whole) = (reached, false);
                break;
            }
            let (modseq, change) = row?;
            reached = modseq;
            if change.kind == ChangeKind::Added {
                let uids = change.uids.iter().flat_map(|(first, last)| *first..=*last);
                each_row(tables, &txn, change.mailbox, uids, |_, row| {
                    // Without its row nothing finds a message, so that it need not be indexed.
                    if let Ok(row) = row {
                        add(row, &mut listed.waiting);
                    }
                    Ok(true)
                })?;
            }
        }
    } else {
        'mailboxes: for row in tables.mailboxes.prefix_iter(&txn, &keys::account(account))? {
            let mailbox = keys::u32_at(row?.0, 4).ok_or_else(|| damaged("mailboxes", account))?;
            for row in tables.messages.prefix_iter(&txn, &mailbox.to_be_bytes())? {
                let Some(row) = MessageRecord::decode(row?.1) else {
                    continue;
                };
                add(&row, &mut listed.waiting);
                if listed.waiting.len() >= most {
                    (listed.covered, listed.whole) = (manifest.covered, false);
                    break 'mailboxes;
                }
            }
        }
    }
    listed.waiting.sort_unstable_by_key(|waiting| waiting.document);
    listed.waiting.dedup_by_key(|waiting| waiting.document);
    Ok(listed)
}

/// The account's changes after a modseq.
pub(super) fn changes<'t>(
    context: &ReadContext,
    txn: &'t ReadTxn<'_>,
    account: AccountId,
    after: ModSeq,
) -> Result<impl Iterator<Item = Result<(ModSeq, ChangeRecord)>> + 't> {
    let first = keys::change(account, after.saturating_add(1));
    let last = keys::change(account, ModSeq::MAX);
    let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    Ok(context.tables.changes.range(txn, &bounds)?.map(move |row| {
        let (key, value) = row?;
        let modseq = keys::u64_at(key, 4).ok_or_else(|| damaged("changes", account))?;
        let change = ChangeRecord::decode(value).ok_or_else(|| damaged("changes", account))?;
        Ok((modseq, change))
    }))
}
