//! Durable appends beside their floor.
//!
//! Writers are operations kept outstanding, as that many SMTP connections would. Store and floor take turns; each turn of the
//! floor repeats the batches that the store has just made: as many, with as many messages and octets.

use std::time::Instant;

use ironpost_store::{Options, Volume};

use crate::Fault;
use crate::arguments::Arguments;
use crate::floor::{Floor, Mark, Sizes};
use crate::flow::deliver;
use crate::letters::letter;
use crate::report::{head, median, processor, row, say, verdict, waited};
use crate::scratch::Scratch;

/// Accounts that are delivered to in turn.
const ACCOUNTS: u64 = 100;
/// The floor that is asked for.
const RATIO_MAX: f64 = 1.5;
/// Syncs of a batch: of the pack, of LMDB's pages, of its meta page.
const SYNCS_MAX: f64 = 3.0;
/// Syncs of one commit of LMDB (seen by strace, `run.py`).
const COMMIT_SYNCS: u64 = 2;

/// The thread that writes in the store; the floor writes in the first one.
const WRITER: &str = "store-write";
/// As the kernel names it: cut at 15 octets.
const FIRST: &str = "ironpost-bench-";

/// Messages a second and microseconds of the processor for each.
#[derive(Clone, Copy)]
struct Speed {
    rate: f64,
    /// Without the time in which the writing thread was ready and had no core.
    undisturbed: f64,
    processor: f64,
}

fn timed(messages: u64, thread: &str, turn: impl FnOnce() -> Result<(), Fault>) -> Result<Speed, Fault> {
    let (waits, began, used) = (waited(thread), Instant::now(), processor());
    turn()?;
    let seconds = began.elapsed().as_secs_f64();
    let messages = messages as f64;
    Ok(Speed {
        rate: messages / seconds,
        undisturbed: messages / (seconds - (waited(thread) - waits)).max(1e-9),
        processor: (processor() - used) * 1e6 / messages,
    })
}

