//! The neutral export stream: records of readable fields, each with its own checksum (docs/export-format.md).
//!
//! ```text
//! record := line fields attachment body LF
//! line   := "IRONPOST/1" SP stream SP kind SP fields-octets SP attachment-octets SP body-octets SP check LF
//! fields := (name ": " value LF)*
//! ```
//!
//! `check` covers the line before it, the fields and the attachment; a body has a digest of its own among the fields,
//! so that a body of any size is written and read in pieces. `stream` is a number that the writer draws: a message that
//! happens to hold an export of its own is never taken for records of this one when a reader looks for the next record
//! behind damage.

use std::io::{self, Read, Write};

/// What every record begins with.
pub const MAGIC: &str = "IRONPOST/1 ";
/// Octets of the first line at most.
const LINE_OCTETS_MAX: usize = 160;
/// Octets of fields at most, and of an attachment at most; more is damage.
pub const PART_OCTETS_MAX: usize = 1 << 20;
/// Octets of a body at most.
pub const BODY_OCTETS_MAX: u64 = 4 << 30;
/// Octets of the check and of digests, cut from BLAKE3.
pub const CHECK_OCTETS: usize = 16;
/// What the reader asks the file for at once.
const READ_OCTETS: usize = 256 * 1024;

/// Fields of one record while they are gathered.
#[derive(Debug, Default)]
pub struct Fields(Vec<u8>);

impl Fields {
    /// No fields yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field. Control characters and `%` of the value become `%XX`.
    pub fn put(&mut self, name: &str, value: &str) -> &mut Self {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        for &octet in value.as_bytes() {
            if octet < 0x20 || octet == 0x7f || octet == b'%' {
                self.0.extend_from_slice(format!("%{octet:02X}").as_bytes());
            } else {
                self.0.push(octet);
            }
        }
        self.0.push(b'\n');
        self
    }

    /// Adds a number.
    pub fn number(&mut self, name: &str, value: impl Into<i128>) -> &mut Self {
        let text = value.into().to_string();
        self.put(name, &text)
    }

    /// Adds a number unless it is zero, which is what an absent field means.
    pub fn nonzero(&mut self, name: &str, value: impl Into<i128>) -> &mut Self {
        let value = value.into();
        if value != 0 {
            self.number(name, value);
        }
        self
    }

    /// Adds a text unless it is empty, which is what an absent field means.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        if !value.is_empty() {
            self.put(name, value);
        }
        self
    }
}

/// A digest as fields show it.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    use std::fmt::Write;
    octets
        .iter()
        .fold(String::with_capacity(octets.len() * 2), |mut out, octet| {
            // Writing to a String cannot fail.
            let _ = write!(out, "{octet:02x}");
            out
        })
}

/// A digest from a field.
#[must_use]
pub fn digest(text: &str) -> Option<[u8; CHECK_OCTETS]> {
    let bytes = text.as_bytes();
    if bytes.len() < CHECK_OCTETS * 2 || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut out = [0; CHECK_OCTETS];
    for (place, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *place = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

/// Writes records.
#[derive(Debug)]
pub struct StreamWriter<W> {
    out: W,
    stream: String,
    octets: u64,
    head: Vec<u8>,
    body_left: u64,
}

impl<W: Write> StreamWriter<W> {
    /// `stream` names this export: 16 hexadecimal digits that nobody could know before.
    pub fn new(out: W, stream: String) -> Self {
        Self {
            out,
            stream,
            octets: 0,
            head: Vec::new(),
            body_left: 0,
        }
    }

    /// Octets written so far.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// A whole record, `body` included.
    pub fn record(&mut self, kind: &str, fields: &Fields, attachment: &[u8], body: &[u8]) -> io::Result<()> {
        self.begin(kind, fields, attachment, body.len() as u64)?;
        self.body(body)?;
        self.end()
    }

    /// Begins a record whose body of `body_octets` follows by [`Self::body`].
    pub fn begin(&mut self, kind: &str, fields: &Fields, attachment: &[u8], body_octets: u64) -> io::Result<()> {
        if fields.0.len() > PART_OCTETS_MAX || attachment.len() > PART_OCTETS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a record's head is too long",
            ));
        }
        self.head.clear();
        write!(
            self.head,
            "{MAGIC}{} {kind} {} {} {body_octets} ",
            self.stream,
            fields.0.len(),
            attachment.len()
        )?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.head);
        hasher.update(&fields.0);
        hasher.update(attachment);
        let check = hex(&hasher.finalize().as_bytes()[..CHECK_OCTETS]);
        self.head.extend_from_slice(check.as_bytes());
        self.head.push(b'\n');
        self.head.extend_from_slice(&fields.0);
        self.head.extend_from_slice(attachment);
        self.out.write_all(&self.head)?;
        self.octets += self.head.len() as u64 + body_octets + 1;
        self.body_left = body_octets;
        Ok(())
    }

    /// A piece of the body. More than was told is a misuse, told as an error.
    pub fn body(&mut self, octets: &[u8]) -> io::Result<()> {
        self.body_left = self
            .body_left
            .checked_sub(octets.len() as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a body is longer than was told"))?;
        self.out.write_all(octets)
    }

    /// Octets of the body that are still to come.
    #[must_use]
    pub fn body_left(&self) -> u64 {
        self.body_left
    }

    /// Ends the record. What is missing of the body is filled with zeros, which its digest then betrays.
    pub fn end(&mut self) -> io::Result<()> {
        let zeros = [0; 4096];
        while self.body_left > 0 {
            let count = self.body_left.min(zeros.len() as u64) as usize;
            self.out.write_all(&zeros[..count])?;
            self.body_left -= count as u64;
        }
        self.out.write_all(b"\n")
    }

    /// Flushes and gives the file back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The head of one record as it was read: its check fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What it is; a reader passes over kinds that it does not know.
    pub kind: String,
    /// Where it begins in the stream.
    pub offset: u64,
    /// Octets that belong to the head.
    pub attachment: Vec<u8>,
    /// Octets of the body, which [`StreamReader::read_body`] gives.
    pub body_octets: u64,
    fields: Vec<(String, String)>,
}

