//! Import: a neutral stream into a volume, which may be in use by others.
//!
//! Messages are put where they were, with their UIDs where these are still to be given. In a mailbox that holds messages
//! already those that are there (the same body and internal date, as often as it is there) are passed over, so that an
//! import that was interrupted is taken up by doing it again. Operations are kept outstanding in numbers, in the
//! order of each mailbox (`crate::lineup`), so that each commit takes many of them.

mod bodies;
mod outstanding;

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;

use self::outstanding::{Kind, Pending};
use super::Progress;
use super::export::{Summary, VERSION, rows};
use super::format::{self, CHECK_OCTETS, Item, Record, StreamReader};
use super::spare::Spare;
use crate::db::records::MessageRecord;
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, BlobId, MailboxId, Ticket, Uid};
use crate::jobs::ReadContext;
use crate::ops::{Enqueue, FlagSet, Op, Restore, Submit};
use crate::sink::Sink;
use crate::volume::Volume;

/// A body up to this is gathered in memory and seen to be whole before anything is done with it.
const PIECE_OCTETS: usize = 1 << 20;
/// Mailboxes written to since all was last on disk, remembered at most.
const TOUCHED_MAX: usize = 10_000;

/// The first octets of a body's BLAKE3.
type Digest = [u8; CHECK_OCTETS];

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Mailboxes go below this name; as they were when empty.
    pub prefix: String,
    /// Queue items are queued again.
    pub queue: bool,
    /// Expunged messages that were retained are retained again.
    pub retained: bool,
}

/// Where the mail of an account goes.
pub type Ask<'a> = dyn FnMut(&Record) -> Result<Option<AccountId>> + 'a;

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// What was stored.
    pub stored: Summary,
    /// Messages that were there already.
    pub present: u64,
    /// Records passed over: of accounts that were refused, or not wanted.
    pub passed: u64,
}

/// Reads the stream to its end and stores what it holds.
///
/// `ask` gets every record that is the directory's affair (`domain`, `alias`, `account`); for an account it answers
/// where its mail goes, `None`: nowhere. The volume must be one whose tickets nobody else awaits. Damage and refusals
/// are told by [`Progress::problem`]; an error ends the import, and what was stored stays.
pub fn import<R: Read>(
    volume: &Volume,
    input: R,
    options: &ImportOptions,
    progress: &Progress,
    ask: &mut Ask<'_>,
) -> Result<Imported> {
    let mut import = Import {
        volume,
        options,
        progress,
        ask,
        reader: StreamReader::new(input),
        pending: HashMap::new(),
        pending_octets: 0,
        accounts: HashMap::new(),
        mailbox: None,
        touched: HashSet::new(),
        bodies: HashMap::new(),
        spare: Spare::default(),
        imported: Imported::default(),
        ended: false,
    };
    let outcome = import.run();
    let drained = import.drain();
    outcome.and(drained)?;
    let mut imported = import.imported;
    imported.stored.octets = import.reader.offset();
    Ok(imported)
}

/// A body that several messages share.
#[derive(Clone, Copy)]
enum Body {
    InFlight(Ticket),
    Stored(BlobId),
    /// Not in the volume: its octets are kept aside.
    Spare,
}

/// The mailbox that messages go to now.
struct Target {
    source: u32,
    account: AccountId,
    name: String,
    place: Arc<str>,
    keep_uids: bool,
    uid_next: Option<Uid>,
    /// What the mailbox held before: how often, and one blob of them.
    present: HashMap<(Digest, i64), (u32, BlobId)>,
}

/// A body out of the stream.
enum Content {
    /// Whole, and as its digest says.
    Memory(Vec<u8>),
    /// Too large for memory.
    Sink(Sink),
    /// A blob of the volume.
    Blob(BlobId),
}

struct Import<'i, R> {
    volume: &'i Volume,
    options: &'i ImportOptions,
    progress: &'i Progress,
    ask: &'i mut Ask<'i>,
    reader: StreamReader<R>,
    pending: HashMap<Ticket, Pending>,
    pending_octets: u64,
    /// Of the stream, to ours; `None`: refused.
    accounts: HashMap<u32, Option<AccountId>>,
    mailbox: Option<Target>,
    /// Written to since all was last on disk.
    touched: HashSet<(AccountId, String)>,
    bodies: HashMap<Digest, Body>,
    spare: Spare,
    imported: Imported,
    ended: bool,
}