/// The comparison.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let octets = arguments.number("octets", 10_000, 10_000)? as usize;
    let rounds = arguments.number("rounds", 5, 5)?;
    let seconds = arguments.number("seconds", 1, 3)?;
    let scratch = Scratch::new(arguments)?;
    let volume = Volume::open(&scratch.path().join("store"), &Options::default())?;
    let mut floor = Floor::new(&scratch.path().join("floor"), ACCOUNTS, true)?;
    let mut single = Floor::new(&scratch.path().join("single"), ACCOUNTS, false)?;
    let bodies: Vec<Vec<u8>> = (0..64).map(|number| letter(octets, number)).collect();
    // Accounts and mailboxes are made before anything is measured.
    deliver(&volume, 500, 50, ACCOUNTS, &bodies)?;
    say(&format!(
        "Messages of {octets} octets to {ACCOUNTS} mailboxes; medians of {rounds} turns of about {seconds} s each. \
         *Undisturbed*: without the time in which the writing thread was ready to run and had no core."
    ))?;
    head(&[
        "writers",
        "store msg/s",
        "floor msg/s",
        "single-sync floor msg/s",
        "floor / store",
        "undisturbed",
        "msg/batch",
        "syncs/batch",
        "rows/batch",
        "index octets/batch",
        "pack octets/msg",
        "store CPU µs/msg",
        "floor CPU µs/msg",
    ])?;
    let mut asked = None;
    for writers in [1, 10, 50, 200] {
        let probe = 20 * writers.max(10);
        let speed = timed(probe, WRITER, || deliver(&volume, probe, writers, ACCOUNTS, &bodies))?;
        let count = ((speed.rate * seconds as f64) as u64).max(20);
        let (mut stores, mut floors, mut singles) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ratios, mut undisturbed) = (Vec::new(), Vec::new());
        let mut sum = Mark::default();
        let mut sizes = Sizes::of(&volume)?;
        for _ in 0..rounds {
            let before = Mark::of(&volume)?;
            let store = timed(count, WRITER, || deliver(&volume, count, writers, ACCOUNTS, &bodies))?;
            let after = Mark::of(&volume)?;
            let (batches, octets) = (after.batches - before.batches, after.octets - before.octets);
            sizes = Sizes::of(&volume)?;
            let bare = timed(count, FIRST, || floor.turn(&sizes, count, octets, batches))?;
            singles.push(timed(count, FIRST, || single.turn(&sizes, count, octets, batches))?);
            ratios.push(bare.rate / store.rate);
            undisturbed.push(bare.undisturbed / store.undisturbed);
            stores.push(store);
            floors.push(bare);
            sum.batches += batches;
            sum.octets += octets;
            sum.commits += after.commits - before.commits;
            sum.pack_syncs += after.pack_syncs - before.pack_syncs;
            sum.messages += after.messages - before.messages;
            sum.changes += after.changes - before.changes;
            sum.blobs += after.blobs - before.blobs;
        }
        if sum.messages != count * rounds || sum.blobs != 2 * sum.messages {
            return Err(format!(
                "{} messages and {} blobs of {}",
                sum.messages,
                sum.blobs,
                count * rounds
            )
            .into());
        }
        let rate = |speeds: &[Speed]| median(speeds.iter().map(|speed| speed.rate).collect());
        let used = |speeds: &[Speed]| median(speeds.iter().map(|speed| speed.processor).collect());
        let of = |what: u64| what as f64 / sum.batches as f64;
        let ratio = median(ratios);
        let syncs = of(sum.pack_syncs + COMMIT_SYNCS * sum.commits);
        let (rows, index) = sizes.batch(of(sum.messages), of(sum.changes));
        row([
            writers.to_string(),
            format!("{:.0}", rate(&stores)),
            format!("{:.0}", rate(&floors)),
            format!("{:.0}", rate(&singles)),
            format!("{ratio:.2}"),
            format!("{:.2}", median(undisturbed)),
            format!("{:.1}", of(sum.messages)),
            format!("{syncs:.2}"),
            format!("{rows:.0}"),
            format!("{index:.0}"),
            format!("{:.0}", sum.octets as f64 / sum.messages as f64),
            format!("{:.0}", used(&stores)),
            format!("{:.0}", used(&floors)),
        ])?;
        if writers == 50 {
            asked = Some((ratio, syncs));
        }
    }
    volume.close();
    let (ratio, syncs) = asked.ok_or("50 writers were not measured")?;
    verdict(
        "durable appends, 50 writers, floor / store",
        &format!("{ratio:.2}"),
        &format!("at most {RATIO_MAX}"),
        ratio <= RATIO_MAX,
    )?;
    verdict(
        "syncs of a batch",
        &format!("{syncs:.2}"),
        "at most 3",
        syncs <= SYNCS_MAX,
    )
}

/// Only the store's appends, a told number of them: for strace and callgrind, which want a process that does nothing else.
pub(crate) fn run_alone(arguments: &Arguments) -> Result<(), Fault> {
    let messages = arguments.number("messages", 1000, 1000)?;
    let writers = arguments.number("outstanding", 50, 50)?;
    let octets = arguments.number("octets", 10_000, 10_000)? as usize;
    let scratch = Scratch::new(arguments)?;
    let options = Options {
        // valgrind gives away less address space than the kernel.
        map_size: 1 << 30,
        ..Options::default()
    };
    let volume = Volume::open(&scratch.path().join("store"), &options)?;
    let bodies: Vec<Vec<u8>> = (0..64).map(|number| letter(octets, number)).collect();
    let before = Mark::of(&volume)?;
    deliver(&volume, messages, writers, ACCOUNTS, &bodies)?;
    let after = Mark::of(&volume)?;
    say(&format!(
        "messages {messages} batches {} commits {} pack_syncs {}",
        after.batches - before.batches,
        after.commits - before.commits,
        after.pack_syncs - before.pack_syncs
    ))?;
    volume.close();
    Ok(())
}
