//! What a batch of deliveries to many accounts costs the index, and what fewer tables would save:
//! `choices_accounts [--quick]` (docs/decisions/0015).
//!
//! Bare LMDB environments that get the rows of a delivery as the store writes them, or with the rows of an account put
//! together; batches of 50 to accounts at random, synced. The layouts take turns; medians stand in the table.

mod choices_common;

use std::time::Instant;

use choices_common::{Done, Random, flag, folder, median, processor, refuse_debug_build, say, say_conditions};
use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions};

/// Deliveries of one transaction.
const BATCH: u64 = 50;
const BATCHES: u64 = 100;
const ROUNDS: usize = 5;
/// Messages that each account has beforehand.
const PRESENT: u64 = 10;

/// A table that a delivery writes to.
#[derive(Clone, Copy)]
struct Table {
    key: Key,
    /// Octets of a value.
    octets: usize,
}

#[derive(Clone, Copy)]
enum Key {
    /// One row an account, written anew each time.
    Account,
    /// A new row each time, beside the account's others.
    Message,
    /// A new row each time, at the end of the table.
    Tail,
}

const fn table(key: Key, octets: usize) -> Table {
    Table { key, octets }
}

/// What all layouts have: blobs, cards, and the journal.
const SHARED: [Table; 3] = [table(Key::Tail, 56), table(Key::Tail, 600), table(Key::Tail, 250)];

fn layouts() -> Vec<(&'static str, Vec<Table>)> {
    let (account, mailbox, uids) = (72, 72, 24);
    let (message, change) = (64, 14);
    vec![
        (
            "as it is: accounts, mailboxes, uidmap, messages, changes",
            vec![
                table(Key::Account, account),
                table(Key::Account, mailbox),
                table(Key::Account, uids),
                table(Key::Message, message),
                table(Key::Message, change),
            ],
        ),
        (
            "mailbox and its first UIDs in one row",
            vec![
                table(Key::Account, account),
                table(Key::Account, mailbox + uids),
                table(Key::Message, message),
                table(Key::Message, change),
            ],
        ),
        (
            "account, mailboxes, UIDs side by side in one table",
            vec![
                table(Key::Account, account + mailbox + uids),
                table(Key::Message, message),
                table(Key::Message, change),
            ],
        ),
        (
            "no change rows: found by the modseqs of messages",
            vec![
                table(Key::Account, account + mailbox + uids),
                table(Key::Message, message),
            ],
        ),
        ("rows at the end only: the least that LMDB can do", vec![]),
    ]
}

struct Bare {
    env: Env,
    tables: Vec<(Table, Database<Bytes, Bytes>)>,
    /// Rows put so far.
    rows: u64,
}

impl Bare {
    #[allow(unsafe_code, reason = "a fresh folder that nobody else opens")]
    fn open(path: &std::path::Path, own: &[Table]) -> Done<Self> {
        std::fs::create_dir_all(path)?;
        // SAFETY: the folder is new and this process alone opens it, once.
        let env = unsafe { EnvOpenOptions::new().map_size(4 << 30).max_dbs(16).open(path)? };
        let mut txn = env.write_txn()?;
        let mut tables = Vec::new();
        for (number, table) in SHARED.iter().chain(own).enumerate() {
            tables.push((*table, env.create_database(&mut txn, Some(&number.to_string()))?));
        }
        txn.commit()?;
        Ok(Self { env, tables, rows: 0 })
    }

    fn deliver(&mut self, accounts: impl Iterator<Item = u64>) -> Done {
        let value = [7_u8; 1024];
        let mut txn = self.env.write_txn()?;
        for account in accounts {
            self.rows += 1;
            for (table, database) in &self.tables {
                let mut key = Vec::with_capacity(16);
                if matches!(table.key, Key::Account | Key::Message) {
                    key.extend((account as u32).to_be_bytes());
                }
                if matches!(table.key, Key::Message | Key::Tail) {
                    key.extend(self.rows.to_be_bytes());
                }
                database.put(&mut txn, &key, &value[..table.octets])?;
            }
        }
        Ok(txn.commit()?)
    }
}

/// Octets that this process has given to write calls. What the kernel counts as written to disks says more than that,
/// since it counts a page cache's whole folio for each page in it.
fn given() -> Done<u64> {
    let text = std::fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    Ok(line.ok_or("no wchar in /proc/self/io")?.parse()?)
}

fn main() -> Done {
    refuse_debug_build()?;
    let counts: &[u64] = if flag("quick") {
        &[10, 10_000]
    } else {
        &[10, 1_000, 10_000, 100_000]
    };
    let scratch = folder()?;
    say_conditions()?;
    say("| accounts | layout | µs a message by the clock | processor µs | octets written |")?;
    say("|---|---|---|---|---|")?;
    for count in counts {
        let mut bare = Vec::new();
        for (number, (name, own)) in layouts().into_iter().enumerate() {
            let mut one = Bare::open(&scratch.path().join(format!("{count}-{number}")), &own)?;
            for _ in 0..PRESENT {
                for first in (0..*count).step_by(5000) {
                    one.deliver(first..(first + 5000).min(*count))?;
                }
            }
            bare.push((name, one, Vec::new()));
        }
        let mut random = Random(88_172_645_463_325_252);
        for _ in 0..ROUNDS {
            for (_, one, found) in &mut bare {
                let (began, used, before) = (Instant::now(), processor(), given()?);
                for _ in 0..BATCHES {
                    one.deliver((0..BATCH).map(|_| random.below(*count as usize) as u64))?;
                }
                let messages = (BATCH * BATCHES) as f64;
                found.push([
                    began.elapsed().as_secs_f64() * 1e6 / messages,
                    (processor() - used).as_secs_f64() * 1e6 / messages,
                    (given()? - before) as f64 / messages,
                ]);
            }
        }
        for (name, _, found) in &bare {
            let of = |place: usize| median(found.iter().map(|costs| costs[place]).collect());
            say(&format!(
                "| {count} | {name} | {:.1} | {:.1} | {:.0} |",
                of(0),
                of(1),
                of(2)
            ))?;
        }
    }
    Ok(())
}
