//! Between sink and writer: MIME table, card, compression, checksums, the encoded record. The writer only copies
//! ready buffers. A body that has a file of its own is completed and synced here, with its folder.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ironpost_mime::{Limits, Octets, Structure};

use crate::card;
use crate::error::{Result, StoreError, is_no_space};
use crate::failpoints;
use crate::ids::{AccountId, PackId};
use crate::ops::Op;
use crate::pack::format::{
    FILE_HEADER, FRAME_OCTETS, Frame, RECORD_HEADER, RecordHeader, RecordKind, SINGLE_DATA_OFFSET, TRAILER,
    encode_file_header, encode_trailer,
};
use crate::pack::read::pack_path;
use crate::pack::window::Window;
use crate::sink::{Gathered, Sink};

/// Octets of trace headers before a message at most.
pub(crate) const PREFIX_OCTETS_MAX: usize = 16 * 1024;
/// Contents shorter than this are not compressed: the frame's own cost eats the gain.
const COMPRESS_OCTETS_MIN: usize = 1024;
/// Compression level: the cheapest; stronger ones cost more time than a sync.
const COMPRESS_LEVEL: i32 = 1;
/// Octets of a message at most; its lengths are 32-bit numbers.
pub(crate) const MESSAGE_OCTETS_MAX: u64 = 2 << 30;

/// A record ready for its pack, or already in a pack of its own.
#[derive(Debug, Default)]
pub(crate) struct PreparedRecord {
    /// The whole record; empty when it has a pack of its own.
    pub(crate) bytes: Vec<u8>,
    /// Octets of the record.
    pub(crate) length: u32,
    /// Octets of the contents.
    pub(crate) raw_len: u32,
    /// The first octets of the contents' BLAKE3.
    pub(crate) digest: [u8; 16],
    /// The index card; empty for a prefix.
    pub(crate) card: Vec<u8>,
    /// Where it lies, once it does.
    pub(crate) place: Option<(PackId, u64)>,
    single: Option<SinglePack>,
}

/// A pack with one record; unlinked when dropped unless a transaction has come to point to it.
#[derive(Debug)]
struct SinglePack {
    path: PathBuf,
    keep: bool,
}

impl Drop for SinglePack {
    fn drop(&mut self) {
        if !self.keep {
            // If this fails the file is an orphan, which the next recovery removes.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl PreparedRecord {
    /// A record that lies in another pack, to be appended as it is.
    pub(crate) fn copied(bytes: Vec<u8>, raw_len: u32, digest: [u8; 16]) -> Self {
        Self {
            length: bytes.len() as u32,
            raw_len,
            digest,
            bytes,
            ..Self::default()
        }
    }

    pub(crate) fn is_single(&self) -> bool {
        self.single.is_some()
    }

    /// The index points to the record, or may do so: its file stays.
    pub(crate) fn keep(&mut self) {
        if let Some(single) = &mut self.single {
            single.keep = true;
        }
    }
}

/// The records of one operation.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) body: Option<PreparedRecord>,
    /// Of several messages (`Op::AppendAll`), in their order; `body` is then none.
    pub(crate) bodies: Vec<PreparedRecord>,
    /// Different prefixes.
    pub(crate) prefixes: Vec<PreparedRecord>,
    /// For deliveries, then for queue items: which prefix.
    pub(crate) prefix_of: Vec<Option<usize>>,
    /// Copies of records from other packs.
    pub(crate) moved: Vec<PreparedRecord>,
}

impl Prepared {
    /// Records that go to the shared pack.
    pub(crate) fn shared_mut(&mut self) -> impl Iterator<Item = &mut PreparedRecord> {
        self.records_mut().filter(|record| !record.is_single())
    }

    pub(crate) fn records_mut(&mut self) -> impl Iterator<Item = &mut PreparedRecord> {
        let bodies = self.body.iter_mut().chain(&mut self.bodies);
        bodies.chain(&mut self.prefixes).chain(&mut self.moved)
    }

    /// Octets that the writer copies.
    pub(crate) fn octets(&self) -> usize {
        let others = self.bodies.iter().chain(&self.prefixes).chain(&self.moved);
        self.body.as_ref().map_or(0, |body| body.bytes.len()) + others.map(|record| record.bytes.len()).sum::<usize>()
    }
}

/// For rebuilding a lost index: whose the message was meant to be.
struct Hint {
    account: AccountId,
    /// Name of the first recipient's mailbox, then the others: a zero octet, account u32, length u8, name.
    octets: Vec<u8>,
    received: i64,
}

/// Octets of a hint at most; recipients beyond it are not hinted at.
const HINT_OCTETS_MAX: usize = 8192;
/// Octets of a mailbox name in a hint.
const HINT_NAME_MAX: usize = 255;

/// Somebody whom a hint names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub(crate) account: AccountId,
    pub(crate) mailbox: String,
}

