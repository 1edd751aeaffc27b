//! The byte layout of a pack: header, records, footer. All numbers are little-endian.
//!
//! ```text
//! pack    := file header (32) record* [footer (32)]
//! record  := fixed header (128) sections data trailer (8)          in shared packs
//!          | fixed header (128) gap data sections trailer (8)      in single-record packs
//! sections:= frame table, MIME table, card, hint
//! data    := frames, each at most 128 KiB of contents, each alone compressed (zstd) or plain
//! ```
//!
//! A range of the contents costs the fixed header, the frame table and at most the frames that it touches. Each frame
//! has a CRC of its own; the fixed header and the sections share one. Nothing is ever overwritten, save the fixed
//! header of a single-record pack, which is written last.

use crate::db::codec::Reader;
use crate::ids::{AccountId, PackId};

/// Octets of the file header.
pub const FILE_HEADER: usize = 32;
/// Octets of the footer of a sealed pack.
pub const FOOTER: usize = 32;
/// Octets of a record's fixed header.
pub const RECORD_HEADER: usize = 128;
/// Octets of a record's trailer.
pub const TRAILER: usize = 8;
/// Octets of contents in a frame at most.
pub const FRAME_OCTETS: usize = 128 * 1024;
/// Octets of a frame table's entry.
pub const FRAME_ENTRY: usize = 8;
/// A shared pack is sealed when it has grown to this.
pub const PACK_OCTETS_MAX: u64 = 256 << 20;
/// Where the data of a single-record pack begins, counted from the record: file header and this make one page.
pub const SINGLE_DATA_OFFSET: u32 = 4096 - FILE_HEADER as u32;

const FILE_MAGIC: [u8; 8] = *b"IRONPACK";
pub(crate) const FOOTER_MAGIC: [u8; 8] = *b"IRONSEAL";
pub(crate) const RECORD_MAGIC: u32 = 0x3152_5049; // "IPR1"
const TRAILER_MAGIC: u32 = 0x4552_5049; // "IPRE"
const VERSION: u8 = 1;

/// Frames are zstd.
const FLAG_ZSTD: u16 = 1;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// A body as received.
    Body = 1,
    /// Trace headers of one recipient.
    Prefix = 2,
    /// What transactions did (`crate::journal`).
    Journal = 3,
}

