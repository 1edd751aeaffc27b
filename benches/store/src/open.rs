//! The first look at a large mailbox, cold and warm, and what an open view keeps in memory.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use ironpost_store::view::MailboxView;
use ironpost_store::{Op, Options, Outcome, Volume};

use crate::Fault;
use crate::arguments::Arguments;
use crate::flow::{deliver, one};
use crate::letters::letter;
use crate::memory;
use crate::report::{Io, head, median, row, say, verdict};
use crate::scratch::Scratch;

const COLD_MAX: f64 = 20.0;
const WARM_MAX: f64 = 2.0;
/// Octets of memory for each message.
const MEMORY_MAX: f64 = 8.0;
const RUNS: usize = 5;
const WARM_RUNS: usize = 20;
/// A mailbox without gaps, and one in which every fourth message is gone and others are \Seen here and there.
const MAILBOXES: [&str; 2] = ["INBOX", "Gaps"];

/// Fills, and measures in processes of their own.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let messages = arguments.number("messages", 100_000, 100_000)?;
    let scratch = Scratch::new(arguments)?;
    let folder = scratch.path().join("store");
    fill(&folder, messages)?;
    say(&format!(
        "A mailbox of {messages} messages, and one with every fourth of them gone; {RUNS} processes, in each the index is \
         dropped from the page cache before the volume is opened; medians."
    ))?;
    head(&[
        "mailbox",
        "messages",
        "cold ms",
        "octets read",
        "warm ms",
        "view octets",
        "octets/message",
    ])?;
    let (mut cold_worst, mut warm_worst, mut memory_worst) = (0.0_f64, 0.0_f64, 0.0_f64);
    for mailbox in MAILBOXES {
        let mut found: Vec<Vec<f64>> = vec![Vec::new(); 5];
        for _ in 0..RUNS {
            let child = Command::new(std::env::current_exe()?)
                .args([
                    "open-child",
                    if mailbox == "Gaps" { "--gaps" } else { "--dense" },
                    "--folder",
                ])
                .arg(&folder)
                .output()?;
            let text = String::from_utf8(child.stdout)?;
            let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
            let numbers = numbers.ok().filter(|numbers| numbers.len() == found.len());
            let numbers = numbers.ok_or_else(|| String::from_utf8_lossy(&child.stderr).into_owned())?;
            found.iter_mut().zip(numbers).for_each(|(all, number)| all.push(number));
        }
        let medians: Vec<f64> = found.into_iter().map(median).collect();
        let [messages, cold, fetched, warm, octets] = medians[..] else {
            return Err("a figure is missing".into());
        };
        row([
            mailbox.to_owned(),
            format!("{messages:.0}"),
            format!("{cold:.2}"),
            format!("{fetched:.0}"),
            format!("{warm:.3}"),
            format!("{octets:.0}"),
            format!("{:.3}", octets / messages),
        ])?;
        if fetched == 0.0 {
            say("\nNothing was read from the disk: these are not cold.")?;
            cold_worst = f64::INFINITY;
        }
        cold_worst = cold_worst.max(cold);
        warm_worst = warm_worst.max(warm);
        memory_worst = memory_worst.max(octets / messages);
    }
    let of = |name: &str| format!("{name} of {messages} messages");
    verdict(
        &of("first open, cold,"),
        &format!("{cold_worst:.2} ms"),
        "less than 20 ms",
        cold_worst < COLD_MAX,
    )?;
    verdict(
        &of("first open, warm,"),
        &format!("{warm_worst:.3} ms"),
        "less than 2 ms",
        warm_worst < WARM_MAX,
    )?;
    verdict(
        "memory of an open view",
        &format!("{memory_worst:.3} octets a message"),
        "less than 8",
        memory_worst < MEMORY_MAX,
    )
}

fn fill(folder: &Path, messages: u64) -> Result<(), Fault> {
    let options = Options {
        sync: false,
        ..Options::default()
    };
    let volume = Volume::open(folder, &options)?;
    let bodies: Vec<Vec<u8>> = (0..64).map(|number| letter(500, number)).collect();
    deliver(&volume, messages, 500, 1, &bodies)?;
    let (account, name) = (1, "Gaps".to_owned());
    let created = one(
        &volume,
        Op::CreateMailbox {
            account,
            name: name.clone(),
            special_use: String::new(),
        },
    )?;
    let Outcome::Mailbox(gaps) = created else {
        return Err("CREATE answers something else".into());
    };
    let inbox = {
        let context = volume.context();
        let txn = context.begin()?;
        context.tables.name(&txn, account, "INBOX")?.ok_or("no INBOX")?.mailbox
    };
    let last = messages as u32;
    let copy = Op::Copy {
        account,
        mailbox: inbox,
        uids: vec![(1, last)],
        target: name,
        remove: false,
    };
    one(&volume, copy)?;
    for first in (1..=last).step_by(4000) {
        let until = (first + 3999).min(last);
        let every = |step: usize| (first..=until).step_by(step).map(|uid| (uid, uid)).collect();
        one(
            &volume,
            Op::MarkSeen {
                account,
                mailbox: gaps.id,
                uids: every(7),
            },
        )?;
        one(
            &volume,
            Op::ExpungeUids {
                account,
                mailbox: gaps.id,
                uids: every(4),
            },
        )?;
    }
    volume.close();
    Ok(())
}

/// Messages, milliseconds cold, octets read from the disk meanwhile, milliseconds warm, octets of memory.
pub(crate) fn run_child(arguments: &Arguments) -> Result<(), Fault> {
    let folder = arguments.folder().ok_or("no --folder")?;
    let name = if arguments.has("gaps") {
        MAILBOXES[1]
    } else {
        MAILBOXES[0]
    };
    let index = File::open(folder.join("index/data.mdb"))?;
    // Only what is on disk can be dropped.
    rustix::fs::fsync(&index)?;
    rustix::fs::fadvise(&index, 0, None, rustix::fs::Advice::DontNeed)?;
    let volume = Volume::open(&folder, &Options::default())?;
    let context = volume.context();
    let open = || -> Result<MailboxView, Fault> {
        let txn = context.begin()?;
        Ok(MailboxView::open(&context.tables, &txn, 1, name, true)?.0)
    };
    let before = Io::now()?;
    let began = Instant::now();
    let view = open()?;
    let cold = began.elapsed().as_secs_f64() * 1e3;
    let fetched = Io::now()?.since(before).fetched;
    let messages = view.told().uids.len();
    let mut times = Vec::new();
    let mut octets = Vec::new();
    for _ in 0..WARM_RUNS {
        let live = memory::live();
        let began = Instant::now();
        let view = open()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        octets.push((memory::live() - live) as f64 + size_of::<MailboxView>() as f64);
        drop(view);
    }
    say(&format!(
        "{messages} {cold} {fetched} {} {}",
        median(times),
        median(octets)
    ))?;
    drop(view);
    volume.close();
    Ok(())
}
