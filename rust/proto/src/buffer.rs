//! The input buffer of every core: appended to by `receive`, consumed from the front, scanned once.
//!
//! It gives its memory back as soon as it is empty, so that an idle connection owns no buffer. It sets no limit of its
//! own: each core bounds what it lets wait (`line`, literal and body limits).

/// Octets received and not yet consumed, and how far they have been searched.
#[derive(Debug, Default)]
pub struct Buffer {
    data: Vec<u8>,
    start: usize,
    /// Relative to `start`.
    scanned: usize,
}

/// Consumed octets at the front below which moving the rest is not worth its while.
const COMPACT_OCTETS_MIN: usize = 4096;

impl Buffer {
    /// An empty buffer without memory.
    pub const fn new() -> Self {
        Self {
            data: Vec::new(),
            start: 0,
            scanned: 0,
        }
    }

    /// Appends octets of the peer; amortised linear.
    pub fn extend(&mut self, octets: &[u8]) {
        // Moving only when the dead front is at least as long as the live rest keeps the total cost linear.
        if self.start >= COMPACT_OCTETS_MIN && self.start >= self.data.len() - self.start {
            self.data.drain(..self.start);
            self.start = 0;
        }
        if self.data.is_empty() {
            self.data.reserve_exact(octets.len());
        }
        self.data.extend_from_slice(octets);
    }

    /// What has not been consumed yet.
    pub fn bytes(&self) -> &[u8] {
        self.data.get(self.start..).unwrap_or_default()
    }

    /// How many octets wait.
    pub fn len(&self) -> usize {
        self.data.len() - self.start
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops `count` octets from the front (all, when there are fewer) and gives memory back when none are left.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.len());
        self.start += count;
        self.scanned = self.scanned.saturating_sub(count);
        if self.start == self.data.len() {
            self.clear();
        }
    }

    /// Takes `count` octets from the front (all, when there are fewer) as a vector of their own.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.len());
        let taken = self.bytes().get(..count).unwrap_or_default().to_vec();
        self.consume(count);
        taken
    }

    /// How many of the waiting octets have already been searched without success.
    pub fn scanned(&self) -> usize {
        self.scanned
    }

    /// The octets that have not been searched yet.
    pub fn unscanned(&self) -> &[u8] {
        self.bytes().get(self.scanned..).unwrap_or_default()
    }

    /// Remembers that the first `count` waiting octets need not be searched again.
    pub fn set_scanned(&mut self, count: usize) {
        self.scanned = count.min(self.len());
    }

    /// Drops everything and gives the memory back.
    pub fn clear(&mut self) {
        self.data = Vec::new();
        self.start = 0;
        self.scanned = 0;
    }

    /// Memory held, in octets; for tests of idle cost.
    pub fn capacity(&self) -> usize {
        self.data.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut buffer = Buffer::new();
        let mut seen = Vec::new();
        let mut sent = Vec::new();
        for round in 0..2000u32 {
            let piece: Vec<u8> = (0..(round % 37)).map(|octet| (octet + round) as u8).collect();
            sent.extend_from_slice(&piece);
            buffer.extend(&piece);
            let taken = buffer.take((round % 31) as usize);
            seen.extend_from_slice(&taken);
        }
        let rest = buffer.take(usize::MAX);
        seen.extend_from_slice(&rest);
        assert_eq!(seen, sent);
    }

    #[test]
    fn an_empty_buffer_owns_no_memory() {
        let mut buffer = Buffer::new();
        buffer.extend(&[0; 262_144]);
        buffer.consume(262_144);
        assert_eq!((buffer.len(), buffer.capacity()), (0, 0));
    }

    #[test]
    fn the_front_is_not_kept_for_ever() {
        let mut buffer = Buffer::new();
        buffer.extend(b"x");
        for _ in 0..100_000 {
            buffer.extend(&[1; 64]);
            buffer.consume(64);
        }
        assert!(buffer.capacity() < 64 * 1024, "{}", buffer.capacity());
    }

    #[test]
    fn scanned_moves_with_the_front() {
        let mut buffer = Buffer::new();
        buffer.extend(b"0123456789");
        buffer.set_scanned(6);
        buffer.consume(4);
        assert_eq!((buffer.scanned(), buffer.unscanned()), (2, &b"6789"[..]));
        buffer.consume(3);
        assert_eq!((buffer.scanned(), buffer.unscanned()), (0, &b"789"[..]));
        buffer.set_scanned(99);
        assert_eq!(buffer.scanned(), 3);
        buffer.consume(99);
        assert!(buffer.is_empty());
    }
}
