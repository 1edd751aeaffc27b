//! Export: everything of a volume, or some of it, as one neutral stream.
//!
//! A read transaction lasts one step of at most [`STEP_ROWS`] rows (lmdb.md 4.6) and is never open while octets are
//! written: a slow reader of the stream harms nobody. So what changes meanwhile may or may not be in the stream; each
//! message is whole in any case. A body that several messages share is written once; remembered of it are 8 octets.
//! What is damaged is told by name, in the stream and by [`Progress::problem`], and everything else goes on.

mod beside;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::ops::Bound;

use super::Progress;
use super::format::{Fields, StreamWriter, hex};
use crate::db::keys;
use crate::db::records::{BlobRecord, MailboxRecord, MessageRecord, flag};
use crate::db::tables::{Table, damaged};
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, BlobId, MailboxId, Uid};
use crate::jobs::ReadContext;
use crate::pack::read::StoredRecord;

/// Version of the stream that this release writes.
pub const VERSION: u32 = 1;
/// Rows that one read transaction takes at most.
const STEP_ROWS: usize = 256;
/// A body above this is read twice, first to see that it is sound, and written in pieces of this.
const PIECE_OCTETS: u64 = 1 << 20;

/// A record of the directory, which the store only carries: kind and fields.
#[derive(Clone, Debug, Default)]
pub struct Front {
    /// For example `domain`.
    pub kind: String,
    /// Its fields.
    pub fields: Vec<(String, String)>,
}

/// An account to be exported.
#[derive(Clone, Debug, Default)]
pub struct AccountPlan {
    /// Whose mail.
    pub id: AccountId,
    /// What the directory says, the address for one.
    pub fields: Vec<(String, String)>,
}

/// What is to be exported.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Fields of the first record: who made the stream, and when.
    pub begin: Vec<(String, String)>,
    /// Written before the accounts.
    pub front: Vec<Front>,
    /// These accounts.
    pub accounts: Vec<AccountPlan>,
    /// Also accounts of the store that are not among them.
    pub unknown_accounts: bool,
    /// Of each account only the mailbox of this name.
    pub mailbox: Option<String>,
    /// The outgoing queue.
    pub queue: bool,
    /// Messages that were expunged and can still be recovered.
    pub retained: bool,
}

/// What an export, or an import, came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Accounts.
    pub accounts: u64,
    /// Mailboxes.
    pub mailboxes: u64,
    /// Messages.
    pub messages: u64,
    /// Expunged messages that can still be recovered.
    pub retained: u64,
    /// Queue items.
    pub queue: u64,
    /// Bodies written, or stored.
    pub bodies: u64,
    /// Octets of the stream.
    pub octets: u64,
    /// Things that were damaged and are not in it.
    pub damaged: u64,
}

/// Writes the stream. Errors are those of writing; damage is told and passed over.
pub fn export<W: Write>(context: &ReadContext, out: W, plan: &Plan, progress: &Progress) -> Result<(Summary, W)> {
    let mut export = Export {
        context,
        plan,
        progress,
        writer: StreamWriter::new(out, draw_stream()),
        written: HashSet::new(),
        summary: Summary::default(),
        keywords: HashMap::new(),
        place: String::new(),
    };
    export.run()?;
    let (mut summary, octets) = (export.summary, export.writer.octets());
    summary.octets = octets;
    Ok((summary, export.writer.finish()?))
}

/// 16 hexadecimal digits that nobody could know before: the hasher's keys are random.
fn draw_stream() -> String {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write(b"stream");
    format!("{:016x}", hasher.finish())
}

/// At most `limit` rows of a table whose keys begin with `prefix`, after the key `after`.
pub(crate) fn rows(
    context: &ReadContext,
    table: Table,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let txn = context.begin()?;
    let from = match after {
        Some(after) => Bound::Excluded(after),
        // LMDB knows no empty key.
        None if prefix.is_empty() => Bound::Unbounded,
        None => Bound::Included(prefix),
    };
    let mut found = Vec::new();
    for row in table.range(&txn, &(from, Bound::<&[u8]>::Unbounded))? {
        let (key, value) = row?;
        if !key.starts_with(prefix) || found.len() >= limit {
            break;
        }
        found.push((key.to_vec(), value.to_vec()));
    }
    Ok(found)
}

/// What a stored message is made of, as its row says.
struct Parts {
    blob: BlobId,
    prefix: BlobId,
}

struct Export<'e, W> {
    context: &'e ReadContext,
    plan: &'e Plan,
    progress: &'e Progress,
    writer: StreamWriter<W>,
    /// Bodies with several references that the stream holds already.
    written: HashSet<BlobId>,
    summary: Summary,
    /// Of the present account, by number.
    keywords: HashMap<u8, String>,
    /// The present account and mailbox, for lines about damage.
    place: String,
}

