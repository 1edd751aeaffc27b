//! Replies on the wire (RFC 5321 §4.2) and enhanced codes (RFC 2034, RFC 3463): writing ours, reading a server's.

use crate::buffer::Buffer;
use crate::error::{LocalMisuse, PeerMisbehaved, one_line};
use crate::line::{Flaw, Line, LineSplitter};

/// Octets of one line of a server's reply. The RFC's 512 is passed by real servers (RFC 5321 §4.5.3.1.5).
pub const LINE_OCTETS_MAX: usize = 4096;
/// Lines of one reply, so that a server cannot fill our memory.
pub const LINES_MAX: usize = 1000;

/// Appends one reply, of several lines when there are several texts; each carries the enhanced code unless it is empty.
///
/// Characters outside printable ASCII go out as `?` (RFC 5321 §4.2 `textstring`). CR, LF, NUL, no text at all, a code
/// outside 200..=599 and an enhanced code of another class are misuse.
pub fn write(code: u16, enhanced: &str, texts: &[&str], output: &mut Vec<u8>) -> Result<(), LocalMisuse> {
    if !(200..=599).contains(&code) {
        return Err(LocalMisuse::BadValue { what: "reply code" });
    }
    if !enhanced.is_empty() && split_enhanced(code, enhanced).is_none_or(|(_, rest)| !rest.is_empty()) {
        return Err(LocalMisuse::BadValue { what: "enhanced code" });
    }
    for text in texts {
        one_line(text, "reply text")?;
    }
    let Some((last, before)) = texts.split_last() else {
        return Err(LocalMisuse::BadValue { what: "reply text" });
    };
    for text in before {
        write_line(code, b'-', enhanced, text, output);
    }
    write_line(code, b' ', enhanced, last, output);
    Ok(())
}

fn write_line(code: u16, separator: u8, enhanced: &str, text: &str, output: &mut Vec<u8>) {
    output.extend_from_slice(code.to_string().as_bytes());
    output.push(separator);
    if !enhanced.is_empty() {
        output.extend_from_slice(enhanced.as_bytes());
        output.push(b' ');
    }
    let printable = |character: char| matches!(character, ' '..='~' | '\t');
    output.extend(
        text.chars()
            .map(|character| if printable(character) { character as u8 } else { b'?' }),
    );
    output.extend_from_slice(b"\r\n");
}

