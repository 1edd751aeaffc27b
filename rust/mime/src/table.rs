//! The stored form of a part table: a version, then varints; read back with every range checked.
//!
//! ```text
//! table = version(1) message-length part-count *part          numbers are LEB128 varints
//! part  = head header-length body-length lines gap [within]   gap: octets from the end of the part before it in the
//! head  = kind | encoding << 2 | is-mime << 4                 same container, or from the start of the container's body;
//!                                                             within: parts below a container
//! ```
use crate::structure::{Part, PartKind, Structure};
use crate::transfer::TransferEncoding;

/// The version that [`Structure::encode`] writes and [`Structure::decode`] reads.
const VERSION: u8 = 1;

/// Least octets of one part in a table: head and four numbers.
const PART_OCTETS_MIN: usize = 5;

/// A container while the table is read or written: where its next part may begin, where it ends, its last part.
struct Frame {
    floor: usize,
    end: usize,
    next: usize,
    kind: PartKind,
}

impl Structure {
    /// Appends the table in its versioned compact form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put(out, self.message_len());
        put(out, self.parts.len());
        let mut frames: Vec<Frame> = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            close(&mut frames, index);
            let floor = frames.last().map_or(0, |frame| frame.floor);
            out.push(kind_code(part.kind) | encoding_code(part.encoding) << 2 | u8::from(part.is_mime) << 4);
            put(out, part.header.len());
            put(out, part.body.len());
            put(out, part.lines);
            put(out, part.header.start.saturating_sub(floor));
            if is_container(part.kind) {
                put(out, part.next.saturating_sub(index + 1));
            }
            if let Some(frame) = frames.last_mut() {
                frame.floor = part.body.end;
            }
            frames.push(Frame {
                floor: part.body.start,
                end: part.body.end,
                next: part.next,
                kind: part.kind,
            });
        }
    }

    /// Reads a table back; `None` on any damage or unknown version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, mut rest) = bytes.split_first()?;
        if version != VERSION {
            return None;
        }
        let length = take(&mut rest)?;
        let count = take(&mut rest)?;
        if count == 0 || count > rest.len() / PART_OCTETS_MIN {
            return None;
        }
        let mut parts: Vec<Part> = Vec::with_capacity(count);
        let mut frames = vec![Frame {
            floor: 0,
            end: length,
            next: count,
            kind: PartKind::Message,
        }];
        for index in 0..count {
            close(&mut frames, index);
            let frame = frames.last_mut()?;
            let part = take_part(&mut rest, frame, index)?;
            // A message holds one part, and all of it; so does the table.
            if frame.kind == PartKind::Message
                && (part.header.start != frame.floor || part.body.end != frame.end || part.next != frame.next)
            {
                return None;
            }
            frame.floor = part.body.end;
            frames.push(Frame {
                floor: part.body.start,
                end: part.body.end,
                next: part.next,
                kind: part.kind,
            });
            parts.push(part);
        }
        rest.is_empty().then_some(Self { parts })
    }
}

/// Leaves the containers that end before a part.
fn close(frames: &mut Vec<Frame>, index: usize) {
    while frames.last().is_some_and(|frame| frame.next <= index) {
        frames.pop();
    }
}

fn take_part(rest: &mut &[u8], frame: &Frame, index: usize) -> Option<Part> {
    let (&head, tail) = rest.split_first()?;
    *rest = tail;
    let kind = match head & 3 {
        0 => PartKind::Leaf,
        1 => PartKind::Opaque,
        2 => PartKind::Multipart,
        _ => PartKind::Message,
    };
    let encoding = match head >> 2 & 3 {
        0 => TransferEncoding::Identity,
        1 => TransferEncoding::QuotedPrintable,
        2 => TransferEncoding::Base64,
        _ => TransferEncoding::Unknown,
    };
    let header_len = take(rest)?;
    let body_len = take(rest)?;
    let lines = take(rest)?;
    let start = frame.floor.checked_add(take(rest)?)?;
    let body = start.checked_add(header_len)?;
    let end = body.checked_add(body_len)?;
    let within = if is_container(kind) { take(rest)? } else { 0 };
    let next = (index + 1).checked_add(within)?;
    let has_child = kind != PartKind::Message || within > 0;
    if head >> 5 != 0 || end > frame.end || next > frame.next || lines > body_len || !has_child {
        return None;
    }
    Some(Part {
        kind,
        header: start..body,
        body: body..end,
        lines,
        encoding,
        is_mime: head >> 4 & 1 == 1,
        next,
    })
}

fn is_container(kind: PartKind) -> bool {
    matches!(kind, PartKind::Multipart | PartKind::Message)
}

fn kind_code(kind: PartKind) -> u8 {
    match kind {
        PartKind::Leaf => 0,
        PartKind::Opaque => 1,
        PartKind::Multipart => 2,
        PartKind::Message => 3,
    }
}

fn encoding_code(encoding: TransferEncoding) -> u8 {
    match encoding {
        TransferEncoding::Identity => 0,
        TransferEncoding::QuotedPrintable => 1,
        TransferEncoding::Base64 => 2,
        TransferEncoding::Unknown => 3,
    }
}

fn put(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a varint; `None` when it is cut off, too large or not in its shortest form.
fn take(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let (&octet, tail) = rest.split_first()?;
        *rest = tail;
        let bits = usize::from(octet & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if octet & 0x80 == 0 {
            return (octet != 0 || shift == 0).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::structure::Limits;

    const MESSAGE: &[u8] = b"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\none\r\n--b\r\n\
Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ninner\r\n--b--\r\n";

    #[test]
    fn golden_octets() {
        let mut out = Vec::new();
        Structure::parse(MESSAGE, &Limits::default()).encode(&mut out);
        let expected = [
            1,
            127,
            4, // version, length, parts
            2 | 1 << 4,
            45,
            82,
            11,
            0,
            3, // the multipart with three parts below it
            1 << 4,
            2,
            3,
            0,
            10, // "one"
            3 | 1 << 4,
            32,
            19,
            2,
            7,
            1, // the message part
            0,
            14,
            5,
            0,
            0, // the message in it
        ];
        assert_eq!(out, expected);
        assert_eq!(
            Structure::decode(&out).unwrap(),
            Structure::parse(MESSAGE, &Limits::default())
        );
    }

    #[test]
    fn damage_is_refused_or_harmless() {
        let mut table = Vec::new();
        Structure::parse(MESSAGE, &Limits::default()).encode(&mut table);
        for length in 0..table.len() {
            assert_eq!(Structure::decode(&table[..length]), None, "cut to {length}");
        }
        for index in 0..table.len() {
            for value in 0..=255 {
                let mut damaged = table.clone();
                damaged[index] = value;
                if let Some(structure) = Structure::decode(&damaged) {
                    let mut again = Vec::new();
                    structure.encode(&mut again);
                    assert_eq!(again, damaged);
                    let mut out = Vec::new();
                    crate::bodystructure(MESSAGE, &structure, true, &mut out);
                }
            }
        }
        assert_eq!(
            Structure::decode(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 1]),
            None
        );
        assert_eq!(Structure::decode(&[1, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0]), None);
        assert_eq!(Structure::decode(&[]), None);
    }
}
