//! A segment: the posting lists of some documents of one account, in one immutable file.
//!
//! A document is what one message row points to: a body and, if there is one, its prefix. Both never change and go along
//! with copies, so flags, COPY and MOVE leave segments alone. The file (little-endian):
//!
//! ```text
//! header (96)      "IRONGRAM", format u32, text version u32, account u32, documents u32, number u64, text octets u64,
//!                  length of the file u64, document table u32 + its CRC32, block index u32 + its CRC32, 36 zeros,
//!                  CRC32 of the 92 octets before
//! document table   for each, ascending: flags (1: always looked at, 2: has a prefix), body - the one before (varint),
//!                  prefix - body (zigzag varint)
//! block*           terms u16; for each: gram - the one before, octets of its list (varints); then the lists. 0 octets: a
//!                  list of one document, its ordinal in as many octets as the segment's ordinals need
//! block index      for each block: first gram u32, offset u64, octets u32, CRC32
//! ```
//!
//! A lookup reads one block. It is a cache, never truth: what does not fit its checksums is thrown away.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::gram::Gram;
use super::postings::{self, take_varint};
use crate::db::codec::Reader;
use crate::ids::{AccountId, BlobId};

/// Octets of the header.
pub(super) const HEADER: usize = 96;
/// The first octets of a segment.
pub(super) const MAGIC: &[u8; 8] = b"IRONGRAM";
/// Format of segments.
pub(super) const FORMAT: u32 = 1;
/// Octets of an entry of the block index.
pub(super) const INDEX_ENTRY: usize = 20;
/// Documents of a segment at most, which bounds lists and tables.
pub const DOCUMENTS_MAX: u32 = 1 << 17;
/// Octets of a block that are believed at most: a list of all documents, and a block that was nearly full before it.
const BLOCK_OCTETS_MAX: u32 = DOCUMENTS_MAX / 4 + (1 << 20);
/// Always looked at: its grams are not in the lists.
const WILD: u8 = 1;
const HAS_PREFIX: u8 = 2;

/// What one message row points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Document {
    /// The body.
    pub blob: BlobId,
    /// The prefix; 0 without one.
    pub prefix: BlobId,
}

/// Why a segment cannot be used.
#[derive(Debug)]
pub enum Fault {
    /// It is not there (any more).
    Missing,
    /// It does not fit its checksums, or is of another release.
    Damaged,
    /// The system failed.
    Io(std::io::Error),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::Missing,
            std::io::ErrorKind::UnexpectedEof => Self::Damaged,
            _ => Self::Io(error),
        }
    }
}

/// What the header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) account: AccountId,
    pub(super) documents: u32,
    pub(super) number: u64,
    pub(super) text_octets: u64,
    pub(super) length: u64,
    pub(super) table: u32,
    pub(super) table_crc: u32,
    pub(super) index: u32,
    pub(super) index_crc: u32,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(MAGIC);
        for word in [FORMAT, super::text_version(), self.account, self.documents] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for long in [self.number, self.text_octets, self.length] {
            out.extend_from_slice(&long.to_le_bytes());
        }
        for word in [self.table, self.table_crc, self.index, self.index_crc] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.resize(HEADER - 4, 0);
        let crc = crc32fast::hash(&out);
        let mut header = [0; HEADER];
        header[..HEADER - 4].copy_from_slice(&out);
        header[HEADER - 4..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let mut r = Reader(bytes);
        let fits = r.take(8)? == MAGIC && r.u32()? == FORMAT && r.u32()? == super::text_version();
        let header = Self {
            account: r.u32()?,
            documents: r.u32()?,
            number: r.u64()?,
            text_octets: r.u64()?,
            length: r.u64()?,
            table: r.u32()?,
            table_crc: r.u32()?,
            index: r.u32()?,
            index_crc: r.u32()?,
        };
        let ends = (HEADER as u64)
            .checked_add(u64::from(header.table))?
            .checked_add(u64::from(header.index))?;
        let crc = crc32fast::hash(&bytes[..HEADER - 4]).to_le_bytes();
        (fits && header.documents <= DOCUMENTS_MAX && ends <= header.length && bytes[HEADER - 4..] == crc)
            .then_some(header)
    }
}

/// Where a block lies.
#[derive(Clone, Copy, Debug)]
struct Block {
    first: Gram,
    offset: u64,
    octets: u32,
    crc: u32,
}

/// An open segment. It stays readable when another process has merged it away.
#[derive(Debug)]
pub struct Segment {
    file: File,
    header: Header,
    documents: Vec<Document>,
    wild: Vec<u32>,
    blocks: Vec<Block>,
}

/// The path of a segment within the folder of its account.
#[must_use]
pub fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.seg"))
}

