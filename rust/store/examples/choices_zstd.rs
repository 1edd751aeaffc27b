//! Compression of records, and how much of mail is very small: `choices_zstd [--quick] CORPORA` (docs/decisions/0010 and 0011).
//!
//! CORPORA is a folder of messages, one a file; archives `*.tar.xz` in it are unpacked. Processor time is that of the
//! process, which runs one thread.

mod choices_common;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use choices_common::{Done, flag, folder, median, message, processor, refuse_debug_build, say, say_conditions};
use ironpost_mime::{Limits, Structure};
use ironpost_store::card;
use zstd::bulk::{Compressor, Decompressor};

/// Octets of contents that are compressed alone, as the store does it.
const FRAME: usize = 128 * 1024;
/// Octets of a dictionary, zstd's own recommendation.
const DICTIONARY: usize = 112_640;
/// Size classes: upper bounds in octets, and names.
const CLASSES: [(usize, &str); 5] = [
    (1024, "below 1 KiB"),
    (4096, "1-4 KiB"),
    (16_384, "4-16 KiB"),
    (65_536, "16-64 KiB"),
    (usize::MAX, "above 64 KiB"),
];

/// A way to store contents.
#[derive(Clone)]
struct Way {
    name: &'static str,
    level: Option<i32>,
    threshold: usize,
    dictionary: Vec<u8>,
}

/// What a way did to some messages.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    stored: usize,
    compressed: usize,
    write: Duration,
    read: Duration,
    /// With a context made for each message.
    read_anew: Duration,
}

/// Stores and reads all messages; contents that do not shrink by an eighth stay plain.
fn measure(way: &Way, messages: &[&Vec<u8>]) -> Done<Cost> {
    let mut cost = Cost::default();
    let Some(level) = way.level else {
        let began = processor();
        let mut copies = Vec::with_capacity(messages.len());
        for message in messages {
            copies.push(message.to_vec());
            cost.stored += message.len();
        }
        cost.write = processor() - began;
        let began = processor();
        let mut out = Vec::new();
        for copy in &copies {
            out.clear();
            out.extend_from_slice(copy);
        }
        cost.read = processor() - began;
        return Ok(cost);
    };
    let mut compressor = Compressor::with_dictionary(level, &way.dictionary)?;
    let mut decompressor = Decompressor::with_dictionary(&way.dictionary)?;
    let mut kept: Vec<(bool, Vec<Vec<u8>>)> = Vec::with_capacity(messages.len());
    let began = processor();
    for message in messages {
        let frames = if message.len() >= way.threshold {
            message
                .chunks(FRAME)
                .map(|frame| compressor.compress(frame))
                .collect::<Result<Vec<_>, _>>()?
        } else {
            Vec::new()
        };
        let octets: usize = frames.iter().map(Vec::len).sum();
        if !frames.is_empty() && octets <= message.len() - message.len() / 8 {
            cost.stored += octets;
            cost.compressed += 1;
            kept.push((true, frames));
        } else {
            cost.stored += message.len();
            kept.push((false, vec![message.to_vec()]));
        }
    }
    cost.write = processor() - began;
    let began = processor();
    let mut out = vec![0; FRAME];
    for (compressed, frames) in &kept {
        for frame in frames {
            if *compressed {
                decompressor.decompress_to_buffer(frame, &mut out[..])?;
            } else {
                out.clear();
                out.extend_from_slice(frame);
                out.resize(FRAME, 0);
            }
        }
    }
    cost.read = processor() - began;
    if way.dictionary.is_empty() {
        let began = processor();
        for frame in kept
            .iter()
            .filter(|(compressed, _)| *compressed)
            .flat_map(|(_, frames)| frames)
        {
            out.resize(FRAME, 0);
            zstd::bulk::decompress_to_buffer(frame, &mut out[..])?;
        }
        cost.read_anew = processor() - began;
    }
    Ok(cost)
}