impl Hint {
    fn new<'n>(recipients: impl IntoIterator<Item = (AccountId, &'n str)>, received: i64) -> Self {
        let mut recipients = recipients.into_iter();
        let (account, name) = recipients.next().unwrap_or((0, ""));
        let mut octets = hint_name(name).to_vec();
        for (account, name) in recipients {
            let name = hint_name(name);
            if octets.len() + 6 + name.len() > HINT_OCTETS_MAX {
                break;
            }
            octets.push(0);
            octets.extend_from_slice(&account.to_le_bytes());
            octets.push(name.len() as u8);
            octets.extend_from_slice(name);
        }
        Self {
            account,
            octets,
            received,
        }
    }
}

/// The name, cut at a character.
fn hint_name(name: &str) -> &[u8] {
    let mut end = name.len().min(HINT_NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name.as_bytes()[..end]
}

/// Those whom a record's hint names; nobody when it was only to be sent on, or the hint is damaged.
pub(crate) fn recipients(account: AccountId, hint: &[u8]) -> Vec<Recipient> {
    let mut found = Vec::new();
    let (first, mut rest) = match hint.iter().position(|&octet| octet == 0) {
        Some(end) => hint.split_at(end),
        None => (hint, &hint[hint.len()..]),
    };
    let mut add = |account: AccountId, name: &[u8]| {
        if account != 0
            && let Ok(name) = std::str::from_utf8(name)
        {
            found.push(Recipient {
                account,
                mailbox: if name.is_empty() { "INBOX" } else { name }.to_owned(),
            });
        }
    };
    add(account, first);
    while let Some((head, tail)) = rest.split_first_chunk::<6>() {
        let account = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        let Some((name, after)) = tail.split_at_checked(usize::from(head[5])) else {
            break;
        };
        add(account, name);
        rest = after;
    }
    found
}

/// Whose a prefix is: an account, and the name of a mailbox.
type Owner<'o> = (AccountId, &'o str);

