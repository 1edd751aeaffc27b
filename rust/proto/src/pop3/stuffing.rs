//! Message octets to the lines of a multi-line response (RFC 1939 §3): dots stuffed, CRLF at every line's end.
//!
//! A bare LF goes out as CRLF: clients commonly end a line at LF, and "LF . LF" inside a message would end the response
//! for them in its middle. A bare CR is left alone.

/// Where the last octet has left us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Position {
    #[default]
    LineStart,
    Middle,
    AfterCr,
}

/// The state of one response; chunks may be cut anywhere.
#[derive(Debug, Clone, Default)]
pub(super) struct Stuffing {
    position: Position,
}

impl Stuffing {
    /// Appends `chunk` to `out`.
    pub(super) fn push(&mut self, mut chunk: &[u8], out: &mut Vec<u8>) {
        out.reserve(chunk.len() + chunk.len() / 64);
        while let Some(first) = chunk.first() {
            if self.position == Position::LineStart && *first == b'.' {
                out.push(b'.');
            }
            let Some(at) = memchr::memchr(b'\n', chunk) else {
                out.extend_from_slice(chunk);
                self.position = if chunk.last() == Some(&b'\r') {
                    Position::AfterCr
                } else {
                    Position::Middle
                };
                return;
            };
            let (line, rest) = chunk.split_at(at);
            out.extend_from_slice(line);
            let has_cr = match line.last() {
                Some(last) => *last == b'\r',
                None => self.position == Position::AfterCr,
            };
            out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
            self.position = Position::LineStart;
            chunk = rest.get(1..).unwrap_or_default();
        }
    }

    /// Ends the response, with a CRLF before the dot when the message lacks its last.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        if self.position != Position::LineStart {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuff(chunks: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut stuffing = Stuffing::default();
        for chunk in chunks {
            stuffing.push(chunk, &mut out);
        }
        stuffing.finish(&mut out);
        out
    }

    #[test]
    fn every_split_gives_the_same() {
        let cases: [(&[u8], &[u8]); 9] = [
            (b"", b".\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b".\r\n..\r\na.b\r\n", b"..\r\n...\r\na.b\r\n.\r\n"),
            (b"\r\n.\r\n", b"\r\n..\r\n.\r\n"),
            (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r.b\r\r\n.c\r", b"a\r.b\r\r\n..c\r\r\n.\r\n"),
            (b"\n\n", b"\r\n\r\n.\r\n"),
        ];
        for (input, expected) in cases {
            for first in 0..=input.len() {
                for second in first..=input.len() {
                    let chunks = [&input[..first], &input[first..second], &input[second..]];
                    assert_eq!(stuff(&chunks), expected, "{input:?} cut at {first} and {second}");
                }
            }
        }
    }
}
