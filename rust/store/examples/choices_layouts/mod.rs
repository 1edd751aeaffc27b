//! The layouts that `choices_layout` compares. All but the store do only what must be done; all sync what they promise.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, WithoutTls};
use ironpost_store::compaction::Rules;
use ironpost_store::{Op, Options, Outcome, Ticket, Volume};
use rustix::fs::FallocateFlags;

use crate::choices_common::{Done, deliver};

/// Names of the layouts that stand in every table.
pub(crate) const KINDS: [&str; 4] = ["store", "bare packs", "bodies in LMDB", "file per message"];
/// What is appended to and read: these, and packs whose space ahead is written once as zeros.
pub(crate) const APPENDED: [&str; 5] = [KINDS[0], KINDS[1], "bare packs, zeroed ahead", KINDS[2], KINDS[3]];
/// Octets of a message's hot row.
const ROW: [u8; 64] = [7; 64];
/// Octets of a card, about as the store has them.
const CARD: [u8; 600] = [8; 600];
/// Messages up to this are rows when they are kept inline: what goes into a page beside another.
const INLINE_MAX: usize = 1536;
/// Threads that write files at once: a sync of one may be that of others too.
const FILE_THREADS: usize = 10;

/// A way to keep messages. Numbers are given out in ascending order.
pub(crate) trait Layout {
    /// Durable when it returns; the numbers of the messages.
    fn append(&mut self, batch: &[Vec<u8>]) -> Done<Vec<u64>>;
    fn read(&mut self, id: u64) -> Done<Vec<u8>>;
    /// Durable when it returns.
    fn remove(&mut self, ids: &[u64]) -> Done;
    /// Gives space back.
    fn upkeep(&mut self) -> Done {
        Ok(())
    }
}

/// Opens or makes the layout in a folder.
pub(crate) fn make(kind: &str, folder: &Path) -> Done<Box<dyn Layout>> {
    Ok(match kind {
        "store" => Box::new(Store::open(folder)?),
        "bare packs" => Box::new(Packs::open(folder, false, false)?),
        "bare packs, zeroed ahead" => Box::new(Packs::open(folder, false, true)?),
        "small ones inline" => Box::new(Packs::open(folder, true, false)?),
        "bodies in LMDB" => Box::new(Bodies::open(folder)?),
        "file per message" => Box::new(Files::open(folder)?),
        _ => return Err(format!("no layout {kind}").into()),
    })
}

/// The index of the bare layouts: a row and a card for each message.
struct Index {
    env: Env<WithoutTls>,
    rows: Database<Bytes, Bytes>,
    cards: Database<Bytes, Bytes>,
    bodies: Database<Bytes, Bytes>,
    next: u64,
}

impl Index {
    fn open(folder: &Path) -> Done<Self> {
        let path = folder.join("index");
        std::fs::create_dir_all(&path)?;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(8 << 30).max_dbs(4);
        // SAFETY: NO_READ_AHEAD only advises the kernel.
        unsafe { options.flags(EnvFlags::NO_READ_AHEAD) };
        // SAFETY: the folder is this program's own, and LMDB alone touches the files in it while they are open.
        let env = unsafe { options.open(&path)? };
        let mut txn = env.write_txn()?;
        let rows = env.create_database(&mut txn, Some("rows"))?;
        let cards = env.create_database(&mut txn, Some("cards"))?;
        let bodies = env.create_database(&mut txn, Some("bodies"))?;
        let last: Option<(&[u8], &[u8])> = rows.last(&txn)?;
        let next = last.map_or(Ok(1), |(key, _)| {
            <[u8; 8]>::try_from(key).map(|key| u64::from_be_bytes(key) + 1)
        })?;
        txn.commit()?;
        Ok(Self {
            env,
            rows,
            cards,
            bodies,
            next,
        })
    }

    /// One transaction: a row, a card and perhaps a body for each.
    fn commit(&mut self, places: &[u64], bodies: &[Option<&[u8]>]) -> Done<Vec<u64>> {
        let mut txn = self.env.write_txn()?;
        let mut ids = Vec::with_capacity(places.len());
        for (place, body) in places.iter().zip(bodies) {
            let id = self.next.to_be_bytes();
            let mut row = ROW;
            row[..8].copy_from_slice(&place.to_le_bytes());
            self.rows.put(&mut txn, &id, &row)?;
            self.cards.put(&mut txn, &id, &CARD)?;
            if let Some(body) = body {
                self.bodies.put(&mut txn, &id, body)?;
            }
            ids.push(self.next);
            self.next += 1;
        }
        txn.commit()?;
        Ok(ids)
    }

