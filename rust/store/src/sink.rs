//! Gathers one message: counts it, keeps its header section, holds a small body in memory and streams a large one to
//! a file of its own by threads of the store. A fault is kept and told when the message is submitted.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use ironpost_mime::headers;
use ironpost_proto::body::BodySink;
use parking_lot::{Condvar, Mutex};

use crate::completion::Completions;
use crate::error::{Result, StoreError, is_no_space};
use crate::failpoints;
use crate::ids::{PackId, Ticket, WriterId};
use crate::ops::Outcome;
use crate::pack::format::{FILE_HEADER, FRAME_OCTETS, Frame, SINGLE_DATA_OFFSET};
use crate::prepare::{MESSAGE_OCTETS_MAX, StreamedFile};

/// Usual bound of a body that stays in memory and goes to the shared pack.
pub(crate) const SHARED_BODY: usize = 256 * 1024;
/// Octets that all sinks hold in memory at most, about; beyond it new octets go to files at once.
const ALL_SINKS_OCTETS_MAX: usize = 256 << 20;
/// Octets of a streamed body that may wait for the disk; beyond it the sink is full.
const UNWRITTEN_OCTETS_MAX: usize = 1 << 20;
/// Octets of a header section that are kept for the session.
const HEADER_OCTETS_MAX: usize = 1024 * 1024;
/// Threads that write streamed bodies.
const STREAM_THREADS: usize = 2;

/// What all sinks of a volume share.
pub(crate) struct SinkHub {
    /// `packs/<writer>`, where files are begun.
    folder: PathBuf,
    writer: WriterId,
    /// A body up to this stays in memory and goes to the shared pack.
    shared_body: usize,
    /// Numbers of this writer's pack files.
    next_pack: AtomicU32,
    memory: AtomicUsize,
    completions: Arc<Completions>,
    work: Mutex<Work>,
    wake: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Work {
    spools: VecDeque<Arc<Spool>>,
    closed: bool,
}

impl std::fmt::Debug for SinkHub {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SinkHub")
    }
}

impl SinkHub {
    pub(crate) fn start(
        folder: PathBuf,
        writer: WriterId,
        shared_body: usize,
        completions: Arc<Completions>,
    ) -> Result<Arc<Self>> {
        let hub = Arc::new(Self {
            folder,
            writer,
            shared_body,
            next_pack: AtomicU32::new(1),
            memory: AtomicUsize::new(0),
            completions,
            work: Mutex::default(),
            wake: Condvar::new(),
            threads: Mutex::default(),
        });
        for number in 0..STREAM_THREADS {
            let shared = Arc::clone(&hub);
            let thread = std::thread::Builder::new()
                .name(format!("store-body-{number}"))
                .spawn(move || shared.run())?;
            hub.threads.lock().push(thread);
        }
        Ok(hub)
    }

    /// A number for a new pack file of this writer.
    pub(crate) fn new_pack(&self) -> PackId {
        PackId::new(self.writer, self.next_pack.fetch_add(1, Ordering::Relaxed))
    }

    /// True when this writer has given a pack a number.
    pub(crate) fn has_new_packs(&self) -> bool {
        self.next_pack.load(Ordering::Relaxed) > 1
    }

    /// Octets that sinks hold in memory.
    pub(crate) fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Writes what waits and stops the threads.
    pub(crate) fn close(&self) {
        self.work.lock().closed = true;
        self.wake.notify_all();
        for thread in self.threads.lock().drain(..) {
            // A panic there leaves spools unfinished, which their submitters are told.
            let _ = thread.join();
        }
    }

    fn schedule(&self, spool: Arc<Spool>) -> bool {
        let mut work = self.work.lock();
        if work.closed {
            return false;
        }
        work.spools.push_back(spool);
        self.wake.notify_one();
        true
    }

    fn run(&self) {
        loop {
            let spool = {
                let mut work = self.work.lock();
                loop {
                    if let Some(spool) = work.spools.pop_front() {
                        break spool;
                    }
                    if work.closed {
                        return;
                    }
                    self.wake.wait(&mut work);
                }
            };
            let released = spool.write_some();
            self.memory.fetch_sub(released.octets, Ordering::Relaxed);
            self.completions
                .finish(released.waiters.into_iter().map(|ticket| (ticket, Ok(Outcome::None))));
            // One piece at a time, so that bodies share the threads fairly.
            if released.more && !self.schedule(Arc::clone(&spool)) {
                spool.fail("the volume is closed");
            }
        }
    }
}

