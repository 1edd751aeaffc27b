//! Lines of other mail formats to ours and back: line endings and the quoting of `From ` lines, streamed.
//!
//! Maildir and mbox files on Unix have bare LF; a stored message has CRLF (RFC 5322 §2.1). In an mbox a body line that
//! looks like a separator is quoted with `>`: mboxrd quotes every `>*From ` line once more and loses nothing, mboxo quotes
//! `From ` alone (RFC 4155, appendix A).

use memchr::{memchr, memmem};

const FROM: &[u8] = b"From ";

/// What becomes of the ends of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing.
    Keep,
    /// Bare LF becomes CRLF when the first line ends so; contents whose first line ends in CRLF stay as they are.
    Auto,
    /// Bare LF becomes CRLF.
    Crlf,
    /// CRLF becomes LF.
    Lf,
}

/// What becomes of lines that look like a separator of an mbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// Nothing.
    Keep,
    /// One `>` is taken from each `>+From ` line (mboxrd).
    Unquote,
    /// `>From ` becomes `From `, other lines stay (mboxo).
    UnquoteOnce,
    /// One `>` is put before each `>*From ` line (mboxrd).
    Quote,
}

/// Rewrites one message, in pieces of any size; needs constant memory.
#[derive(Debug)]
pub struct Rewriter {
    ending: Ending,
    quoting: Quoting,
    /// The last octet of the input was CR.
    after_cr: bool,
    /// With [`Ending::Lf`]: that CR has not been written yet.
    held_cr: bool,
    line: Line,
    /// A NUL has been seen.
    pub nul: bool,
    /// A CR without LF behind it has been seen.
    pub bare_cr: bool,
    /// An LF without CR before it has been seen.
    pub bare_lf: bool,
}

/// Where in its line the next octet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// After so many `>` and so much of `From `, none of it written yet.
    Start { marks: usize, matched: usize },
    /// Past that.
    Inside,
}

impl Rewriter {
    /// For a message, at its beginning.
    #[must_use]
    pub fn new(ending: Ending, quoting: Quoting) -> Self {
        Self {
            ending,
            quoting,
            after_cr: false,
            held_cr: false,
            line: Line::Start { marks: 0, matched: 0 },
            nul: false,
            bare_cr: false,
            bare_lf: false,
        }
    }

    /// Appends to `out` what `input` becomes.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        self.nul = self.nul || memchr(0, input).is_some();
        out.reserve(input.len() + input.len() / 32);
        let mut rest = input;
        while let Some(&first) = rest.first() {
            if let Line::Start { marks, matched } = self.line {
                if self.quoting == Quoting::Keep {
                    self.line = Line::Inside;
                    continue;
                }
                if matched == 0 && first == b'>' {
                    self.line = Line::Start {
                        marks: marks + 1,
                        matched,
                    };
                    rest = &rest[1..];
                    continue;
                }
                if first == FROM[matched] {
                    if matched + 1 < FROM.len() {
                        self.line = Line::Start {
                            marks,
                            matched: matched + 1,
                        };
                    } else {
                        self.start_line(marks, FROM.len(), true, out);
                    }
                    rest = &rest[1..];
                    continue;
                }
                self.start_line(marks, matched, false, out);
                continue;
            }
            let Some(end) = memchr(b'\n', rest) else {
                self.write(rest, out);
                return;
            };
            self.write(&rest[..end], out);
            self.end_line(out);
            rest = &rest[end + 1..];
        }
    }

    /// Appends what was held back: the message has ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Line::Start { marks, matched } = self.line {
            self.start_line(marks, matched, false, out);
        }
        if self.after_cr {
            self.bare_cr = true;
        }
        if std::mem::take(&mut self.held_cr) {
            out.push(b'\r');
        }
    }

    /// Writes the beginning of a line that was held back.
    fn start_line(&mut self, marks: usize, matched: usize, separator: bool, out: &mut Vec<u8>) {
        let marks = match self.quoting {
            Quoting::Quote if separator => marks + 1,
            Quoting::Unquote if separator => marks.saturating_sub(1),
            Quoting::UnquoteOnce if separator && marks == 1 => 0,
            _ => marks,
        };
        out.resize(out.len() + marks, b'>');
        out.extend_from_slice(&FROM[..matched]);
        self.line = Line::Inside;
    }

    /// Octets within a line, without its LF.
    fn write(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        if octets.is_empty() {
            return;
        }
        if std::mem::take(&mut self.held_cr) {
            out.push(b'\r');
        }
        self.bare_cr = self.bare_cr || self.after_cr || memchr(b'\r', &octets[..octets.len() - 1]).is_some();
        self.after_cr = octets.last() == Some(&b'\r');
        if self.after_cr && self.ending == Ending::Lf {
            out.extend_from_slice(&octets[..octets.len() - 1]);
            self.held_cr = true;
        } else {
            out.extend_from_slice(octets);
        }
    }

    /// The LF of a line.
    fn end_line(&mut self, out: &mut Vec<u8>) {
        if self.ending == Ending::Auto {
            self.ending = if self.after_cr { Ending::Keep } else { Ending::Crlf };
        }
        if !self.after_cr {
            self.bare_lf = true;
            if self.ending == Ending::Crlf {
                out.push(b'\r');
            }
        }
        self.held_cr = false;
        self.after_cr = false;
        out.push(b'\n');
        self.line = Line::Start { marks: 0, matched: 0 };
    }
}

/// Finds where lines begin with `From `, in pieces of any size.
#[derive(Debug, Default)]
pub struct FromLines {
    /// Octets passed.
    position: u64,
    /// The last octets, as many as can belong to a match that is not complete.
    tail: Vec<u8>,
}

impl FromLines {
    /// At the beginning of a file.
    #[must_use]
    pub fn new() -> Self {
        // A file begins with a line: as if an LF stood before it.
        Self {
            position: 0,
            tail: vec![b'\n'],
        }
    }

    /// The offsets in the file of `From ` lines whose separator is complete with `input`.
    pub fn feed(&mut self, input: &[u8]) -> Vec<u64> {
        const NEEDLE: &[u8] = b"\nFrom ";
        let mut found = Vec::new();
        let finder = memmem::Finder::new(NEEDLE);
        let held = self.tail.len() as u64;
        // A match that begins in the tail.
        let mut seam = self.tail.clone();
        seam.extend_from_slice(&input[..input.len().min(NEEDLE.len() - 1)]);
        for at in finder.find_iter(&seam) {
            if (at as u64) < held {
                found.push(self.position + at as u64 + 1 - held);
            }
        }
        found.extend(finder.find_iter(input).map(|at| self.position + at as u64 + 1));
        self.position += input.len() as u64;
        if input.len() >= NEEDLE.len() - 1 {
            self.tail = input[input.len() - (NEEDLE.len() - 1)..].to_vec();
        } else {
            self.tail.extend_from_slice(input);
            let surplus = self.tail.len().saturating_sub(NEEDLE.len() - 1);
            self.tail.drain(..surplus);
        }
        found
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
