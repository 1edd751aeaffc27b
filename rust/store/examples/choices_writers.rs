//! One environment or several, and who writes: `choices_writers [--quick]` (docs/decisions/0004 and 0007).
//!
//! Starts processes of itself on one volume, or opens several volumes, with the same number of deliveries under way in
//! all; then prints what an environment for each account would cost. The options take turns; medians stand in the tables.

mod choices_common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use choices_common::{
    Done, deliver, disk, flag, folder, median, message, percentile, processor, refuse_debug_build, say, say_conditions,
};
use crossbeam_channel::Receiver;
use heed::types::Bytes;
use heed::{Database, EnvOpenOptions};
use ironpost_store::{Options, Outcome, Ticket, Volume};

/// Octets of a message.
const OCTETS: usize = 10_000;
/// Deliveries under way, in all processes together.
const OUTSTANDING: usize = 48;

/// What one process, or one volume, has done.
#[derive(Clone, Debug, Default)]
struct Tally {
    messages: u64,
    commits: u64,
    pack_syncs: u64,
    processor: f64,
    /// Milliseconds of each delivery.
    times: Vec<f64>,
}

/// One line of a table.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    messages: f64,
    commits: f64,
    syncs: f64,
    batch: f64,
    p50: f64,
    p99: f64,
    max: f64,
    /// Least and greatest share that a process had of the messages, as a ratio.
    fairness: f64,
    processor: f64,
}

impl Row {
    fn of(tallies: &[Tally], seconds: f64) -> Self {
        let sum = |field: fn(&Tally) -> f64| tallies.iter().map(field).sum::<f64>();
        let messages = sum(|tally| tally.messages as f64);
        let commits = sum(|tally| tally.commits as f64);
        let mut times: Vec<f64> = tallies.iter().flat_map(|tally| tally.times.iter().copied()).collect();
        let shares = tallies.iter().map(|tally| tally.messages);
        Self {
            messages: messages / seconds,
            commits: commits / seconds,
            // A commit syncs the data pages, then writes the meta page synchronously.
            syncs: (sum(|tally| tally.pack_syncs as f64) + 2.0 * commits) / seconds,
            batch: messages / commits,
            p50: percentile(&mut times, 50.0),
            p99: percentile(&mut times, 99.0),
            max: percentile(&mut times, 100.0),
            fairness: shares.clone().min().unwrap_or(0) as f64 / shares.max().unwrap_or(1).max(1) as f64,
            processor: sum(|tally| tally.processor) * 1e6 / messages,
        }
    }

    fn median(rows: &[Self]) -> Self {
        let of = |field: fn(&Self) -> f64| median(rows.iter().map(field).collect());
        Self {
            messages: of(|row| row.messages),
            commits: of(|row| row.commits),
            syncs: of(|row| row.syncs),
            batch: of(|row| row.batch),
            p50: of(|row| row.p50),
            p99: of(|row| row.p99),
            max: of(|row| row.max),
            fairness: of(|row| row.fairness),
            processor: of(|row| row.processor),
        }
    }

    fn line(&self, name: &str) -> String {
        format!(
            "| {name} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} | {:.0} | {:.2} | {:.0} |",
            self.messages,
            self.commits,
            self.syncs,
            self.batch,
            self.p50,
            self.p99,
            self.max,
            self.fairness,
            self.processor
        )
    }
}

const HEADING: &str = "| option | messages/s | commits/s | syncs/s | messages/commit | p50 ms | p99 ms | max ms | \
                       min/max share | CPU µs/message |\n|---|---|---|---|---|---|---|---|---|---|";

fn options() -> Options {
    Options {
        min_free: 0,
        map_size: 8 << 30,
        ..Options::default()
    }
}

fn bodies() -> Vec<Vec<u8>> {
    (0..64).map(|number| message(OCTETS, number)).collect()
}

