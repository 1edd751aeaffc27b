//! Commands of ours as they go out: quoted where that is safe, else as literals that wait to be asked for.

use crate::error::LocalMisuse;
use std::collections::VecDeque;

/// Longer strings go as literals.
const QUOTED_OCTETS_MAX: usize = 1000;

/// A command line in the making: the parts between which the server must say `+`.
#[derive(Debug)]
pub(super) struct Line {
    parts: VecDeque<Vec<u8>>,
}

impl Line {
    /// Begins with words of ours.
    pub(super) fn new(words: &str) -> Self {
        Self {
            parts: VecDeque::from([words.as_bytes().to_vec()]),
        }
    }

    fn last(&mut self) -> &mut Vec<u8> {
        if self.parts.is_empty() {
            self.parts.push_back(Vec::new());
        }
        let index = self.parts.len() - 1;
        &mut self.parts[index]
    }

    /// Words of ours, behind a space.
    pub(super) fn words(mut self, words: &str) -> Self {
        let last = self.last();
        last.push(b' ');
        last.extend_from_slice(words.as_bytes());
        self
    }

    /// A string of anything but NUL, behind a space.
    pub(super) fn string(mut self, octets: &[u8], what: &'static str) -> Result<Self, LocalMisuse> {
        if memchr::memchr(0, octets).is_some() {
            return Err(LocalMisuse::BadValue { what });
        }
        let last = self.last();
        last.push(b' ');
        if octets.len() <= QUOTED_OCTETS_MAX && octets.iter().all(|octet| matches!(octet, 0x20..=0x7e)) {
            last.push(b'"');
            for &octet in octets {
                if matches!(octet, b'"' | b'\\') {
                    last.push(b'\\');
                }
                last.push(octet);
            }
            last.push(b'"');
        } else {
            last.extend_from_slice(format!("{{{}}}", octets.len()).as_bytes());
            self.parts.push_back(octets.to_vec());
        }
        Ok(self)
    }

    /// A line of its own, sent when the server asks.
    pub(super) fn when_asked(mut self, line: Vec<u8>) -> Self {
        self.parts.push_back(line);
        self
    }

    /// The parts in order.
    pub(super) fn into_parts(self) -> VecDeque<Vec<u8>> {
        self.parts
    }
}

/// A sequence set that a program has made: digits, `:`, `,` and `*` only.
pub(super) fn valid_set(set: &str) -> Result<(), LocalMisuse> {
    let good = !set.is_empty()
        && set
            .bytes()
            .all(|octet| octet.is_ascii_digit() || matches!(octet, b':' | b',' | b'*'));
    if good {
        Ok(())
    } else {
        Err(LocalMisuse::BadValue { what: "set" })
    }
}

/// FETCH or STATUS items that a program has made: printable ASCII without line ends or quotes.
pub(super) fn valid_items(items: &str) -> Result<(), LocalMisuse> {
    let good = !items.is_empty()
        && items
            .bytes()
            .all(|octet| matches!(octet, 0x20..=0x7e) && !matches!(octet, b'"' | b'{'));
    if good {
        Ok(())
    } else {
        Err(LocalMisuse::BadValue { what: "items" })
    }
}