/// Header of a pack file.
#[must_use]
pub fn encode_file_header(pack: PackId) -> [u8; FILE_HEADER] {
    let mut out = [0; FILE_HEADER];
    out[..8].copy_from_slice(&FILE_MAGIC);
    out[8..12].copy_from_slice(&1_u32.to_le_bytes());
    out[12..20].copy_from_slice(&pack.0.to_le_bytes());
    let crc = crc32fast::hash(&out[..28]);
    out[28..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The pack that a file says it is; `None` when it is not a pack of this release.
#[must_use]
pub fn decode_file_header(bytes: &[u8]) -> Option<PackId> {
    let mut reader = Reader(bytes);
    let magic = reader.array::<8>()?;
    let version = reader.u32()?;
    let pack = reader.u64()?;
    reader.take(8)?;
    let crc = reader.u32()?;
    (magic == FILE_MAGIC && version == 1 && crc == crc32fast::hash(&bytes[..28])).then_some(PackId(pack))
}

/// Footer of a sealed pack: how many octets lie before it.
#[must_use]
pub fn encode_footer(pack: PackId, length: u64) -> [u8; FOOTER] {
    let mut out = [0; FOOTER];
    out[..8].copy_from_slice(&FOOTER_MAGIC);
    out[8..16].copy_from_slice(&pack.0.to_le_bytes());
    out[16..24].copy_from_slice(&length.to_le_bytes());
    let crc = crc32fast::hash(&out[..28]);
    out[28..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Length told by a footer; `None` when it is damaged or another pack's.
#[must_use]
pub fn decode_footer(bytes: &[u8], pack: PackId) -> Option<u64> {
    let mut reader = Reader(bytes);
    let magic = reader.array::<8>()?;
    let id = reader.u64()?;
    let length = reader.u64()?;
    reader.take(4)?;
    let crc = reader.u32()?;
    (magic == FOOTER_MAGIC && id == pack.0 && crc == crc32fast::hash(&bytes[..28])).then_some(length)
}

/// The fixed header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What it holds.
    pub kind: RecordKind,
    /// Frames are zstd.
    pub compressed: bool,
    /// Octets of the whole record, trailer included.
    pub length: u32,
    /// Octets of the contents.
    pub raw_len: u32,
    /// Octets of all frames.
    pub stored_len: u32,
    /// Where the frames begin, counted from the record.
    pub data_offset: u32,
    /// Where the sections begin, counted from the record.
    pub sections_offset: u32,
    /// Frames; their table is the first section.
    pub frames: u32,
    /// Octets of the MIME table, the second section.
    pub structure_len: u32,
    /// Octets of the full card, the third section.
    pub card_len: u32,
    /// Octets of the hint, the fourth section: name of the first recipient's mailbox.
    pub hint_len: u16,
    /// The first recipient; for rebuilding a lost index.
    pub account: AccountId,
    /// When it was received, Unix seconds.
    pub received: i64,
    /// BLAKE3 of the contents.
    pub digest: [u8; 32],
}

impl RecordHeader {
    /// Octets of all sections.
    #[must_use]
    pub fn sections_len(&self) -> usize {
        self.frames as usize * FRAME_ENTRY
            + self.structure_len as usize
            + self.card_len as usize
            + usize::from(self.hint_len)
    }

    /// The header; `sections` are covered by its CRC.
    #[must_use]
    pub fn encode(&self, sections: &[u8]) -> [u8; RECORD_HEADER] {
        let mut out = [0; RECORD_HEADER];
        out[..4].copy_from_slice(&RECORD_MAGIC.to_le_bytes());
        out[4] = VERSION;
        out[5] = self.kind as u8;
        out[6..8].copy_from_slice(&(if self.compressed { FLAG_ZSTD } else { 0 }).to_le_bytes());
        let numbers = [
            self.length,
            self.raw_len,
            self.stored_len,
            self.data_offset,
            self.sections_offset,
            self.frames,
            self.structure_len,
            self.card_len,
            u32::from(self.hint_len),
            self.account,
        ];
        for (index, number) in numbers.into_iter().enumerate() {
            out[8 + index * 4..12 + index * 4].copy_from_slice(&number.to_le_bytes());
        }
        out[48..56].copy_from_slice(&self.received.to_le_bytes());
        out[56..88].copy_from_slice(&self.digest);
        let crc = header_crc(&out, sections);
        out[124..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header without a look at the sections; `None` when its own fields are impossible.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes.get(..RECORD_HEADER)?);
        if reader.u32()? != RECORD_MAGIC || reader.u8()? != VERSION {
            return None;
        }
        let kind = match reader.u8()? {
            1 => RecordKind::Body,
            2 => RecordKind::Prefix,
            3 => RecordKind::Journal,
            _ => return None,
        };
        let flags = reader.u16()?;
        let header = Self {
            kind,
            compressed: flags & FLAG_ZSTD != 0,
            length: reader.u32()?,
            raw_len: reader.u32()?,
            stored_len: reader.u32()?,
            data_offset: reader.u32()?,
            sections_offset: reader.u32()?,
            frames: reader.u32()?,
            structure_len: reader.u32()?,
            card_len: reader.u32()?,
            hint_len: u16::try_from(reader.u32()?).ok()?,
            account: reader.u32()?,
            received: reader.i64()?,
            digest: reader.array()?,
        };
        header.is_possible().then_some(header)
    }

    /// Lengths that fit together, so that no later arithmetic on them can overflow or reach beyond the record.
    fn is_possible(&self) -> bool {
        let length = u64::from(self.length);
        let sections = u64::from(self.frames) * FRAME_ENTRY as u64
            + u64::from(self.structure_len)
            + u64::from(self.card_len)
            + u64::from(self.hint_len);
        let data_end = u64::from(self.data_offset) + u64::from(self.stored_len);
        let sections_end = u64::from(self.sections_offset) + sections;
        let frames = u64::from(self.raw_len).div_ceil(FRAME_OCTETS as u64);
        u64::from(self.frames) == frames
            && u64::from(self.data_offset) >= RECORD_HEADER as u64
            && u64::from(self.sections_offset) >= RECORD_HEADER as u64
            && data_end.max(sections_end) + TRAILER as u64 == length
    }

    /// True when header and sections are as they were written.
    #[must_use]
    pub fn verify(header: &[u8], sections: &[u8]) -> bool {
        let Some(fixed) = header.first_chunk::<RECORD_HEADER>() else {
            return false;
        };
        let mut plain = *fixed;
        plain[124..].fill(0);
        fixed[124..] == header_crc(&plain, sections).to_le_bytes()
    }
}

fn header_crc(header: &[u8; RECORD_HEADER], sections: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..124]);
    hasher.update(sections);
    hasher.finalize()
}

/// The trailer: says that the whole record has been written. It holds the CRC that the header holds too.
#[must_use]
pub fn encode_trailer(header: &[u8; RECORD_HEADER]) -> [u8; TRAILER] {
    let mut out = [0; TRAILER];
    out[..4].copy_from_slice(&TRAILER_MAGIC.to_le_bytes());
    out[4..].copy_from_slice(&header[124..]);
    out
}

/// True when the trailer belongs to the header.
#[must_use]
pub fn trailer_fits(trailer: &[u8], header: &[u8]) -> bool {
    trailer.len() == TRAILER
        && trailer[..4] == TRAILER_MAGIC.to_le_bytes()
        && header.get(124..RECORD_HEADER).is_some_and(|crc| crc == &trailer[4..])
}

/// One entry of the frame table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Octets as stored.
    pub stored_len: u32,
    /// CRC32 of the stored octets.
    pub crc: u32,
}

