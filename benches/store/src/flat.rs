//! Whether a message costs the same in a small mailbox and in a large one, with few accounts and with many.

use std::ops::Range;

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
const EXPUNGES: u64 = 10;
/// Messages of one expunge.
const EXPUNGED: u32 = 100;
const VIEWS: usize = 20;

/// What one operation cost: microseconds of the processor, octets written to files.
#[derive(Clone, Copy)]
struct Cost {
    micros: f64,
    written: f64,
}

fn cost(rounds: usize, per_round: u64, mut round: impl FnMut(u64) -> Result<(), Fault>) -> Result<Cost, Fault> {
    let (mut micros, mut written) = (Vec::new(), Vec::new());
    for number in 0..rounds {
        let (used, before) = (processor(), Io::now()?);
        round(number as u64)?;
        micros.push((processor() - used) * 1e6 / per_round as f64);
        written.push(Io::now()?.since(before).written as f64 / per_round as f64);
    }
    Ok(Cost {
        micros: median(micros),
        written: median(written),
    })
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
    let options = Options {
        sync: false,
        ..Options::default()
    };
    let volume = Volume::open(&scratch.path().join("store"), &options)?;
    deliver(&volume, 1, 1, 1, bodies)?;
    let (account, mailbox) = (1, {
        let context = volume.context();
        let txn = context.begin()?;
        context.tables.name(&txn, 1, "INBOX")?.ok_or("no INBOX")?.mailbox
    });
    say(&format!(
        "One mailbox that grows; bodies of {OCTETS} octets, syncs off, {OUTSTANDING} operations outstanding. Processor time of \
         the whole process and octets given to write calls (index and pack), medians of {ROUNDS}."
    ))?;
    head(&[
        "messages",
        "append µs",
        "octets",
        "flag µs",
        "octets",
        "flag alone µs",
        "octets",
        "expunge 100: µs/message",
        "octets",
        "view µs",
        "view ns/message",
    ])?;
    let mut found: Vec<[f64; 5]> = Vec::new();
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
        let append = cost(ROUNDS, APPENDS.min(size / 4), |_| {
            deliver(&volume, APPENDS.min(size / 4), OUTSTANDING, 1, bodies)
        })?;
        let uids = one_mailbox(&volume, account, mailbox)?;
        let flags = cost(ROUNDS, FLAGS, |number| {
            flow(&volume, FLAGS, OUTSTANDING, |_| {
                let uid = (uids.start + shuffled(&mut state, uids.end - uids.start)) as u32;
                Ok((flagged(account, mailbox, uid, number), None))
            })
        })?;
        let alone = cost(ROUNDS, FLAGS / 4, |number| {
            for _ in 0..FLAGS / 4 {
                let uid = (uids.start + shuffled(&mut state, uids.end - uids.start)) as u32;
                one(&volume, flagged(account, mailbox, uid, number))?;
            }
            Ok(())
        })?;
        let mut first = uids.start as u32;
        let expunge = cost(ROUNDS, EXPUNGES.min(size / 1000) * u64::from(EXPUNGED), |_| {
            for _ in 0..EXPUNGES.min(size / 1000) {
                let uids = vec![(first, first + EXPUNGED - 1)];
                first += EXPUNGED;
                one(&volume, Op::ExpungeUids { account, mailbox, uids })?;
            }
            Ok(())
        })?;
        let context = volume.context();
        let mut views = Vec::new();
        let mut messages = 0;
        for _ in 0..VIEWS {
            let used = processor_of_thread();
            let transaction = context.last_transaction();
            let txn = context.begin()?;
            let (view, _) = MailboxView::open(&context.tables, &txn, account, "INBOX", true, transaction)?;
            views.push((processor_of_thread() - used) * 1e6);
            messages = view.told().uids.len();
        }
        let view = median(views);
        let of_message = view * 1e3 / f64::from(messages);
        row([
            size.to_string(),
            format!("{:.1}", append.micros),
            format!("{:.0}", append.written),
            format!("{:.1}", flags.micros),
            format!("{:.0}", flags.written),
            format!("{:.1}", alone.micros),
            format!("{:.0}", alone.written),
            format!("{:.2}", expunge.micros),
            format!("{:.0}", expunge.written),
            format!("{view:.0}"),
            format!("{of_message:.2}"),
        ])?;
        found.push([append.micros, flags.micros, alone.micros, expunge.micros, of_message]);
        size *= 10;
    }
    volume.close();
    for (place, name) in ["append", "flag, 50 at a time", "flag, alone", "expunge", "view"]
        .iter()
        .enumerate()
    {
        let costs = || found.iter().map(|costs| costs[place]);
        let first = costs().next().unwrap_or(f64::NAN);
        let ratio = costs().fold(0.0, f64::max) / first;
        verdict(
            &format!("{name}, the dearest size to 1,000 messages"),
            &format!("{ratio:.2} times"),
            &format!("at most {RATIO_MAX}"),
            ratio <= RATIO_MAX,
        )?;
    }
    Ok(())
}

/// Sets or takes \\Flagged, in turn.
fn flagged(account: u32, mailbox: u32, uid: u32, round: u64) -> Op {
    Op::StoreFlags {
        account,
        mailbox,
        uids: vec![(uid, uid)],
        mode: if round.is_multiple_of(2) {
            FlagMode::Add
        } else {
            FlagMode::Remove
        },
        flags: FlagSet {
            system: flag::FLAGGED,
            keywords: Vec::new(),
        },
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
    let options = Options {
        sync: false,
        ..Options::default()
    };
    let volume = Volume::open(&scratch.path().join("store"), &options)?;
    say(&format!(
        "\nAccounts, each with at least ten messages; deliveries to them at random, otherwise as above. A batch of {OUTSTANDING} \
         to ten accounts shares the rows of their mailboxes, one to many does not: the second column has one writer, whose \
         batches share nothing."
    ))?;
    head(&[
        "accounts",
        "append µs, 50 writers",
        "octets",
        "append µs, one writer",
        "octets",
    ])?;
    let mut found = Vec::new();
    let mut count = 10;
    let mut state = 88_172_645_463_325_252;
    while count <= most {
        deliver(&volume, (10 * count).max(1000), 500, count, bodies)?;
        let mut append = |appends: u64, outstanding: u64| {
            cost(ROUNDS, appends, |_| {
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
            format!("{:.0}", many.written),
            format!("{:.1}", alone.micros),
            format!("{:.0}", alone.written),
        ])?;
        found.push([many.micros, alone.micros]);
        count *= 10;
    }
    volume.close();
    for (place, name) in ["50 writers", "one writer"].iter().enumerate() {
        let costs = || found.iter().map(|costs| costs[place]);
        let first = costs().next().unwrap_or(f64::NAN);
        let ratio = costs().fold(0.0, f64::max) / first;
        verdict(
            &format!("append, {name}, the dearest number of accounts to 10"),
            &format!("{ratio:.2} times"),
            &format!("at most {RATIO_MAX}"),
            ratio <= RATIO_MAX,
        )?;
    }
    Ok(())
}
