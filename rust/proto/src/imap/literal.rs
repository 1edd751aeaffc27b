//! Watches the octets of a message literal on their way to the store: line ends and NUL (RFC 9051 §9, `literal`).

use super::event::BodyEnd;

/// Notes what was seen; one pass, across pieces.
#[derive(Debug, Default)]
pub(super) struct Meter {
    seen: BodyEnd,
    /// The last octet was a CR whose LF may still come.
    carriage_return: bool,
}

impl Meter {
    /// Looks at the next piece.
    pub(super) fn update(&mut self, octets: &[u8]) {
        let Some(&first) = octets.first() else { return };
        if self.carriage_return && first != b'\n' {
            self.seen.bare_cr = true;
        }
        for index in memchr::memchr3_iter(b'\r', b'\n', 0, octets) {
            match octets.get(index) {
                Some(b'\n') => {
                    let paired = match index.checked_sub(1) {
                        Some(before) => octets.get(before) == Some(&b'\r'),
                        None => self.carriage_return,
                    };
                    self.seen.bare_lf |= !paired;
                }
                Some(b'\r') => self.seen.bare_cr |= octets.get(index + 1).is_some_and(|&next| next != b'\n'),
                _ => self.seen.nul = true,
            }
        }
        self.carriage_return = octets.last() == Some(&b'\r');
        self.seen.size += octets.len() as u64;
    }

    /// The literal has ended.
    pub(super) fn finish(&self) -> BodyEnd {
        BodyEnd {
            bare_cr: self.seen.bare_cr || self.carriage_return,
            ..self.seen
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_at_every_split() {
        for (text, bare_cr, bare_lf, nul) in [
            (&b"a\r\nb\r\n"[..], false, false, false),
            (b"a\rb", true, false, false),
            (b"a\nb", false, true, false),
            (b"\n\r", true, true, false),
            (b"\r\r\n", true, false, false),
            (b"\r\n\n", false, true, false),
            (b"a\0", false, false, true),
            (b"", false, false, false),
        ] {
            for split in 0..=text.len() {
                let mut meter = Meter::default();
                let (first, second) = text.split_at(split);
                meter.update(first);
                meter.update(second);
                let expected = BodyEnd {
                    size: text.len() as u64,
                    bare_cr,
                    bare_lf,
                    nul,
                };
                assert_eq!(meter.finish(), expected, "{text:?} at {split}");
            }
        }
    }
}