impl Frame {
    /// Appends the entry.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stored_len.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    /// From [`FRAME_ENTRY`] octets.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        Some(Self {
            stored_len: reader.u32()?,
            crc: reader.u32()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn golden_file_header_and_footer() {
        let header = encode_file_header(PackId::new(7, 9));
        assert_eq!(&header[..20], b"IRONPACK\x01\0\0\0\x09\0\0\0\x07\0\0\0");
        assert_eq!(decode_file_header(&header), Some(PackId::new(7, 9)));
        let footer = encode_footer(PackId::new(7, 9), 1234);
        assert_eq!(decode_footer(&footer, PackId::new(7, 9)), Some(1234));
        assert_eq!(decode_footer(&footer, PackId::new(7, 8)), None);
        for position in 0..32 {
            let mut broken = header;
            broken[position] ^= 1;
            assert_eq!(decode_file_header(&broken), None, "{position}");
        }
    }

    #[test]
    fn record_header_is_checked_to_the_bit() {
        let sections = vec![1_u8; FRAME_ENTRY + 5 + 6 + 2];
        let header = RecordHeader {
            kind: RecordKind::Body,
            compressed: true,
            length: (RECORD_HEADER + sections.len() + 100 + TRAILER) as u32,
            raw_len: 300,
            stored_len: 100,
            data_offset: (RECORD_HEADER + sections.len()) as u32,
            sections_offset: RECORD_HEADER as u32,
            frames: 1,
            structure_len: 5,
            card_len: 6,
            hint_len: 2,
            account: 3,
            received: -5,
            digest: [9; 32],
        };
        let bytes = header.encode(&sections);
        assert_eq!(RecordHeader::decode(&bytes).unwrap(), header);
        assert!(RecordHeader::verify(&bytes, &sections));
        assert!(trailer_fits(&encode_trailer(&bytes), &bytes));
        for position in 0..RECORD_HEADER {
            let mut broken = bytes;
            broken[position] ^= 0x10;
            assert!(!RecordHeader::verify(&broken, &sections), "{position}");
        }
    }
}
