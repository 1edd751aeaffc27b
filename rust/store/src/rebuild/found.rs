//! Messages that no journal has told of: the last batch at a power loss, put where their records' hints say.

use std::collections::HashMap;

use super::Rebuilt;
use super::index::Builder;
use super::scan::Contents;
use super::state::{Mailbox, Message, State};
use crate::db::records::{MailboxRecord, MessageRecord};
use crate::ids::{AccountId, MailboxId, Uid};
use crate::journal::Digest;
use crate::pack::format::RecordKind;
use crate::prepare::{Recipient, recipients};

/// How far UIDNEXT is set ahead where the last UIDs given out may not have been told.
const UIDS_AHEAD: Uid = 1 << 16;
/// Likewise for the numbers of mailboxes, which name them to clients.
const MAILBOXES_AHEAD: MailboxId = 1 << 16;

/// A message that no journal has told of, for one of those whom its hint names.
pub(super) struct FoundMessage {
    body: Digest,
    prefix: Digest,
    recipient: Recipient,
    received: i64,
}

impl Builder<'_> {
    /// Bodies that no journal has told of, with the prefix that follows each in its pack, in the order of the packs.
    pub(super) fn found(&self, state: &State, report: &mut Rebuilt) -> Vec<FoundMessage> {
        let mut found = Vec::new();
        for (index, digest) in self.scan.order.iter().enumerate() {
            let Some(contents) = self.scan.contents.get(digest) else {
                continue;
            };
            let is_told = !contents.untold || state.has_told(digest) || state.has_ended(contents.pack.writer());
            if contents.kind != RecordKind::Body || is_told {
                continue;
            }
            // What was never answered may be torn: it is worth a line of the report, and no message.
            let record = match contents.verify(&self.packs) {
                Ok(record) => record,
                Err(error) => {
                    report.damaged.push(error.to_string());
                    continue;
                }
            };
            let to = recipients(record.header().account, record.hint());
            if to.is_empty() {
                report.damaged.push(format!(
                    "pack {}: the body at {} was to be sent on, and to whom is lost",
                    contents.pack, contents.offset
                ));
                continue;
            }
            let prefixes = self.prefixes_behind(index, contents);
            for recipient in to {
                if state.accounts.get(&recipient.account).is_some_and(|row| row.removing) {
                    continue;
                }
                // Nobody gets a trace header that may be another's: it may name whom the others must not know.
                let own = prefixes.iter().find(|(_, of)| of.contains(&recipient));
                let prefix = own.map(|(digest, _)| *digest).unwrap_or_default();
                found.push(FoundMessage {
                    body: *digest,
                    prefix,
                    recipient,
                    received: record.header().received,
                });
            }
        }
        found
    }

    /// The prefixes that follow a body in its pack, and whose each is.
    fn prefixes_behind(&self, index: usize, body: &Contents) -> Vec<(Digest, Vec<Recipient>)> {
        let mut end = body.offset + u64::from(body.length);
        let mut prefixes = Vec::new();
        for digest in self.scan.order.iter().skip(index + 1) {
            let Some(contents) = self.scan.contents.get(digest) else {
                break;
            };
            if contents.kind != RecordKind::Prefix || (contents.pack, contents.offset) != (body.pack, end) {
                break;
            }
            end += u64::from(contents.length);
            if let Ok(record) = contents.verify(&self.packs) {
                prefixes.push((*digest, recipients(record.header().account, record.hint())));
            }
        }
        prefixes
    }

    /// Gives found messages to the mailboxes that they were meant for, behind all UIDs that can have been given out.
    pub(super) fn place_found(&mut self, state: &mut State, found: Vec<FoundMessage>, report: &mut Rebuilt) {
        if self.is_doubtful {
            state.mailbox_next = state.mailbox_next.max(1).saturating_add(MAILBOXES_AHEAD);
            for mailbox in state.mailboxes.values_mut() {
                mailbox.row.uid_next = mailbox.row.uid_next.saturating_add(UIDS_AHEAD);
            }
        }
        let mut named: HashMap<(AccountId, String), MailboxId> = state
            .mailboxes
            .iter()
            .filter(|(_, mailbox)| mailbox.gone.is_none())
            .map(|(id, mailbox)| ((mailbox.account, mailbox.row.name.clone()), *id))
            .collect();
        for found in found {
            let recipient = &found.recipient;
            let placed = self.next_uid(state, &mut named, recipient.account, &recipient.mailbox);
            let Some((mailbox, uid)) = placed else {
                report
                    .damaged
                    .push(format!("account {} has no UIDs left", recipient.account));
                continue;
            };
            let length = |digest: &Digest| self.scan.contents.get(digest).map_or(0, |found| found.raw_len);
            let row = MessageRecord {
                internal_date: found.received,
                size: length(&found.body).saturating_add(length(&found.prefix)),
                prefix_len: length(&found.prefix),
                saved: self.now,
                ..MessageRecord::default()
            };
            report.found += 1;
            let message = Message::new(found.body, found.prefix, row);
            state.messages.insert((mailbox, uid), message);
        }
    }

    /// The mailbox of that name, made when missing, and its next UID. A removed account is nobody's.
    fn next_uid(
        &self,
        state: &mut State,
        named: &mut HashMap<(AccountId, String), MailboxId>,
        account: AccountId,
        name: &str,
    ) -> Option<(MailboxId, Uid)> {
        let row = state.accounts.entry(account).or_default();
        if row.removing {
            return None;
        }
        let id = match named.get(&(account, name.to_owned())) {
            Some(&id) => id,
            None => {
                let id = state.mailbox_next.max(1);
                state.mailbox_next = id.checked_add(1)?;
                row.uid_validity_last = row.uid_validity_last.saturating_add(1).max(self.now);
                let record = MailboxRecord {
                    uid_validity: row.uid_validity_last,
                    uid_next: 1,
                    recent_from: 1,
                    name: name.to_owned(),
                    ..MailboxRecord::default()
                };
                let mailbox = Mailbox {
                    account,
                    row: record,
                    gone: None,
                };
                state.mailboxes.insert(id, mailbox);
                state.names.insert((account, name.to_owned()), true);
                named.insert((account, name.to_owned()), id);
                id
            }
        };
        let mailbox = state.mailboxes.get_mut(&id)?;
        let uid = mailbox.row.uid_next;
        mailbox.row.uid_next = uid.checked_add(1)?;
        Some((id, uid))
    }
}