impl<W: Write> Export<'_, W> {
    fn run(&mut self) -> Result<()> {
        let mut fields = Fields::new();
        let total = self.count()?;
        self.progress.set_total(total);
        // About: mail comes and goes meanwhile.
        fields.number("Version", VERSION).number("Messages", total);
        put_all(&mut fields, &self.plan.begin);
        self.writer.record("begin", &fields, b"", b"")?;
        let plan = self.plan;
        for front in &plan.front {
            let mut fields = Fields::new();
            put_all(&mut fields, &front.fields);
            self.writer.record(&front.kind, &fields, b"", b"")?;
        }
        if plan.unknown_accounts {
            let outcome = self.groups();
            self.survive("quota groups", outcome)?;
        }
        for account in &plan.accounts {
            self.account(account.id, &account.fields)?;
        }
        if plan.unknown_accounts {
            self.unknown_accounts()?;
        }
        if plan.queue {
            self.place = "queue".to_owned();
            self.queue()?;
        }
        let mut fields = Fields::new();
        let summary = self.summary;
        for (name, count) in [
            ("Accounts", summary.accounts),
            ("Mailboxes", summary.mailboxes),
            ("Messages", summary.messages),
            ("Retained", summary.retained),
            ("Queue", summary.queue),
            ("Bodies", summary.bodies),
            ("Damaged", summary.damaged),
        ] {
            fields.number(name, count);
        }
        self.writer.record("end", &fields, b"", b"")?;
        Ok(())
    }

    /// Something cannot be exported.
    fn damaged(&mut self, what: &str, reason: &StoreError) -> Result<()> {
        let line = format!("{}{what}: {reason}", self.place);
        self.summary.damaged += 1;
        let mut fields = Fields::new();
        fields
            .put("Place", &format!("{}{what}", self.place))
            .put("Reason", &reason.to_string());
        self.writer.record("damaged", &fields, b"", b"")?;
        self.progress.problem(line);
        Ok(())
    }

    /// Passes damage on to the stream, and everything else to the caller.
    fn survive(&mut self, what: &str, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(error) if is_damage(&error) => self.damaged(what, &error),
            other => other,
        }
    }

    fn unknown_accounts(&mut self) -> Result<()> {
        let known: HashSet<AccountId> = self.plan.accounts.iter().map(|account| account.id).collect();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let found = rows(
                self.context,
                self.context.tables.accounts,
                b"",
                after.as_deref(),
                STEP_ROWS,
            )?;
            for (key, value) in &found {
                let removing = crate::db::records::AccountRecord::decode(value).is_some_and(|record| record.removing);
                if let Some(account) = keys::u32_at(key, 0).filter(|account| !known.contains(account) && !removing) {
                    self.account(account, &[])?;
                }
            }
            match found.last() {
                Some((key, _)) => after = Some(key.clone()),
                None => return Ok(()),
            }
        }
    }

    fn account(&mut self, account: AccountId, told: &[(String, String)]) -> Result<()> {
        self.progress.go_on()?;
        let address = told
            .iter()
            .find(|(name, _)| name == "Address")
            .map_or_else(|| format!("account {account}"), |(_, address)| address.clone());
        self.place = format!("{address}: ");
        let mut fields = Fields::new();
        fields.number("Account", account);
        put_all(&mut fields, told);
        let outcome = self.quota(account, &mut fields);
        self.survive("quota", outcome)?;
        self.writer.record("account", &fields, b"", b"")?;
        self.summary.accounts += 1;
        self.keywords.clear();
        let outcome = self.load_keywords(account);
        self.survive("keywords", outcome)?;
        let names = match self.names(account) {
            Ok(names) => names,
            Err(error) => {
                self.survive("subscriptions", Err(error))?;
                HashMap::new()
            }
        };
        let outcome = self.mailboxes(account, &address, &names);
        self.place = format!("{address}: ");
        self.survive("mailboxes", outcome)?;
        if self.plan.retained {
            let outcome = self.retained(account);
            self.survive("retained messages", outcome)?;
        }
        Ok(())
    }

    fn quota(&self, account: AccountId, fields: &mut Fields) -> Result<()> {
        let txn = self.context.begin()?;
        if let Some(record) = self.context.tables.account(&txn, account)? {
            fields
                .text("Group", &record.group)
                .nonzero("Limit-Messages", record.limit_messages)
                .nonzero("Limit-Octets", record.limit_octets);
        }
        Ok(())
    }

    fn load_keywords(&mut self, account: AccountId) -> Result<()> {
        let txn = self.context.begin()?;
        for (number, keyword) in self.context.tables.account_keywords(&txn, account)? {
            self.keywords
                .insert(number, String::from_utf8_lossy(&keyword).into_owned());
        }
        Ok(())
    }

    fn mailboxes(&mut self, account: AccountId, address: &str, subscribed: &HashMap<MailboxId, bool>) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let prefix = keys::account(account);
            let found = rows(
                self.context,
                self.context.tables.mailboxes,
                &prefix,
                after.as_deref(),
                STEP_ROWS,
            )?;
            for (key, value) in &found {
                let mailbox = keys::u32_at(key, 4).unwrap_or_default();
                self.place = format!("{address}: ");
                let record = match MailboxRecord::decode(value) {
                    Some(record) => record,
                    None => {
                        // Its messages are readable all the same.
                        self.damaged(&format!("mailbox {mailbox}"), &damaged("mailboxes", mailbox))?;
                        MailboxRecord {
                            name: format!("Damaged/{mailbox}"),
                            ..MailboxRecord::default()
                        }
                    }
                };
                if self.plan.mailbox.as_ref().is_some_and(|name| *name != record.name) {
                    continue;
                }
                self.place = format!("{address}: {}: ", record.name);
                let is_subscribed = subscribed.get(&mailbox).copied().unwrap_or(false);
                self.mailbox(account, address, mailbox, &record, is_subscribed)?;
                let outcome = self.messages(account, mailbox);
                self.survive("messages", outcome)?;
            }
            match found.last() {
                Some((key, _)) => after = Some(key.clone()),
                None => return Ok(()),
            }
        }
    }

    fn mailbox(
        &mut self,
        account: AccountId,
        address: &str,
        mailbox: MailboxId,
        record: &MailboxRecord,
        subscribed: bool,
    ) -> Result<()> {
        let mut fields = Fields::new();
        fields
            .number("Account", account)
            .put("Address", address)
            .number("Mailbox", mailbox)
            .put("Name", &record.name)
            .text("Special-Use", &record.special_use)
            .nonzero("Subscribed", u8::from(subscribed))
            .nonzero("UIDVALIDITY", record.uid_validity)
            .nonzero("UIDNEXT", record.uid_next)
            .number("Messages", record.messages)
            .number("Octets", record.size)
            .nonzero("Modseq", record.highest_modseq);
        self.writer.record("mailbox", &fields, b"", b"")?;
        self.summary.mailboxes += 1;
        Ok(())
    }

    fn messages(&mut self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            self.progress.go_on()?;
            let step = self.step(mailbox, after.as_deref())?;
            for (key, row, blob) in &step {
                let uid = keys::u32_at(key, 4).unwrap_or_default();
                let outcome = match row {
                    Some(row) => self.message(account, mailbox, uid, row, blob.as_ref()),
                    None => Err(damaged("messages", format!("{mailbox}:{uid}"))),
                };
                self.survive(&format!("UID {uid}"), outcome)?;
            }
            match step.last() {
                Some((key, _, _)) => after = Some(key.clone()),
                None => return Ok(()),
            }
        }
    }

    /// Rows of messages with their bodies' rows, in one transaction.
    #[expect(clippy::type_complexity, reason = "one use, beside its reader")]
    fn step(
        &self,
        mailbox: MailboxId,
        after: Option<&[u8]>,
    ) -> Result<Vec<(Vec<u8>, Option<MessageRecord>, Option<BlobRecord>)>> {
        let txn = self.context.begin()?;
        let prefix = mailbox.to_be_bytes();
        let from = after.map_or(Bound::Included(&prefix[..]), Bound::Excluded);
        let tables = &self.context.tables;
        let mut found = Vec::with_capacity(STEP_ROWS);
        for row in tables.messages.range(&txn, &(from, Bound::<&[u8]>::Unbounded))? {
            let (key, value) = row?;
            if !key.starts_with(&prefix) || found.len() >= STEP_ROWS {
                break;
            }
            let record = MessageRecord::decode(value);
            let blob = record.and_then(|record| tables.blob(&txn, record.blob).ok().flatten());
            found.push((key.to_vec(), record, blob));
        }
        Ok(found)
    }

    fn message(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uid: Uid,
        row: &MessageRecord,
        blob: Option<&BlobRecord>,
    ) -> Result<()> {
        let mut fields = Fields::new();
        fields
            .number("Account", account)
            .number("Mailbox", mailbox)
            .number("UID", uid);
        self.put_message(&mut fields, row);
        let parts = Parts {
            blob: row.blob,
            prefix: row.prefix,
        };
        match self.content("message", &mut fields, &parts, blob, Vec::new()) {
            Err(StoreError::NotFound(text)) => {
                let txn = self.context.begin()?;
                if self.context.tables.message(&txn, mailbox, uid)?.is_some() {
                    return Err(StoreError::Corrupt(text));
                }
                // Expunged since its row was read.
                Ok(())
            }
            Ok(octets) => {
                self.summary.messages += 1;
                self.progress.advance(1, octets);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn put_message(&self, fields: &mut Fields, row: &MessageRecord) {
        let mut names: Vec<&str> = Vec::new();
        for (bit, name) in [
            (flag::SEEN, "\\Seen"),
            (flag::ANSWERED, "\\Answered"),
            (flag::FLAGGED, "\\Flagged"),
            (flag::DELETED, "\\Deleted"),
            (flag::DRAFT, "\\Draft"),
        ] {
            if row.flags & bit != 0 {
                names.push(name);
            }
        }
        for number in 0..64_u8 {
            if row.keywords >> number & 1 == 1
                && let Some(keyword) = self.keywords.get(&number)
            {
                names.push(keyword);
            }
        }
        fields
            .text("Flags", &names.join(" "))
            .number("Internal-Date", row.internal_date)
            .nonzero("Zone", row.internal_zone)
            .nonzero("Saved", row.saved)
            .nonzero("Modseq", row.modseq);
    }

    /// Writes a record with its prefix and body; octets of both.
    fn content(
        &mut self,
        kind: &str,
        fields: &mut Fields,
        parts: &Parts,
        row: Option<&BlobRecord>,
        mut attachment: Vec<u8>,
    ) -> Result<u64> {
        let body = self.open(parts.blob, row)?;
        if parts.prefix != 0 {
            let prefix = self.open(parts.prefix, None)?;
            fields.number("Prefix-Octets", prefix.raw_len());
            prefix.read(0..prefix.raw_len(), &mut attachment)?;
        }
        let octets = body.raw_len();
        fields
            .put("Body", &hex(&body.header().digest))
            .number("Body-Octets", octets);
        let references = self.references(parts.blob, row)?;
        fields.number("References", references);
        let is_shared = references > 1;
        let total = octets + attachment.len() as u64;
        if is_shared && self.written.contains(&parts.blob) {
            self.writer.record(kind, fields, &attachment, b"")?;
            return Ok(total);
        }
        if octets <= PIECE_OCTETS {
            let contents = body.read_all()?;
            self.writer.record(kind, fields, &attachment, &contents)?;
        } else {
            self.large(kind, fields, &attachment, &body)?;
        }
        self.summary.bodies += 1;
        if is_shared {
            self.written.insert(parts.blob);
        }
        Ok(total)
    }

    /// A record with a body that is too large for memory.
    fn large(&mut self, kind: &str, fields: &Fields, attachment: &[u8], body: &StoredRecord) -> Result<()> {
        let octets = body.raw_len();
        let mut piece = Vec::new();
        for pass in 0..2 {
            if pass == 1 {
                self.writer.begin(kind, fields, attachment, octets)?;
            }
            let mut at = 0;
            while at < octets {
                self.progress.go_on()?;
                piece.clear();
                let read = body.read(at..at + PIECE_OCTETS, &mut piece);
                if pass == 1 {
                    if let Err(error) = read {
                        // Sound a moment ago. The reader will see it by the digest.
                        self.writer.end()?;
                        return Err(error);
                    }
                    self.writer.body(&piece)?;
                } else {
                    read?;
                }
                at += PIECE_OCTETS;
            }
        }
        self.writer.end()?;
        Ok(())
    }

    fn references(&self, blob: BlobId, row: Option<&BlobRecord>) -> Result<u32> {
        if let Some(row) = row {
            return Ok(row.references);
        }
        let txn = self.context.begin()?;
        Ok(self.context.blob(&txn, blob)?.references)
    }

    /// A record of a pack. One that has moved since its row was read is looked up again.
    fn open(&self, blob: BlobId, row: Option<&BlobRecord>) -> Result<StoredRecord> {
        if let Some(row) = row
            && let Ok(record) = self.context.packs.record(row)
        {
            return Ok(record);
        }
        self.context.record(blob)
    }
}

/// Damage of what is stored, or of the disk where it lies, as opposed to faults of writing the stream.
fn is_damage(error: &StoreError) -> bool {
    match error {
        StoreError::Corrupt(_) | StoreError::NotFound(_) | StoreError::Index(_) => true,
        // EIO while reading. Faults of writing have other numbers, save EIO of a disk that is as broken.
        StoreError::Io(error) => error.raw_os_error() == Some(5),
        _ => false,
    }
}

fn put_all(fields: &mut Fields, told: &[(String, String)]) {
    for (name, value) in told {
        fields.put(name, value);
    }
}