/// `status-code = class "." subject "." detail` at the front of a text, and what stands behind its space.
///
/// Only when the class is the first digit of the reply code (RFC 2034 §4); a text that merely begins with numbers is not
/// taken for one.
pub fn split_enhanced(code: u16, text: &str) -> Option<(&str, &str)> {
    let (status, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut parts = status.split('.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit());
    if parts.next().is_some() || !number(subject) || !number(detail) {
        return None;
    }
    let fits = matches!((class, code / 100), ("2", 2) | ("4", 4) | ("5", 5));
    fits.then_some((status, rest))
}

/// A complete reply of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200..=599
    pub code: u16,
    /// Empty when there is none.
    pub enhanced: String,
    /// Texts without code and enhanced code.
    pub lines: Vec<String>,
}

impl Reply {
    /// Moves the enhanced code out of the lines, where the first has one (RFC 2034 §4).
    pub fn lift_enhanced(&mut self) {
        let Some((enhanced, _)) = self.lines.first().and_then(|line| split_enhanced(self.code, line)) else {
            return;
        };
        self.enhanced = enhanced.to_string();
        for line in &mut self.lines {
            if let Some((_, rest)) = split_enhanced(self.code, line) {
                *line = rest.to_string();
            }
        }
    }
}

/// Gathers the lines of one reply at a time.
#[derive(Debug, Default)]
pub struct ReplyReader {
    splitter: LineSplitter,
    code: Option<u16>,
    lines: Vec<String>,
}

impl ReplyReader {
    /// Whether a reply has begun and is not complete.
    pub fn inside(&self) -> bool {
        self.code.is_some() || self.splitter.skipping()
    }

    /// The next complete reply, or `None` when more octets are needed.
    ///
    /// `Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF`. A line that is not of
    /// this form, codes that differ within a reply, codes outside 200..=599, and too much of it are the server's fault.
    pub fn next_reply(&mut self, buffer: &mut Buffer) -> Result<Option<Reply>, PeerMisbehaved> {
        loop {
            let line = match self.splitter.next_line(buffer, LINE_OCTETS_MAX) {
                None if self.splitter.skipping() => return Err(PeerMisbehaved::LineTooLong),
                None => return Ok(None),
                Some(Line::TooLong) => return Err(PeerMisbehaved::LineTooLong),
                Some(Line::Flawed(Flaw::Nul)) => return Err(PeerMisbehaved::Nul),
                Some(Line::Flawed(_)) => return Err(PeerMisbehaved::BareNewline),
                Some(Line::Clean(line)) => line,
            };
            let (digits, rest) = line.split_at_checked(3).ok_or(PeerMisbehaved::Syntax)?;
            let code = crate::chars::number(digits, 599)
                .filter(|&code| code >= 200)
                .ok_or(PeerMisbehaved::Syntax)?;
            let code = u16::try_from(code).map_err(|_| PeerMisbehaved::Syntax)?;
            let (last, text) = match rest.split_first() {
                None => (true, rest),
                Some((b' ', text)) => (true, text),
                Some((b'-', text)) => (false, text),
                Some(_) => return Err(PeerMisbehaved::Syntax),
            };
            if self.code.is_some_and(|first| first != code) {
                return Err(PeerMisbehaved::Syntax);
            }
            if self.lines.len() >= LINES_MAX {
                return Err(PeerMisbehaved::TooMany);
            }
            self.lines.push(String::from_utf8_lossy(text).into_owned());
            self.code = Some(code);
            if last {
                self.code = None;
                let lines = std::mem::take(&mut self.lines);
                return Ok(Some(Reply {
                    code,
                    enhanced: String::new(),
                    lines,
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn written(code: u16, enhanced: &str, texts: &[&str]) -> Result<String, LocalMisuse> {
        let mut output = Vec::new();
        write(code, enhanced, texts, &mut output).map(|()| String::from_utf8(output).unwrap())
    }

    #[test]
    fn replies_as_written() {
        assert_eq!(written(250, "2.1.0", &["Ok"]).unwrap(), "250 2.1.0 Ok\r\n");
        assert_eq!(written(250, "", &["a", "", "c"]).unwrap(), "250-a\r\n250-\r\n250 c\r\n");
        assert_eq!(
            written(550, "5.1.1", &["x", "y"]).unwrap(),
            "550-5.1.1 x\r\n550 5.1.1 y\r\n"
        );
        assert_eq!(written(250, "", &["gr\u{fc}n\u{1}"]).unwrap(), "250 gr?n?\r\n");
    }

    #[test]
    fn misuse_writes_nothing() {
        for (code, enhanced, texts) in [
            (199, "", &["x"][..]),
            (600, "", &["x"]),
            (250, "5.1.0", &["x"]),
            (250, "2.1", &["x"]),
            (250, "2.1.0 x", &["x"]),
            (250, "2.1.1000", &["x"]),
            (354, "3.0.0", &["x"]),
            (250, "", &[]),
            (250, "", &["ok", "a\r\n250 b"]),
            (250, "", &["a\nb"]),
            (250, "", &["a\0b"]),
        ] {
            assert!(written(code, enhanced, texts).is_err(), "{code} {enhanced} {texts:?}");
        }
    }

    fn read(input: &[u8]) -> Result<Vec<Reply>, PeerMisbehaved> {
        let whole = read_chunks(&[input]);
        let single: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(read_chunks(&single), whole);
        whole
    }

    fn read_chunks(chunks: &[&[u8]]) -> Result<Vec<Reply>, PeerMisbehaved> {
        let mut buffer = Buffer::new();
        let mut reader = ReplyReader::default();
        let mut replies = Vec::new();
        for chunk in chunks {
            buffer.extend(chunk);
            while let Some(mut reply) = reader.next_reply(&mut buffer)? {
                reply.lift_enhanced();
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    #[test]
    fn replies_as_read() {
        let replies =
            read(b"220 hi there\r\n250-one\r\n250-\r\n250 two\r\n354\r\n550-5.1.1 no\r\n550 5.1.1 such user\r\n")
                .unwrap();
        let told: Vec<(u16, &str, Vec<&str>)> = replies
            .iter()
            .map(|reply| {
                (
                    reply.code,
                    reply.enhanced.as_str(),
                    reply.lines.iter().map(String::as_str).collect(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (220, "", vec!["hi there"]),
                (250, "", vec!["one", "", "two"]),
                (354, "", vec![""]),
                (550, "5.1.1", vec!["no", "such user"]),
            ]
        );
    }

    #[test]
    fn enhanced_codes_need_their_class() {
        for (text, enhanced) in [
            ("250 2.1.0 Ok", "2.1.0"),
            ("250 2.1.0", "2.1.0"),
            ("250 5.1.0 Ok", ""),
            ("250 2.1.0x Ok", ""),
            ("250 2.1.0.4 Ok", ""),
            ("250 2.1234.0 Ok", ""),
            ("250 2..0 Ok", ""),
            ("421 4.7.0 no", "4.7.0"),
        ] {
            assert_eq!(
                read(format!("{text}\r\n").as_bytes()).unwrap()[0].enhanced,
                enhanced,
                "{text}"
            );
        }
    }

    #[test]
    fn replies_that_break_the_grammar() {
        for (input, fault) in [
            (&b"25 x\r\n"[..], PeerMisbehaved::Syntax),
            (b"\r\n", PeerMisbehaved::Syntax),
            (b"250x\r\n", PeerMisbehaved::Syntax),
            (b"250\tx\r\n", PeerMisbehaved::Syntax),
            (b"100 x\r\n", PeerMisbehaved::Syntax),
            (b"600 x\r\n", PeerMisbehaved::Syntax),
            (b"+50 x\r\n", PeerMisbehaved::Syntax),
            (b"250-x\r\n251 y\r\n", PeerMisbehaved::Syntax),
            (b"250 a\n250 b\r\n", PeerMisbehaved::BareNewline),
            (b"250 a\0\r\n", PeerMisbehaved::Nul),
        ] {
            assert_eq!(read(input), Err(fault), "{input:?}");
        }
        assert_eq!(read(&b"250-x\r\n".repeat(1001)), Err(PeerMisbehaved::TooMany));
        let mut long = b"250 ".to_vec();
        long.resize(5000, b'x');
        assert_eq!(read(&long), Err(PeerMisbehaved::LineTooLong));
    }
}
