//! Whether a message costs the same in a small mailbox and in a large one, with few accounts and with many.

use std::ops::Range;
use std::time::Instant;

use ironpost_store::db::records::flag;
use ironpost_store::ops::{FlagMode, FlagSet};
use ironpost_store::view::MailboxView;
use ironpost_store::{Op, Options, Volume};

use crate::Fault;
use crate::arguments::Arguments;
use crate::flow::{deliver, delivery, fill, flow, one};
use crate::letters::{PREFIX, letter};
use crate::report::{Io, head, median, processor, processor_of_thread, row, say, verdict};
use crate::scratch::Scratch;

/// The dearest to the cheapest.
const RATIO_MAX: f64 = 1.5;
/// Small bodies: a million of them must fit a disk, and what is looked at is the index.
const OCTETS: usize = 500;
const ROUNDS: usize = 5;
const OUTSTANDING: u64 = 50;
/// Operations of a round.
const APPENDS: u64 = 2000;
const FLAGS: u64 = 1000;
const EXPUNGES: usize = 20;
/// Messages of one expunge.
const EXPUNGED: u32 = 100;
/// Messages that one STORE of a range flags.
const RANGE: u64 = 50;
const VIEWS: usize = 20;

/// What one operation cost: microseconds of the processor and of the clock, octets written to files.
#[derive(Clone, Copy)]
struct Cost {
    micros: f64,
    waited: f64,
    written: f64,
}

/// Medians of `ROUNDS` rounds of so many operations.
fn cost(per_round: u64, mut round: impl FnMut(u64) -> Result<(), Fault>) -> Result<Cost, Fault> {
    let mut sums = Sums::default();
    for number in 0..ROUNDS {
        sums.add(per_round, || round(number as u64))?;
    }
    Ok(sums.medians())
}

/// Costs of rounds.
#[derive(Default)]
struct Sums {
    micros: Vec<f64>,
    waited: Vec<f64>,
    written: Vec<f64>,
}

impl Sums {
    fn add(&mut self, operations: u64, round: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
        let (used, began, before) = (processor(), Instant::now(), Io::now()?);
        round()?;
        let of_one = 1.0 / operations as f64;
        self.micros.push((processor() - used) * 1e6 * of_one);
        self.waited.push(began.elapsed().as_secs_f64() * 1e6 * of_one);
        self.written.push(Io::now()?.since(before).written as f64 * of_one);
        Ok(())
    }

    fn medians(self) -> Cost {
        Cost {
            micros: median(self.micros),
            waited: median(self.waited),
            written: median(self.written),
        }
    }
}

/// Looks whether the dearest costs at most `RATIO_MAX` times what the first does.
fn flatness(name: &str, costs: impl Iterator<Item = f64> + Clone) -> Result<(), Fault> {
    let first = costs.clone().next().unwrap_or(f64::NAN);
    let ratio = costs.fold(0.0, f64::max) / first;
    verdict(
        name,
        &format!("{ratio:.2} times"),
        &format!("at most {RATIO_MAX}"),
        ratio <= RATIO_MAX,
    )
}

fn shuffled(state: &mut u64, bound: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
}

/// Both questions.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let largest = arguments.number("messages", 100_000, 1_000_000)?;
    let most = arguments.number("accounts", 10_000, 10_000)?;
    let bodies: Vec<Vec<u8>> = (0..64).map(|number| letter(OCTETS, number)).collect();
    if !arguments.has("only-accounts") {
        mailbox(arguments, largest, &bodies)?;
    }
    if !arguments.has("only-mailbox") {
        accounts(arguments, most, &bodies)?;
    }
    Ok(())
}

