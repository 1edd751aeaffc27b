//! What the journal says, entry by entry: the last word on each thing counts.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::db::records::{AccountRecord, MailboxRecord, MessageRecord, QueueRecord};
use crate::ids::{AccountId, MailboxId, ModSeq, QueueId, Uid, WriterId};
use crate::journal::{Digest, Entry};

/// A message as last told.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) body: Digest,
    pub(super) prefix: Digest,
    pub(super) row: MessageRecord,
    /// Number of the transaction that told it.
    told: u64,
    /// Expunged at that Unix second, and retained since.
    pub(super) retained: Option<u64>,
}

impl Message {
    pub(super) fn new(body: Digest, prefix: Digest, row: MessageRecord) -> Self {
        Self {
            body,
            prefix,
            row,
            told: 0,
            retained: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) account: AccountId,
    pub(super) row: MailboxRecord,
    /// Deleted: its messages are retained as expunged at that Unix second, or gone.
    pub(super) gone: Option<Option<u64>>,
}

/// Queue items and what their bodies are.
pub(super) type Queue = BTreeMap<QueueId, (Digest, Digest, QueueRecord)>;

/// Everything told so far.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) accounts: BTreeMap<AccountId, AccountRecord>,
    pub(super) groups: BTreeMap<String, (u64, u64)>,
    pub(super) mailboxes: BTreeMap<MailboxId, Mailbox>,
    pub(super) names: BTreeMap<(AccountId, String), bool>,
    pub(super) keywords: BTreeMap<(AccountId, u8), String>,
    pub(super) messages: BTreeMap<(MailboxId, Uid), Message>,
    pub(super) queue: Queue,
    pub(super) queue_next: QueueId,
    pub(super) journal_next: u64,
    /// No mailbox that was ever told of has this number or a greater one: numbers are never given anew.
    pub(super) mailbox_next: MailboxId,
    /// Digests of all bodies that were ever told of.
    told: HashSet<Digest>,
    dequeued: HashSet<QueueId>,
    /// Writers of which everything has been told.
    ended: HashSet<WriterId>,
    /// Greatest modseq met by mailbox.
    modseqs: HashMap<MailboxId, ModSeq>,
    /// Mailboxes that were told to hold nothing, and by which transaction last.
    emptied: HashMap<MailboxId, u64>,
    /// UIDs from which on none has been met, by mailbox.
    uid_nexts: HashMap<MailboxId, Uid>,
}

impl State {
    /// Takes one entry of the transaction `number`; entries come in the order of their transactions.
    pub(super) fn apply(&mut self, number: u64, entry: Entry) {
        match entry {
            Entry::Account(account, row) => {
                let known = self.accounts.entry(account).or_default();
                *known = AccountRecord {
                    highest_modseq: row.highest_modseq.max(known.highest_modseq),
                    uid_validity_last: row.uid_validity_last.max(known.uid_validity_last),
                    ..row
                };
            }
            Entry::Group(name, messages, octets) => {
                self.groups.insert(name, (messages, octets));
            }
            Entry::Mailbox(account, mailbox, row) => {
                self.reach(mailbox, row.uid_next.saturating_sub(1), row.highest_modseq);
                // A mailbox that has been deleted never comes back, whatever the order of what is told again.
                let gone = self.mailboxes.get(&mailbox).and_then(|known| known.gone);
                self.mailboxes.insert(mailbox, Mailbox { account, row, gone });
            }
            Entry::MailboxGone(account, mailbox, retained, at) => {
                self.reach(mailbox, 0, 0);
                let known = self.mailboxes.entry(mailbox).or_insert_with(|| Mailbox {
                    account,
                    row: MailboxRecord::default(),
                    gone: None,
                });
                known.gone = Some(retained.then_some(at));
            }
            Entry::Name(account, name, subscribed) => {
                self.names.insert((account, name), subscribed);
            }
            Entry::Keyword(account, bit, keyword) => {
                self.keywords.insert((account, bit), keyword);
            }
            Entry::Message(mailbox, uid, body, prefix, row) => {
                self.reach(mailbox, uid, row.modseq);
                self.told.insert(body);
                let message = Message {
                    body,
                    prefix,
                    row,
                    told: number,
                    retained: None,
                };
                self.messages.insert((mailbox, uid), message);
            }
            Entry::Flags(mailbox, uid, flags, keywords, modseq) => {
                self.reach(mailbox, uid, modseq);
                if let Some(message) = self.messages.get_mut(&(mailbox, uid)) {
                    message.row.flags = flags;
                    message.row.keywords = keywords;
                    message.row.modseq = modseq;
                }
            }
            Entry::Expunged(mailbox, uids, retained, at) => {
                for (first, last) in uids {
                    self.reach(mailbox, last, 0);
                    // What is retained stays so, unless this says that it is gone as well.
                    self.remove(mailbox, first, last, retained.then_some(at), |known| {
                        !retained || known.retained.is_none()
                    });
                }
            }
            Entry::Uids(mailbox, uid_next, uids) => {
                self.reach(mailbox, uid_next.saturating_sub(1), 0);
                if uids.is_empty() {
                    // Of a deleted mailbox this says nothing: what it held may be retained.
                    self.emptied.insert(mailbox, number);
                    return;
                }
                let is_void = |known: &Message| known.retained.is_none() && known.told < number;
                let mut next = 0;
                for &(first, last) in &uids {
                    if let Some(before) = first.checked_sub(1) {
                        self.remove(mailbox, next, before, None, is_void);
                    }
                    self.reach(mailbox, last, 0);
                    next = last.saturating_add(1);
                }
                self.remove(mailbox, next, Uid::MAX, None, is_void);
            }
            Entry::Queued(id, body, prefix, row) => {
                self.queue_next = self.queue_next.max(id.saturating_add(1));
                self.told.insert(body);
                if !self.dequeued.contains(&id) {
                    self.queue.insert(id, (body, prefix, row));
                }
            }
            Entry::Dequeued(id, _) => {
                self.queue_next = self.queue_next.max(id.saturating_add(1));
                self.dequeued.insert(id);
                self.queue.remove(&id);
            }
            Entry::Ended(writer) => {
                self.ended.insert(writer);
            }
        }
    }