/// Keeps `outstanding` deliveries under way in each of the volumes until the time is up.
fn drive(volumes: &[Volume], outstanding: usize, length: Duration) -> Done<Tally> {
    let bodies = bodies();
    let mut waiting: Vec<HashMap<Ticket, Instant>> = volumes.iter().map(|_| HashMap::new()).collect();
    let before = counts(volumes);
    let used = processor();
    let mut tally = Tally::default();
    let mut number = std::process::id() as usize;
    let began = Instant::now();
    loop {
        let over = began.elapsed() >= length;
        for (volume, waiting) in volumes.iter().zip(&mut waiting) {
            while !over && waiting.len() < outstanding {
                number += 1;
                let ticket = deliver(volume, 1 + (number % 200) as u32, &bodies[number % bodies.len()])?;
                waiting.insert(ticket, Instant::now());
            }
        }
        if waiting.iter().all(HashMap::is_empty) {
            break;
        }
        // With one volume its descriptor is waited for; with several, that of any.
        wait_any(volumes)?;
        for (volume, waiting) in volumes.iter().zip(&mut waiting) {
            for (ticket, result) in volume.completions(1024) {
                result?;
                if let Some(started) = waiting.remove(&ticket) {
                    tally.times.push(started.elapsed().as_secs_f64() * 1e3);
                    tally.messages += 1;
                }
            }
        }
    }
    let after = counts(volumes);
    tally.commits = after.0 - before.0;
    tally.pack_syncs = after.1 - before.1;
    tally.processor = (processor() - used).as_secs_f64();
    Ok(tally)
}

fn counts(volumes: &[Volume]) -> (u64, u64) {
    volumes.iter().fold((0, 0), |sum, volume| {
        let metrics = volume.metrics();
        (sum.0 + metrics["commits"], sum.1 + metrics["pack_syncs"])
    })
}

fn wait_any(volumes: &[Volume]) -> Done {
    use std::os::fd::BorrowedFd;
    let descriptors: Vec<BorrowedFd<'_>> = volumes
        .iter()
        // SAFETY: the volumes outlive this function, and their descriptors live as long as they do.
        .map(|volume| unsafe { BorrowedFd::borrow_raw(volume.descriptor()) })
        .collect();
    let mut polled: Vec<rustix::event::PollFd<'_>> = descriptors
        .iter()
        .map(|descriptor| rustix::event::PollFd::new(descriptor, rustix::event::PollFlags::IN))
        .collect();
    let limit = rustix::time::Timespec { tv_sec: 30, tv_nsec: 0 };
    if rustix::event::poll(&mut polled, Some(&limit))? == 0 {
        return Err("nothing completed in 30 s".into());
    }
    Ok(())
}

// ---- processes ------------------------------------------------------------------------------------------------------

/// `child`: says "ready", waits for a line, drives the volume, prints its tally and times.
fn child(arguments: &[String]) -> Done {
    let [folder, outstanding, millis] = arguments else {
        return Err("child FOLDER OUTSTANDING MILLIS".into());
    };
    let volumes = [Volume::open(Path::new(folder), &options())?];
    say("ready")?;
    std::io::stdin().read_line(&mut String::new())?;
    let tally = drive(&volumes, outstanding.parse()?, Duration::from_millis(millis.parse()?))?;
    report(&tally)
}

fn report(tally: &Tally) -> Done {
    let times: Vec<String> = tally.times.iter().map(|time| format!("{time:.3}")).collect();
    say(&format!(
        "{} {} {} {} {}",
        tally.messages,
        tally.commits,
        tally.pack_syncs,
        tally.processor,
        times.join(",")
    ))
}

fn spawn(arguments: &[String]) -> Done<(Child, BufReader<std::process::ChildStdout>)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    output.read_line(&mut line)?;
    if line != "ready\n" {
        return Err(format!("a child said {line:?}").into());
    }
    Ok((child, output))
}