    fn place(&self, id: u64) -> Done<u64> {
        let txn = self.env.read_txn()?;
        let row = self.rows.get(&txn, &id.to_be_bytes())?.ok_or("no row")?;
        Ok(u64::from_le_bytes(row[..8].try_into()?))
    }

    fn body(&self, id: u64) -> Done<Option<Vec<u8>>> {
        let txn = self.env.read_txn()?;
        Ok(self.bodies.get(&txn, &id.to_be_bytes())?.map(<[u8]>::to_vec))
    }

    fn remove(&self, ids: &[u64]) -> Done {
        let mut txn = self.env.write_txn()?;
        for id in ids {
            let id = id.to_be_bytes();
            self.rows.delete(&mut txn, &id)?;
            self.cards.delete(&mut txn, &id)?;
            self.bodies.delete(&mut txn, &id)?;
        }
        Ok(txn.commit()?)
    }
}

/// One pack, one write and one sync for each batch; small ones may be rows instead.
struct Packs {
    index: Index,
    file: File,
    length: u64,
    allocated: u64,
    inline: bool,
    /// Space ahead is written as zeros, so that a sync has no extents to convert.
    zeroed: bool,
}

impl Packs {
    fn open(folder: &Path, inline: bool, zeroed: bool) -> Done<Self> {
        let path = folder.join("pack");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        rustix::fs::fsync(&File::open(folder)?)?;
        Ok(Self {
            index: Index::open(folder)?,
            length: file.metadata()?.len(),
            allocated: 0,
            file,
            inline,
            zeroed,
        })
    }
}

impl Layout for Packs {
    fn append(&mut self, batch: &[Vec<u8>]) -> Done<Vec<u64>> {
        let mut octets = Vec::new();
        let mut places = Vec::with_capacity(batch.len());
        let mut bodies = Vec::with_capacity(batch.len());
        for message in batch {
            let is_row = self.inline && message.len() <= INLINE_MAX;
            bodies.push(is_row.then_some(message.as_slice()));
            // Length and offset as one number, since a row has one place.
            places.push((self.length + octets.len() as u64) << 24 | message.len() as u64);
            if !is_row {
                octets.extend_from_slice(message);
            }
        }
        if !octets.is_empty() {
            let end = self.length + octets.len() as u64;
            if end > self.allocated {
                let from = self.length.max(self.allocated);
                self.allocated = end.next_multiple_of(8 << 20);
                rustix::fs::fallocate(&self.file, FallocateFlags::empty(), from, self.allocated - from)?;
                if self.zeroed {
                    self.file
                        .write_all_at(&vec![0; (self.allocated - from) as usize], from)?;
                }
            }
            self.file.write_all_at(&octets, self.length)?;
            rustix::fs::fdatasync(&self.file)?;
            self.length = end;
        }
        self.index.commit(&places, &bodies)
    }

    fn read(&mut self, id: u64) -> Done<Vec<u8>> {
        if self.inline
            && let Some(body) = self.index.body(id)?
        {
            return Ok(body);
        }
        let place = self.index.place(id)?;
        let mut octets = vec![0; (place & 0xff_ffff) as usize];
        self.file.read_exact_at(&mut octets, place >> 24)?;
        Ok(octets)
    }

    fn remove(&mut self, ids: &[u64]) -> Done {
        self.index.remove(ids)
    }
}

/// Everything in LMDB: bodies are values on overflow pages.
struct Bodies(Index);

impl Bodies {
    fn open(folder: &Path) -> Done<Self> {
        Ok(Self(Index::open(folder)?))
    }
}

impl Layout for Bodies {
    fn append(&mut self, batch: &[Vec<u8>]) -> Done<Vec<u64>> {
        let bodies: Vec<Option<&[u8]>> = batch.iter().map(|message| Some(message.as_slice())).collect();
        self.0.commit(&vec![0; batch.len()], &bodies)
    }

    fn read(&mut self, id: u64) -> Done<Vec<u8>> {
        self.0.place(id)?;
        Ok(self.0.body(id)?.ok_or("no body")?)
    }

    fn remove(&mut self, ids: &[u64]) -> Done {
        self.0.remove(ids)
    }
}

/// A file for each message: made, synced, renamed into place; the folder is synced once for the batch.
struct Files {
    index: Index,
    folder: PathBuf,
}

impl Files {
    fn open(folder: &Path) -> Done<Self> {
        let index = Index::open(folder)?;
        std::fs::create_dir_all(folder.join("tmp"))?;
        let folder = folder.join("cur");
        std::fs::create_dir_all(&folder)?;
        // What recovery has to do: files that no row knows are those of a process that died.
        let known: HashSet<u64> = {
            let txn = index.env.read_txn()?;
            let mut known = HashSet::new();
            for item in index.rows.iter(&txn)? {
                known.insert(u64::from_be_bytes(item?.0.try_into()?));
            }
            known
        };
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let is_known = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
                .is_some_and(|id| known.contains(&id));
            if !is_known {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { index, folder })
    }

