//! The lexical layer of RFC 5322 §3.2 and RFC 2045 §5.1 over one unfolded field value.
//!
//! Each function takes one token and the comments and white space after it, and says whether anything follows. Octets
//! from 0x80 on count as atom text (RFC 6532 §3.2). Every step moves forward, so a whole value costs linear time.

/// What a step found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The token is taken and something follows.
    More,
    /// The token is taken and the value has ended.
    End,
    /// The grammar is broken here.
    Broken,
}

/// A position in a field value.
pub(crate) struct Scanner<'a> {
    data: &'a [u8],
    at: usize,
    /// The text of the comment read last; some mailers put the display name there.
    pub(crate) comment: Vec<u8>,
}

/// True for `atext` (RFC 5322 §3.2.3, RFC 6532 §3.2).
pub(crate) fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet >= 0x80 || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

/// True for an octet of a MIME `token` (RFC 2045 §5.1), 8-bit octets included.
pub(crate) fn is_token(octet: u8) -> bool {
    (is_atext(octet) && !b"/=?".contains(&octet)) || octet == b'.'
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            comment: Vec::new(),
        }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Goes back to a position that [`Self::position`] gave.
    pub(crate) fn rewind(&mut self, position: usize) {
        self.at = position.min(self.data.len());
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        crate::work::note(1);
        self.data.get(self.at).copied()
    }

    pub(crate) fn is_at(&self, octet: u8) -> bool {
        self.peek() == Some(octet)
    }

    pub(crate) fn advance(&mut self) {
        if self.at < self.data.len() {
            self.at += 1;
        }
    }

    fn step(&self) -> Step {
        if self.at < self.data.len() {
            Step::More
        } else {
            Step::End
        }
    }

    /// Takes octets while the test holds.
    fn run(&mut self, test: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.data[self.at..];
        let length = rest.iter().position(|&octet| !test(octet)).unwrap_or(rest.len());
        self.at += length;
        crate::work::note(length);
        &rest[..length]
    }

    /// Skips white space and comments.
    pub(crate) fn skip_cfws(&mut self) -> Step {
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'(' => {
                    if !self.take_comment() {
                        return Step::Broken;
                    }
                }
                _ => break,
            }
        }
        self.step()
    }

    /// Takes a comment that begins here; false when it never ends (all is taken then).
    fn take_comment(&mut self) -> bool {
        self.comment.clear();
        self.at += 1;
        let mut level = 1_usize;
        while let Some(octet) = self.peek() {
            self.at += 1;
            match octet {
                b'(' => level += 1,
                b')' => {
                    level -= 1;
                    if level == 0 {
                        return true;
                    }
                }
                b'\\' => {
                    let Some(quoted) = self.peek() else { return false };
                    self.at += 1;
                    self.comment.push(quoted);
                    continue;
                }
                _ => {}
            }
            self.comment.push(octet);
        }
        false
    }

    /// `atom`.
    pub(crate) fn atom(&mut self, out: &mut Vec<u8>) -> Step {
        let text = self.run(is_atext);
        if text.is_empty() {
            return Step::Broken;
        }
        out.extend_from_slice(text);
        self.skip_cfws()
    }

    /// `dot-atom`, with the white space around dots that RFC 822 allowed.
    pub(crate) fn dot_atom(&mut self, out: &mut Vec<u8>) -> Step {
        if !self.peek().is_some_and(is_atext) {
            return Step::Broken;
        }
        loop {
            let text = self.run(is_atext);
            out.extend_from_slice(text);
            let step = self.skip_cfws();
            if step != Step::More || !self.is_at(b'.') {
                return step;
            }
            self.at += 1;
            out.push(b'.');
            let step = self.skip_cfws();
            if step != Step::More {
                return step;
            }
        }
    }

    /// `local-part`, with the dots at its ends or side by side that some domains give out.
    pub(crate) fn local_part(&mut self, out: &mut Vec<u8>) -> Step {
        let start = self.at;
        loop {
            let (step, ends_in_dot) = if self.is_at(b'"') {
                (self.quoted_string(out), false)
            } else {
                let text = self.run(|octet| is_atext(octet) || octet == b'.');
                if text.is_empty() {
                    return if self.at == start { Step::Broken } else { Step::More };
                }
                out.extend_from_slice(text);
                (self.skip_cfws(), text.ends_with(b"."))
            };
            // Words are joined by dots only (RFC 5322 §4.4, obs-local-part).
            if step != Step::More || !(ends_in_dot || self.is_at(b'.')) {
                return step;
            }
        }
    }

    /// A MIME `token`; may be empty.
    pub(crate) fn token(&mut self, out: &mut Vec<u8>) -> Step {
        let text = self.run(is_token);
        out.extend_from_slice(text);
        self.skip_cfws()
    }

    /// `quoted-string` that begins here, without quotes and backslashes.
    pub(crate) fn quoted_string(&mut self, out: &mut Vec<u8>) -> Step {
        self.at += 1;
        while let Some(octet) = self.peek() {
            self.at += 1;
            match octet {
                b'"' => return self.skip_cfws(),
                b'\\' => {
                    let Some(quoted) = self.peek() else { return Step::Broken };
                    self.at += 1;
                    out.push(quoted);
                }
                b'\r' | b'\n' => {}
                _ => out.push(octet),
            }
        }
        Step::Broken
    }

    /// `phrase` with the dots of `obs-phrase`; words are joined by one space. May be empty.
    pub(crate) fn phrase(&mut self, out: &mut Vec<u8>) -> Step {
        match self.peek() {
            None => return Step::End,
            Some(b'.') => return Step::Broken,
            Some(_) => {}
        }
        loop {
            let step = if self.is_at(b'"') {
                self.quoted_string(out)
            } else {
                let text = self.run(|octet| is_atext(octet) || octet == b'.');
                out.extend_from_slice(text);
                self.skip_cfws()
            };
            if step != Step::More {
                return step;
            }
            if !self
                .peek()
                .is_some_and(|octet| is_atext(octet) || octet == b'"' || octet == b'.')
            {
                return Step::More;
            }
            out.push(b' ');
        }
    }

    /// `"@" domain`, with a domain literal kept in its brackets.
    pub(crate) fn at_domain(&mut self, out: &mut Vec<u8>) -> Step {
        self.at += 1;
        if self.skip_cfws() != Step::More {
            return Step::Broken;
        }
        if !self.is_at(b'[') {
            return self.dot_atom(out);
        }
        let start = self.at;
        while let Some(octet) = self.peek() {
            self.at += 1;
            match octet {
                b'\\' => self.advance(),
                b']' => {
                    out.extend_from_slice(&self.data[start..self.at]);
                    return self.skip_cfws();
                }
                _ => {}
            }
        }
        Step::Broken
    }

    /// Takes octets up to white space or a semicolon.
    pub(crate) fn until_semicolon_or_space(&mut self, out: &mut Vec<u8>) -> Step {
        let text = self.run(|octet| !matches!(octet, b';' | b' ' | b'\t' | b'\r' | b'\n'));
        out.extend_from_slice(text);
        self.skip_cfws()
    }
}