fn collect(children: Vec<(Child, BufReader<std::process::ChildStdout>)>) -> Done<Vec<Tally>> {
    let mut children = children;
    for (child, _) in &mut children {
        child.stdin.take().ok_or("no input")?.write_all(b"go\n")?;
    }
    let mut tallies = Vec::new();
    for (mut child, mut output) in children {
        let mut line = String::new();
        output.read_line(&mut line)?;
        child.wait()?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [messages, commits, pack_syncs, processor, times] = words[..] else {
            return Err(format!("a child said {line:?}").into());
        };
        tallies.push(Tally {
            messages: messages.parse()?,
            commits: commits.parse()?,
            pack_syncs: pack_syncs.parse()?,
            processor: processor.parse()?,
            times: times.split(',').map(str::parse).collect::<Result<_, _>>()?,
        });
    }
    Ok(tallies)
}

/// Each of `writers` processes has the volume open and writes.
fn writers(count: usize, outstanding: usize, length: Duration) -> Done<Row> {
    let place = folder()?;
    drop(Volume::open(place.path(), &options())?);
    let arguments = [
        "child".to_owned(),
        place.path().display().to_string(),
        outstanding.to_string(),
        length.as_millis().to_string(),
    ];
    let children = (0..count).map(|_| spawn(&arguments)).collect::<Done<Vec<_>>>()?;
    Ok(Row::of(&collect(children)?, length.as_secs_f64()))
}

/// `sender`: as a worker without a store of its own: bodies go through a socket to the process that has it.
fn sender(arguments: &[String]) -> Done {
    let [socket, outstanding, millis] = arguments else {
        return Err("sender SOCKET OUTSTANDING MILLIS".into());
    };
    let mut stream = UnixStream::connect(socket)?;
    let (outstanding, length): (usize, _) = (outstanding.parse()?, Duration::from_millis(millis.parse()?));
    say("ready")?;
    std::io::stdin().read_line(&mut String::new())?;
    let bodies = bodies();
    let used = processor();
    let mut tally = Tally::default();
    let mut started: HashMap<u64, Instant> = HashMap::new();
    let mut number = 0_u64;
    let began = Instant::now();
    let mut answers = vec![0; 8 * outstanding];
    let mut kept = 0;
    loop {
        while began.elapsed() < length && started.len() < outstanding {
            number += 1;
            stream.write_all(&number.to_le_bytes())?;
            stream.write_all(&bodies[number as usize % bodies.len()])?;
            started.insert(number, Instant::now());
        }
        if started.is_empty() {
            break;
        }
        kept += stream.read(&mut answers[kept..])?;
        for answer in answers[..kept].as_chunks::<8>().0 {
            if let Some(at) = started.remove(&u64::from_le_bytes(*answer)) {
                tally.times.push(at.elapsed().as_secs_f64() * 1e3);
                tally.messages += 1;
            }
        }
        answers.copy_within(kept / 8 * 8..kept, 0);
        kept %= 8;
    }
    drop(stream);
    tally.processor = (processor() - used).as_secs_f64();
    report(&tally)
}

/// One process has the store; `count` others send it their bodies.
fn store_process(count: usize, outstanding: usize, length: Duration) -> Done<Row> {
    let place = folder()?;
    let socket = place.path().join("socket");
    let listener = UnixListener::bind(&socket)?;
    let volumes = [Volume::open(&place.path().join("volume"), &options())?];
    let volume = &volumes[0];
    let arguments = [
        "sender".to_owned(),
        socket.display().to_string(),
        outstanding.to_string(),
        length.as_millis().to_string(),
    ];
    let mut children = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..count {
        children.push(spawn(&arguments)?);
        streams.push(listener.accept()?.0);
    }
    let before = counts(&volumes);
    let used = processor();
    let (told, tickets) = crossbeam_channel::unbounded();
    let tallies = std::thread::scope(|scope| -> Done<Vec<Tally>> {
        for (index, stream) in streams.iter().enumerate() {
            let told = told.clone();
            let mut stream = stream.try_clone()?;
            scope.spawn(move || {
                let mut head = [0; 8];
                let mut body = vec![0; OCTETS];
                while stream.read_exact(&mut head).is_ok() && stream.read_exact(&mut body).is_ok() {
                    let number = u64::from_le_bytes(head);
                    // A refusal ends the stream, and so the measurement.
                    let Ok(ticket) = deliver(volume, 1 + (number % 200) as u32, &body) else {
                        return;
                    };
                    let _ = told.send((ticket, index, number));
                }
            });
        }
        drop(told);
        let answers = scope.spawn(|| answer(volume, &tickets, &streams).map_err(|error| error.to_string()));
        let tallies = collect(children)?;
        answers.join().map_err(|_| "the answering thread panicked")??;
        Ok(tallies)
    });
    let mut tallies = tallies?;
    let after = counts(&volumes);
    tallies[0].commits = after.0 - before.0;
    tallies[0].pack_syncs = after.1 - before.1;
    tallies[0].processor += (processor() - used).as_secs_f64();
    Ok(Row::of(&tallies, length.as_secs_f64()))
}

