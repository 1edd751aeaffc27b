//! `--name value` pairs; a name without a value is a switch.

use std::collections::HashMap;
use std::path::PathBuf;

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
            let value = words.next_if(|next| !next.starts_with("--"));
            found.insert(name, value.unwrap_or_default());
        }
        Ok(Self(found))
    }

    /// A number; `quick` is the default with `--quick`, else `full`.
    pub(crate) fn number(&self, name: &str, quick: u64, full: u64) -> Result<u64, String> {
        match self.0.get(name) {
            None => Ok(if self.is_quick() { quick } else { full }),
            Some(text) => text.parse().map_err(|_| format!("--{name}: not a number: {text:?}")),
        }
    }

    /// A folder, if one was given.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.0.get("folder").map(PathBuf::from)
    }

    /// True when the switch was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Small sizes.
    pub(crate) fn is_quick(&self) -> bool {
        self.has("quick")
    }
}
