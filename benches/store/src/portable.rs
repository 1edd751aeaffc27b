//! Speed of the neutral export and import: fills a store, exports it to a file on the disk, imports the file into a second
//! store; megabytes (10^6 octets of messages) a second.

use std::fs::File;
use std::io::{BufWriter, Read};
use std::time::Instant;

use ironpost_store::portable::Progress;
use ironpost_store::portable::export::{Plan, export};
use ironpost_store::portable::format::Record;
use ironpost_store::portable::import::{ImportOptions, import};
use ironpost_store::{Options, Volume};

use crate::Fault;
use crate::arguments::Arguments;
use crate::flow::{delivery, fill, flow};
use crate::letters::{PREFIX, letter};
use crate::report::{head, median, processor, row, say, verdict};
use crate::scratch::Scratch;

/// Megabytes a second.
const SPEED_MIN: f64 = 100.0;
const ROUNDS: usize = 3;
const ACCOUNTS: u64 = 20;

/// Wall time and processor time of a call.
fn timed<R>(call: impl FnOnce() -> Result<R, Fault>) -> Result<(f64, f64, R), Fault> {
    let (began, used) = (Instant::now(), processor());
    let answer = call()?;
    Ok((began.elapsed().as_secs_f64(), processor() - used, answer))
}

/// Both directions.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let messages = arguments.number("messages", 20_000, 50_000)?;
    let octets = arguments.number("octets", 10_000, 10_000)? as usize;
    let scratch = Scratch::new(arguments)?;
    let source = Volume::open(&scratch.path().join("source"), &Options::default())?;
    flow(&source, messages, 1000, |number| {
        let op = delivery(1 + (number % ACCOUNTS) as u32, PREFIX);
        Ok((op, Some(fill(&source, &letter(octets, number))?)))
    })?;
    let path = scratch.path().join("stream");
    let plan = Plan {
        unknown_accounts: true,
        ..Plan::default()
    };
    say(&format!(
        "{messages} messages of {octets} octets in {ACCOUNTS} accounts, all synced; medians of {ROUNDS}. *Copy* is the floor: the \
         export read and written again, synced."
    ))?;
    let megabytes = messages as f64 * octets as f64 / 1e6;
    let (mut exports, mut imports, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (seconds, used, ()) = timed(|| {
            let file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
            let (_, file) = export(source.context(), file, &plan, &Progress::default())?;
            Ok(file.into_inner()?.sync_all()?)
        })?;
        exports.push((seconds, used));
        let (seconds, used, ()) = timed(|| copy(&path, &scratch.path().join("copy")))?;
        copies.push((seconds, used));
        let folder = scratch.path().join(format!("target{round}"));
        let target = Volume::open(&folder, &Options::default())?;
        let (seconds, used, imported) = timed(|| {
            let mut same = |record: &Record| Ok(Some(record.number("Account")));
            let options = ImportOptions::default();
            Ok(import(
                &target,
                File::open(&path)?,
                &options,
                &Progress::default(),
                &mut same,
            )?)
        })?;
        imports.push((seconds, used));
        if imported.stored.messages != messages || imported.stored.damaged != 0 {
            return Err(format!("of {messages} messages: {imported:?}").into());
        }
        target.close();
        std::fs::remove_dir_all(&folder)?;
    }
    source.close();
    head(&["what", "seconds", "MB/s", "CPU seconds", "MB/s of one core"])?;
    let mut speeds = Vec::new();
    for (name, times) in [("export", exports), ("import", imports), ("copy", copies)] {
        let seconds = median(times.iter().map(|time| time.0).collect());
        let used = median(times.iter().map(|time| time.1).collect());
        row([
            name.to_owned(),
            format!("{seconds:.2}"),
            format!("{:.0}", megabytes / seconds),
            format!("{used:.2}"),
            format!("{:.0}", megabytes / used),
        ])?;
        speeds.push((name, megabytes / seconds));
    }
    for (name, speed) in speeds.into_iter().filter(|(name, _)| *name != "copy") {
        verdict(
            name,
            &format!("{speed:.0} MB/s"),
            "more than 100 MB/s",
            speed > SPEED_MIN,
        )?;
    }
    Ok(())
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<(), Fault> {
    let (mut from, to) = (File::open(from)?, File::create(to)?);
    let mut piece = vec![0; 1 << 20];
    loop {
        let count = from.read(&mut piece)?;
        if count == 0 {
            return Ok(to.sync_all()?);
        }
        std::io::Write::write_all(&mut &to, piece.get(..count).unwrap_or_default())?;
    }
}