impl Segment {
    /// Opens a segment; reads its header, document table and block index.
    ///
    /// # Errors
    /// The fault that makes it useless.
    pub fn open(folder: &Path, account: AccountId, number: u64) -> Result<Self, Fault> {
        let file = File::open(segment_path(folder, number))?;
        let mut head = [0; HEADER];
        file.read_exact_at(&mut head, 0)?;
        let header = Header::decode(&head)
            .filter(|header| header.account == account && header.number == number)
            .ok_or(Fault::Damaged)?;
        if file.metadata()?.len() != header.length {
            return Err(Fault::Damaged);
        }
        let table = read_checked(&file, HEADER as u64, header.table, header.table_crc)?;
        let index_at = header.length - u64::from(header.index);
        let index = read_checked(&file, index_at, header.index, header.index_crc)?;
        let (documents, wild) = decode_table(&table, header.documents).ok_or(Fault::Damaged)?;
        let blocks = index
            .chunks(INDEX_ENTRY)
            .map(|entry| {
                let mut r = Reader(entry);
                let block = Block {
                    first: r.u32()?,
                    offset: r.u64()?,
                    octets: r.u32()?,
                    crc: r.u32()?,
                };
                let inside = block.offset.checked_add(u64::from(block.octets))? <= index_at;
                (inside && block.octets <= BLOCK_OCTETS_MAX).then_some(block)
            })
            .collect::<Option<Vec<Block>>>()
            .filter(|blocks| blocks.is_sorted_by(|one, next| one.first < next.first))
            .ok_or(Fault::Damaged)?;
        Ok(Self {
            file,
            header,
            documents,
            wild,
            blocks,
        })
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// Octets of the file.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.header.length
    }

    /// Octets of the folded text that was indexed.
    #[must_use]
    pub fn text_octets(&self) -> u64 {
        self.header.text_octets
    }

    /// Octets of memory, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.documents.len() * size_of::<Document>() + self.blocks.len() * size_of::<Block>() + size_of::<Self>()
    }

    /// The documents, ascending; a document's ordinal is its place here.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Ordinals of the documents that must always be looked at.
    #[must_use]
    pub fn wild(&self) -> &[u32] {
        &self.wild
    }

    /// The ordinal of a document; `hint` is where the last one was found, since most callers ask in order.
    #[must_use]
    pub fn ordinal(&self, document: Document, hint: &mut usize) -> Option<u32> {
        /// Places looked at one by one before the whole table is searched.
        const NEAR: usize = 8;
        let start = (*hint).min(self.documents.len());
        let near = &self.documents[start..self.documents.len().min(start + NEAR)];
        let found = near
            .iter()
            .position(|here| *here == document)
            .map(|offset| start + offset)
            .or_else(|| self.documents.binary_search(&document).ok())?;
        *hint = found + 1;
        Some(found as u32)
    }

    /// Appends the ordinals of the documents that hold one of these grams, ascending.
    ///
    /// # Errors
    /// The fault that makes the segment useless.
    pub fn list(&self, grams: Range<Gram>, out: &mut Vec<u32>) -> Result<(), Fault> {
        let first = self
            .blocks
            .partition_point(|block| block.first <= grams.start)
            .saturating_sub(1);
        let start = out.len();
        let mut lists = 0;
        for block in self.blocks.get(first..).unwrap_or_default() {
            if block.first >= grams.end {
                break;
            }
            let bytes = self.block(block)?;
            let mut terms = Terms::new(&bytes, self.header.documents).ok_or(Fault::Damaged)?;
            while let Some((found, list)) = terms.next().ok_or(Fault::Damaged)? {
                if found >= grams.end {
                    break;
                }
                if found >= grams.start {
                    self.decode(list, out)?;
                    lists += 1;
                }
            }
        }
        if lists > 1 {
            let mut all = out.split_off(start);
            all.sort_unstable();
            all.dedup();
            out.append(&mut all);
        }
        Ok(())
    }

    fn decode(&self, list: List<'_>, out: &mut Vec<u32>) -> Result<(), Fault> {
        let documents = self.header.documents;
        if list.is_lone {
            out.push(postings::decode_lone(list.bytes, documents).ok_or(Fault::Damaged)?);
            return Ok(());
        }
        postings::decode(list.bytes, documents, out).ok_or(Fault::Damaged)
    }

    fn block(&self, block: &Block) -> Result<Vec<u8>, Fault> {
        read_checked(&self.file, block.offset, block.octets, block.crc)
    }

    /// All terms in order, for merging.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor {
            segment: self,
            block: 0,
            bytes: Vec::new(),
            at: 0,
            entries: Vec::new(),
        }
    }
}

/// Walks over all terms of a segment; holds one block.
#[derive(Debug)]
pub struct Cursor<'a> {
    segment: &'a Segment,
    block: usize,
    bytes: Vec<u8>,
    at: usize,
    /// Term, where its list begins and ends, whether it is lone.
    entries: Vec<(Gram, usize, usize, bool)>,
}

