//! Follows the notes of a log, and judges what a volume holds against them.

use std::collections::HashMap;
use std::path::Path;

use crate::child::options;
use crate::durable_support::compare::{History, read_back_retained};
use crate::durable_support::perform::Answer;
use crate::durable_support::steps::Step;
use crate::journal::Entry;
use crate::rebuilt::{self, Index};
use crate::write_support::{Rig, body};

/// What the notes so far say.
#[derive(Clone, Debug, Default)]
pub struct Follower {
    pub history: History,
    scripts: HashMap<String, Vec<Step>>,
    /// Answers of each kind: done, refused, full, failed.
    pub answers: [u64; 4],
    pub closed: u32,
    pub unopened: u32,
    pub faults: u32,
}

impl Follower {
    pub fn new(scripts: &[(&str, &[Step])]) -> Self {
        Self {
            scripts: scripts
                .iter()
                .map(|(name, steps)| ((*name).to_owned(), steps.to_vec()))
                .collect(),
            history: History {
                retains: true,
                ..History::default()
            },
            ..Self::default()
        }
    }

    pub fn take(&mut self, entry: &Entry) {
        let Entry::Note { text } = entry else { return };
        let mut words = text.splitn(4, ' ');
        let (kind, name, at) = (
            words.next(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let key = format!("{name} {at}");
        match kind {
            Some("begin") => {
                let step = &self.scripts[name][at.parse::<usize>().unwrap()];
                self.history.begin(&key, step);
            }
            Some("answer") => {
                let answer = Answer::from(words.next().unwrap_or_default());
                self.history.answer(&key, &answer);
                let kind = match answer {
                    Answer::Done => 0,
                    Answer::Refused(_) => 1,
                    Answer::Full => 2,
                    Answer::Failed(_) => 3,
                };
                self.answers[kind] += 1;
            }
            Some("closed") => self.closed += 1,
            Some("unopened") => self.unopened += 1,
            Some("fault") => self.faults += 1,
            _ => panic!("no such note: {text}"),
        }
    }

    /// Opens the volume in `root` with the real code: all that was answered is there, the check is clean, and it takes
    /// new mail. Then the same of a `copy` of the state, if there is one, with an index made anew from its packs.
    pub fn judge(&self, root: &Path, copy: Option<&Path>) -> Result<(), String> {
        let folder = root.join("volume");
        let volume = ironpost_store::Volume::open(&folder, &options(false)).map_err(|error| error.to_string())?;
        let mut rig = Rig::of(volume);
        let found = read_back_retained(&rig);
        self.history.clone().settle(&found)?;
        let index = copy.map(|_| Index::of(&rig));
        let stored = rig
            .deliver(999, "INBOX", &body(7, 900))
            .map_err(|error| error.to_string())?;
        if rig.message(&stored).ok() != Some(body(7, 900)) {
            return Err("new mail does not read back".to_owned());
        }
        let report = rig.check(true);
        rig.volume.close();
        if !report.problems.is_empty() {
            return Err(format!("check: {:?}", report.problems));
        }
        match copy.zip(index) {
            Some((copy, index)) => rebuilt::judge(copy, &index, &self.history),
            None => Ok(()),
        }
    }
}
