//! The end of DATA and dot-unstuffing (RFC 5321 §4.1.1.4, §4.5.2), and the judgement of body octets.
//!
//! Only CRLF "." CRLF ends a message. The scan begins in the state "just after CRLF", so that a first line "." ends an
//! empty message. A bare CR or LF is passed on as it is and noted, never taken for a line end and never repaired.

/// Octets looked at in one go, so that a full sink costs at most this much scanning again.
const WINDOW_OCTETS: usize = 65_536;

/// What stands at the front of the waiting input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// At least one octet of content.
    Content,
    /// That many octets that are no content (the dot of a stuffed line); look again behind them.
    Skip(usize),
    /// That many octets that end the message.
    End(usize),
    /// Not known yet.
    NeedData,
}

/// Memory of the scan: the last two octets of content and what was wrong so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    line_start: bool,
    after_cr: bool,
    bare_cr: bool,
    bare_lf: bool,
    nul: bool,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            line_start: true,
            after_cr: false,
            bare_cr: false,
            bare_lf: false,
            nul: false,
        }
    }
}

impl Scan {
    /// What stands at the front in DATA. Whoever gets `Skip` or `End` must consume those octets.
    pub fn edge(&mut self, input: &[u8]) -> Edge {
        if !self.line_start {
            return if input.is_empty() {
                Edge::NeedData
            } else {
                Edge::Content
            };
        }
        match input {
            [] | [b'.'] | [b'.', b'\r'] => Edge::NeedData,
            [b'.', b'\r', b'\n', ..] => Edge::End(3),
            [b'.', ..] => {
                // What follows the dot is content even if it is a dot again.
                self.line_start = false;
                Edge::Skip(1)
            }
            _ => Edge::Content,
        }
    }

    /// Length of the content at the front, in DATA: up to a line that begins with a dot, at most one window.
    pub fn run_of_data(&mut self, input: &[u8]) -> usize {
        self.run(input, true)
    }

    /// Length of the content at the front, in BDAT: everything, at most one window.
    pub fn run_of_chunk(&mut self, input: &[u8]) -> usize {
        self.run(input, false)
    }

    fn run(&mut self, input: &[u8], dots: bool) -> usize {
        let window = input.get(..WINDOW_OCTETS).unwrap_or(input);
        if self.after_cr && window.first().is_some_and(|&octet| octet != b'\n') {
            self.bare_cr = true;
        }
        for at in memchr::memchr3_iter(b'\r', b'\n', 0, window) {
            let next = window.get(at + 1).copied();
            match window.get(at) {
                Some(b'\r') => self.bare_cr |= next.is_some_and(|octet| octet != b'\n'),
                Some(b'\n') => {
                    let paired = match at.checked_sub(1) {
                        Some(before) => window.get(before) == Some(&b'\r'),
                        None => self.after_cr,
                    };
                    if !paired {
                        self.bare_lf = true;
                    } else if dots && next == Some(b'.') {
                        return at + 1;
                    }
                }
                _ => self.nul = true,
            }
        }
        window.len()
    }

    /// Notes that this content has been taken from the front.
    pub fn taken(&mut self, content: &[u8]) {
        let Some(&last) = content.last() else { return };
        let before_is_cr = match content.len().checked_sub(2) {
            Some(before) => content.get(before) == Some(&b'\r'),
            None => self.after_cr,
        };
        self.line_start = last == b'\n' && before_is_cr;
        self.after_cr = last == b'\r';
    }

    /// The message is complete: a CR that ended the last chunk has no LF any more.
    pub fn finish(&mut self) {
        self.bare_cr |= std::mem::take(&mut self.after_cr);
    }

    /// A CR without LF was seen.
    pub fn bare_cr(&self) -> bool {
        self.bare_cr
    }

    /// An LF without CR was seen.
    pub fn bare_lf(&self) -> bool {
        self.bare_lf
    }

    /// An octet of value zero was seen.
    pub fn nul(&self) -> bool {
        self.nul
    }
}

/// Dot-stuffs a message on its way out, over any chunking (RFC 5321 §4.5.2).
///
/// Refuses bare CR and LF: what we send can be read by the peer in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuffer {
    line_start: bool,
    after_cr: bool,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self {
            line_start: true,
            after_cr: false,
        }
    }
}