/// A body on its way to a file.
#[derive(Debug)]
struct Spool {
    state: Mutex<SpoolState>,
    idle: Condvar,
    file: Mutex<SpoolWriter>,
}

#[derive(Debug, Default)]
struct SpoolState {
    pieces: VecDeque<Vec<u8>>,
    unwritten: usize,
    scheduled: bool,
    abandoned: bool,
    failed: Option<(bool, String)>,
    waiters: Vec<Ticket>,
}

#[derive(Debug)]
struct SpoolWriter {
    /// Opened by the first write, off the session's thread.
    file: Option<File>,
    path: PathBuf,
    pack: PackId,
    raw_len: u64,
    frames: Vec<Frame>,
    hasher: blake3::Hasher,
}

struct Released {
    octets: usize,
    waiters: Vec<Ticket>,
    more: bool,
}

impl Spool {
    /// Writes the oldest piece. Called by one thread at a time: a spool is scheduled once.
    fn write_some(&self) -> Released {
        let piece = {
            let mut state = self.state.lock();
            if state.abandoned {
                None
            } else {
                state.pieces.pop_front()
            }
        };
        let fault = match &piece {
            Some(piece) => self.file.lock().write(piece).err(),
            None => None,
        };
        let mut state = self.state.lock();
        let mut octets = piece.as_ref().map_or(0, Vec::len);
        if let Some(error) = fault {
            state.failed = Some((is_no_space(&error), error.to_string()));
        }
        if state.abandoned || state.failed.is_some() {
            octets += state.pieces.drain(..).map(|piece| piece.len()).sum::<usize>();
        }
        state.unwritten = state.unwritten.saturating_sub(octets);
        let more = !state.pieces.is_empty();
        state.scheduled = more;
        let waiters = if state.unwritten <= UNWRITTEN_OCTETS_MAX / 2 || state.failed.is_some() {
            std::mem::take(&mut state.waiters)
        } else {
            Vec::new()
        };
        let gone = state.abandoned && !more;
        drop(state);
        if gone {
            self.file.lock().remove();
        }
        self.idle.notify_all();
        Released { octets, waiters, more }
    }

    fn fail(&self, text: &str) {
        let mut state = self.state.lock();
        state.failed = Some((false, text.to_owned()));
        state.scheduled = false;
        self.idle.notify_all();
    }

    /// Waits until everything is written; on a thread of the store.
    fn wait_written(&self) -> Result<()> {
        let mut state = self.state.lock();
        while state.scheduled {
            self.idle.wait(&mut state);
        }
        match &state.failed {
            Some((true, text)) => Err(StoreError::Full(text.clone())),
            Some((false, text)) => Err(StoreError::Io(std::io::Error::other(text.clone()))),
            None => Ok(()),
        }
    }
}