/// Makes the records of an operation. `Full` when the sink, or completing its file, met a full disk; `Failed` when a
/// sync failed, after which the volume must not go on.
pub(crate) fn prepare(op: &Op, sinks: Vec<Sink>, packs: &Path, now: i64) -> Result<Prepared> {
    let mut prepared = Prepared::default();
    let hint = match op {
        Op::Submit(submit) => {
            let mut known: HashMap<&[u8], usize> = HashMap::new();
            // Different prefixes in their order, each with those whose it is.
            let mut different: Vec<(&[u8], Vec<Owner<'_>>)> = Vec::new();
            let recipients = submit.deliveries.iter().map(|delivery| {
                let owner = (delivery.account, delivery.mailbox.as_str());
                (&delivery.prefix, Some(owner))
            });
            for (prefix, owner) in recipients.chain(submit.enqueue.iter().map(|item| (&item.prefix, None))) {
                if prefix.is_empty() {
                    prepared.prefix_of.push(None);
                    continue;
                }
                let index = *known.entry(prefix).or_insert_with(|| {
                    different.push((prefix, Vec::new()));
                    different.len() - 1
                });
                if let Some((_, owners)) = different.get_mut(index) {
                    owners.extend(owner);
                }
                prepared.prefix_of.push(Some(index));
            }
            for (prefix, owners) in different {
                prepared.prefixes.push(encode_prefix(prefix, &Hint::new(owners, now)));
            }
            let deliveries = submit.deliveries.iter();
            Hint::new(
                deliveries.map(|delivery| (delivery.account, delivery.mailbox.as_str())),
                submit.internal_date.unwrap_or(now),
            )
        }
        Op::Restore(restore) => {
            // A rebuild must not take what was expunged for mail.
            let is_mail = restore.expunged.is_none();
            let recipient = is_mail.then_some((restore.account, restore.mailbox.as_str()));
            let hint = Hint::new(recipient, restore.internal_date);
            if !restore.prefix.is_empty() {
                prepared.prefixes.push(encode_prefix(&restore.prefix, &hint));
            }
            hint
        }
        Op::Append {
            account,
            mailbox,
            internal_date,
            ..
        }
        | Op::Import {
            account,
            mailbox,
            internal_date,
            ..
        } => Hint::new([(*account, mailbox.as_str())], internal_date.unwrap_or(now)),
        Op::Replace {
            account,
            mailbox,
            message,
            ..
        } => Hint::new([(*account, mailbox.as_str())], message.internal_date.unwrap_or(now)),
        Op::AppendAll {
            account,
            mailbox,
            messages,
        } => {
            for (message, sink) in messages.iter().zip(sinks) {
                let hint = Hint::new([(*account, mailbox.as_str())], message.internal_date.unwrap_or(now));
                prepared.bodies.push(body_of(sink, &hint, packs)?);
            }
            return Ok(prepared);
        }
        _ => return Ok(prepared),
    };
    if let Some(sink) = sinks.into_iter().next() {
        prepared.body = Some(body_of(sink, &hint, packs)?);
    }
    Ok(prepared)
}

fn body_of(sink: Sink, hint: &Hint, packs: &Path) -> Result<PreparedRecord> {
    Ok(match sink.finish()? {
        Gathered::Memory(message) => encode_body(&message, hint),
        Gathered::File(file) => {
            let done = complete_single(&file, hint, packs)?;
            file.keep();
            done
        }
    })
}

/// Octets of one header section that a card is made of; ENVELOPE, BODYSTRUCTURE and sort keys do not know what follows.
pub(crate) const CARD_HEADER_OCTETS_MAX: usize = 4 << 20;
/// Octets of all header sections of a message that its card is made of.
pub(crate) const CARD_HEADERS_OCTETS_MAX: usize = 8 << 20;

/// MIME table and full card of a message, which need not be in memory: of a large one only the header sections are kept,
/// up to the limits above. Whether the source failed, it knows itself.
pub(crate) fn structure_and_card(message: &mut dyn Octets) -> (Vec<u8>, Vec<u8>) {
    let structure = Structure::read(message, &Limits::default());
    let mut table = Vec::new();
    structure.encode(&mut table);
    let headers = structure.headers(message, CARD_HEADER_OCTETS_MAX, CARD_HEADERS_OCTETS_MAX);
    let full_card = card::of_headers(&headers);
    (table, full_card)
}

fn encode_prefix(prefix: &[u8], hint: &Hint) -> PreparedRecord {
    let mut record = encode(prefix, RecordKind::Prefix, &[], &[], hint);
    record.card = card::for_prefix(prefix);
    record
}

/// The record of journal transactions.
pub(crate) fn encode_journal(transactions: &[u8]) -> PreparedRecord {
    let hint = Hint::new([], 0);
    encode(transactions, RecordKind::Journal, &[], &[], &hint)
}

/// The record of a body for nobody.
#[cfg(test)]
pub(crate) fn encode_body_of(message: &[u8]) -> PreparedRecord {
    encode_body(message, &Hint::new([], 0))
}

fn encode_body(message: &[u8], hint: &Hint) -> PreparedRecord {
    let structure = Structure::parse(message, &Limits::default());
    let full_card = card::build(message, &structure);
    let mut table = Vec::new();
    structure.encode(&mut table);
    let mut record = encode(message, RecordKind::Body, &table, &full_card, hint);
    record.card = card::for_index(&full_card);
    record
}

thread_local! {
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> =
        RefCell::new(zstd::bulk::Compressor::new(COMPRESS_LEVEL).ok());
}

/// Appends the frames of `raw` to `out` and their table entries to `table`; true when they are compressed.
fn encode_frames(raw: &[u8], table: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    if raw.len() >= COMPRESS_OCTETS_MIN && compress_frames(raw, table, out) {
        // At least an eighth must be saved, or reading costs more than the disk space is worth.
        if out.len() - start <= raw.len() - raw.len() / 8 {
            return true;
        }
    }
    table.clear();
    out.truncate(start);
    for frame in raw.chunks(FRAME_OCTETS) {
        Frame {
            stored_len: frame.len() as u32,
            crc: crc32fast::hash(frame),
        }
        .encode(table);
    }
    out.extend_from_slice(raw);
    false
}

fn compress_frames(raw: &[u8], table: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
    COMPRESSOR.with_borrow_mut(|compressor| {
        let Some(compressor) = compressor else { return false };
        for frame in raw.chunks(FRAME_OCTETS) {
            let start = out.len();
            out.resize(start + zstd::zstd_safe::compress_bound(frame.len()), 0);
            let Ok(length) = compressor.compress_to_buffer(frame, &mut out[start..]) else {
                return false;
            };
            out.truncate(start + length);
            Frame {
                stored_len: length as u32,
                crc: crc32fast::hash(&out[start..]),
            }
            .encode(table);
        }
        true
    })
}

/// Appends the sections behind the frame table.
fn put_sections(sections: &mut Vec<u8>, structure: &[u8], full_card: &[u8], hint: &[u8]) {
    sections.extend_from_slice(structure);
    sections.extend_from_slice(full_card);
    sections.extend_from_slice(hint);
}

fn encode(raw: &[u8], kind: RecordKind, structure: &[u8], full_card: &[u8], hint: &Hint) -> PreparedRecord {
    let name = hint.octets.as_slice();
    let mut sections = Vec::with_capacity(64 + structure.len() + full_card.len() + name.len());
    let mut data = Vec::new();
    let compressed = encode_frames(raw, &mut sections, &mut data);
    let frames = sections.len() / crate::pack::format::FRAME_ENTRY;
    put_sections(&mut sections, structure, full_card, name);
    let length = RECORD_HEADER + sections.len() + data.len() + TRAILER;
    let digest = *blake3::hash(raw).as_bytes();
    let header = RecordHeader {
        kind,
        compressed,
        length: length as u32,
        raw_len: raw.len() as u32,
        stored_len: data.len() as u32,
        data_offset: (RECORD_HEADER + sections.len()) as u32,
        sections_offset: RECORD_HEADER as u32,
        frames: frames as u32,
        structure_len: structure.len() as u32,
        card_len: full_card.len() as u32,
        hint_len: name.len() as u16,
        account: hint.account,
        received: hint.received,
        digest,
    }
    .encode(&sections);
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(&sections);
    bytes.extend_from_slice(&data);
    bytes.extend_from_slice(&encode_trailer(&header));
    PreparedRecord {
        length: length as u32,
        raw_len: raw.len() as u32,
        digest: short(&digest),
        bytes,
        ..PreparedRecord::default()
    }
}

/// What the streaming of a large body left: the file with its data in place, and what was learnt on the way.
#[derive(Debug)]
pub(crate) struct StreamedFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) pack: PackId,
    pub(crate) raw_len: u64,
    pub(crate) frames: Vec<Frame>,
    pub(crate) digest: [u8; 32],
}