/// Tells each sender what has completed, until all streams have ended.
fn answer(volume: &Volume, tickets: &Receiver<(Ticket, usize, u64)>, streams: &[UnixStream]) -> Done {
    let mut senders: HashMap<Ticket, (usize, u64)> = HashMap::new();
    let mut early: Vec<Ticket> = Vec::new();
    loop {
        let mut ended = false;
        loop {
            match tickets.try_recv() {
                Ok((ticket, index, number)) => {
                    senders.insert(ticket, (index, number));
                }
                Err(crossbeam_channel::TryRecvError::Empty) => break,
                Err(crossbeam_channel::TryRecvError::Disconnected) => {
                    ended = true;
                    break;
                }
            }
        }
        let finished = std::mem::take(&mut early);
        for ticket in finished {
            match senders.remove(&ticket) {
                Some((index, number)) => {
                    let mut stream = &streams[index];
                    stream.write_all(&number.to_le_bytes())?;
                }
                None => early.push(ticket),
            }
        }
        if ended && senders.is_empty() {
            return Ok(());
        }
        volume.wait(Duration::from_millis(if early.is_empty() { 50 } else { 0 }))?;
        for (ticket, result) in volume.completions(1024) {
            match result? {
                Outcome::Submitted(..) => early.push(ticket),
                other => return Err(format!("unexpected {other:?}").into()),
            }
        }
    }
}

// ---- volumes --------------------------------------------------------------------------------------------------------

/// One process with `count` volumes on the same disk.
fn volumes(count: usize, outstanding: usize, length: Duration) -> Done<Row> {
    let place = folder()?;
    let volumes = (0..count)
        .map(|index| Ok(Volume::open(&place.path().join(index.to_string()), &options())?))
        .collect::<Done<Vec<_>>>()?;
    let tally = drive(&volumes, outstanding / count, length)?;
    Ok(Row::of(&[tally], length.as_secs_f64()))
}

