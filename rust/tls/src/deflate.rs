//! COMPRESS=DEFLATE (RFC 4978): raw DEFLATE (RFC 1951) between a core and its TLS layer, or the socket.
//!
//! What the peer sends waits compressed and is inflated one chunk at a time, when the core has used up what it has:
//! whatever it inflates to, it costs one chunk of memory. What we send is compressed as far as it waits and flushed, so
//! that nothing stays behind; each such batch begins with an empty dictionary, so that one compressor serves all
//! connections of a thread and an idle connection holds the peer's window alone (about 43 KiB).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::cell::RefCell;

/// Octets that are inflated at once.
pub(crate) const CHUNK_OCTETS: usize = 32 * 1024;

/// Room that the compressor is given at once.
const ROOM_OCTETS: usize = 16 * 1024;

thread_local! {
    /// Between batches it holds nothing of any connection: it is reset before each.
    static COMPRESSOR: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    static CHUNK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What has become of a call to inflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inflated {
    /// The core was given something.
    Some,
    /// All that has come is inflated.
    Nothing,
    /// The peer has ended its stream, or broken it; nothing more is inflated.
    Over,
}

/// Both directions of one connection.
pub(crate) struct Deflate {
    inflater: Decompress,
    /// Received and not yet inflated, from `start` on.
    waiting: Vec<u8>,
    start: usize,
    /// The last chunk was full: more may come without further octets.
    full: bool,
    over: bool,
    broken: bool,
    /// The peer has closed its side of the transport.
    ended: bool,
}

impl Deflate {
    pub(crate) fn new() -> Self {
        Self {
            inflater: Decompress::new(false),
            waiting: Vec::new(),
            start: 0,
            full: false,
            over: false,
            broken: false,
            ended: false,
        }
    }

    /// Keeps octets of the peer.
    pub(crate) fn receive(&mut self, octets: &[u8]) {
        if !self.over {
            self.waiting.extend_from_slice(octets);
        }
    }

    /// The peer's stream is no DEFLATE.
    pub(crate) fn broken(&self) -> bool {
        self.broken
    }

    /// The peer has closed its side of the transport.
    pub(crate) fn receive_eof(&mut self) {
        self.ended = true;
    }

    /// Nothing will be inflated any more.
    pub(crate) fn over(&self) -> bool {
        self.over || (self.ended && self.is_empty())
    }

    /// Nothing is left to inflate.
    pub(crate) fn is_empty(&self) -> bool {
        self.over || (self.start == self.waiting.len() && !self.full)
    }

    /// Inflates the next chunk and gives it to `take`.
    pub(crate) fn inflate(&mut self, take: impl FnOnce(&[u8])) -> Inflated {
        if self.over {
            return Inflated::Over;
        }
        CHUNK.with_borrow_mut(|chunk| {
            chunk.resize(CHUNK_OCTETS, 0);
            let mut given = 0;
            while given < CHUNK_OCTETS && !self.is_empty() {
                let input = self.waiting.get(self.start..).unwrap_or_default();
                let room = chunk.get_mut(given..).unwrap_or_default();
                let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
                let status = self.inflater.decompress(input, room, FlushDecompress::None);
                // Differences of counters of this call: at most the lengths given.
                let used = (self.inflater.total_in() - before_in) as usize;
                let made = (self.inflater.total_out() - before_out) as usize;
                self.start += used;
                given += made;
                self.full = given == CHUNK_OCTETS;
                match status {
                    Ok(Status::StreamEnd) => self.over = true,
                    Ok(_) if used > 0 || made > 0 => {}
                    // Neither taken nor made, and there was room: the octets so far say nothing more.
                    Ok(_) => break,
                    Err(_) => {
                        self.over = true;
                        self.broken = true;
                    }
                }
            }
            if self.over || self.start == self.waiting.len() {
                self.waiting = Vec::new();
                self.start = 0;
            }
            if given > 0 {
                take(chunk.get(..given).unwrap_or_default());
                return Inflated::Some;
            }
            if self.over { Inflated::Over } else { Inflated::Nothing }
        })
    }
}

/// Appends `plain` compressed and flushed (RFC 1951 §3.2.4, an empty stored block ends it).
pub(crate) fn compress(plain: &[u8], out: &mut Vec<u8>) {
    if plain.is_empty() {
        return;
    }
    COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.reset();
        let mut rest = plain;
        loop {
            out.reserve(ROOM_OCTETS);
            let before = compressor.total_in();
            // The only error is that neither input nor room was there, and there is room.
            let status = compressor.compress_vec(rest, out, FlushCompress::Sync);
            let used = (compressor.total_in() - before) as usize;
            rest = rest.get(used..).unwrap_or_default();
            // Room that is left over means that all has been flushed.
            let done = rest.is_empty() && out.len() < out.capacity();
            if done || status.is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn inflate_all(deflate: &mut Deflate) -> Vec<u8> {
        let mut all = Vec::new();
        while !deflate.is_empty() {
            let before = all.len();
            match deflate.inflate(|chunk| all.extend_from_slice(chunk)) {
                Inflated::Some => assert!(all.len() - before <= CHUNK_OCTETS),
                Inflated::Nothing | Inflated::Over => break,
            }
        }
        all
    }

    #[test]
    fn batches_follow_each_other_in_one_stream() {
        let mut deflate = Deflate::new();
        let batches = [
            b"* OK\r\n".to_vec(),
            vec![b'a'; 300_000],
            noise(200_000),
            vec![],
            noise(ROOM_OCTETS),
            b"x".to_vec(),
        ];
        for batch in batches {
            let mut sent = Vec::new();
            compress(&batch, &mut sent);
            deflate.receive(&sent);
            // Nothing stays behind.
            assert!(inflate_all(&mut deflate) == batch);
            assert!(deflate.is_empty() && !deflate.broken() && deflate.waiting.capacity() == 0);
        }
    }

    #[test]
    fn octet_for_octet() {
        let mut sent = Vec::new();
        compress(b"a1 NOOP\r\na2 NOOP\r\n", &mut sent);
        let mut deflate = Deflate::new();
        let mut all = Vec::new();
        for octet in sent {
            deflate.receive(&[octet]);
            all.append(&mut inflate_all(&mut deflate));
        }
        assert_eq!(all, b"a1 NOOP\r\na2 NOOP\r\n");
    }

    #[test]
    fn a_bomb_comes_in_chunks() {
        let mut sent = Vec::new();
        compress(&vec![b' '; 50 << 20], &mut sent);
        assert!(sent.len() < 1 << 19);
        let mut deflate = Deflate::new();
        deflate.receive(&sent);
        let mut most = 0;
        let mut all = 0;
        while deflate.inflate(|chunk| (most, all) = (most.max(chunk.len()), all + chunk.len())) == Inflated::Some {}
        assert_eq!((most, all), (CHUNK_OCTETS, 50 << 20));
    }

    #[test]
    fn what_is_no_deflate_ends_it() {
        let mut deflate = Deflate::new();
        // Block type 3 is reserved.
        deflate.receive(b"\x07 and more");
        assert_eq!(deflate.inflate(|_| panic!("nothing")), Inflated::Over);
        assert!(deflate.broken() && deflate.is_empty());
        deflate.receive(b"more");
        assert!(deflate.waiting.is_empty());
    }

    #[test]
    fn the_peer_may_end_its_stream() {
        let mut out = Vec::with_capacity(100);
        let mut compressor = Compress::new(Compression::fast(), false);
        compressor
            .compress_vec(b"z LOGOUT\r\n", &mut out, FlushCompress::Finish)
            .unwrap();
        let mut deflate = Deflate::new();
        deflate.receive(&out);
        assert_eq!(inflate_all(&mut deflate), b"z LOGOUT\r\n");
        assert_eq!(deflate.inflate(|_| panic!("nothing")), Inflated::Over);
        assert!(!deflate.broken());
    }
}
