//! Accounting of BDAT chunks (RFC 3030 §2): how much of the present chunk is still to come.

/// One BDAT chunk whose octets are passing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    size: u64,
    left: u64,
    last: bool,
}

impl Chunk {
    /// A chunk of which nothing has passed.
    pub const fn new(size: u64, last: bool) -> Self {
        Self { size, left: size, last }
    }

    /// Octets announced.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether `LAST` was given.
    pub fn last(&self) -> bool {
        self.last
    }

    /// Whether all octets have passed.
    pub fn complete(&self) -> bool {
        self.left == 0
    }

    /// The part of the waiting input that belongs to this chunk.
    pub fn part<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        match usize::try_from(self.left) {
            Ok(left) => input.get(..left).unwrap_or(input),
            Err(_) => input,
        }
    }

    /// Notes that `count` octets have passed.
    pub fn passed(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_takes_its_octets_and_no_more() {
        let mut chunk = Chunk::new(5, false);
        assert_eq!(chunk.part(b"abc"), b"abc");
        chunk.passed(3);
        assert_eq!(chunk.part(b"defg"), b"de");
        chunk.passed(2);
        assert!(chunk.complete());
        assert_eq!(chunk.part(b"fg"), b"");
        assert!(Chunk::new(0, true).complete());
        assert_eq!(Chunk::new(u64::MAX, true).part(b"x"), b"x");
    }
}