/// Puts headers, sections and trailer to a streamed body, syncs it and gives it its name.
fn complete_single(gathered: &crate::sink::SpoolFile, hint: &Hint, packs: &Path) -> Result<PreparedRecord> {
    let streamed = gathered.streamed();
    let raw_len = u32::try_from(streamed.raw_len)
        .map_err(|_| StoreError::Refused("the message is too long to be stored".to_owned()))?;
    let data_at = (FILE_HEADER as u64) + u64::from(SINGLE_DATA_OFFSET);
    let mut message = Window::new(streamed.raw_len, |range, out| {
        let start = out.len();
        out.resize(start + (range.end - range.start) as usize, 0);
        Ok(streamed.file.read_exact_at(&mut out[start..], data_at + range.start)?)
    });
    let (structure, full_card) = structure_and_card(&mut message);
    message.finish()?;
    let name = hint.octets.as_slice();
    let mut sections = Vec::new();
    for frame in &streamed.frames {
        frame.encode(&mut sections);
    }
    put_sections(&mut sections, &structure, &full_card, name);
    let sections_offset = u64::from(SINGLE_DATA_OFFSET) + u64::from(raw_len);
    let length = u32::try_from(sections_offset + sections.len() as u64 + TRAILER as u64)
        .map_err(|_| StoreError::Refused("the message is too long to be stored".to_owned()))?;
    let header = RecordHeader {
        kind: RecordKind::Body,
        compressed: false,
        length,
        raw_len,
        stored_len: raw_len,
        data_offset: SINGLE_DATA_OFFSET,
        sections_offset: sections_offset as u32,
        frames: streamed.frames.len() as u32,
        structure_len: structure.len() as u32,
        card_len: full_card.len() as u32,
        hint_len: name.len() as u16,
        account: hint.account,
        received: hint.received,
        digest: streamed.digest,
    }
    .encode(&sections);
    sections.extend_from_slice(&encode_trailer(&header));
    streamed
        .file
        .write_all_at(&sections, FILE_HEADER as u64 + sections_offset)?;
    streamed.file.write_all_at(&header, FILE_HEADER as u64)?;
    streamed.file.write_all_at(&encode_file_header(streamed.pack), 0)?;
    failpoints::pass("single-sync")?;
    rustix::fs::fsync(&streamed.file).map_err(|error| match std::io::Error::from(error) {
        error if is_no_space(&error) => StoreError::Io(error),
        error => StoreError::Failed(format!("syncing a body: {error}")),
    })?;
    let path = pack_path(packs, streamed.pack);
    std::fs::rename(&streamed.path, &path)?;
    let single = SinglePack { path, keep: false };
    failpoints::pass("single-folder-sync")?;
    // Others may have renamed into this folder meanwhile, and a later sync would not tell of what this one has lost.
    sync_folder(&packs.join(streamed.pack.writer().to_string()))
        .map_err(|error| StoreError::Failed(format!("syncing a folder of packs: {error}")))?;
    Ok(PreparedRecord {
        bytes: Vec::new(),
        length,
        raw_len,
        digest: short(&streamed.digest),
        card: card::for_index(&full_card),
        place: Some((streamed.pack, FILE_HEADER as u64)),
        single: Some(single),
    })
}

/// As much of a digest as the index holds.
fn short(digest: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|index| digest[index])
}

/// Makes creations and removals in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    Ok(rustix::fs::fsync(File::open(folder)?)?)
}
