//! BINARY of a part too large for memory: decoded once to learn its length, which the literal announces, and again while
//! it is sent.

use std::ops::Range;

use ironpost_mime::TransferEncoding;
use ironpost_mime::transfer::Decoder;

use super::message::{Access, Content};
use crate::error::{Result, StoreError};
use crate::pack::format::FRAME_OCTETS;

/// An encoded part up to this is decoded as a whole.
pub(crate) const AT_ONCE_OCTETS_MAX: u64 = 1 << 20;

/// Octets decoded at once at least.
const STEP_OCTETS_MIN: u64 = 4096;

/// What is still to be sent of a decoded part.
#[derive(Debug)]
pub struct Decoding {
    /// What has not been decoded yet.
    encoded: Range<u64>,
    decoder: Decoder,
    /// Decoded octets before the first that is wanted.
    skip: u64,
    /// Octets still owed.
    left: u64,
}

/// Octets of a part once decoded.
pub(crate) fn decoded_octets(
    access: &Access<'_>,
    content: &mut Content,
    encoded: Range<u64>,
    encoding: TransferEncoding,
) -> Result<u64> {
    let mut all = Decoding::new(encoded, encoding, 0..u64::MAX);
    let (mut octets, mut piece) = (0, Vec::new());
    while all.decode(access, content, FRAME_OCTETS as u64, &mut piece)? {
        octets += piece.len() as u64;
        piece.clear();
    }
    Ok(octets + piece.len() as u64)
}

impl Decoding {
    /// The octets `wanted` of what the part decodes to; nothing is read yet.
    pub(crate) fn new(encoded: Range<u64>, encoding: TransferEncoding, wanted: Range<u64>) -> Self {
        Self {
            encoded,
            decoder: Decoder::new(encoding),
            skip: wanted.start,
            left: wanted.end - wanted.start,
        }
    }

    /// Octets still owed.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Appends about `room` of the octets owed, unless it ends before.
    pub(crate) fn write(
        &mut self,
        access: &Access<'_>,
        content: &mut Content,
        room: u64,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut piece = Vec::new();
        let mut written = 0;
        while self.left > 0 && written < room {
            piece.clear();
            // No encoding makes octets more, so that what is decoded at once fits.
            let step = (room - written).clamp(STEP_OCTETS_MIN, FRAME_OCTETS as u64);
            let more = self.decode(access, content, step, &mut piece)?;
            let skipped = self.skip.min(piece.len() as u64);
            self.skip -= skipped;
            let wanted = &piece[skipped as usize..];
            let wanted = &wanted[..wanted.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))];
            out.extend_from_slice(wanted);
            self.left -= wanted.len() as u64;
            written += wanted.len() as u64;
            if !more && self.left > 0 {
                return Err(StoreError::Corrupt("a part decodes to less than before".to_owned()));
            }
        }
        Ok(())
    }

    /// Decodes so many octets; false when those were the last.
    fn decode(&mut self, access: &Access<'_>, content: &mut Content, step: u64, out: &mut Vec<u8>) -> Result<bool> {
        let end = self.encoded.end.min(self.encoded.start + step);
        let mut encoded = Vec::new();
        content.read(access, self.encoded.start..end, &mut encoded)?;
        self.decoder.push(&encoded, out);
        self.encoded.start = end;
        if self.encoded.is_empty() {
            let identity = Decoder::new(TransferEncoding::Identity);
            std::mem::replace(&mut self.decoder, identity).finish(out);
            return Ok(false);
        }
        Ok(true)
    }
}