impl Cursor<'_> {
    /// The term here; `None` at the end.
    ///
    /// # Errors
    /// The fault that makes the segment useless.
    pub fn term(&mut self) -> Result<Option<Gram>, Fault> {
        while self.at >= self.entries.len() {
            let Some(block) = self.segment.blocks.get(self.block) else {
                return Ok(None);
            };
            self.block += 1;
            self.at = 0;
            self.entries.clear();
            self.bytes = self.segment.block(block)?;
            let mut terms = Terms::new(&self.bytes, self.segment.header.documents).ok_or(Fault::Damaged)?;
            loop {
                let start = terms.position;
                let Some((term, list)) = terms.next().ok_or(Fault::Damaged)? else {
                    break;
                };
                self.entries.push((term, start, start + list.bytes.len(), list.is_lone));
            }
        }
        Ok(self.entries.get(self.at).map(|(term, ..)| *term))
    }

    /// Appends the list of the term here and goes on to the next.
    ///
    /// # Errors
    /// The fault that makes the segment useless.
    pub fn take(&mut self, out: &mut Vec<u32>) -> Result<(), Fault> {
        let Some(&(_, start, end, is_lone)) = self.entries.get(self.at) else {
            return Ok(());
        };
        self.at += 1;
        let bytes = self.bytes.get(start..end).ok_or(Fault::Damaged)?;
        self.segment.decode(List { bytes, is_lone }, out)
    }
}

/// One list as it lies in its block.
#[derive(Clone, Copy)]
struct List<'a> {
    bytes: &'a [u8],
    is_lone: bool,
}

/// The terms of a block.
struct Terms<'a> {
    bytes: &'a [u8],
    left: u16,
    /// What is left of the dictionary, and of the whole block behind it.
    dictionary: &'a [u8],
    /// Where the next list begins in `bytes`.
    position: usize,
    term: u32,
    documents: u32,
}

impl<'a> Terms<'a> {
    fn new(bytes: &'a [u8], documents: u32) -> Option<Self> {
        let (count, dictionary) = bytes.split_first_chunk()?;
        let count = u16::from_le_bytes(*count);
        // The lists begin where the dictionary ends.
        let mut rest = dictionary;
        for _ in 0..count {
            take_varint(&mut rest)?;
            take_varint(&mut rest)?;
        }
        Some(Self {
            bytes,
            left: count,
            dictionary,
            position: bytes.len() - rest.len(),
            term: 0,
            documents,
        })
    }

    /// The next term and its list; `Some(None)` at the end, `None` when the block is damaged.
    fn next(&mut self) -> Option<Option<(Gram, List<'a>)>> {
        if self.left == 0 {
            return Some(None);
        }
        self.left -= 1;
        let step = u32::try_from(take_varint(&mut self.dictionary)?).ok()?;
        let told = usize::try_from(take_varint(&mut self.dictionary)?).ok()?;
        let is_lone = told == 0;
        let length = if is_lone {
            postings::lone_octets(self.documents)
        } else {
            told
        };
        self.term = self.term.checked_add(step)?;
        let end = self.position.checked_add(length)?;
        let bytes = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(Some((self.term, List { bytes, is_lone })))
    }
}

fn read_checked(file: &File, offset: u64, octets: u32, crc: u32) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![0; octets as usize];
    file.read_exact_at(&mut bytes, offset)?;
    if crc32fast::hash(&bytes) == crc {
        Ok(bytes)
    } else {
        Err(Fault::Damaged)
    }
}

/// The document table; true: the document must always be looked at.
pub(super) fn encode_table(documents: &[(Document, bool)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(documents.len() * 4);
    let mut before = 0;
    for (document, wild) in documents {
        out.push(u8::from(*wild) * WILD + u8::from(document.prefix != 0) * HAS_PREFIX);
        postings::put_varint(&mut out, document.blob.wrapping_sub(before));
        before = document.blob;
        if document.prefix != 0 {
            let apart = document.prefix.wrapping_sub(document.blob) as i64;
            postings::put_varint(&mut out, (apart << 1 ^ apart >> 63) as u64);
        }
    }
    out
}

fn decode_table(mut bytes: &[u8], count: u32) -> Option<(Vec<Document>, Vec<u32>)> {
    let mut documents: Vec<Document> = Vec::with_capacity(count as usize);
    let mut wild = Vec::new();
    let mut blob = 0_u64;
    for ordinal in 0..count {
        let (&flags, rest) = bytes.split_first()?;
        bytes = rest;
        blob = blob.checked_add(take_varint(&mut bytes)?)?;
        let mut prefix = 0;
        if flags & HAS_PREFIX != 0 {
            let apart = take_varint(&mut bytes)?;
            prefix = blob.wrapping_add((apart >> 1) ^ (apart & 1).wrapping_neg());
        }
        let document = Document { blob, prefix };
        if documents.last().is_some_and(|before| *before >= document) {
            return None;
        }
        documents.push(document);
        if flags & WILD != 0 {
            wild.push(ordinal);
        }
    }
    bytes.is_empty().then_some((documents, wild))
}
