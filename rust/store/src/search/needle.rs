//! Exact substring search without regard to case (RFC 9051 §6.4.4; RFC 5051's i;unicode-casemap in spirit).
//!
//! Both sides are folded by upper-casing and then lower-casing each character, which also joins ß with SS and the two
//! small sigmas; then octets are compared. No normalisation of accents.

use memchr::memmem;

/// A text that is looked for.
#[derive(Debug)]
pub struct Needle {
    finder: memmem::Finder<'static>,
    folded: String,
    /// Its place in the search's filter, once there is one.
    pub(super) slot: Option<usize>,
}

impl Needle {
    /// Prepares a text; the empty one is found everywhere.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut folded = String::with_capacity(text.len());
        fold_onto(text, &mut folded);
        Self {
            finder: memmem::Finder::new(folded.as_bytes()).into_owned(),
            folded,
            slot: None,
        }
    }

    /// True when every text holds it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.folded.is_empty()
    }

    /// Its folded form.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// Whether a block of header texts holds it (`card::fields`); the empty needle asks whether there is such a field.
    #[must_use]
    pub fn is_in_block(&self, block: &[u8]) -> bool {
        if self.is_empty() {
            !block.is_empty()
        } else {
            self.finder.find(block).is_some()
        }
    }

    /// Whether an already folded text holds it.
    #[must_use]
    pub fn is_in_folded(&self, folded: &str) -> bool {
        self.finder.find(folded.as_bytes()).is_some()
    }

    /// Whether a text holds it.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        if self.is_empty() {
            return true;
        }
        let mut folded = String::with_capacity(text.len());
        fold_onto(text, &mut folded);
        self.is_in_folded(&folded)
    }
}

/// Appends the folded form of a text.
pub fn fold_onto(text: &str, folded: &mut String) {
    folded.reserve(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        // Runs of ASCII, nearly everything in practice, are folded in one vectorised step.
        let ascii = rest.bytes().position(|octet| !octet.is_ascii()).unwrap_or(rest.len());
        let (run, tail) = rest.split_at(ascii);
        let start = folded.len();
        folded.push_str(run);
        if let Some(copied) = folded.get_mut(start..) {
            copied.make_ascii_lowercase();
        }
        let mut characters = tail.chars();
        loop {
            let before = characters.as_str();
            match characters.next() {
                Some(character) if !character.is_ascii() => {
                    character
                        .to_uppercase()
                        .flat_map(char::to_lowercase)
                        .for_each(|folding| folded.push(folding));
                }
                _ => {
                    rest = before;
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter() {
        for (needle, text, found) in [
            ("hello", "Say HELLO there", true),
            ("HELLO", "say hello there", true),
            ("straße", "In der STRASSE", true),
            ("ÉTÉ", "un été chaud", true),
            ("οδος", "ΟΔΌΣ ΟΔΟΣ", true),
            ("привет", "ПРИВЕТ, мир", true),
            ("日本", "これは日本語です", true),
            ("absent", "present", false),
            ("", "", true),
            ("ab", "", false),
        ] {
            assert_eq!(Needle::new(needle).is_in(text), found, "{needle:?} in {text:?}");
        }
    }

    #[test]
    fn mixed_runs_fold_in_order() {
        let mut folded = String::new();
        fold_onto("AÄbÖÖc日D", &mut folded);
        assert_eq!(folded, "aäbööc日d");
    }
}