impl SpoolWriter {
    /// Writes one piece; all pieces but the last are one frame long.
    fn write(&mut self, piece: &[u8]) -> std::io::Result<()> {
        failpoints::pass("stream-write")?;
        if self.file.is_none() {
            self.file = Some(
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&self.path)?,
            );
        }
        let Some(file) = &self.file else {
            return Err(std::io::Error::other("no file"));
        };
        file.write_all_at(piece, FILE_HEADER as u64 + u64::from(SINGLE_DATA_OFFSET) + self.raw_len)?;
        self.raw_len += piece.len() as u64;
        self.hasher.update(piece);
        self.frames.push(Frame {
            stored_len: piece.len() as u32,
            crc: crc32fast::hash(piece),
        });
        Ok(())
    }

    fn remove(&mut self) {
        if self.file.take().is_some() {
            // If this fails the file is a temporary one, which the next recovery removes.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Gathers one message. Dropping it unsubmitted gives up what was gathered.
#[derive(Debug)]
pub struct Sink {
    hub: Arc<SinkHub>,
    size: u64,
    /// Everything so far, or with a spool the piece that is being filled.
    memory: Vec<u8>,
    /// Octets of `memory` that the hub counts.
    counted: usize,
    /// With a spool: the header section, or what fits of the beginning.
    header: Vec<u8>,
    header_scan: HeaderScan,
    spool: Option<Arc<Spool>>,
    too_long: bool,
}

/// Looks for the empty line that ends the header section, each octet once.
#[derive(Debug, Default)]
struct HeaderScan {
    scanned: usize,
    end: Option<usize>,
}

impl HeaderScan {
    /// `octets` is the message from its beginning.
    fn advance(&mut self, octets: &[u8]) {
        if self.end.is_some() || self.scanned >= HEADER_OCTETS_MAX {
            return;
        }
        let limit = octets.len().min(HEADER_OCTETS_MAX);
        if self.scanned == 0 && (octets.starts_with(b"\r\n") || octets.starts_with(b"\n")) {
            self.end = Some(0);
            return;
        }
        let start = self.scanned.saturating_sub(2);
        for at in memchr::memchr_iter(b'\n', &octets[start..limit]) {
            let rest = &octets[start + at + 1..limit];
            if rest.starts_with(b"\n") || rest.starts_with(b"\r\n") {
                self.end = Some(start + at + 1);
                return;
            }
        }
        self.scanned = limit;
    }
}

/// What a finished sink holds.
pub(crate) enum Gathered {
    /// A small message.
    Memory(Vec<u8>),
    /// A large one, all its octets written.
    File(SpoolFile),
}

/// A streamed body; its file is removed when dropped unless it has been kept.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    streamed: StreamedFile,
    keep: std::cell::Cell<bool>,
}

impl SpoolFile {
    pub(crate) fn streamed(&self) -> &StreamedFile {
        &self.streamed
    }

    /// The file has its final name now and another owner.
    pub(crate) fn keep(&self) {
        self.keep.set(true);
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if !self.keep.get() {
            // If this fails the file is a temporary one, which the next recovery removes.
            let _ = std::fs::remove_file(&self.streamed.path);
        }
    }
}

impl Sink {
    pub(crate) fn new(hub: Arc<SinkHub>, size_hint: u64) -> Self {
        let room = usize::try_from(size_hint).unwrap_or(0).min(hub.shared_body);
        Self {
            hub,
            size: 0,
            memory: Vec::with_capacity(room),
            counted: 0,
            header: Vec::new(),
            header_scan: HeaderScan::default(),
            spool: None,
            too_long: false,
        }
    }

    /// Octets taken so far, those dropped after a fault included.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// No room now: wait for [`crate::Volume::wait_sink`].
    #[must_use]
    pub fn full(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| {
            let state = spool.state.lock();
            state.unwritten >= UNWRITTEN_OCTETS_MAX && state.failed.is_none()
        })
    }

    /// A write failed: what comes is taken and dropped, submitting answers an error.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.too_long
            || self
                .spool
                .as_ref()
                .is_some_and(|spool| spool.state.lock().failed.is_some())
    }

    /// The header section as received so far, at most 1 MiB, the empty line not included.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        let octets = if self.spool.is_some() {
            &self.header
        } else {
            &self.memory
        };
        let end = self.header_scan.end.unwrap_or(octets.len()).min(HEADER_OCTETS_MAX);
        &octets[..end.min(octets.len())]
    }

    /// Number of Received fields in it (RFC 5321 §6.3).
    #[must_use]
    pub fn hops(&self) -> usize {
        headers::fields(self.header())
            .filter(|field| field.is(b"Received"))
            .count()
    }

    /// Octets held in memory for this message.
    pub(crate) fn memory_octets(&self) -> usize {
        self.memory.len()
    }

    /// Completes `ticket` when the sink has room; at once when it has some now.
    pub(crate) fn wait(&self, ticket: Ticket) {
        if let Some(spool) = &self.spool {
            let mut state = spool.state.lock();
            if state.unwritten >= UNWRITTEN_OCTETS_MAX && state.failed.is_none() {
                state.waiters.push(ticket);
                return;
            }
        }
        self.hub.completions.finish([(ticket, Ok(Outcome::None))]);
    }

    fn count_memory(&mut self, octets: usize) {
        self.hub.memory.fetch_add(octets, Ordering::Relaxed);
        self.counted += octets;
    }

    /// Begins the file. What is in memory goes to it first.
    fn spill(&mut self) {
        let pack = self.hub.new_pack();
        let path = self.hub.folder.join(format!("tmp-{}", pack.number()));
        let spool = Arc::new(Spool {
            state: Mutex::default(),
            idle: Condvar::new(),
            file: Mutex::new(SpoolWriter {
                file: None,
                path,
                pack,
                raw_len: 0,
                frames: Vec::new(),
                hasher: blake3::Hasher::new(),
            }),
        });
        self.spool = Some(spool);
        let shown = self.header_scan.end.unwrap_or(self.memory.len()).min(HEADER_OCTETS_MAX);
        self.header = self.memory[..shown].to_vec();
        let whole = std::mem::take(&mut self.memory);
        let mut frames = whole.chunks_exact(FRAME_OCTETS);
        for frame in frames.by_ref() {
            self.hand_over(frame.to_vec());
        }
        self.memory = frames.remainder().to_vec();
    }

    /// Gives a piece to the streaming threads, which then count its memory.
    fn hand_over(&mut self, piece: Vec<u8>) {
        let Some(spool) = &self.spool else { return };
        self.counted = self.counted.saturating_sub(piece.len());
        let mut state = spool.state.lock();
        if state.failed.is_some() {
            drop(state);
            self.hub.memory.fetch_sub(piece.len(), Ordering::Relaxed);
            return;
        }
        state.unwritten += piece.len();
        state.pieces.push_back(piece);
        let schedule = !std::mem::replace(&mut state.scheduled, true);
        drop(state);
        if schedule && !self.hub.schedule(Arc::clone(spool)) {
            spool.fail("the volume is closed");
        }
    }

    /// All octets are in: waits for the disk (on a thread of the store) and gives out what was gathered.
    pub(crate) fn finish(mut self) -> Result<Gathered> {
        if self.too_long {
            return Err(StoreError::Refused("the message is too long to be stored".to_owned()));
        }
        let Some(spool) = self.spool.clone() else {
            return Ok(Gathered::Memory(std::mem::take(&mut self.memory)));
        };
        let last = std::mem::take(&mut self.memory);
        if !last.is_empty() {
            self.hand_over(last);
        }
        spool.wait_written()?;
        let mut writer = spool.file.lock();
        let file = writer
            .file
            .take()
            .ok_or_else(|| StoreError::Io(std::io::Error::other("nothing was streamed")))?;
        let streamed = StreamedFile {
            file,
            path: writer.path.clone(),
            pack: writer.pack,
            raw_len: writer.raw_len,
            frames: std::mem::take(&mut writer.frames),
            digest: *writer.hasher.finalize().as_bytes(),
        };
        drop(writer);
        self.spool = None;
        let file = SpoolFile {
            streamed,
            keep: std::cell::Cell::new(false),
        };
        if file.streamed.raw_len > self.hub.shared_body as u64 {
            return Ok(Gathered::File(file));
        }
        // Spilt early for want of memory, yet small: it goes to the shared pack like others of its size.
        let mut message = vec![0; file.streamed.raw_len as usize];
        file.streamed
            .file
            .read_exact_at(&mut message, FILE_HEADER as u64 + u64::from(SINGLE_DATA_OFFSET))?;
        Ok(Gathered::Memory(message))
    }
}

