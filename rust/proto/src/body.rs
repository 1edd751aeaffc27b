//! Where clean body octets go: the one seam between a protocol core and the store.

/// Takes message octets as a core has cleaned them (dot-unstuffed, dechunked, literal contents).
pub trait BodySink {
    /// Takes as many of `octets` as there is room for and returns how many were taken.
    ///
    /// Fewer than all means back pressure: the session waits for the sink to drain and offers the rest again. A fault
    /// of the disk is kept by the sink and told when the message is finished, so that this call cannot fail.
    fn push(&mut self, octets: &[u8]) -> usize;
}

impl BodySink for Vec<u8> {
    fn push(&mut self, octets: &[u8]) -> usize {
        self.extend_from_slice(octets);
        octets.len()
    }
}
