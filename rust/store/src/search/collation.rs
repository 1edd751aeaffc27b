//! i;unicode-casemap (RFC 5051): keys that sort and compare like the texts they are made from.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// The key of a text: each letter in its upper-case form, then compatibility decomposition, compared octet by octet.
#[must_use]
pub(super) fn casemap(text: &str) -> Box<[u8]> {
    if text.is_ascii() {
        return text.to_ascii_uppercase().into_bytes().into();
    }
    let upper: String = text.chars().flat_map(char::to_uppercase).collect();
    DecomposingNormalizerBorrowed::new_nfkd()
        .normalize(&upper)
        .into_owned()
        .into_bytes()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_spelling_do_not_matter() {
        for (left, right) in [
            ("hello", "HELLO"),
            ("été", "E\u{301}TE\u{301}"),
            ("ﬁn", "FIN"),
            ("Ａｂ", "ab"),
            ("\u{1e9b}\u{323}", "\u{1e9b}\u{323}"),
        ] {
            assert_eq!(casemap(left), casemap(right), "{left} {right}");
        }
        assert!(casemap("e") < casemap("é") && casemap("é") < casemap("f"));
        assert!(casemap("Z") < casemap("_"));
    }
}