impl<R: Read> Import<'_, R> {
    fn run(&mut self) -> Result<()> {
        let mut is_first = true;
        while let Some(item) = self.reader.next_item()? {
            self.progress.go_on()?;
            match item {
                Item::Damage { offset, octets } => {
                    self.damaged(format!(
                        "octets {offset} to {}: no record can be read there",
                        offset + octets
                    ));
                }
                Item::Record(record) => {
                    if is_first && record.kind != "begin" {
                        self.damaged("the first record is missing".to_owned());
                    }
                    self.record(&record)?;
                }
            }
            is_first = false;
            self.settle(false)?;
        }
        self.finish_mailbox()?;
        if is_first {
            return Err(StoreError::Refused("this is no export of ironpost".to_owned()));
        }
        if !self.ended {
            self.damaged("the export has no end: it was cut".to_owned());
        }
        Ok(())
    }

    fn damaged(&mut self, line: String) {
        self.imported.stored.damaged += 1;
        self.progress.problem(line);
    }

    fn record(&mut self, record: &Record) -> Result<()> {
        match record.kind.as_str() {
            "begin" => {
                let version = record.number::<u32>("Version");
                if version > VERSION {
                    return Err(StoreError::Refused(format!(
                        "the export has version {version}, this release reads {VERSION}"
                    )));
                }
                self.progress.set_total(record.number("Messages"));
                Ok(())
            }
            "domain" | "alias" | "access" | "annotation" => (self.ask)(record).map(drop),
            "group" => self.group(record),
            "account" => self.account(record),
            "subscription" => self.subscription(record),
            "mailbox" => self.open_mailbox(record),
            "message" => self.message(record),
            "retained" => self.retained(record),
            "queue" => self.queue_item(record),
            "damaged" => {
                self.damaged(format!(
                    "was damaged when it was exported: {}: {}",
                    record.text("Place"),
                    record.text("Reason")
                ));
                Ok(())
            }
            "end" => {
                self.ended = true;
                Ok(())
            }
            // Of a later release that says the same version: nothing that this one needs.
            _ => Ok(()),
        }
    }

    fn group(&mut self, record: &Record) -> Result<()> {
        if record.text("Name").is_empty() {
            return Ok(());
        }
        let op = Op::SetGroupQuota {
            group: record.text("Name").to_owned(),
            messages: Some(record.number("Limit-Messages")),
            octets: Some(record.number("Limit-Octets")),
        };
        self.submit_plain(op)
    }

    fn account(&mut self, record: &Record) -> Result<()> {
        self.finish_mailbox()?;
        let target = (self.ask)(record)?;
        self.accounts.insert(record.number("Account"), target);
        let Some(account) = target else {
            self.imported.passed += 1;
            return Ok(());
        };
        self.imported.stored.accounts += 1;
        if crate::reader::knows_account(self.volume.context(), account)? {
            return Ok(());
        }
        self.submit_plain(Op::AdoptAccount { account })?;
        let (group, messages, octets) = (
            record.text("Group"),
            record.number::<u64>("Limit-Messages"),
            record.number::<u64>("Limit-Octets"),
        );
        if !group.is_empty() || messages + octets > 0 {
            self.submit_plain(Op::SetQuota {
                account,
                group: Some(group.to_owned()),
                messages: Some(messages),
                octets: Some(octets),
            })?;
        }
        Ok(())
    }

    fn subscription(&mut self, record: &Record) -> Result<()> {
        let Some(account) = self.account_of(record) else {
            return Ok(());
        };
        let op = Op::Subscribe {
            account,
            name: self.target_name(record.text("Name")),
            subscribed: true,
        };
        self.submit_plain(op)
    }

    /// The account that a record's mail goes to; records of refused ones are passed over.
    fn account_of(&mut self, record: &Record) -> Option<AccountId> {
        let found = self.accounts.get(&record.number("Account")).copied();
        match found {
            Some(Some(account)) => Some(account),
            Some(None) => {
                self.imported.passed += 1;
                None
            }
            None => {
                self.damaged(format!("record at {}: its account's record was damaged", record.offset));
                None
            }
        }
    }

    fn target_name(&self, name: &str) -> String {
        if self.options.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.options.prefix)
        }
    }

    fn open_mailbox(&mut self, record: &Record) -> Result<()> {
        self.finish_mailbox()?;
        let source = record.number("Account");
        if !self.accounts.contains_key(&source) {
            // The account's own record was damaged; this one says enough.
            let target = (self.ask)(record)?;
            self.accounts.insert(source, target);
            if let Some(account) = target {
                self.submit_plain(Op::AdoptAccount { account })?;
            }
        }
        let Some(account) = self.account_of(record) else {
            return Ok(());
        };
        let name = self.target_name(record.text("Name"));
        self.adopt(record, account, &name, record.text("Address"))
    }

    /// Makes or takes the mailbox, and learns what it holds.
    fn adopt(&mut self, record: &Record, account: AccountId, name: &str, address: &str) -> Result<()> {
        if self.touched.len() >= TOUCHED_MAX || !self.touched.insert((account, name.to_owned())) {
            self.drain()?;
            self.touched.clear();
            self.touched.insert((account, name.to_owned()));
        }
        let validity = record.number::<u32>("UIDVALIDITY");
        let (mut keep_uids, mut present) = (validity != 0, HashMap::new());
        if let Some((mailbox, row)) = find_mailbox(self.volume.context(), account, name)?
            && row.uid_next > 1
        {
            keep_uids &= row.uid_validity == validity;
            present = contents(self.volume.context(), mailbox)?;
        }
        let as_it_was = self.options.prefix.is_empty();
        self.submit_plain(Op::AdoptMailbox {
            account,
            name: name.to_owned(),
            special_use: if as_it_was {
                record.text("Special-Use").to_owned()
            } else {
                String::new()
            },
            subscribed: as_it_was.then(|| record.number::<u8>("Subscribed") != 0),
            uid_validity: (validity != 0).then_some(validity),
            uid_next: None,
        })?;
        self.imported.stored.mailboxes += 1;
        self.mailbox = Some(Target {
            source: record.number("Mailbox"),
            account,
            name: name.to_owned(),
            place: Arc::from(format!("{address}: {name}: ")),
            keep_uids,
            uid_next: keep_uids.then(|| record.number("UIDNEXT")),
            present,
        });
        Ok(())
    }

    /// UIDNEXT comes last: no message may get one of the numbers below.
    fn finish_mailbox(&mut self) -> Result<()> {
        let Some(target) = self.mailbox.take() else {
            return Ok(());
        };
        if let Some(uid_next) = target.uid_next.filter(|&uid_next| uid_next > 1) {
            self.submit_plain(Op::AdoptMailbox {
                account: target.account,
                name: target.name,
                special_use: String::new(),
                subscribed: None,
                uid_validity: None,
                uid_next: Some(uid_next),
            })?;
        }
        Ok(())
    }

    fn message(&mut self, record: &Record) -> Result<()> {
        let source: u32 = record.number("Mailbox");
        if self.mailbox.as_ref().is_none_or(|target| target.source != source) {
            let refused = self.accounts.get(&record.number("Account")) == Some(&None);
            let account = self.account_of(record);
            if let Some(account) = account {
                // The mailbox's own record was damaged.
                self.finish_mailbox()?;
                let name = self.target_name(&format!("Recovered/{source}"));
                self.adopt(record, account, &name, &format!("account {account}"))?;
            } else {
                return if refused { self.set_aside(record) } else { Ok(()) };
            }
        }
        let digest = format::digest(record.text("Body"));
        let date: i64 = record.number("Internal-Date");
        let there = match (&mut self.mailbox, digest) {
            (Some(target), Some(digest)) => match target.present.get_mut(&(digest, date)) {
                Some((count, blob)) if *count > 0 => {
                    *count -= 1;
                    Some((digest, *blob))
                }
                _ => None,
            },
            _ => None,
        };
        if let Some((digest, blob)) = there {
            self.imported.present += 1;
            self.progress.advance(1, record.number("Body-Octets"));
            if record.number::<u32>("References") > 1 {
                self.bodies.entry(digest).or_insert(Body::Stored(blob));
            }
            return Ok(());
        }
        let Some(target) = &self.mailbox else { return Ok(()) };
        let place = Arc::clone(&target.place);
        let restore = Restore {
            account: target.account,
            mailbox: target.name.clone(),
            uid: target.keep_uids.then(|| record.number("UID")),
            ..restored(record)
        };
        self.restore(record, restore, place, Kind::Message)
    }

    fn retained(&mut self, record: &Record) -> Result<()> {
        let refused = self.accounts.get(&record.number("Account")) == Some(&None);
        if !self.options.retained || refused {
            self.imported.passed += 1;
            return self.set_aside(record);
        }
        let Some(account) = self.account_of(record) else {
            return Ok(());
        };
        let restore = Restore {
            account,
            mailbox: record.text("Name").to_owned(),
            uid: Some(record.number("UID")),
            expunged: Some(record.number("Expunged")),
            ..restored(record)
        };
        let place = Arc::from(format!("account {account}: retained of {}: ", record.text("Name")));
        self.restore(record, restore, place, Kind::Retained)
    }

    fn restore(&mut self, record: &Record, mut restore: Restore, place: Arc<str>, kind: Kind) -> Result<()> {
        let uid = restore.uid.unwrap_or_else(|| record.number("UID"));
        let Some((content, digest)) = self.content(record, &format!("{place}UID {uid}"))? else {
            return Ok(());
        };
        let octets: u64 = record.number("Body-Octets");
        let sink = match content {
            Content::Blob(blob) => {
                restore.body = Some(blob);
                None
            }
            Content::Sink(sink) => Some(sink),
            Content::Memory(octets) => Some(self.fill(&octets)?),
        };
        let is_new = restore.body.is_none();
        let share = (is_new && record.number::<u32>("References") > 1).then_some(digest);
        let pending = Pending {
            place,
            uid,
            kind,
            octets: if is_new { octets } else { 0 },
            digest: share,
        };
        self.imported.stored.bodies += u64::from(is_new);
        self.submit(Op::Restore(restore), sink, pending)
    }

    fn queue_item(&mut self, record: &Record) -> Result<()> {
        if !self.options.queue {
            self.imported.passed += 1;
            return self.set_aside(record);
        }
        let place = format!("queue item {}", record.number::<u64>("Item"));
        let Some((content, digest)) = self.content(record, &place)? else {
            return Ok(());
        };
        let octets: u64 = record.number("Body-Octets");
        let is_new = !matches!(content, Content::Blob(_));
        let sink = match content {
            Content::Sink(sink) => sink,
            Content::Memory(octets) => self.fill(&octets)?,
            Content::Blob(blob) => {
                let stored = self.volume.context().record(blob)?;
                let mut sink = self.volume.sink(0);
                let mut at = 0;
                while at < stored.raw_len() {
                    let mut piece = Vec::new();
                    stored.read(at..at + PIECE_OCTETS as u64, &mut piece)?;
                    self.pour(&mut sink, &piece)?;
                    at += PIECE_OCTETS as u64;
                }
                sink
            }
        };
        let state_octets: usize = record.number("State-Octets");
        let split = state_octets.min(record.attachment.len());
        let (state, prefix) = record.attachment.split_at(split);
        let item = Enqueue {
            due: record.number("Due"),
            prefix: prefix.to_vec(),
            state: state.to_vec(),
        };
        let op = Op::Submit(Submit {
            enqueue: vec![item],
            ..Submit::default()
        });
        let pending = Pending {
            place: Arc::from(place),
            uid: 0,
            kind: Kind::Queue,
            octets,
            digest: (is_new && record.number::<u32>("References") > 1).then_some(digest),
        };
        self.submit(op, Some(sink), pending)
    }
}

