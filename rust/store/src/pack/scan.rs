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
    /// Sound in itself, but behind damage, and its followers do not lead to the pack's end: it may be a forgery that
    /// somebody has put into the body of a message, whose own header is what is damaged.
    Doubtful(u64, RecordHeader),
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
    let mut is_certain = true;
    while at + RECORD_HEADER as u64 <= until {
        if let Some(header) = record_at(file, at, until)? {
            visit(if is_certain {
                Found::Record(at, header)
            } else {
                Found::Doubtful(at, header)
            })?;
            at += u64::from(header.length);
            continue;
        }
        let next;
        (next, is_certain) = next_record(file, at + 1, until)?.unwrap_or((until, true));
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

/// Where the next sound record begins whose followers lead to the end; else the next sound one, and false.
///
/// What a peer has written is found by this search too. A body cannot lead on to the record behind it: its own record's
/// trailer, which holds a checksum over things that the peer does not know, lies between.
fn next_record(file: &File, from: u64, until: u64) -> Result<Option<(u64, bool)>> {
    let mut first = None;
    let magic = RECORD_MAGIC.to_le_bytes();
    let mut at = from;
    let mut buffer = vec![0; SEARCH_OCTETS];
    while at + RECORD_HEADER as u64 <= until {
        let length = usize::try_from(until - at).unwrap_or(SEARCH_OCTETS).min(SEARCH_OCTETS);
        file.read_exact_at(&mut buffer[..length], at)?;
        for found in memmem::find_iter(&buffer[..length], &magic) {
            let place = at + found as u64;
            if place + RECORD_HEADER as u64 > until || record_at(file, place, until)?.is_none() {
                continue;
            }
            if leads_to_end(file, place, until)? {
                return Ok(Some((place, true)));
            }
            first = first.or(Some((place, false)));
        }
        // A magic may lie across two pieces.
        at += (length - (magic.len() - 1).min(length - 1)) as u64;
    }
    Ok(first)
}

/// True when sound records follow one another from there to the end, or to what was allocated ahead.
fn leads_to_end(file: &File, from: u64, until: u64) -> Result<bool> {
    let mut at = from;
    while at + RECORD_HEADER as u64 <= until {
        match record_at(file, at, until)? {
            Some(header) => at += u64::from(header.length),
            None => return is_blank(file, at, until),
        }
    }
    Ok(true)
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::ids::PackId;
    use crate::pack::format::{RecordKind, encode_file_header};
    use crate::prepare::{encode_body_of, encode_journal};

    /// The records of a pack with these, one of which is damaged at its beginning.
    fn met(records: &[Vec<u8>], damaged: usize) -> Vec<Found> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&encode_file_header(PackId::new(1, 1)), 0).unwrap();
        let mut at = FILE_HEADER as u64;
        for (index, record) in records.iter().enumerate() {
            file.write_all_at(record, at).unwrap();
            if index == damaged {
                file.write_all_at(b"XXXX", at).unwrap();
            }
            at += record.len() as u64;
        }
        // Allocated ahead.
        file.set_len(at + 10_000).unwrap();
        let mut met = Vec::new();
        walk(&file, at + 10_000, |found| {
            met.push(found);
            Ok(())
        })
        .unwrap();
        met
    }

    #[test]
    fn a_record_inside_a_body_is_not_met() {
        let forged = encode_journal(b"forged").bytes;
        // Short, so that it is stored as it is.
        let mut body = b"Subject: x\r\n\r\n".to_vec();
        body.extend_from_slice(&forged);
        body.extend_from_slice(&forged);
        let records: Vec<Vec<u8>> = [&b"first"[..], &body, b"third"]
            .iter()
            .map(|body| encode_body_of(body).bytes)
            .collect();
        let kinds = |found: &[Found]| -> Vec<Option<RecordKind>> {
            found
                .iter()
                .map(|found| match found {
                    Found::Record(_, header) => Some(header.kind),
                    Found::Doubtful(..) => panic!("{found:?}"),
                    Found::Damaged(..) => None,
                })
                .collect()
        };
        let body = Some(RecordKind::Body);
        assert_eq!(kinds(&met(&records, 9)), [body, body, body]);
        assert_eq!(kinds(&met(&records, 1)), [body, None, body]);
        // The last one is damaged as well: what is found in the body then is not believed.
        let mut broken = records.clone();
        broken[2][0] ^= 1;
        let found = met(&broken, 1);
        let doubtful = found
            .iter()
            .filter(|found| matches!(found, Found::Doubtful(..)))
            .count();
        assert!(doubtful > 0, "{found:?}");
        assert!(
            !found[1..].iter().any(|found| matches!(found, Found::Record(..))),
            "{found:?}"
        );
    }
}
