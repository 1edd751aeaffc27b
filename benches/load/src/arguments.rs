//! `--name value` pairs; a name without a value is a switch.

use std::collections::HashMap;

/// What the command line asked for.
pub(crate) struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Reads pairs. Fails on a word that is no name.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut found = HashMap::new();
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let name = word
                .strip_prefix("--")
                .ok_or_else(|| format!("not an option: {word}"))?
                .to_owned();
            let value = if words.peek().is_some_and(|next| !next.starts_with("--")) {
                words.next()
            } else {
                None
            };
            found.insert(name, value.unwrap_or_default());
        }
        Ok(Self(found))
    }

    /// A number, or `default` when it is not given or not one.
    pub(crate) fn number(&self, name: &str, default: usize) -> usize {
        self.0.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    /// A text, or `default`.
    pub(crate) fn text(&self, name: &str, default: &str) -> String {
        self.0.get(name).cloned().unwrap_or_else(|| default.to_owned())
    }

    /// True when the switch was given.
    pub(crate) fn switch(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