/// A CR or LF that is not part of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareNewline;

impl Stuffer {
    /// Appends the chunk, stuffed. On error neither the stuffer nor `out` has changed.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), BareNewline> {
        let Some((&first, &last)) = chunk.first().zip(chunk.last()) else {
            return Ok(());
        };
        if self.after_cr && first != b'\n' {
            return Err(BareNewline);
        }
        let begun = out.len();
        out.reserve(chunk.len() + 64);
        if self.line_start && first == b'.' {
            out.push(b'.');
        }
        let mut from = 0;
        for at in memchr::memchr2_iter(b'\r', b'\n', chunk) {
            let next = chunk.get(at + 1).copied();
            let good = if chunk.get(at) == Some(&b'\r') {
                next.is_none_or(|octet| octet == b'\n')
            } else {
                match at.checked_sub(1) {
                    Some(before) => chunk.get(before) == Some(&b'\r'),
                    None => self.after_cr,
                }
            };
            if !good {
                out.truncate(begun);
                return Err(BareNewline);
            }
            if chunk.get(at) == Some(&b'\n') && next == Some(b'.') {
                out.extend_from_slice(chunk.get(from..=at).unwrap_or_default());
                out.push(b'.');
                from = at + 1;
            }
        }
        out.extend_from_slice(chunk.get(from..).unwrap_or_default());
        // Every LF was checked to follow a CR.
        self.line_start = last == b'\n';
        self.after_cr = last == b'\r';
        Ok(())
    }

    /// Ends the message: CRLF if the last line lacks it, then the line with the dot.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), BareNewline> {
        if self.after_cr {
            return Err(BareNewline);
        }
        out.extend_from_slice(if self.line_start { b".\r\n" } else { b"\r\n.\r\n" });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// Runs a body in chunks; content, what was left behind the end, and the scan.
    fn run(chunks: &[&[u8]]) -> (Vec<u8>, Option<Vec<u8>>, Scan) {
        let mut scan = Scan::default();
        let mut content = Vec::new();
        let mut waiting: Vec<u8> = Vec::new();
        let mut ended = false;
        for chunk in chunks {
            waiting.extend_from_slice(chunk);
            while !ended {
                match scan.edge(&waiting) {
                    Edge::NeedData => break,
                    Edge::Skip(count) => drop(waiting.drain(..count)),
                    Edge::End(count) => {
                        drop(waiting.drain(..count));
                        ended = true;
                    }
                    Edge::Content => {
                        let length = scan.run_of_data(&waiting);
                        assert!(length > 0);
                        scan.taken(&waiting[..length]);
                        content.extend(waiting.drain(..length));
                    }
                }
            }
        }
        (content, ended.then_some(waiting), scan)
    }

    #[test]
    fn ends_and_stuffing_at_every_split() {
        for (input, content, rest) in [
            (&b".\r\nQUIT"[..], &b""[..], Some(&b"QUIT"[..])),
            (b"..\r\n.\r\n", b".\r\n", Some(b"")),
            (b"a\r\n.\r\n", b"a\r\n", Some(b"")),
            (
                b"a\r\n..b\r\n.c\r\n...\r\n.\r\nx",
                b"a\r\n.b\r\nc\r\n..\r\n",
                Some(b"x"),
            ),
            (b"\r\n.\r\n", b"\r\n", Some(b"")),
            (b"\r\n\r\n.\r\n", b"\r\n\r\n", Some(b"")),
            (b"a.\r\n.b.\r\n.\r\n", b"a.\r\nb.\r\n", Some(b"")),
            // No message ends at anything else.
            (b"a\n.\r\nb", b"a\n.\r\nb", None),
            (b"a\n.\nb", b"a\n.\nb", None),
            (b"a\r\n.\nb", b"a\r\n\nb", None),
            (b"a\r\n.\rb", b"a\r\n\rb", None),
            (b"a\r.\r\nb", b"a\r.\r\nb", None),
            (b"a\r\n.\r\rb", b"a\r\n\r\rb", None),
            (b"a\n\r.\r\nb", b"a\n\r.\r\nb", None),
            (b"a\r\r\n.\r\nz", b"a\r\r\n", Some(b"z")),
            (b"a\0\r\n\0.\r\n.\r\n", b"a\0\r\n\0.\r\n", Some(b"")),
        ] {
            let whole = run(&[input]);
            assert_eq!((&whole.0[..], whole.1.as_deref()), (content, rest), "{input:?}");
            for at in 0..=input.len() {
                let (left, right) = input.split_at(at);
                assert_eq!(run(&[left, right]), whole, "{input:?} split at {at}");
            }
            let single: Vec<&[u8]> = input.chunks(1).collect();
            let bytewise = run(&single);
            assert_eq!(bytewise, whole, "{input:?} by octets");
        }
    }

    #[test]
    fn flaws_are_noted() {
        let flaws = |input: &[u8]| {
            let scan = run(&[input]).2;
            (scan.bare_cr(), scan.bare_lf(), scan.nul())
        };
        assert_eq!(flaws(b"a\r\nb\r\n.\r\n"), (false, false, false));
        assert_eq!(flaws(b"a\rb\r\n.\r\n"), (true, false, false));
        assert_eq!(flaws(b"a\nb\r\n.\r\n"), (false, true, false));
        assert_eq!(flaws(b"a\0b\r\n.\r\n"), (false, false, true));
        assert_eq!(flaws(b".\rx\r\n.\r\n"), (true, false, false));
        assert_eq!(flaws(b".\nx\r\n.\r\n"), (false, true, false));
        assert_eq!(flaws(b"\n"), (false, true, false));
        assert_eq!(flaws(b"\r\r\n"), (true, false, false));
    }

    #[test]
    fn a_window_edge_is_no_line_edge() {
        for shift in 0..4 {
            let mut input = vec![b'x'; WINDOW_OCTETS - shift];
            input.extend_from_slice(b"\r\n..y\r\n.\r\n");
            let mut expected = vec![b'x'; WINDOW_OCTETS - shift];
            expected.extend_from_slice(b"\r\n.y\r\n");
            let (content, rest, scan) = run(&[&input]);
            assert_eq!((content, rest.as_deref()), (expected, Some(&b""[..])), "{shift}");
            assert!(!scan.bare_cr() && !scan.bare_lf());
        }
    }

    #[test]
    fn a_last_chunk_that_ends_in_cr_has_a_bare_cr() {
        let mut scan = Scan::default();
        assert_eq!(scan.run_of_chunk(b"a\r"), 2);
        scan.taken(b"a\r");
        assert!(!scan.bare_cr());
        scan.finish();
        assert!(scan.bare_cr());
    }

    #[test]
    fn stuffing_is_undone_by_the_scan() {
        for message in [
            &b""[..],
            b".\r\n",
            b"a\r\n.\r\n..\r\nb",
            b"\r\n\r\n.x\r\n",
            b"...",
            b"a\r\n",
        ] {
            for at in 0..=message.len() {
                let (left, right) = message.split_at(at);
                let mut out = Vec::new();
                let mut stuffer = Stuffer::default();
                stuffer.push(left, &mut out).unwrap();
                stuffer.push(right, &mut out).unwrap();
                stuffer.finish(&mut out).unwrap();
                let mut expected = message.to_vec();
                if !message.is_empty() && !message.ends_with(b"\r\n") {
                    expected.extend_from_slice(b"\r\n");
                }
                let (content, rest, _) = run(&[&out]);
                assert_eq!(
                    (content, rest),
                    (expected, Some(Vec::new())),
                    "{message:?} split at {at}"
                );
            }
        }
    }

    #[test]
    fn bare_newlines_are_not_sent() {
        for message in [&b"a\rb"[..], b"a\nb", b"\n", b"a\r\n\n", b"a\r\r\n"] {
            for at in 0..=message.len() {
                let (left, right) = message.split_at(at);
                let mut out = Vec::new();
                let mut stuffer = Stuffer::default();
                let outcome = stuffer
                    .push(left, &mut out)
                    .and_then(|()| stuffer.push(right, &mut out));
                assert_eq!(outcome, Err(BareNewline), "{message:?} split at {at}");
            }
        }
        let mut stuffer = Stuffer::default();
        let mut out = Vec::new();
        stuffer.push(b"a\r", &mut out).unwrap();
        assert_eq!(stuffer.finish(&mut out), Err(BareNewline));
    }
}