impl Record {
    /// The first field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The field, or nothing.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// All fields of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// A number; absent or malformed is 0.
    #[must_use]
    pub fn number<T: std::str::FromStr + Default>(&self, name: &str) -> T {
        self.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// All fields in their order.
    #[must_use]
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }
}

/// What a reader comes upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A record.
    Record(Record),
    /// Octets that are no record: how many, where.
    Damage {
        /// Where it begins.
        offset: u64,
        /// How many octets were passed over.
        octets: u64,
    },
}

/// Reads records, and goes on behind damage.
#[derive(Debug)]
pub struct StreamReader<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    /// Offset in the stream of `buffer[start]`.
    offset: u64,
    at_end: bool,
    stream: Option<String>,
    body_left: u64,
    /// A body was read to its end or passed over: the LF behind it is due.
    in_record: bool,
}

/// What parsing at a place came to.
enum Parsed {
    Record(Record, usize, String),
    /// No record begins here.
    No,
    /// The file ends before the record does.
    Cut,
}

impl<R: Read> StreamReader<R> {
    /// From the beginning of a stream.
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            at_end: false,
            stream: None,
            body_left: 0,
            in_record: false,
        }
    }

    /// Octets of the stream that have been passed.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record, damage, or `None` at the end. An unread body is passed over.
    pub fn next_item(&mut self) -> io::Result<Option<Item>> {
        if !self.skip_body()? {
            return Ok(Some(Item::Damage {
                offset: self.offset - 1,
                octets: 1,
            }));
        }
        let damage_from = self.offset;
        loop {
            match self.parse()? {
                Parsed::Record(record, length, stream) => {
                    if self.offset > damage_from {
                        // Told first; the record is parsed again by the next call.
                        return Ok(Some(Item::Damage {
                            offset: damage_from,
                            octets: self.offset - damage_from,
                        }));
                    }
                    self.stream.get_or_insert(stream);
                    self.consume(length);
                    self.body_left = record.body_octets;
                    self.in_record = true;
                    return Ok(Some(Item::Record(record)));
                }
                Parsed::No | Parsed::Cut => {
                    if !self.seek_magic()? {
                        let octets = self.offset - damage_from;
                        return Ok((octets > 0).then_some(Item::Damage {
                            offset: damage_from,
                            octets,
                        }));
                    }
                }
            }
        }
    }

    /// A piece of the present record's body; empty at its end. `UnexpectedEof` when the file ends first.
    pub fn read_body(&mut self, limit: usize) -> io::Result<&[u8]> {
        if self.body_left == 0 {
            return Ok(&[]);
        }
        if self.available() == 0 && !self.fill()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = (self.available() as u64).min(self.body_left).min(limit as u64) as usize;
        let at = self.start;
        self.consume(count);
        self.body_left -= count as u64;
        Ok(&self.buffer[at..at + count])
    }

    /// True while the body has octets left.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.body_left > 0
    }

    /// Passes over what is left of a record; false when the LF that ends it is another octet, which is passed too.
    fn skip_body(&mut self) -> io::Result<bool> {
        while self.body_left > 0 {
            match self.read_body(usize::MAX) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.body_left = 0,
                Err(error) => return Err(error),
            }
        }
        if std::mem::take(&mut self.in_record) && self.require(1)? {
            let sound = self.buffer[self.start] == b'\n';
            self.consume(1);
            return Ok(sound);
        }
        Ok(true)
    }

    fn available(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// Reads more; false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        if self.at_end {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let before = self.buffer.len();
        self.buffer.resize(before + READ_OCTETS, 0);
        let outcome = loop {
            match self.input.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(before + *outcome.as_ref().unwrap_or(&0));
        let count = outcome?;
        self.at_end = count == 0;
        Ok(count > 0)
    }

    /// Has at least `count` octets ready unless the file ends first.
    fn require(&mut self, count: usize) -> io::Result<bool> {
        while self.available() < count {
            if !self.fill()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn parse(&mut self) -> io::Result<Parsed> {
        self.require(LINE_OCTETS_MAX)?;
        let here = &self.buffer[self.start..];
        if here.is_empty() {
            return Ok(Parsed::Cut);
        }
        let head = &here[..here.len().min(LINE_OCTETS_MAX)];
        let Some(line_octets) = memchr::memchr(b'\n', head).map(|at| at + 1) else {
            return Ok(if here.len() < LINE_OCTETS_MAX {
                Parsed::Cut
            } else {
                Parsed::No
            });
        };
        let Some(line) = Line::parse(&head[..line_octets - 1]) else {
            return Ok(Parsed::No);
        };
        if self.stream.as_ref().is_some_and(|stream| *stream != line.stream) {
            return Ok(Parsed::No);
        }
        let length = line_octets + line.fields + line.attachment;
        if !self.require(length)? {
            return Ok(Parsed::Cut);
        }
        let here = &self.buffer[self.start..self.start + length];
        let (head, rest) = here.split_at(line_octets);
        let (fields, attachment) = rest.split_at(line.fields);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head[..line.checked]);
        hasher.update(rest);
        if hasher.finalize().as_bytes()[..CHECK_OCTETS] != line.check {
            return Ok(Parsed::No);
        }
        let Some(fields) = parse_fields(fields) else {
            return Ok(Parsed::No);
        };
        let record = Record {
            kind: line.kind,
            offset: self.offset,
            attachment: attachment.to_vec(),
            body_octets: line.body,
            fields,
        };
        Ok(Parsed::Record(record, length, line.stream))
    }

    /// Goes to the next place where a record may begin, at least one octet on; false when there is none.
    fn seek_magic(&mut self) -> io::Result<bool> {
        let wanted = match &self.stream {
            Some(stream) => format!("\n{MAGIC}{stream} "),
            None => format!("\n{MAGIC}"),
        };
        let finder = memchr::memmem::Finder::new(wanted.as_bytes());
        loop {
            if let Some(at) = finder.find(&self.buffer[self.start..]) {
                self.consume(at + 1);
                return Ok(true);
            }
            // All but what may be the beginning of the wanted is passed.
            let passed = self.available().saturating_sub(wanted.len());
            self.consume(passed);
            if !self.fill()? {
                let rest = self.available();
                self.consume(rest);
                return Ok(false);
            }
        }
    }
}

/// The first line of a record.
struct Line {
    stream: String,
    kind: String,
    fields: usize,
    attachment: usize,
    body: u64,
    check: [u8; CHECK_OCTETS],
    /// Octets of the line that the check covers.
    checked: usize,
}

impl Line {
    fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let mut words = text.strip_prefix(MAGIC)?.split(' ');
        let stream = words.next()?.to_owned();
        let kind = words.next()?.to_owned();
        let fields = words.next()?.parse().ok()?;
        let attachment = words.next()?.parse().ok()?;
        let body = words.next()?.parse().ok()?;
        let check_text = words.next()?;
        let is_sound = words.next().is_none()
            && check_text.len() == CHECK_OCTETS * 2
            && fields <= PART_OCTETS_MAX
            && attachment <= PART_OCTETS_MAX
            && body <= BODY_OCTETS_MAX;
        is_sound.then_some(Self {
            stream,
            kind,
            fields,
            attachment,
            body,
            check: digest(check_text)?,
            checked: line.len() - CHECK_OCTETS * 2,
        })
    }
}

fn parse_fields(octets: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(octets).ok()?;
    let mut fields = Vec::new();
    for line in text.split_terminator('\n') {
        let (name, value) = line.split_once(": ")?;
        fields.push((name.to_owned(), unescape(value)?));
    }
    Some(fields)
}

fn unescape(value: &str) -> Option<String> {
    if !value.contains('%') {
        return Some(value.to_owned());
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&octet, tail)) = rest.split_first() {
        if octet == b'%' {
            let pair = std::str::from_utf8(tail.get(..2)?).ok()?;
            out.push(u8::from_str_radix(pair, 16).ok()?);
            rest = &tail[2..];
        } else {
            out.push(octet);
            rest = tail;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
