//! The simulated disk: takes the entries of a log and says what may lie on it if the power fails now.
//!
//! A file is a row of sectors of 512 octets and a length. Each sector and the length has a durable state and those it
//! has had since; any of them may be the one that the disk keeps, for every sector by itself. That covers every subset
//! and order of the writes since the last sync, torn at sectors. A completed sync moves the durable state forward to
//! what was there when it began; a write through a descriptor with O_DSYNC does so for its own sectors. A failed sync
//! makes nothing durable, and neither does a later one for what was unsynced then: kernels drop such pages.
//!
//! A folder has durable names and changes since. Each change may have reached the disk or not; a rename has as a
//! whole. A sync of a file says nothing about its name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use crate::durable_support::Random;
use crate::journal::Entry;

const SECTOR: usize = 512;
/// Sectors of a page, in which kernels write and which most disks do not tear.
const PAGE_SECTORS: u64 = 8;

type Octets = Rc<[u8; SECTOR]>;

/// A value with its history since it was last durable; never empty, the first is the durable one.
#[derive(Clone, Debug)]
struct Versions<T> {
    all: Vec<Version<T>>,
}

#[derive(Clone, Debug)]
struct Version<T> {
    since: u64,
    value: T,
    /// The process whose sync has failed on it.
    dropped: Option<u64>,
}

impl<T> Versions<T> {
    fn new(value: T) -> Self {
        Self {
            all: vec![Version {
                since: 0,
                value,
                dropped: None,
            }],
        }
    }

    fn now(&self) -> &T {
        &self.all[self.all.len() - 1].value
    }

    fn push(&mut self, since: u64, value: T) {
        self.all.push(Version {
            since,
            value,
            dropped: None,
        });
    }

    /// What was there at `at` is durable now.
    fn settle(&mut self, at: u64) {
        let last = self.all.iter().rposition(|version| version.since <= at).unwrap_or(0);
        if self.all[last].dropped.is_none() {
            self.all.drain(..last);
        }
    }

    fn settle_now(&mut self) {
        self.all.drain(..self.all.len() - 1);
    }

    fn drop_unsynced(&mut self, by: u64) {
        self.all
            .iter_mut()
            .skip(1)
            .for_each(|version| version.dropped = Some(by));
    }
}

#[derive(Debug)]
struct File {
    length: Versions<u64>,
    sectors: BTreeMap<u64, Versions<Octets>>,
    /// Sectors and length with more than one version, so that syncs need not look at all.
    unsynced: HashSet<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Put(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

impl Change {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Put(name, _) | Self::Remove(name) => vec![name],
            Self::Rename(from, to, _) => vec![from, to],
        }
    }

