//! Writing a segment: under a temporary name, synced, renamed, the folder synced.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::gram::Gram;
use super::postings::{self, put_varint};
use super::segment::{Document, HEADER, Header, INDEX_ENTRY, segment_path};
use crate::ids::AccountId;
use crate::prepare::sync_folder;

/// A block ends after the list that takes it past this.
const BLOCK_OCTETS: usize = 8 * 1024;
/// Terms of a block at most.
const BLOCK_TERMS: usize = 256;

/// A segment that is being written; its file is removed when it is dropped unfinished.
#[derive(Debug)]
pub struct SegmentWriter {
    file: std::io::BufWriter<File>,
    folder: PathBuf,
    temporary: PathBuf,
    header: Header,
    at: u64,
    /// Of the block that is being filled: first term, last term, terms, dictionary, lists.
    first: Gram,
    last: Gram,
    terms: usize,
    dictionary: Vec<u8>,
    lists: Vec<u8>,
    index: Vec<u8>,
    done: bool,
}

/// What has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The segment's number.
    pub number: u64,
    /// Octets of the file.
    pub octets: u64,
    /// Documents.
    pub documents: u32,
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        if !self.done {
            // What stays behind is removed by the next step of the builder.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

impl SegmentWriter {
    /// Begins a segment of these documents, ascending; true: the document must always be looked at.
    ///
    /// # Errors
    /// What the file system raises.
    pub fn create(
        folder: &Path,
        account: AccountId,
        number: u64,
        documents: &[(Document, bool)],
        text_octets: u64,
    ) -> std::io::Result<Self> {
        let temporary = folder.join(format!("{number}.tmp"));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&temporary)?;
        let table = super::segment::encode_table(documents);
        let mut writer = Self {
            file: std::io::BufWriter::with_capacity(256 * 1024, file),
            folder: folder.to_owned(),
            temporary,
            header: Header {
                account,
                documents: documents.len() as u32,
                number,
                text_octets,
                table: table.len() as u32,
                table_crc: crc32fast::hash(&table),
                ..Header::default()
            },
            at: 0,
            first: 0,
            last: 0,
            terms: 0,
            dictionary: Vec::new(),
            lists: Vec::new(),
            index: Vec::new(),
            done: false,
        };
        writer.put(&[0; HEADER])?;
        writer.put(&table)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.at += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Adds the list of a term; terms ascend, lists too.
    ///
    /// # Errors
    /// What the file system raises.
    pub fn term(&mut self, term: Gram, list: &[u32]) -> std::io::Result<()> {
        if list.is_empty() {
            return Ok(());
        }
        if self.terms == 0 {
            self.first = term;
            self.last = 0;
        }
        let before = self.lists.len();
        put_varint(&mut self.dictionary, u64::from(term - self.last));
        if let [lone] = list {
            // Most lists are of this kind.
            let octets = postings::lone_octets(self.header.documents);
            self.lists.extend_from_slice(&lone.to_le_bytes()[..octets]);
            self.dictionary.push(0);
        } else {
            postings::encode(list, self.header.documents, &mut self.lists);
            put_varint(&mut self.dictionary, (self.lists.len() - before) as u64);
        }
        self.last = term;
        self.terms += 1;
        if self.terms == BLOCK_TERMS || self.lists.len() >= BLOCK_OCTETS {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> std::io::Result<()> {
        if self.terms == 0 {
            return Ok(());
        }
        let mut block = Vec::with_capacity(2 + self.dictionary.len() + self.lists.len());
        block.extend_from_slice(&(self.terms as u16).to_le_bytes());
        block.append(&mut self.dictionary);
        block.append(&mut self.lists);
        self.index.reserve(INDEX_ENTRY);
        self.index.extend_from_slice(&self.first.to_le_bytes());
        self.index.extend_from_slice(&self.at.to_le_bytes());
        self.index.extend_from_slice(&(block.len() as u32).to_le_bytes());
        self.index.extend_from_slice(&crc32fast::hash(&block).to_le_bytes());
        self.terms = 0;
        self.put(&block)
    }

    /// Ends the segment and makes it durable under its name.
    ///
    /// # Errors
    /// What the file system raises; nothing stays then.
    pub fn finish(mut self) -> std::io::Result<Written> {
        self.end_block()?;
        let index = std::mem::take(&mut self.index);
        self.put(&index)?;
        self.header.index = index.len() as u32;
        self.header.index_crc = crc32fast::hash(&index);
        self.header.length = self.at;
        self.file.flush()?;
        let file = self.file.get_ref();
        file.write_all_at(&self.header.encode(), 0)?;
        rustix::fs::fsync(file)?;
        std::fs::rename(&self.temporary, segment_path(&self.folder, self.header.number))?;
        self.done = true;
        sync_folder(&self.folder)?;
        Ok(Written {
            number: self.header.number,
            octets: self.header.length,
            documents: self.header.documents,
        })
    }
}