/// What an environment for each account costs: opening, descriptors, maps, memory, disk, and commits.
fn environments(count: usize) -> Done {
    let place = folder()?;
    // The soft bound of descriptors is below what this needs.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    let before = status();
    let began = Instant::now();
    let mut open = Vec::new();
    let mut fault = None;
    for index in 0..count {
        let path = place.path().join(index.to_string());
        std::fs::create_dir(&path)?;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        // As LMDB has it by default a reader table takes 8 KiB; the store's own 2,048 slots would take 128 KiB.
        options.map_size(1 << 30).max_dbs(24);
        // SAFETY: the folder is this program's own, and LMDB alone touches the files in it.
        let env = match unsafe { options.open(&path) } {
            Ok(env) => env,
            Err(error) => {
                fault = Some(error.to_string());
                break;
            }
        };
        let mut txn = env.write_txn()?;
        let table: Database<Bytes, Bytes> = env.create_database(&mut txn, Some("messages"))?;
        table.put(&mut txn, b"key", &[0; 64])?;
        txn.commit()?;
        open.push((env, table));
    }
    let opened = open.len().max(1) as f64;
    let took = began.elapsed();
    let after = status();
    let (octets, files) = disk(place.path())?;
    say(&format!(
        "{} environments of 1 GiB of map each{}: made in {:.1} s ({:.2} ms each), {:.1} descriptors, {:.1} maps, \
         {:.1} KB resident and {:.1} KB of disk each, {files} files, {:.1} TiB of address space",
        open.len(),
        fault.map_or(String::new(), |fault| format!(" (then: {fault})")),
        took.as_secs_f64(),
        took.as_secs_f64() * 1e3 / opened,
        (after.0 - before.0) / opened,
        (after.1 - before.1) / opened,
        (after.2 - before.2) / opened,
        octets as f64 / 1024.0 / opened,
        (after.3 - before.3) / 1024.0 / 1024.0 / 1024.0,
    ))?;
    // A batch of 48 deliveries: one transaction in one environment, or one in each of 48.
    let batch = OUTSTANDING.min(open.len());
    let (mut one, mut each) = (Vec::new(), Vec::new());
    for round in 0..60_u32 {
        let began = Instant::now();
        let (env, table) = &open[0];
        let mut txn = env.write_txn()?;
        for index in 0..batch as u32 {
            table.put(
                &mut txn,
                &[round.to_be_bytes(), index.to_be_bytes()].concat(),
                &[1; 700],
            )?;
        }
        txn.commit()?;
        one.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        for (env, table) in &open[..batch] {
            let mut txn = env.write_txn()?;
            table.put(&mut txn, &round.to_be_bytes(), &[1; 700])?;
            txn.commit()?;
        }
        each.push(began.elapsed().as_secs_f64() * 1e3);
    }
    say(&format!(
        "a batch of {batch} rows of 700 octets: {:.2} ms in one environment, {:.2} ms in {batch}",
        median(one),
        median(each)
    ))
}

/// Descriptors, maps, resident KiB and KiB of address space of this process.
fn status() -> (f64, f64, f64, f64) {
    let count = |path: &str| std::fs::read_dir(path).map_or(0, Iterator::count) as f64;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(0.0)
    };
    (
        count("/proc/self/fd"),
        maps.lines().count() as f64,
        field("VmRSS:"),
        field("VmSize:"),
    )
}

fn main() -> Done {
    refuse_debug_build()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("child") => return child(&arguments[1..]),
        Some("sender") => return sender(&arguments[1..]),
        _ => {}
    }
    let quick = flag("--quick");
    let (rounds, length) = if quick {
        (1, Duration::from_millis(500))
    } else {
        (5, Duration::from_secs(2))
    };
    say_conditions()?;
    say(&format!(
        "{OUTSTANDING} deliveries of {OCTETS} octets under way; {rounds} rounds of {:.1} s, medians\n",
        length.as_secs_f64()
    ))?;
    type Measure = Box<dyn Fn() -> Done<Row>>;
    let mut options: Vec<(String, Measure)> = Vec::new();
    for count in [1, 2, 4] {
        options.push((
            format!("{count} writing, {} each", OUTSTANDING / count),
            Box::new(move || writers(count, OUTSTANDING / count, length)),
        ));
    }
    for count in [2, 4] {
        options.push((
            format!("store process for {count}, {} each", OUTSTANDING / count),
            Box::new(move || store_process(count, OUTSTANDING / count, length)),
        ));
    }
    for count in [2, 4] {
        options.push((
            format!("{count} writing, {OUTSTANDING} each"),
            Box::new(move || writers(count, OUTSTANDING, length)),
        ));
    }
    for count in [1, 2, 4] {
        options.push((
            format!("{count} writing, 1 each"),
            Box::new(move || writers(count, 1, length)),
        ));
    }
    for count in [1, 2, 4] {
        options.push((
            format!("one process, {count} volumes, {} each", OUTSTANDING / count),
            Box::new(move || volumes(count, OUTSTANDING, length)),
        ));
    }
    let mut rows: Vec<Vec<Row>> = options.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (rows, (_, measure)) in rows.iter_mut().zip(&options) {
            rows.push(measure()?);
        }
    }
    say(HEADING)?;
    for (rows, (name, _)) in rows.iter().zip(&options) {
        say(&Row::median(rows).line(name))?;
    }
    say("")?;
    environments(if quick { 200 } else { 10_000 })
}
