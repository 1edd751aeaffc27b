//! The codec alone: golden octets, any pieces, every cut, every flipped bit.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;

const STREAM: &str = "0123456789abcdef";

fn sample() -> (Vec<u8>, Vec<u64>) {
    let mut writer = StreamWriter::new(Vec::new(), STREAM.to_owned());
    let mut starts = Vec::new();
    for number in 0..5_u32 {
        starts.push(writer.octets());
        let mut fields = Fields::new();
        fields.number("Uid", number).put("Name", "a%b\nc é").text("Empty", "");
        let body = format!("body {number}\nIRONPOST/1 of somebody else\n");
        writer
            .record("message", &fields, b"Received: x\r\n", body.as_bytes())
            .unwrap();
    }
    (writer.finish().unwrap(), starts)
}

type Found = (Vec<(u32, Vec<u8>)>, Vec<(u64, u64)>);

fn read(octets: &[u8], step: usize) -> Found {
    struct Slow<'a>(&'a [u8], usize);
    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(out.len()).min(self.0.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }
    let mut reader = StreamReader::new(Slow(octets, step));
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Record(record) => {
                assert_eq!(record.text("Name"), "a%b\nc é");
                assert_eq!(record.attachment, b"Received: x\r\n");
                let mut body = Vec::new();
                loop {
                    match reader.read_body(7) {
                        Ok([]) => break,
                        Ok(piece) => body.extend_from_slice(piece),
                        Err(error) => {
                            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                            body.clear();
                            break;
                        }
                    }
                }
                records.push((record.number("Uid"), body));
            }
            Item::Damage { offset, octets } => damage.push((offset, octets)),
        }
    }
    assert_eq!(reader.offset(), octets.len() as u64);
    (records, damage)
}

#[test]
fn golden() {
    let mut writer = StreamWriter::new(Vec::new(), STREAM.to_owned());
    let mut fields = Fields::new();
    fields.number("Uid", 7).put("Flags", "\\Seen");
    writer.record("message", &fields, b"", b"hello").unwrap();
    assert_eq!(
        String::from_utf8(writer.finish().unwrap()).unwrap(),
        "IRONPOST/1 0123456789abcdef message 20 0 5 CHECK\nUid: 7\nFlags: \\Seen\nhello\n".replace("CHECK", &{
            let mut hasher = blake3::Hasher::new();
            hasher.update(b"IRONPOST/1 0123456789abcdef message 20 0 5 Uid: 7\nFlags: \\Seen\n");
            hasher.finalize().to_hex()[..32].to_owned()
        })
    );
}

#[test]
fn whole_streams_are_read_in_any_pieces() {
    let (octets, _) = sample();
    for step in [1, 3, 1000] {
        let (records, damage) = read(&octets, step);
        assert_eq!(records.len(), 5);
        assert_eq!(records[3].1, b"body 3\nIRONPOST/1 of somebody else\n");
        assert!(damage.is_empty());
    }
}

#[test]
fn every_truncation_keeps_what_was_whole() {
    let (octets, starts) = sample();
    for cut in 0..octets.len() {
        let whole = starts
            .iter()
            .filter(|&&start| start as usize <= cut)
            .count()
            .saturating_sub(1);
        let (records, damage) = read(&octets[..cut], 64);
        assert!(records.len() >= whole, "{cut}");
        let at_boundary = cut == 0 || starts.contains(&(cut as u64));
        let body_is_short = records.last().is_some_and(|(_, body)| body.is_empty());
        // The octet that a cut may take unseen is the LF behind the last record.
        let only_the_last_octet = starts.contains(&(cut as u64 + 1)) || cut + 1 == octets.len();
        assert_eq!(
            damage.is_empty(),
            at_boundary || body_is_short || only_the_last_octet,
            "{cut}"
        );
    }
}

#[test]
fn every_flipped_bit_costs_one_record_at_most_and_is_seen() {
    let (octets, starts) = sample();
    for at in 0..octets.len() {
        let mut broken = octets.clone();
        broken[at] ^= 4;
        let (records, damage) = read(&broken, 999);
        let of = starts.iter().rposition(|&start| start as usize <= at).unwrap();
        for number in (0..5_u32).filter(|number| *number as usize != of) {
            let body = format!("body {number}\nIRONPOST/1 of somebody else\n");
            assert!(records.contains(&(number, body.into_bytes())), "{at} {number}");
        }
        let body = format!("body {of}\nIRONPOST/1 of somebody else\n");
        assert!(
            !damage.is_empty() || !records.contains(&(of as u32, body.into_bytes())),
            "{at}"
        );
    }
}