/// All files below that look like messages, with CRLF and without an mbox's separator, as a server would get them.
fn gather(path: &Path, wanted: fn(&str) -> bool, messages: &mut Vec<Vec<u8>>) -> Done {
    let mut entries = std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            gather(&path, wanted, messages)?;
            continue;
        }
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let is_message = [".eml", ".txt", ".msg"].iter().any(|end| name.ends_with(end));
        if !is_message || !wanted(&path.to_string_lossy()) || name.starts_with("source") || name.starts_with("license")
        {
            continue;
        }
        let mut octets = std::fs::read(&path)?;
        if octets.starts_with(b"From ")
            && let Some(end) = octets.iter().position(|&octet| octet == b'\n')
        {
            octets.drain(..=end);
        }
        let mut message = Vec::with_capacity(octets.len() + octets.len() / 32);
        for (index, &octet) in octets.iter().enumerate() {
            if octet == b'\n' && (index == 0 || octets[index - 1] != b'\r') {
                message.push(b'\r');
            }
            message.push(octet);
        }
        if !message.is_empty() {
            messages.push(message);
        }
    }
    Ok(())
}

fn unpack(corpora: &Path, into: &Path) -> Done {
    for entry in std::fs::read_dir(corpora)? {
        let path = entry?.path();
        if path.is_dir() {
            unpack(&path, into)?;
        } else if path.to_string_lossy().ends_with(".tar.xz") {
            let status = Command::new("tar")
                .arg("-xJf")
                .arg(&path)
                .arg("-C")
                .arg(into)
                .status()?;
            if !status.success() {
                return Err(format!("tar cannot unpack {}", path.display()).into());
            }
        }
    }
    Ok(())
}

/// What the store does to each message beside compressing it: MIME table, card, digest, checksum.
fn rest_of_preparing(messages: &[&Vec<u8>]) -> Done<Duration> {
    let began = processor();
    let mut octets = 0;
    for message in messages {
        let structure = Structure::parse(message, &Limits::default());
        let mut table = Vec::new();
        structure.encode(&mut table);
        octets += table.len() + card::build(message, &structure).len();
        octets += usize::from(blake3::hash(message).as_bytes()[0]) + crc32fast::hash(message) as usize % 2;
    }
    if octets == 0 {
        return Err("no messages".into());
    }
    Ok(processor() - began)
}

fn main() -> Done {
    refuse_debug_build()?;
    let quick = flag("--quick");
    let corpora = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"))
        .ok_or("name the folder of corpora")?;
    say_conditions()?;
    let place = folder()?;
    unpack(Path::new(&corpora), place.path())?;
    let mut real = Vec::new();
    gather(place.path(), |_| true, &mut real)?;
    let packed = real.len();
    gather(Path::new(&corpora), |_| true, &mut real)?;
    say(&format!("{} messages, {packed} of them out of archives", real.len()))?;
    shares(&real)?;
    if quick {
        real.truncate(1000);
    }
    // Trained on every second message, measured on the others.
    let (train, held): (Vec<_>, Vec<_>) = real.iter().enumerate().partition(|(index, _)| index % 2 == 0);
    let dictionary = trained(train.into_iter().map(|(_, message)| message))?;
    let held: Vec<&Vec<u8>> = held.into_iter().map(|(_, message)| message).collect();
    let with_dictionary = ways(&dictionary);
    table(
        "held-out half of the corpora",
        &with_dictionary,
        &held,
        if quick { 1 } else { 5 },
    )?;
    for (index, (bound, name)) in CLASSES.iter().enumerate() {
        let least = if index == 0 { 0 } else { CLASSES[index - 1].0 };
        let class: Vec<&Vec<u8>> = held
            .iter()
            .copied()
            .filter(|message| (least..*bound).contains(&message.len()))
            .collect();
        if !class.is_empty() {
            table(name, &with_dictionary, &class, if quick { 1 } else { 3 })?;
        }
    }
    // A dictionary of one kind of mail, tried on another.
    let (mut easy, mut others) = (Vec::new(), Vec::new());
    gather(place.path(), |path| path.contains("easy-ham"), &mut easy)?;
    gather(place.path(), |path| !path.contains("easy-ham"), &mut others)?;
    if !easy.is_empty() && !others.is_empty() {
        let others: Vec<&Vec<u8>> = others.iter().collect();
        let name = "hard ham and spam, dictionary of easy ham";
        table(name, &ways(&trained(&easy)?), &others, if quick { 1 } else { 5 })?;
    }
    let generated: Vec<Vec<u8>> = (0..500).map(|number| message(10_000, number)).collect();
    let generated: Vec<&Vec<u8>> = generated.iter().collect();
    table(
        "generated, 10 KB",
        &with_dictionary[..4],
        &generated,
        if quick { 1 } else { 3 },
    )?;
    std::io::stdout().flush()?;
    Ok(())
}

