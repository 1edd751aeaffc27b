//! The collation i;unicode-casemap (RFC 5051): what SORT and THREAD compare texts by (RFC 5256 §1).

use icu_normalizer::DecomposingNormalizerBorrowed;

/// The key of a text.
#[must_use]
pub(super) fn casemap(text: &str) -> Box<[u8]> {
    let mut out = Vec::with_capacity(text.len());
    casemap_onto(text, &mut out);
    out.into()
}

/// Appends a text as titlecased canonicalised UTF-8 (RFC 5051 §2): what is then compared octet by octet.
pub(super) fn casemap_onto(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() {
        let start = out.len();
        out.extend_from_slice(text.as_bytes());
        out[start..].make_ascii_uppercase();
        return;
    }
    let normalizer = DecomposingNormalizerBorrowed::new_nfkd();
    let mut octets = [0; 4];
    for character in text.chars() {
        let title = titlecase(character);
        if title.is_ascii() || matches!(title, '\u{ac00}'..='\u{d7a3}') {
            // UnicodeData.txt has no decomposition of these; only the standard's arithmetic has.
            out.extend_from_slice(title.encode_utf8(&mut octets).as_bytes());
        } else {
            // Each letter by itself: the collation does not put marks into an order across letters.
            for part in normalizer.normalize_iter(std::iter::once(title)) {
                out.extend_from_slice(part.encode_utf8(&mut octets).as_bytes());
            }
        }
    }
}

/// The titlecase property of UnicodeData.txt: one letter for one, unlike the full mapping, which makes SS of ß.
fn titlecase(character: char) -> char {
    let shifted = |by: u32| char::from_u32(character as u32 + by).unwrap_or(character);
    match character {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian letters are their own titlecase.
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => character,
        // Greek with iota subscript: the full mapping writes the iota apart.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shifted(8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(9),
        _ => {
            let mut upper = character.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(single), None) => single,
                _ => character,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(text: &str) -> String {
        String::from_utf8_lossy(&casemap(text)).into_owned()
    }

    #[test]
    fn titlecased_and_decomposed() {
        for (text, expected) in [
            ("", ""),
            ("Hello, World 1", "HELLO, WORLD 1"),
            // The example of RFC 5051 §2.
            ("\u{1c4}", "Dz\u{30c}"),
            ("\u{1c6}\u{1f3}", "Dz\u{30c}Dz"),
            ("É", "E\u{301}"),
            ("été", "E\u{301}TE\u{301}"),
            ("stra\u{df}e", "STRA\u{df}E"),
            ("\u{fb01}ne", "fiNE"),
            ("\u{1f80}", "\u{391}\u{313}\u{345}"),
            ("\u{1fb3}", "\u{391}\u{345}"),
            ("привет", "ПРИВЕТ"),
            ("\u{10d0}", "\u{10d0}"),
            ("\u{d55c}", "\u{d55c}"),
            ("ς", "Σ"),
        ] {
            assert_eq!(mapped(text), expected, "{text:?}");
        }
        assert!(casemap("e") < casemap("é") && casemap("é") < casemap("f"));
        assert!(casemap("Z") < casemap("_"));
    }
}