    fn make(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Put(name, node) => {
                names.insert(name.clone(), *node);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Folder {
    now: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    changes: Vec<Version<Change>>,
}

#[derive(Debug)]
enum Node {
    File(File),
    Folder(Folder),
}

/// How a state is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Nothing unsynced is kept.
    Nothing,
    /// Everything is kept, as when a process is killed.
    Everything,
    /// Each sector, length and name by itself.
    Sectors,
    /// Each page of 4,096 octets by itself.
    Pages,
    /// Each file wholly or not at all.
    Files,
    /// What came last is kept, what came before is not.
    LateOnly,
    /// What came until some moment is kept.
    EarlyOnly,
}

pub const STYLES: [Style; 7] = [
    Style::Nothing,
    Style::Everything,
    Style::Sectors,
    Style::Pages,
    Style::Files,
    Style::LateOnly,
    Style::EarlyOnly,
];

/// The disk; the recorded folder is its root and durable.
#[derive(Debug)]
pub struct Disk {
    nodes: Vec<Node>,
    handles: HashMap<u64, usize>,
    syncs: HashMap<u64, u64>,
    moment: u64,
}

impl Disk {
    pub fn new() -> Self {
        Self {
            nodes: vec![Node::Folder(Folder::default())],
            handles: HashMap::new(),
            syncs: HashMap::new(),
            moment: 0,
        }
    }

    /// What lies in a folder, as of long ago: all of it is durable.
    pub fn of(folder: &Path) -> Self {
        let mut disk = Self::new();
        disk.add_tree(0, folder);
        disk
    }

    fn add_tree(&mut self, parent: usize, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let node = if entry.file_type().unwrap().is_dir() {
                let node = self.add(Node::Folder(Folder::default()));
                self.add_tree(node, &entry.path());
                node
            } else {
                let mut file = File::new();
                file.write(0, 0, &std::fs::read(entry.path()).unwrap(), true);
                file.length.settle_now();
                file.unsynced.clear();
                self.add(Node::File(file))
            };
            let place = self.folder_mut(parent);
            place.now.insert(name.clone(), node);
            place.durable.insert(name, node);
        }
    }

    fn folder_mut(&mut self, node: usize) -> &mut Folder {
        match &mut self.nodes[node] {
            Node::Folder(folder) => folder,
            Node::File(_) => panic!("a file where a folder must be"),
        }
    }

    /// The folder of a path and the last name.
    fn place<'p>(&self, path: &'p str) -> (usize, &'p str) {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        (
            self.find(folders).unwrap_or_else(|| panic!("no folder for {path}")),
            name,
        )
    }

    fn find(&self, path: &str) -> Option<usize> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(0, |node, name| match &self.nodes[node] {
                Node::Folder(folder) => folder.now.get(name).copied(),
                Node::File(_) => None,
            })
    }

    fn change(&mut self, folder: usize, change: Change) {
        let since = self.moment;
        let folder = self.folder_mut(folder);
        change.make(&mut folder.now);
        folder.changes.push(Version {
            since,
            value: change,
            dropped: None,
        });
    }

    fn file(&mut self, handle: u64) -> Option<(&mut File, u64)> {
        let node = *self.handles.get(&handle)?;
        let moment = self.moment;
        match &mut self.nodes[node] {
            Node::File(file) => Some((file, moment)),
            Node::Folder(_) => None,
        }
    }

    /// Takes one entry.
    pub fn take(&mut self, entry: &Entry) {
        self.moment += 1;
        match entry {
            Entry::Open {
                handle,
                create,
                truncate,
                path,
            } => {
                let node = match self.find(path) {
                    Some(node) => node,
                    None => {
                        assert!(*create, "{path} was opened and is not there");
                        let node = self.add(Node::File(File::new()));
                        let (folder, name) = self.place(path);
                        self.change(folder, Change::Put(name.to_owned(), node));
                        node
                    }
                };
                self.handles.insert(*handle, node);
                if *truncate && let Some((file, moment)) = self.file(*handle) {
                    file.set_length(moment, 0);
                }
            }
            Entry::Write {
                handle,
                offset,
                durable,
                data,
            } => {
                if let Some((file, moment)) = self.file(*handle) {
                    file.write(moment, *offset, data, *durable);
                }
            }
            Entry::Truncate { handle, length } => {
                if let Some((file, moment)) = self.file(*handle) {
                    file.set_length(moment, *length);
                }
            }
            Entry::Allocate { handle, end } => {
                if let Some((file, moment)) = self.file(*handle)
                    && *file.length.now() < *end
                {
                    file.set_length(moment, *end);
                }
            }
            Entry::Rename { from, to } => {
                let ((folder, old), (target, new)) = (self.place(from), self.place(to));
                assert_eq!(folder, target, "renames between folders are not simulated");
                let node = self
                    .find(from)
                    .unwrap_or_else(|| panic!("{from} is renamed and is not there"));
                self.change(folder, Change::Rename(old.to_owned(), new.to_owned(), node));
            }
            Entry::Unlink { path } | Entry::RemoveFolder { path } => {
                let (folder, name) = self.place(path);
                self.change(folder, Change::Remove(name.to_owned()));
            }
            Entry::MakeFolder { path } => {
                let node = self.add(Node::Folder(Folder::default()));
                let (folder, name) = self.place(path);
                self.change(folder, Change::Put(name.to_owned(), node));
            }
            Entry::SyncBegins { token, .. } => {
                self.syncs.insert(*token, self.moment);
            }
            Entry::SyncEnds { handle, token, failed } => {
                let Some(began) = self.syncs.remove(token) else { return };
                let Some(node) = self.handles.get(handle) else { return };
                let process = handle >> 32;
                match (&mut self.nodes[*node], failed) {
                    (Node::File(file), false) => file.settle(began),
                    (Node::File(file), true) => file.drop_unsynced(process),
                    (Node::Folder(folder), false) => folder.settle(began, process),
                    (Node::Folder(folder), true) => {
                        folder
                            .changes
                            .iter_mut()
                            .for_each(|change| change.dropped = Some(process));
                    }
                }
            }
            Entry::Note { .. } => {}
        }
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Puts one legal state into the empty folder `target`.
    pub fn fail_power(&self, random: &mut Random, style: Style, target: &Path) {
        let threshold = self.moment.saturating_sub(random.below(60));
        let mut draw = Draw {
            random,
            style,
            threshold,
        };
        self.put_folder(0, &mut draw, target);
    }

    /// Puts everything as it is, unsynced or not.
    pub fn put(&self, target: &Path) {
        self.fail_power(&mut Random::new(1), Style::Everything, target);
    }

    fn put_folder(&self, node: usize, draw: &mut Draw<'_>, target: &Path) {
        let Node::Folder(folder) = &self.nodes[node] else {
            return;
        };
        let mut names = folder.durable.clone();
        let whole = draw.random.one_in(2);
        for change in &folder.changes {
            if draw.keeps(change.since, whole) {
                change.value.make(&mut names);
            }
        }
        for (name, node) in names {
            let path = target.join(&name);
            match &self.nodes[node] {
                Node::Folder(_) => {
                    std::fs::create_dir(&path).unwrap();
                    self.put_folder(node, draw, &path);
                }
                Node::File(file) => file.put(draw, &path),
            }
        }
    }
}