/// What the record says of a message itself.
fn restored(record: &Record) -> Restore {
    let names = record.text("Flags").split(' ').filter(|name| !name.is_empty());
    Restore {
        // An unknown system flag of some later release: the others are kept.
        flags: FlagSet::parse(names.clone())
            .unwrap_or_else(|_| FlagSet::parse(names.filter(|name| !name.starts_with('\\'))).unwrap_or_default()),
        internal_date: record.number("Internal-Date"),
        internal_zone: record.number("Zone"),
        saved: record.number("Saved"),
        prefix: record.attachment.clone(),
        ..Restore::default()
    }
}

fn find_mailbox(
    context: &ReadContext,
    account: AccountId,
    name: &str,
) -> Result<Option<(MailboxId, crate::db::records::MailboxRecord)>> {
    let txn = context.begin()?;
    let name = if name.eq_ignore_ascii_case("INBOX") {
        "INBOX"
    } else {
        name
    };
    let Some(mailbox) = context.tables.name(&txn, account, name)?.map(|row| row.mailbox) else {
        return Ok(None);
    };
    Ok(context
        .tables
        .mailbox(&txn, account, mailbox)?
        .map(|row| (mailbox, row)))
}

/// Bodies and dates of a mailbox's messages, in steps. 36 octets for each different one.
fn contents(context: &ReadContext, mailbox: MailboxId) -> Result<HashMap<(Digest, i64), (u32, BlobId)>> {
    const STEP_ROWS: usize = 4096;
    let mut found: HashMap<(Digest, i64), (u32, BlobId)> = HashMap::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let step = rows(
            context,
            context.tables.messages,
            &mailbox.to_be_bytes(),
            after.as_deref(),
            STEP_ROWS,
        )?;
        let txn = context.begin()?;
        for (_, value) in &step {
            let Some(row) = MessageRecord::decode(value) else {
                continue;
            };
            let Some(blob) = context.tables.blob(&txn, row.blob)? else {
                continue;
            };
            let digest = if blob.digest == [0; CHECK_OCTETS] {
                // A row of format 1: the record knows.
                let Ok(record) = context.packs.record(&blob) else {
                    continue;
                };
                std::array::from_fn(|index| record.header().digest[index])
            } else {
                blob.digest
            };
            found.entry((digest, row.internal_date)).or_insert((0, row.blob)).0 += 1;
        }
        match step.last() {
            Some((key, _)) => after = Some(key.clone()),
            None => return Ok(found),
        }
    }
}
