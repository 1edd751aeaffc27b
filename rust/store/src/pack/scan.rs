//! Walks a pack from end to end without the index: every record whose head is sound, and the stretches that are not.

use std::fs::File;
use std::os::unix::fs::FileExt;

use memchr::memmem;

use super::format::{FILE_HEADER, RECORD_HEADER, RECORD_MAGIC, RecordHeader, TRAILER, trailer_fits};
use crate::error::Result;

/// Octets read at once while looking for the next sound record behind damage.
const SEARCH_OCTETS: usize = 1 << 20;
/// Octets of a record's sections at most that are believed before their checksum is known.
const SECTIONS_OCTETS_MAX: usize = 256 << 20;

/// What a walk meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record whose header and sections fit their checksum, and whose trailer belongs to it.
    Record(u64, RecordHeader),
    /// From here, so many octets are no record.
    Damaged(u64, u64),
}

/// Calls `visit` with what lies between the file's header and `until`, in order. Zeros at the end are space allocated
/// ahead. A footer at the end is passed over when `until` is the file's length.
///
/// # Errors
/// Faults of reading, and whatever `visit` raises.
pub(crate) fn walk(file: &File, until: u64, mut visit: impl FnMut(Found) -> Result<()>) -> Result<()> {
    let mut at = FILE_HEADER as u64;
    while at + RECORD_HEADER as u64 <= until {
        if let Some(header) = record_at(file, at, until)? {
            visit(Found::Record(at, header))?;
            at += u64::from(header.length);
            continue;
        }
        let next = next_record(file, at + 1, until)?.unwrap_or(until);
        if !is_blank(file, at, next)? {
            visit(Found::Damaged(at, next - at))?;
        }
        at = next;
    }
    Ok(())
}

/// The sound record that begins there, if one does.
fn record_at(file: &File, at: u64, until: u64) -> Result<Option<RecordHeader>> {
    let mut bytes = [0; RECORD_HEADER];
    file.read_exact_at(&mut bytes, at)?;
    let Some(header) = RecordHeader::decode(&bytes) else {
        return Ok(None);
    };
    let end = at.saturating_add(u64::from(header.length));
    if end > until || header.sections_len() > SECTIONS_OCTETS_MAX {
        return Ok(None);
    }
    let mut sections = vec![0; header.sections_len()];
    file.read_exact_at(&mut sections, at + u64::from(header.sections_offset))?;
    let mut trailer = [0; TRAILER];
    file.read_exact_at(&mut trailer, end - TRAILER as u64)?;
    let sound = RecordHeader::verify(&bytes, &sections) && trailer_fits(&trailer, &bytes);
    Ok(sound.then_some(header))
}

/// Where the next sound record begins.
fn next_record(file: &File, from: u64, until: u64) -> Result<Option<u64>> {
    let magic = RECORD_MAGIC.to_le_bytes();
    let mut at = from;
    let mut buffer = vec![0; SEARCH_OCTETS];
    while at + RECORD_HEADER as u64 <= until {
        let length = usize::try_from(until - at).unwrap_or(SEARCH_OCTETS).min(SEARCH_OCTETS);
        file.read_exact_at(&mut buffer[..length], at)?;
        for found in memmem::find_iter(&buffer[..length], &magic) {
            let place = at + found as u64;
            if place + RECORD_HEADER as u64 <= until && record_at(file, place, until)?.is_some() {
                return Ok(Some(place));
            }
        }
        // A magic may lie across two pieces.
        at += (length - (magic.len() - 1).min(length - 1)) as u64;
    }
    Ok(None)
}

/// True when the stretch holds zeros, or a footer and zeros.
fn is_blank(file: &File, from: u64, until: u64) -> Result<bool> {
    let mut at = from;
    let mut buffer = vec![0; SEARCH_OCTETS];
    while at < until {
        let length = usize::try_from(until - at).unwrap_or(SEARCH_OCTETS).min(SEARCH_OCTETS);
        file.read_exact_at(&mut buffer[..length], at)?;
        let mut octets = &buffer[..length];
        if at == from && octets.starts_with(&super::format::FOOTER_MAGIC) {
            octets = &octets[super::format::FOOTER.min(length)..];
        }
        if octets.iter().any(|&octet| octet != 0) {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}
