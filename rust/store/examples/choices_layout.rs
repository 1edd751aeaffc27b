//! Where the octets of a message go: `choices_layout [--quick] [append] [churn] [open] [inline] [threshold] [codec]`
//! (docs/decisions/0009, 0010, 0012 and 0013).
//!
//! The store itself stands beside bare layouts that do nothing but write what must be written: packs with rows in LMDB,
//! everything in LMDB, a file for each message with rows in LMDB. All get the same messages, in batches of 50; the layouts
//! take turns and medians stand in the tables. Without names all parts run.

mod choices_common;
mod choices_layouts;

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use choices_common::{
    Done, Random, attachment, deliver, disk, flag, folder, forget_pages, mail_size, median, message, percentile,
    processor, refuse_debug_build, say, say_conditions, written,
};
use choices_layouts::{APPENDED, KINDS, Layout, make};
use ironpost_store::db::records::MessageRecord;
use ironpost_store::{Options, Ticket, Volume};

/// A part of the program; the argument is `--quick`.
type Part = fn(bool) -> Done;
/// Messages of a batch: what 50 connections have under way.
const BATCH: usize = 50;

fn main() -> Done {
    refuse_debug_build()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, kind, path, messages] = &arguments[..]
        && child == "fill-and-die"
    {
        return fill_and_die(kind, Path::new(path), messages.parse()?);
    }
    let quick = flag("--quick");
    let parts: [(&str, Part); 6] = [
        ("append", append),
        ("churn", churn),
        ("open", open),
        ("inline", inline),
        ("threshold", threshold),
        ("codec", codec),
    ];
    let all = !parts.iter().any(|(name, _)| flag(name));
    say_conditions()?;
    for (name, part) in parts {
        if all || flag(name) {
            say(&format!("## {name}\n"))?;
            part(quick)?;
            say("")?;
        }
    }
    Ok(())
}

/// Batches from a seed.
struct Mail {
    random: Random,
    number: u64,
    fixed: Option<usize>,
    /// One in twenty has some megabytes.
    attachments: bool,
}

impl Mail {
    fn fixed(octets: usize) -> Self {
        Self {
            random: Random(1),
            number: 0,
            fixed: Some(octets),
            attachments: false,
        }
    }

    fn mixed(attachments: bool) -> Self {
        Self {
            random: Random(2),
            number: 0,
            fixed: None,
            attachments,
        }
    }

    fn batch(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count)
            .map(|_| {
                self.number += 1;
                if self.attachments && self.random.below(20) == 0 {
                    return attachment(1_000_000 + self.random.below(3_000_000), self.number);
                }
                let octets = self.fixed.unwrap_or_else(|| mail_size(&mut self.random));
                message(octets, self.number)
            })
            .collect()
    }
}

/// What appending and reading cost.
#[derive(Default)]
struct Appended {
    per_second: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    disk_octets: Vec<f64>,
    processor: Vec<f64>,
    warm: Vec<f64>,
    cold: Vec<f64>,
}