    fn write(folder: &Path, id: u64, message: &[u8]) -> std::io::Result<()> {
        let temporary = folder.with_file_name("tmp").join(id.to_string());
        let file = File::create_new(&temporary)?;
        file.write_all_at(message, 0)?;
        rustix::fs::fsync(&file)?;
        std::fs::rename(temporary, folder.join(id.to_string()))
    }
}

impl Layout for Files {
    fn append(&mut self, batch: &[Vec<u8>]) -> Done<Vec<u64>> {
        let first = self.index.next;
        let folder = &self.folder;
        let numbered: Vec<(u64, &Vec<u8>)> = (first..).zip(batch).collect();
        std::thread::scope(|scope| {
            let threads: Vec<_> = numbered
                .chunks(numbered.len().div_ceil(FILE_THREADS))
                .map(|part| {
                    scope.spawn(move || {
                        part.iter()
                            .try_for_each(|(id, message)| Self::write(folder, *id, message))
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(std::io::Error::other("a thread panicked")))
            })
        })?;
        rustix::fs::fsync(&File::open(folder)?)?;
        self.index.commit(&vec![0; batch.len()], &vec![None; batch.len()])
    }

    fn read(&mut self, id: u64) -> Done<Vec<u8>> {
        self.index.place(id)?;
        Ok(std::fs::read(self.folder.join(id.to_string()))?)
    }

    fn remove(&mut self, ids: &[u64]) -> Done {
        self.index.remove(ids)?;
        for id in ids {
            std::fs::remove_file(self.folder.join(id.to_string()))?;
        }
        Ok(rustix::fs::fsync(&File::open(&self.folder)?)?)
    }
}

/// The store as it is: with MIME tables, cards, digests, compression, change log and journal.
struct Store {
    volume: Volume,
    mailbox: u32,
}

impl Store {
    fn open(folder: &Path) -> Done<Self> {
        let options = Options {
            min_free: 0,
            map_size: 8 << 30,
            ..Options::default()
        };
        let volume = Volume::open(folder, &options)?;
        let context = volume.context();
        let mailbox = {
            let txn = context.begin()?;
            context.tables.name(&txn, 1, "INBOX")?.map_or(0, |name| name.mailbox)
        };
        Ok(Self { volume, mailbox })
    }

    fn wait(&self, ticket: Ticket) -> Done<Outcome> {
        loop {
            self.volume.wait(Duration::from_secs(120))?;
            for (finished, result) in self.volume.completions(1024) {
                if finished == ticket {
                    return Ok(result?);
                }
            }
        }
    }
}

impl Layout for Store {
    fn append(&mut self, batch: &[Vec<u8>]) -> Done<Vec<u64>> {
        let mut tickets = HashMap::new();
        for (index, message) in batch.iter().enumerate() {
            tickets.insert(deliver(&self.volume, 1, message)?, index);
        }
        let mut ids = vec![0; batch.len()];
        while !tickets.is_empty() {
            self.volume.wait(Duration::from_secs(30))?;
            for (ticket, result) in self.volume.completions(1024) {
                let (Outcome::Submitted(stored, _), Some(index)) = (result?, tickets.remove(&ticket)) else {
                    return Err("not a delivery".into());
                };
                let stored = stored.into_iter().flatten().next().ok_or("not delivered")?;
                self.mailbox = stored.mailbox;
                ids[index] = u64::from(stored.uid);
            }
        }
        Ok(ids)
    }

    fn read(&mut self, id: u64) -> Done<Vec<u8>> {
        let context = self.volume.context();
        let txn = context.begin()?;
        let row = context.tables.message(&txn, self.mailbox, id as u32)?.ok_or("no row")?;
        let blob = context.blob(&txn, row.blob)?;
        Ok(context.packs.record(&blob)?.read_all()?)
    }

    fn remove(&mut self, ids: &[u64]) -> Done {
        let mut uids: Vec<(u32, u32)> = ids.iter().map(|id| (*id as u32, *id as u32)).collect();
        uids.sort_unstable();
        let ticket = self.volume.write(Op::ExpungeUids {
            account: 1,
            mailbox: self.mailbox,
            uids,
        })?;
        self.wait(ticket).map(drop)
    }

    fn upkeep(&mut self) -> Done {
        self.wait(self.volume.write(Op::Seal)?)?;
        let rules = Rules {
            age: 0,
            rate: 0,
            ..Rules::default()
        };
        self.wait(self.volume.compact(rules)?).map(drop)
    }
}