fn trained<'m>(messages: impl IntoIterator<Item = &'m Vec<u8>>) -> Done<Vec<u8>> {
    let samples: Vec<&[u8]> = messages
        .into_iter()
        .map(|message| &message[..message.len().min(16_384)])
        .collect();
    Ok(zstd::dict::from_samples(&samples, DICTIONARY)?)
}

fn ways(dictionary: &[u8]) -> Vec<Way> {
    let way = |name, level, threshold, dictionary: &[u8]| Way {
        name,
        level,
        threshold,
        dictionary: dictionary.to_vec(),
    };
    vec![
        way("plain", None, 0, &[]),
        way("level 1 above 1 KiB", Some(1), 1024, &[]),
        way("level 3 above 1 KiB", Some(3), 1024, &[]),
        way("level 9 above 1 KiB", Some(9), 1024, &[]),
        way("level -1 above 1 KiB", Some(-1), 1024, &[]),
        way("level 1 above 512", Some(1), 512, &[]),
        way("level 1 above 4 KiB", Some(1), 4096, &[]),
        way("level 1 always", Some(1), 0, &[]),
        way("level 1 with dictionary", Some(1), 0, dictionary),
        way("level 3 with dictionary", Some(3), 0, dictionary),
    ]
}

/// How much of the mail is very small.
fn shares(messages: &[Vec<u8>]) -> Done {
    let octets: usize = messages.iter().map(Vec::len).sum();
    for bound in [512, 1024, 1536, 2048, 4096] {
        let small = messages.iter().filter(|message| message.len() <= bound);
        let (count, below) = small.fold((0, 0), |sum, message| (sum.0 + 1, sum.1 + message.len()));
        say(&format!(
            "up to {bound} octets: {:.1} % of messages, {:.2} % of octets",
            count as f64 * 100.0 / messages.len() as f64,
            below as f64 * 100.0 / octets as f64
        ))?;
    }
    say("")
}

/// The ways take turns; medians of `rounds`.
fn table(name: &str, ways: &[Way], messages: &[&Vec<u8>], rounds: usize) -> Done {
    let octets: usize = messages.iter().map(|message| message.len()).sum();
    let count = messages.len() as f64;
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); ways.len()];
    let mut rest = Vec::new();
    for _ in 0..rounds {
        for (way, costs) in ways.iter().zip(&mut costs) {
            costs.push(measure(way, messages)?);
        }
        rest.push(rest_of_preparing(messages)?.as_secs_f64() * 1e6 / count);
    }
    say(&format!(
        "{name}: {} messages, {:.0} octets each; MIME table, card, digest and checksum {:.0} µs\n",
        messages.len(),
        octets as f64 / count,
        median(rest)
    ))?;
    say(
        "| way | stored octets | of plain | compressed | write µs | read µs | read anew µs | µs per KB saved |\n|---|---|---|---|---|---|---|---|",
    )?;
    for (way, costs) in ways.iter().zip(&costs) {
        let micros = |field: fn(&Cost) -> Duration| {
            median(
                costs
                    .iter()
                    .map(|cost| field(cost).as_secs_f64() * 1e6 / count)
                    .collect(),
            )
        };
        let cost = costs.first().copied().unwrap_or_default();
        let saved = (octets - cost.stored) as f64 / 1000.0 / count;
        let write = micros(|cost| cost.write);
        say(&format!(
            "| {} | {:.0} | {:.1} % | {:.0} % | {write:.1} | {:.1} | {:.1} | {} |",
            way.name,
            cost.stored as f64 / count,
            cost.stored as f64 * 100.0 / octets as f64,
            cost.compressed as f64 * 100.0 / count,
            micros(|cost| cost.read),
            micros(|cost| cost.read_anew),
            if saved > 0.0 {
                format!("{:.1}", write / saved)
            } else {
                "-".to_owned()
            }
        ))?;
    }
    say("")
}