fn append(quick: bool) -> Done {
    let (rounds, messages, reads) = if quick { (1, 500, 200) } else { (5, 5_000, 2_000) };
    let mut found: Vec<Appended> = APPENDED.iter().map(|_| Appended::default()).collect();
    for _ in 0..rounds {
        for (kind, found) in APPENDED.iter().zip(&mut found) {
            let place = folder()?;
            let mut layout = make(kind, place.path())?;
            let mut mail = Mail::fixed(10_000);
            let (mut times, mut spent) = (Vec::new(), Duration::ZERO);
            let mut ids = layout.append(&mail.batch(BATCH))?;
            let (before, used) = (written(), processor());
            let mut making = Duration::ZERO;
            for _ in 0..messages / BATCH {
                let making_began = processor();
                let batch = mail.batch(BATCH);
                making += processor() - making_began;
                let began = Instant::now();
                ids.extend(layout.append(&batch)?);
                spent += began.elapsed();
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
            let octets = messages as f64 * 10_000.0;
            found.per_second.push(messages as f64 / spent.as_secs_f64());
            found.p50.push(percentile(&mut times, 50.0));
            found.p99.push(percentile(&mut times, 99.0));
            found.disk_octets.push((written() - before) as f64 / octets);
            found
                .processor
                .push((processor() - used - making).as_secs_f64() * 1e6 / messages as f64);
            read_some(layout.as_mut(), &ids, reads)?;
            found.warm.push(read_some(layout.as_mut(), &ids, reads)?.1);
            drop(layout);
            forget_pages(place.path())?;
            let mut layout = make(kind, place.path())?;
            found.cold.push(read_some(layout.as_mut(), &ids, reads / 10)?.0);
        }
    }
    say(&format!(
        "{messages} messages of 10,000 octets in batches of {BATCH}; {reads} reads at random; medians of {rounds} rounds\n"
    ))?;
    say(
        "| layout | messages/s | batch p50 ms | p99 ms | octets written per octet | CPU µs/message | read warm CPU \
         µs | read cold µs |\n|---|---|---|---|---|---|---|---|",
    )?;
    for (kind, found) in APPENDED.iter().zip(found) {
        say(&format!(
            "| {kind} | {:.0} | {:.1} | {:.1} | {:.2} | {:.0} | {:.1} | {:.0} |",
            median(found.per_second),
            median(found.p50),
            median(found.p99),
            median(found.disk_octets),
            median(found.processor),
            median(found.warm),
            median(found.cold)
        ))?;
    }
    Ok(())
}

/// Reads so many at random; microseconds for each by the clock and of the processor.
fn read_some(layout: &mut dyn Layout, ids: &[u64], count: usize) -> Done<(f64, f64)> {
    let mut random = Random(5);
    let (began, used) = (Instant::now(), processor());
    for _ in 0..count {
        let octets = layout.read(ids[random.below(ids.len())])?;
        if octets.is_empty() {
            return Err("an empty message".into());
        }
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    Ok((each(began.elapsed()), each(processor() - used)))
}

fn churn(quick: bool) -> Done {
    let (messages, rounds) = if quick { (1_000, 3) } else { (20_000, 20) };
    let text = "about 600 to 200,000 octets, mean near 10 KB";
    replace(messages, rounds, false, text)?;
    let (messages, rounds) = if quick { (200, 3) } else { (2_000, 20) };
    replace(messages, rounds, true, "as before, but one in twenty has 1 to 4 MB")
}

/// Replaces a twentieth of the messages again and again, as accounts do over the months; then removes nine in ten.
fn replace(messages: usize, rounds: usize, attachments: bool, sizes: &str) -> Done {
    let replaced = messages / 20;
    say(&format!(
        "{messages} messages of mixed sizes ({sizes}), {rounds} times {replaced} of them at random removed and as many new \
         ones added, then nine in ten removed; the store seals and compacts after each round\n"
    ))?;
    say(
        "| layout | first fill messages/s | adding, first 5 rounds | last 5 rounds | slowest batch ms | remove ms/1000 | upkeep \
         ms/round | MB after fill | MB after churn | MB after removal | files | read warm CPU µs after churn |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|",
    )?;
    for kind in KINDS.iter().filter(|kind| **kind != "bare packs") {
        let place = folder()?;
        let mut layout = make(kind, place.path())?;
        let mut mail = Mail::mixed(attachments);
        let mut slowest = 0.0_f64;
        let (mut ids, fill) = add(layout.as_mut(), &mut mail, messages, &mut slowest)?;
        layout.upkeep()?;
        let full = disk(place.path())?.0;
        let mut random = Random(9);
        let (mut adding, mut removing, mut upkeep) = (Vec::new(), Duration::ZERO, Duration::ZERO);
        for _ in 0..rounds {
            let gone = some_of(&mut ids, replaced, &mut random);
            let began = Instant::now();
            for part in gone.chunks(BATCH) {
                layout.remove(part)?;
            }
            removing += began.elapsed();
            let (new, speed) = add(layout.as_mut(), &mut mail, replaced, &mut slowest)?;
            ids.extend(new);
            adding.push(speed);
            let began = Instant::now();
            layout.upkeep()?;
            upkeep += began.elapsed();
        }
        let warm = read_some(layout.as_mut(), &ids, replaced)?.1;
        let (after, files) = disk(place.path())?;
        for part in some_of(&mut ids, messages * 9 / 10, &mut random).chunks(BATCH) {
            layout.remove(part)?;
        }
        layout.upkeep()?;
        drop(layout);
        let left = disk(place.path())?.0;
        say(&format!(
            "| {kind} | {fill:.0} | {:.0} | {:.0} | {slowest:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} | {files} | {warm:.1} |",
            median(adding.iter().take(5).copied().collect()),
            median(adding.iter().rev().take(5).copied().collect()),
            removing.as_secs_f64() * 1e6 / (rounds * replaced) as f64,
            upkeep.as_secs_f64() * 1e3 / rounds as f64,
            full as f64 / 1e6,
            after as f64 / 1e6,
            left as f64 / 1e6,
        ))?;
    }
    say("")
}

/// Takes so many out at random.
fn some_of(ids: &mut Vec<u64>, count: usize, random: &mut Random) -> Vec<u64> {
    (0..count.min(ids.len()))
        .map(|_| ids.swap_remove(random.below(ids.len())))
        .collect()
}

/// Adds messages in batches; their numbers, and how many a second.
fn add(layout: &mut dyn Layout, mail: &mut Mail, count: usize, slowest: &mut f64) -> Done<(Vec<u64>, f64)> {
    let (mut ids, mut spent) = (Vec::with_capacity(count), Duration::ZERO);
    for _ in 0..count / BATCH {
        let batch = mail.batch(BATCH);
        let began = Instant::now();
        ids.extend(layout.append(&batch)?);
        spent += began.elapsed();
        *slowest = slowest.max(began.elapsed().as_secs_f64() * 1e3);
    }
    let speed = ids.len() as f64 / spent.as_secs_f64();
    Ok((ids, speed))
}

/// A process that is gone in the middle of its work.
fn fill_and_die(kind: &str, path: &Path, messages: usize) -> Done {
    let mut layout = make(kind, path)?;
    let mut mail = Mail::fixed(10_000);
    for _ in 0..messages / BATCH {
        layout.append(&mail.batch(BATCH))?;
    }
    std::process::abort();
}

fn open(quick: bool) -> Done {
    let (rounds, messages) = if quick { (1, 500) } else { (3, 10_000) };
    say(&format!(
        "Opening after a process that had added {messages} messages of 10,000 octets was killed; medians of {rounds}\n"
    ))?;
    say("| layout | warm ms | cold ms |\n|---|---|---|")?;
    let (mut warm, mut cold) = (vec![Vec::new(); KINDS.len()], vec![Vec::new(); KINDS.len()]);
    for _ in 0..rounds {
        for (index, kind) in KINDS.iter().enumerate() {
            for (times, forget) in [(&mut warm, false), (&mut cold, true)] {
                let place = folder()?;
                let status = Command::new(std::env::current_exe()?)
                    .arg("fill-and-die")
                    .arg(kind)
                    .arg(place.path())
                    .arg(messages.to_string())
                    .status()?;
                if status.code().is_some() {
                    return Err("the child ended by itself".into());
                }
                if forget {
                    forget_pages(place.path())?;
                }
                let began = Instant::now();
                let layout = make(kind, place.path())?;
                times[index].push(began.elapsed().as_secs_f64() * 1e3);
                drop(layout);
            }
        }
    }
    for ((kind, warm), cold) in KINDS.iter().zip(warm).zip(cold) {
        say(&format!("| {kind} | {:.1} | {:.1} |", median(warm), median(cold)))?;
    }
    Ok(())
}

/// Very small messages: as rows of the index, or in the pack like all others.
fn inline(quick: bool) -> Done {
    let (rounds, batches) = if quick { (1, 20) } else { (5, 150) };
    let mixes: [(&str, usize, usize); 4] = [
        ("all of 1,000 octets, batches of 50", 50, 50),
        ("all of 1,000 octets, alone", 1, 1),
        ("one in eight of 1,000 octets, others 10,000, batches of 50", 50, 6),
        ("one in eight of 1,000 octets, others 10,000, alone", 1, 0),
    ];
    say(&format!("{batches} batches, medians of {rounds} rounds\n"))?;
    say(
        "| mail | layout | messages/s | batch p50 ms | octets written per message | index KB per 1,000 messages | read warm \
         CPU µs |\n|---|---|---|---|---|---|---|",
    )?;
    let kinds = ["bare packs", "small ones inline"];
    for (name, count, small) in mixes {
        let mut found: Vec<[Vec<f64>; 5]> = kinds.iter().map(|_| Default::default()).collect();
        for _ in 0..rounds {
            for (kind, found) in kinds.iter().zip(&mut found) {
                let place = folder()?;
                let mut layout = make(kind, place.path())?;
                let (mut large, mut little) = (Mail::fixed(10_000), Mail::fixed(1_000));
                let (mut ids, mut times, mut spent) = (Vec::new(), Vec::new(), Duration::ZERO);
                layout.append(&large.batch(1))?;
                let before = written();
                for index in 0..batches {
                    let small = if count == 1 && small == 0 {
                        usize::from(index % 8 == 0)
                    } else {
                        small
                    };
                    let mut batch = little.batch(small);
                    batch.extend(large.batch(count - small));
                    let began = Instant::now();
                    ids.extend(layout.append(&batch)?.into_iter().take(small));
                    spent += began.elapsed();
                    times.push(began.elapsed().as_secs_f64() * 1e3);
                }
                let messages = (batches * count) as f64;
                found[0].push(messages / spent.as_secs_f64());
                found[1].push(percentile(&mut times, 50.0));
                found[2].push((written() - before) as f64 / messages);
                found[3].push(disk(&place.path().join("index"))?.0 as f64 / messages);
                found[4].push(read_some(layout.as_mut(), &ids, 2_000)?.1);
            }
        }
        for (kind, found) in kinds.iter().zip(found) {
            let [speed, p50, octets, index, read] = found.map(median);
            say(&format!(
                "| {name} | {kind} | {speed:.0} | {p50:.2} | {octets:.0} | {index:.0} | {read:.1} |"
            ))?;
        }
    }
    Ok(())
}

/// What small and large ones cost beside each other.
#[derive(Default)]
struct Beside {
    small: Vec<f64>,
    small_p50: Vec<f64>,
    small_p99: Vec<f64>,
    large: Vec<f64>,
    large_p50: Vec<f64>,
    large_p99: Vec<f64>,
    memory: Vec<f64>,
}

/// 45 small ones and 5 large ones under way in the store, with bodies up to different sizes in the shared pack.
fn threshold(quick: bool) -> Done {
    let (rounds, length) = if quick {
        (1, Duration::from_millis(500))
    } else {
        (5, Duration::from_secs(2))
    };
    let bounds = [64, 128, 256, 512, 1024];
    let larges = [100_000, 200_000, 400_000, 800_000];
    let mut found: Vec<Beside> = bounds.iter().map(|_| Beside::default()).collect();
    let small: Vec<Vec<u8>> = (0..64).map(|number| message(10_000, number)).collect();
    let large: Vec<Vec<u8>> = larges
        .iter()
        .map(|octets| attachment(*octets, *octets as u64))
        .collect();
    for _ in 0..rounds {
        for (bound, found) in bounds.iter().zip(&mut found) {
            beside(*bound << 10, length, &small, &large, found)?;
        }
    }
    say(&format!(
        "45 deliveries of 10,000 octets and 5 of {larges:?} octets (base64) under way; {rounds} rounds of {:.1} s, medians\n",
        length.as_secs_f64()
    ))?;
    say(
        "| shared up to | small/s | small p50 ms | small p99 ms | large/s | large p50 ms | large p99 ms | sinks hold at \
         most MB |\n|---|---|---|---|---|---|---|---|",
    )?;
    for (bound, found) in bounds.iter().zip(found) {
        say(&format!(
            "| {bound} KiB | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            median(found.small),
            median(found.small_p50),
            median(found.small_p99),
            median(found.large),
            median(found.large_p50),
            median(found.large_p99),
            median(found.memory) / 1e6
        ))?;
    }
    Ok(())
}

fn beside(bound: usize, length: Duration, small: &[Vec<u8>], large: &[Vec<u8>], found: &mut Beside) -> Done {
    let place = folder()?;
    let options = Options {
        min_free: 0,
        map_size: 8 << 30,
        shared_body: bound,
        ..Options::default()
    };
    let volume = Volume::open(place.path(), &options)?;
    let mut waiting: HashMap<Ticket, (bool, Instant)> = HashMap::new();
    let mut under_way = [0_usize; 2];
    let (mut times, mut number, mut memory) = ([Vec::new(), Vec::new()], 0_usize, 0);
    let began = Instant::now();
    loop {
        let over = began.elapsed() >= length;
        for (is_large, wanted, bodies) in [(true, 5, large), (false, 45, small)] {
            while !over && under_way[usize::from(is_large)] < wanted {
                number += 1;
                let at = Instant::now();
                let ticket = deliver(&volume, 1 + (number % 100) as u32, &bodies[number % bodies.len()])?;
                waiting.insert(ticket, (is_large, at));
                under_way[usize::from(is_large)] += 1;
            }
        }
        memory = memory.max(volume.metrics()["sink_bytes"]);
        if waiting.is_empty() {
            break;
        }
        volume.wait(Duration::from_secs(30))?;
        for (ticket, result) in volume.completions(1024) {
            result?;
            if let Some((is_large, at)) = waiting.remove(&ticket) {
                under_way[usize::from(is_large)] -= 1;
                times[usize::from(is_large)].push(at.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let [small, large] = &mut times;
    found.small.push(small.len() as f64 / seconds);
    found.small_p50.push(percentile(small, 50.0));
    found.small_p99.push(percentile(small, 99.0));
    found.large.push(large.len() as f64 / seconds);
    found.large_p50.push(percentile(large, 50.0));
    found.large_p99.push(percentile(large, 99.0));
    found.memory.push(memory as f64);
    Ok(())
}

/// Encoding and decoding the hot row.
fn codec(quick: bool) -> Done {
    let count = if quick { 100_000 } else { 10_000_000_u64 };
    let row = |number: u64| MessageRecord {
        flags: (number & 31) as u8,
        internal_zone: 60,
        blob: number,
        prefix: number + 1,
        modseq: number,
        internal_date: 1_700_000_000,
        size: 10_000,
        prefix_len: 80,
        saved: 1_700_000_000,
        ..MessageRecord::default()
    };
    let encoded: Vec<[u8; MessageRecord::OCTETS]> = (0..1024).map(|number| row(number).encode()).collect();
    let (mut encoding, mut decoding) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let began = processor();
        for number in 0..count {
            black_box(black_box(row(number)).encode());
        }
        encoding.push((processor() - began).as_secs_f64() * 1e9 / count as f64);
        let began = processor();
        for number in 0..count {
            black_box(MessageRecord::decode(black_box(&encoded[(number & 1023) as usize])).ok_or("damaged")?);
        }
        decoding.push((processor() - began).as_secs_f64() * 1e9 / count as f64);
    }
    say(&format!(
        "a hot row of {} octets: encoded in {:.1} ns, decoded in {:.1} ns (CPU, medians of 5 times {count})",
        MessageRecord::OCTETS,
        median(encoding),
        median(decoding)
    ))
}
