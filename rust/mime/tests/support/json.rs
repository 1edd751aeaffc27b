//! Just enough of JSON (RFC 8259) to read the expectations of the corpora.

/// A value; numbers are offsets.
#[derive(Debug)]
pub(crate) enum Json {
    Null,
    Number(usize),
    Text,
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn get(&self, key: &str) -> &Json {
        let Json::Object(members) = self else {
            return &Json::Null;
        };
        members
            .iter()
            .find(|(name, _)| name == key)
            .map_or(&Json::Null, |(_, value)| value)
    }

    pub(crate) fn list(&self) -> &[Json] {
        if let Json::List(items) = self { items } else { &[] }
    }

    pub(crate) fn number(&self) -> usize {
        if let Json::Number(number) = self {
            *number
        } else {
            usize::MAX
        }
    }
}

/// Reads one value; the input is trusted test data.
pub(crate) fn parse(text: &str) -> Json {
    Reader {
        text: text.as_bytes(),
        at: 0,
    }
    .value()
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> u8 {
        while self.text[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
        self.text[self.at]
    }

    fn skip_comma(&mut self) {
        if self.peek() == b',' {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Json {
        match self.peek() {
            b'{' => {
                self.at += 1;
                let mut members = Vec::new();
                while self.peek() != b'}' {
                    let name = self.string();
                    assert_eq!(self.peek(), b':');
                    self.at += 1;
                    members.push((name, self.value()));
                    self.skip_comma();
                }
                self.at += 1;
                Json::Object(members)
            }
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                while self.peek() != b']' {
                    items.push(self.value());
                    self.skip_comma();
                }
                self.at += 1;
                Json::List(items)
            }
            b'"' => {
                self.string();
                Json::Text
            }
            _ => {
                let start = self.at;
                while self
                    .text
                    .get(self.at)
                    .is_some_and(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(octet))
                {
                    self.at += 1;
                }
                let word = std::str::from_utf8(&self.text[start..self.at]).unwrap();
                word.parse().map_or(Json::Null, Json::Number)
            }
        }
    }

    fn string(&mut self) -> String {
        assert_eq!(self.peek(), b'"');
        self.at += 1;
        let mut units: Vec<u16> = Vec::new();
        let mut out = String::new();
        let flush = |units: &mut Vec<u16>, out: &mut String| {
            out.push_str(&String::from_utf16_lossy(units));
            units.clear();
        };
        loop {
            let start = self.at;
            while !matches!(self.text[self.at], b'"' | b'\\') {
                self.at += 1;
            }
            if self.at > start {
                flush(&mut units, &mut out);
                out.push_str(std::str::from_utf8(&self.text[start..self.at]).unwrap());
            }
            self.at += 1;
            if self.text[self.at - 1] == b'"' {
                flush(&mut units, &mut out);
                return out;
            }
            let escape = self.text[self.at];
            self.at += 1;
            let unit = match escape {
                b'n' => 0x0a,
                b'r' => 0x0d,
                b't' => 0x09,
                b'b' => 0x08,
                b'f' => 0x0c,
                b'u' => {
                    self.at += 4;
                    let digits = std::str::from_utf8(&self.text[self.at - 4..self.at]).unwrap();
                    u16::from_str_radix(digits, 16).unwrap()
                }
                other => u16::from(other),
            };
            units.push(unit);
        }
    }
}