fn mailbox(arguments: &Arguments, largest: u64, bodies: &[Vec<u8>]) -> Result<(), Fault> {
    let scratch = Scratch::new(arguments)?;
    let volume = Volume::open(&scratch.path().join("store"), &Options::default())?;
    deliver(&volume, 1, 1, 1, bodies)?;
    let (account, mailbox) = (1, {
        let context = volume.context();
        let txn = context.begin()?;
        context.tables.name(&txn, 1, "INBOX")?.ok_or("no INBOX")?.mailbox
    });
    say(&format!(
        "One mailbox that grows; bodies of {OCTETS} octets, all synced, {OUTSTANDING} operations outstanding. Processor time of \
         the whole process and octets given to write calls (index and pack) for a message, medians of {ROUNDS}; {EXPUNGES} of \
         expunges. *Flags in a row*: one STORE of {RANGE} neighbours; *at random*: {OUTSTANDING} sessions that flag one message \
         each, anywhere in this mailbox, in one batch."
    ))?;
    head(&[
        "messages",
        "append µs",
        "octets",
        "flags in a row µs",
        "octets",
        "flags at random µs",
        "octets",
        "flag alone µs",
        "octets",
        "expunge 100: µs/message",
        "octets",
        "view µs",
        "view ns/message",
    ])?;
    let mut found: Vec<[f64; 6]> = Vec::new();
    let mut size = 1000;
    let mut state = 88_172_645_463_325_252;
    while size <= largest {
        let present = one_mailbox(&volume, account, mailbox)?;
        deliver(
            &volume,
            size.saturating_sub(present.end - present.start),
            500,
            1,
            bodies,
        )?;
        let append = cost(APPENDS.min(size / 4), |_| {
            deliver(&volume, APPENDS.min(size / 4), OUTSTANDING, 1, bodies)
        })?;
        let uids = one_mailbox(&volume, account, mailbox)?;
        let mut anywhere = |room: u64| (uids.start + shuffled(&mut state, uids.end - uids.start - room)) as u32;
        let neighbours = cost(FLAGS, |number| {
            for _ in 0..FLAGS / RANGE {
                let uid = anywhere(RANGE);
                one(
                    &volume,
                    flagged(account, mailbox, (uid, uid + RANGE as u32 - 1), number),
                )?;
            }
            Ok(())
        })?;
        let flags = cost(FLAGS, |number| {
            flow(&volume, FLAGS, OUTSTANDING, |_| {
                let uid = anywhere(0);
                Ok((flagged(account, mailbox, (uid, uid), number), None))
            })
        })?;
        let alone = cost(FLAGS / 4, |number| {
            for _ in 0..FLAGS / 4 {
                let uid = anywhere(0);
                one(&volume, flagged(account, mailbox, (uid, uid), number))?;
            }
            Ok(())
        })?;
        let mut expunges = Sums::default();
        for number in 0..EXPUNGES {
            let first = uids.start as u32 + number as u32 * EXPUNGED;
            let uids = vec![(first, first + EXPUNGED - 1)];
            expunges.add(u64::from(EXPUNGED), || {
                one(&volume, Op::ExpungeUids { account, mailbox, uids }).map(drop)
            })?;
            // The mailbox keeps its size.
            deliver(&volume, u64::from(EXPUNGED), OUTSTANDING, 1, bodies)?;
        }
        let expunge = expunges.medians();
        let context = volume.context();
        let mut views = Vec::new();
        let mut messages = 0;
        for _ in 0..VIEWS {
            let used = processor_of_thread();
            let txn = context.begin()?;
            let (view, _) = MailboxView::open(&context.tables, &txn, account, "INBOX", true)?;
            views.push((processor_of_thread() - used) * 1e6);
            messages = view.told().uids.len();
        }
        let view = median(views);
        let of_message = view * 1e3 / f64::from(messages);
        row([
            size.to_string(),
            format!("{:.1}", append.micros),
            format!("{:.0}", append.written),
            format!("{:.1}", neighbours.micros),
            format!("{:.0}", neighbours.written),
            format!("{:.1}", flags.micros),
            format!("{:.0}", flags.written),
            format!("{:.1}", alone.micros),
            format!("{:.0}", alone.written),
            format!("{:.2}", expunge.micros),
            format!("{:.0}", expunge.written),
            format!("{view:.0}"),
            format!("{of_message:.2}"),
        ])?;
        found.push([
            append.micros,
            neighbours.micros,
            flags.micros,
            alone.micros,
            expunge.micros,
            of_message,
        ]);
        size *= 10;
    }
    volume.close();
    for (place, name) in [
        "append",
        "flags in a row",
        "flags at random, 50 at a time",
        "flag, alone",
        "expunge",
        "view",
    ]
    .iter()
    .enumerate()
    {
        flatness(
            &format!("{name}, the dearest size to 1,000 messages"),
            found.iter().map(|costs| costs[place]),
        )?;
    }
    Ok(())
}