    /// Messages of a range that `which` means go, or become retained.
    fn remove(
        &mut self,
        mailbox: MailboxId,
        first: Uid,
        last: Uid,
        retained: Option<u64>,
        which: impl Fn(&Message) -> bool,
    ) {
        if first > last {
            return;
        }
        let range = (mailbox, first)..=(mailbox, last);
        let found: Vec<Uid> = self
            .messages
            .range(range)
            .filter(|(_, message)| which(message))
            .map(|((_, uid), _)| *uid)
            .collect();
        for uid in found {
            match (retained, self.messages.get_mut(&(mailbox, uid))) {
                (Some(at), Some(message)) => message.retained = Some(at),
                _ => {
                    self.messages.remove(&(mailbox, uid));
                }
            }
        }
    }

    /// True when a body with this digest was told of, whatever became of it.
    pub(super) fn has_told(&self, digest: &Digest) -> bool {
        self.told.contains(digest)
    }

    /// True when a writer's packs hold nothing that was done and not told of.
    pub(super) fn has_ended(&self, writer: WriterId) -> bool {
        self.ended.contains(&writer)
    }

    fn reach(&mut self, mailbox: MailboxId, uid: Uid, modseq: ModSeq) {
        self.mailbox_next = self.mailbox_next.max(mailbox.saturating_add(1));
        let next = self.uid_nexts.entry(mailbox).or_insert(1);
        *next = (*next).max(uid.saturating_add(1));
        let highest = self.modseqs.entry(mailbox).or_default();
        *highest = (*highest).max(modseq);
    }

    /// After the last entry: what belongs to nobody goes, and each mailbox has its greatest numbers.
    pub(super) fn finish(&mut self) {
        let removed: HashSet<AccountId> = self
            .accounts
            .iter()
            .filter(|(_, row)| row.removing)
            .map(|(account, _)| *account)
            .collect();
        self.mailboxes.retain(|_, mailbox| !removed.contains(&mailbox.account));
        self.names.retain(|(account, _), _| !removed.contains(account));
        self.keywords.retain(|(account, _), _| !removed.contains(account));
        for (id, mailbox) in &mut self.mailboxes {
            mailbox.row.uid_next = self
                .uid_nexts
                .get(id)
                .copied()
                .unwrap_or(1)
                .max(mailbox.row.uid_next)
                .max(1);
            mailbox.row.highest_modseq = self
                .modseqs
                .get(id)
                .copied()
                .unwrap_or(0)
                .max(mailbox.row.highest_modseq);
            let account = self.accounts.entry(mailbox.account).or_default();
            account.highest_modseq = account.highest_modseq.max(mailbox.row.highest_modseq);
            account.uid_validity_last = account.uid_validity_last.max(mailbox.row.uid_validity);
        }
        let (mailboxes, emptied) = (&self.mailboxes, &self.emptied);
        self.messages
            .retain(|(id, _), message| match mailboxes.get(id).map(|mailbox| mailbox.gone) {
                None => false,
                Some(None) => {
                    message.retained.is_some() || emptied.get(id).is_none_or(|&number| message.told >= number)
                }
                Some(Some(gone)) => {
                    message.retained = message.retained.or(gone);
                    message.retained.is_some()
                }
            });
    }
}
