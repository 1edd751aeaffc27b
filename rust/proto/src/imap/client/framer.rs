//! Where a response ends: its line, its literals, its next line (RFC 9051 §4.3).
//!
//! The literal of a whole message is not gathered: [`Framed::Body`] hands it to the session, and the response goes on
//! behind it. A line may end by LF alone, as some servers and most proxies of old have it.

use crate::buffer::Buffer;
use crate::error::PeerMisbehaved;

/// What lies in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// A whole response without its final line end. Where the octets of a streamed literal would stand, if it had one.
    Response(Vec<u8>, Option<usize>),
    /// A message of so many octets follows; the response began with the number of the message.
    Body { number: u32, size: u64 },
    /// Nothing whole.
    NeedData,
}

/// Gathers one response.
#[derive(Debug, Default)]
pub(super) struct Framer {
    head: Vec<u8>,
    streamed: Option<usize>,
    /// Octets that are still to come of a literal that is gathered.
    literal: usize,
}

impl Framer {
    /// Whether the beginning of a response has been taken.
    pub(super) fn inside(&self) -> bool {
        !self.head.is_empty()
    }

    /// Goes on with what is in the buffer; keeps at most `octets_max` of one response.
    pub(super) fn next(&mut self, buffer: &mut Buffer, octets_max: usize) -> Result<Framed, PeerMisbehaved> {
        loop {
            if self.literal > 0 {
                let part = buffer.take(self.literal);
                self.literal -= part.len();
                self.head.extend_from_slice(&part);
                if self.literal > 0 {
                    return Ok(Framed::NeedData);
                }
            }
            let Some(offset) = memchr::memchr(b'\n', buffer.unscanned()) else {
                buffer.set_scanned(buffer.len());
                if self.head.len() + buffer.len() > octets_max {
                    return Err(PeerMisbehaved::LineTooLong);
                }
                return Ok(Framed::NeedData);
            };
            let mut line = buffer.take(buffer.scanned() + offset + 1);
            buffer.set_scanned(0);
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if self.head.len() + line.len() > octets_max {
                return Err(PeerMisbehaved::LineTooLong);
            }
            self.head.extend_from_slice(&line);
            let announced = if takes_literals(&self.head) {
                literal_size(&line)
            } else {
                None
            };
            let Some(size) = announced else {
                return Ok(Framed::Response(std::mem::take(&mut self.head), self.streamed.take()));
            };
            let message = message_number(&self.head);
            self.head.extend_from_slice(b"\r\n");
            if let Some(number) = message {
                // A second message in one response has no place in what we ask for.
                if self.streamed.is_some() {
                    return Err(PeerMisbehaved::TooMany);
                }
                self.streamed = Some(self.head.len());
                return Ok(Framed::Body { number, size });
            }
            self.literal = usize::try_from(size)
                .ok()
                .filter(|size| self.head.len() + size <= octets_max)
                .ok_or(PeerMisbehaved::TooMany)?;
        }
    }
}

/// Only untagged data holds literals; the text of a status may end with what looks like one.
fn takes_literals(head: &[u8]) -> bool {
    let Some(rest) = head.strip_prefix(b"* ") else {
        return false;
    };
    let word = rest.split(|&octet| octet == b' ').next().unwrap_or_default();
    ![&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"]
        .iter()
        .any(|status| word.eq_ignore_ascii_case(status))
}

/// `{n}` or `{n+}` at the end of a line.
fn literal_size(line: &[u8]) -> Option<u64> {
    let inside = line.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', inside)?;
    let digits = inside.get(open + 1..)?;
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The message's number, when the literal that is announced at the end of `head` is a whole message.
fn message_number(head: &[u8]) -> Option<u32> {
    let rest = head.strip_prefix(b"* ")?;
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (number, rest) = rest.split_at_checked(digits)?;
    let verb = rest.trim_ascii_start().get(..5)?;
    if !verb.eq_ignore_ascii_case(b"FETCH") {
        return None;
    }
    let open = memchr::memrchr(b'{', head)?;
    let before = head.get(..open)?;
    let before = before.strip_suffix(b"~").unwrap_or(before).trim_ascii_end();
    let before = before.strip_suffix(b"<0>").unwrap_or(before);
    [&b"BODY[]"[..], b"RFC822", b"BINARY[]"].iter().find(|item| {
        before.len().checked_sub(item.len()).is_some_and(|start| {
            before.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(item))
                && start
                    .checked_sub(1)
                    .and_then(|index| before.get(index))
                    .is_some_and(|octet| matches!(octet, b' ' | b'('))
        })
    })?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn frame(input: &[u8], max: usize) -> Result<Vec<Framed>, PeerMisbehaved> {
        let mut buffer = Buffer::new();
        let mut framer = Framer::default();
        let mut found = Vec::new();
        buffer.extend(input);
        loop {
            match framer.next(&mut buffer, max)? {
                Framed::NeedData => return Ok(found),
                Framed::Body { number, size } => {
                    buffer.consume(usize::try_from(size).unwrap());
                    found.push(Framed::Body { number, size });
                }
                other => found.push(other),
            }
        }
    }

    #[test]
    fn lines_and_literals() {
        assert_eq!(
            frame(b"* LIST () \"/\" {3}\r\na\nb\r\n* OK {5}\r\nA1 OK {5}\n", 100).unwrap(),
            [
                Framed::Response(b"* LIST () \"/\" {3}\r\na\nb".to_vec(), None),
                Framed::Response(b"* OK {5}".to_vec(), None),
                Framed::Response(b"A1 OK {5}".to_vec(), None),
            ]
        );
    }

    #[test]
    fn a_message_is_handed_over() {
        assert_eq!(
            frame(b"* 12 FETCH (UID 7 BODY[] {5}\r\nhello FLAGS ())\r\n", 100).unwrap(),
            [
                Framed::Body { number: 12, size: 5 },
                Framed::Response(b"* 12 FETCH (UID 7 BODY[] {5}\r\n FLAGS ())".to_vec(), Some(30)),
            ]
        );
        for other in [
            &b"* 1 FETCH (BODY[HEADER] {2}\r\nab)\r\n"[..],
            b"* 1 FETCH (XBODY[] {2}\r\nab)\r\n",
        ] {
            assert!(
                matches!(frame(other, 100).unwrap()[..], [Framed::Response(_, None)]),
                "{other:?}"
            );
        }
    }

    #[test]
    fn limits() {
        assert_eq!(frame(&[b'x'; 101], 100), Err(PeerMisbehaved::LineTooLong));
        assert_eq!(frame(b"* LIST {101}\r\n", 100), Err(PeerMisbehaved::TooMany));
        assert_eq!(
            frame(b"* 1 FETCH (BODY[] {1}\r\na BODY[] {1}\r\n", 100),
            Err(PeerMisbehaved::TooMany)
        );
        let mut many = b"* X ".to_vec();
        many.extend(b"{1}\r\na".repeat(50));
        assert_eq!(frame(&many, 100), Err(PeerMisbehaved::LineTooLong));
    }
}
