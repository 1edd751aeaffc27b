//! The recorded process: opens a volume, carries a script out, notes what begins and what is answered, ends cleanly
//! or at once.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ironpost_store::{Options, Volume};

use crate::durable_support::perform::Performer;
use crate::durable_support::steps::Step;
use crate::shim::{self, Fault, KINDS};

const PLACE: &str = "IRONPOST_POWER_PLACE";
const NAME: &str = "IRONPOST_POWER_NAME";
const DIES_AT: &str = "IRONPOST_POWER_DIES_AT";
const FAULT: &str = "IRONPOST_POWER_FAULT";

/// The folders of a recording: what is recorded, the log, the scripts.
#[derive(Debug)]
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir_in(quick_folder()).unwrap(),
        };
        std::fs::create_dir(place.root()).unwrap();
        place
    }

    /// The same again, to go on from.
    pub fn copy(&self) -> Self {
        let copy = Self {
            folder: tempfile::tempdir_in(quick_folder()).unwrap(),
        };
        copy_tree(self.folder.path(), copy.folder.path());
        copy
    }

    /// The root of the recorded disk; the volume is a folder in it.
    pub fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("disk")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts a process that carries the steps out.
    pub fn spawn(&self, name: &str, steps: &[Step], dies_at: Option<usize>, fault: Option<&str>) -> Child {
        let lines: String = steps.iter().map(|step| format!("{step}\n")).collect();
        std::fs::write(self.folder.path().join(name), lines).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child::child", "--nocapture"]);
        command
            .env(PLACE, self.folder.path().canonicalize().unwrap())
            .env(NAME, name);
        if let Some(at) = dies_at {
            command.env(DIES_AT, at.to_string());
        }
        if let Some(fault) = fault {
            command.env(FAULT, fault);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

pub fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Memory instead of a disk where that can be had: nothing here depends on real syncs.
pub fn quick_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() && tempfile::tempdir_in(memory).is_ok() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Waits; a child that neither ended well nor was to die is a fault of its own.
pub fn finish(child: Child, dies: bool) {
    let output = child.wait_with_output().unwrap();
    let ended = if dies {
        output.status.code() == Some(9)
    } else {
        output.status.success()
    };
    assert!(
        ended,
        "{:?}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

pub fn options(sync: bool) -> Options {
    Options {
        map_size: 256 << 20,
        min_free: 0,
        sync,
        retention: 86_400,
        ..Options::default()
    }
}

fn fault_of(text: &str) -> Fault {
    let words: Vec<&str> = text.split(':').collect();
    let [kind, count, how, errno] = words[..] else {
        panic!("no fault: {text}")
    };
    Fault {
        kind: KINDS.iter().find(|(_, name)| *name == kind).unwrap().0,
        count: count.parse().unwrap(),
        from_then_on: how == "on",
        errno: errno.parse().unwrap(),
    }
}

/// Not a test by itself: the recorded process.
#[test]
fn child() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let place = Path::new(&place);
    let name = std::env::var(NAME).unwrap();
    let dies_at: Option<usize> = std::env::var(DIES_AT).ok().map(|text| text.parse().unwrap());
    let fault = std::env::var(FAULT).ok().map(|text| fault_of(&text));
    let script = std::fs::read_to_string(place.join(&name)).unwrap();
    let steps: Vec<Step> = script.lines().map(|line| line.parse().unwrap()).collect();
    shim::start(&place.join("disk"), &place.join("log"), fault);
    let volume = match Volume::open(&place.join("disk/volume"), &options(true)) {
        Ok(volume) => volume,
        Err(error) => {
            shim::note(&format!("unopened {name} {error}"));
            return;
        }
    };
    Performer::new(&volume).run(&steps, |at, answer| match answer {
        None => {
            shim::note(&format!("begin {name} {at}"));
            if dies_at == Some(at) {
                shim::die();
            }
        }
        Some(answer) => shim::note(&format!("answer {name} {at} {answer}")),
    });
    volume.close();
    shim::note(&format!("closed {name}"));
}