/// Sets or takes \\Flagged, in turn.
fn flagged(account: u32, mailbox: u32, uids: (u32, u32), round: u64) -> Op {
    Op::StoreFlags {
        account,
        mailbox,
        uids: vec![uids],
        mode: if round.is_multiple_of(2) {
            FlagMode::Add
        } else {
            FlagMode::Remove
        },
        flags: FlagSet {
            system: flag::FLAGGED,
            keywords: Vec::new(),
        },
        unchanged_since: None,
    }
}

/// UIDs of the mailbox, about.
fn one_mailbox(volume: &Volume, account: u32, mailbox: u32) -> Result<Range<u64>, Fault> {
    let context = volume.context();
    let txn = context.begin()?;
    let row = context.tables.mailbox(&txn, account, mailbox)?.ok_or("no mailbox")?;
    let end = u64::from(row.uid_next);
    Ok(end - u64::from(row.messages)..end)
}

fn accounts(arguments: &Arguments, most: u64, bodies: &[Vec<u8>]) -> Result<(), Fault> {
    let scratch = Scratch::new(arguments)?;
    let volume = Volume::open(&scratch.path().join("store"), &Options::default())?;
    say(&format!(
        "\nAccounts, each with at least ten messages; deliveries to them at random, otherwise as above. A batch of {OUTSTANDING} \
         to ten accounts shares the rows of their mailboxes, one to many does not: the second column has one writer, whose \
         batches share nothing."
    ))?;
    head(&[
        "accounts",
        "append µs, 50 writers",
        "by the clock",
        "octets",
        "append µs, one writer",
        "by the clock",
        "octets",
    ])?;
    let mut found = Vec::new();
    let mut count = 10;
    let mut state = 88_172_645_463_325_252;
    while count <= most {
        deliver(&volume, (10 * count).max(1000), 500, count, bodies)?;
        let mut append = |appends: u64, outstanding: u64| {
            cost(appends, |_| {
                flow(&volume, appends, outstanding, |number| {
                    let op = delivery(1 + shuffled(&mut state, count) as u32, PREFIX);
                    let body = &bodies[number as usize % bodies.len()];
                    Ok((op, Some(fill(&volume, body)?)))
                })
            })
        };
        let (many, alone) = (append(APPENDS, OUTSTANDING)?, append(APPENDS / 4, 1)?);
        row([
            count.to_string(),
            format!("{:.1}", many.micros),
            format!("{:.0}", many.waited),
            format!("{:.0}", many.written),
            format!("{:.1}", alone.micros),
            format!("{:.0}", alone.waited),
            format!("{:.0}", alone.written),
        ])?;
        found.push([many.micros, many.waited, alone.micros, alone.waited]);
        count *= 10;
    }
    volume.close();
    let columns = [
        "50 writers",
        "50 writers, by the clock",
        "one writer",
        "one writer, by the clock",
    ];
    for (place, name) in columns.iter().enumerate() {
        flatness(
            &format!("append, {name}, the dearest number of accounts to 10"),
            found.iter().map(|costs| costs[place]),
        )?;
    }
    Ok(())
}