/// The dice of one state.
struct Draw<'r> {
    random: &'r mut Random,
    style: Style,
    threshold: u64,
}

impl Draw<'_> {
    /// Whether a change made at `since` is kept; `whole` is the verdict on its file.
    fn keeps(&mut self, since: u64, whole: bool) -> bool {
        match self.style {
            Style::Nothing => false,
            Style::Everything => true,
            Style::Sectors | Style::Pages => self.random.one_in(2),
            Style::Files => whole,
            Style::LateOnly => since >= self.threshold,
            Style::EarlyOnly => since <= self.threshold,
        }
    }

    /// Which version the disk keeps.
    fn version<'v, T>(&mut self, versions: &'v Versions<T>, whole: bool) -> &'v T {
        let all = &versions.all;
        let at = match self.style {
            Style::Nothing => 0,
            Style::Everything => all.len() - 1,
            Style::Sectors | Style::Pages => self.random.below(all.len() as u64) as usize,
            Style::Files if whole => all.len() - 1,
            Style::Files => 0,
            Style::LateOnly if all[all.len() - 1].since >= self.threshold => all.len() - 1,
            Style::LateOnly => 0,
            Style::EarlyOnly => all
                .iter()
                .rposition(|version| version.since <= self.threshold)
                .unwrap_or(0),
        };
        &all[at].value
    }
}

impl File {
    fn new() -> Self {
        Self {
            length: Versions::new(0),
            sectors: BTreeMap::new(),
            unsynced: HashSet::new(),
        }
    }

    fn sector(&mut self, number: u64) -> &mut Versions<Octets> {
        self.sectors
            .entry(number)
            .or_insert_with(|| Versions::new(Rc::new([0; SECTOR])))
    }

