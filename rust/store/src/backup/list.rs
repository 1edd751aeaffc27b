//! The list of packs of a snapshot: `packs.list`, one line for each: digest, octets, `writer/number`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::error::{Result, StoreError};
use crate::ids::PackId;
use crate::prepare::sync_folder;

/// What a snapshot says of one pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackEntry {
    /// Octets from the beginning of the file that belong to the snapshot; what lies behind them does not matter.
    pub length: u64,
    /// BLAKE3 of these octets.
    pub digest: blake3::Hash,
}

/// All packs of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackList(pub BTreeMap<PackId, PackEntry>);

impl PackList {
    /// Reads the file. `Corrupt` names the line.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let mut list = Self::default();
        for (number, line) in text.lines().enumerate() {
            let entry =
                parse(line).ok_or_else(|| StoreError::Corrupt(format!("{}, line {}", path.display(), number + 1)))?;
            list.0.insert(entry.0, entry.1);
        }
        Ok(list)
    }

    /// Takes from `other` what reaches further.
    pub fn merge(&mut self, other: &Self) {
        for (pack, entry) in &other.0 {
            match self.0.get(pack) {
                Some(known) if known.length >= entry.length => {}
                _ => {
                    self.0.insert(*pack, *entry);
                }
            }
        }
    }

    /// Octets of all.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.0.values().map(|entry| entry.length).sum()
    }

    /// Writes the file and syncs it and its folder.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut text = String::new();
        for (pack, entry) in &self.0 {
            text.push_str(&format!("{} {} {pack}\n", entry.digest.to_hex(), entry.length));
        }
        let mut file = File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        if let Some(folder) = path.parent() {
            sync_folder(folder)?;
        }
        Ok(())
    }
}

fn parse(line: &str) -> Option<(PackId, PackEntry)> {
    let mut words = line.split(' ');
    let digest = blake3::Hash::from_hex(words.next()?).ok()?;
    let length = words.next()?.parse().ok()?;
    let (writer, number) = words.next()?.split_once('/')?;
    let pack = PackId::new(writer.parse().ok()?, number.parse().ok()?);
    words.next().is_none().then_some((pack, PackEntry { length, digest }))
}