impl BodySink for Sink {
    fn push(&mut self, octets: &[u8]) -> usize {
        if self.size + octets.len() as u64 > MESSAGE_OCTETS_MAX {
            self.too_long = true;
        }
        if self.failed() {
            self.size += octets.len() as u64;
            return octets.len();
        }
        if self.full() {
            return 0;
        }
        self.size += octets.len() as u64;
        let crowded = self.hub.memory() + octets.len() > ALL_SINKS_OCTETS_MAX;
        if self.spool.is_none() && (self.memory.len() + octets.len() > self.hub.shared_body || crowded) {
            self.spill();
        }
        self.count_memory(octets.len());
        if self.spool.is_none() {
            self.memory.extend_from_slice(octets);
            self.header_scan.advance(&self.memory);
            return octets.len();
        }
        if self.header.len() < HEADER_OCTETS_MAX && self.header_scan.end.is_none() {
            let room = HEADER_OCTETS_MAX - self.header.len();
            self.header.extend_from_slice(&octets[..octets.len().min(room)]);
            self.header_scan.advance(&self.header);
        }
        let mut rest = octets;
        while !rest.is_empty() {
            let room = FRAME_OCTETS - self.memory.len();
            let (now, later) = rest.split_at(rest.len().min(room));
            self.memory.extend_from_slice(now);
            rest = later;
            if self.memory.len() == FRAME_OCTETS {
                let piece = std::mem::replace(&mut self.memory, Vec::with_capacity(FRAME_OCTETS));
                self.hand_over(piece);
            }
        }
        octets.len()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.hub.memory.fetch_sub(self.counted, Ordering::Relaxed);
        if let Some(spool) = self.spool.take() {
            let idle = {
                let mut state = spool.state.lock();
                state.abandoned = true;
                !state.scheduled
            };
            if idle {
                spool.file.lock().remove();
            }
        }
    }
}