    fn write(&mut self, moment: u64, offset: u64, data: &[u8], durable: bool) {
        let end = offset + data.len() as u64;
        let mut at = offset;
        while at < end {
            let (number, within) = (at / SECTOR as u64, (at % SECTOR as u64) as usize);
            let count = (SECTOR - within).min((end - at) as usize);
            let sector = self.sector(number);
            let mut octets = **sector.now();
            let from = (at - offset) as usize;
            octets[within..within + count].copy_from_slice(&data[from..from + count]);
            sector.push(moment, Rc::new(octets));
            if durable {
                sector.settle_now();
            } else {
                self.unsynced.insert(number);
            }
            at += count as u64;
        }
        if end > *self.length.now() {
            self.length.push(moment, end);
        }
        if durable {
            self.length.settle_now();
        }
    }

    fn set_length(&mut self, moment: u64, length: u64) {
        if length < *self.length.now() {
            let first = length / SECTOR as u64;
            let zeroed: Vec<u64> = self.sectors.range(first..).map(|(number, _)| *number).collect();
            for number in zeroed {
                let sector = self.sector(number);
                let mut octets = **sector.now();
                let kept = if number == first {
                    (length % SECTOR as u64) as usize
                } else {
                    0
                };
                octets[kept..].fill(0);
                sector.push(moment, Rc::new(octets));
                self.unsynced.insert(number);
            }
        }
        self.length.push(moment, length);
    }

    fn settle(&mut self, began: u64) {
        self.length.settle(began);
        let sectors = &mut self.sectors;
        self.unsynced.retain(|number| {
            sectors.get_mut(number).is_some_and(|sector| {
                sector.settle(began);
                sector.all.len() > 1
            })
        });
    }

    fn drop_unsynced(&mut self, by: u64) {
        self.length.drop_unsynced(by);
        for number in &self.unsynced {
            self.sectors
                .get_mut(number)
                .into_iter()
                .for_each(|sector| sector.drop_unsynced(by));
        }
    }

    fn put(&self, draw: &mut Draw<'_>, path: &Path) {
        let whole = draw.random.one_in(2);
        let length = *draw.version(&self.length, whole);
        let file = std::fs::File::create(path).unwrap();
        file.set_len(length).unwrap();
        // Runs of sectors that are not zeros, so that holes stay holes.
        let mut run: (u64, Vec<u8>) = (0, Vec::new());
        let mut page_dice = (u64::MAX, 0_u64);
        for (&number, sector) in &self.sectors {
            let octets: &Octets = if draw.style == Style::Pages && sector.all.len() > 1 {
                // One throw for the sectors of a page; each takes its version of that moment.
                if page_dice.0 != number / PAGE_SECTORS {
                    let moments = sector.all.len() as u64;
                    page_dice = (
                        number / PAGE_SECTORS,
                        sector.all[draw.random.below(moments) as usize].since,
                    );
                }
                let at = sector.all.iter().rposition(|version| version.since <= page_dice.1);
                &sector.all[at.unwrap_or(0)].value
            } else {
                draw.version(sector, whole)
            };
            let start = number * SECTOR as u64;
            if start >= length || octets.iter().all(|&octet| octet == 0) {
                continue;
            }
            let octets = &octets[..SECTOR.min((length - start) as usize)];
            if run.0 + run.1.len() as u64 != start {
                file.write_all_at(&run.1, run.0).unwrap();
                run = (start, Vec::new());
            }
            run.1.extend_from_slice(octets);
        }
        file.write_all_at(&run.1, run.0).unwrap();
    }
}

impl Folder {
    /// A process trusts no sync of a folder in which one of its own has failed; one that comes later finds the names as
    /// they are, on a file system that works again.
    fn settle(&mut self, began: u64, process: u64) {
        let (settled, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|change| change.since <= began && change.dropped != Some(process));
        for change in &settled {
            change.value.make(&mut self.durable);
        }
        // What a failed sync dropped is overtaken by a later, durable change of the same name.
        self.changes = kept
            .into_iter()
            .filter(|old| {
                old.dropped.is_none()
                    || !settled.iter().any(|new| {
                        new.since > old.since && new.value.names().iter().any(|name| old.value.names().contains(name))
                    })
            })
            .collect();
    }
}
