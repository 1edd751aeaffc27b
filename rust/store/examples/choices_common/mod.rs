//! What the programs behind `docs/decisions/` share: messages from a seed, folders on a real disk, medians, and what the
//! machine was doing.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each program uses a part of it, and none of it is a library"
)]

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ironpost_proto::body::BodySink;
use ironpost_store::ops::{Delivery, Submit};
use ironpost_store::sink::Sink;
use ironpost_store::{Op, Ticket, Volume};

/// What a program or a step of it answers.
pub type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// `statfs` of tmpfs: nothing is durable there, and a sync costs nothing.
const TMPFS: u64 = 0x0102_1994;

/// Numbers from a seed; the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// A message of exactly so many octets, of English words and numbers: zstd makes a third of it.
pub fn message(octets: usize, number: u64) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "quarterly",
        "report",
        "attached",
        "please",
        "find",
        "the",
        "minutes",
        "of",
        "our",
        "meeting",
        "and",
        "invoice",
        "tomorrow",
        "with",
        "regards",
        "budget",
    ];
    let mut out = head(number, "text/plain; charset=utf-8", "8bit");
    let mut random = Random(number.wrapping_mul(7919) | 1);
    while out.len() < octets {
        let number = random.next();
        out.extend_from_slice(WORDS[(number & 15) as usize].as_bytes());
        out.extend_from_slice(if (number >> 4).is_multiple_of(12) {
            b"\r\n"
        } else {
            b" "
        });
        if (number >> 8).is_multiple_of(5) {
            out.extend_from_slice(format!("{:x} ", number >> 16).as_bytes());
        }
    }
    out.truncate(octets);
    out
}

/// A message of about so many octets whose body is base64 of noise, as an attached picture is.
pub fn attachment(octets: usize, number: u64) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = head(number, "image/jpeg", "base64");
    let mut random = Random(number | 1);
    while out.len() < octets {
        for _ in 0..76 {
            out.push(DIGITS[random.below(64)]);
        }
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn head(number: u64, kind: &str, encoding: &str) -> Vec<u8> {
    format!(
        "From: Alice Example <alice@example.test>\r\nTo: Bob Example <bob@example.test>\r\nSubject: Message {number}\r\n\
         Date: Mon, 23 Nov 2026 19:17:54 +0000\r\nMessage-ID: <{number}@example.test>\r\nMIME-Version: 1.0\r\n\
         Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    .into_bytes()
}

/// A size as mail has them: median near 6 KB, mean near 10 KB, at most 200 KB.
pub fn mail_size(random: &mut Random) -> usize {
    // The sum of uniform numbers is near enough to a normal one; its power of two is the size.
    let normal: f64 = (0..12).map(|_| (random.below(1_000_000) as f64) / 1e6).sum::<f64>() - 6.0;
    (6_000.0 * (normal * 0.95).exp()).clamp(600.0, 200_000.0) as usize
}

/// A folder that goes when dropped, below `CHOICES_DIR` or cargo's `target`; refused on tmpfs.
pub fn folder() -> Done<tempfile::TempDir> {
    let base = std::env::var_os("CHOICES_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    if rustix::fs::statfs(&base)?.f_type as u64 == TMPFS {
        return Err("that is tmpfs; name a folder on a disk by CHOICES_DIR".into());
    }
    Ok(tempfile::Builder::new().prefix("choices-").tempdir_in(base)?)
}

/// Debug builds are not measured.
pub fn refuse_debug_build() -> Done {
    if cfg!(debug_assertions) {
        return Err("build with --release to measure".into());
    }
    Ok(())
}

/// Is the option there?
pub fn flag(name: &str) -> bool {
    std::env::args().any(|argument| argument == name)
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that `percent` of them do not exceed.
pub fn percentile(values: &mut [f64], percent: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len() as f64 * percent / 100.0) as usize;
    values
        .get(index.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Octets that the files below take on the disk, and how many files there are.
pub fn disk(folder: &Path) -> Done<(u64, u64)> {
    let (mut octets, mut files) = (0, 0);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            let below = disk(&entry.path())?;
            octets += below.0;
            files += below.1;
        } else {
            octets += meta.blocks() * 512;
            files += 1;
        }
    }
    Ok((octets, files))
}

/// Makes the kernel forget the pages of all files below. Not for an environment that this process has open: closing
/// one of its files by other means would drop LMDB's locks.
pub fn forget_pages(folder: &Path) -> Done {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            forget_pages(&path)?;
        } else {
            let file = File::open(&path)?;
            rustix::fs::fsync(&file)?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Octets that this process has made the kernel write to disks.
pub fn written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("write_bytes: "))
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Processor time of this process so far.
pub fn processor() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Prints a line.
pub fn say(line: &str) -> Done {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Machine, load and commit, to stand above the figures.
pub fn say_conditions() -> Done {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let processor = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("?", |text| text.trim_start_matches([' ', '\t', ':']));
    let commit = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    say(&format!(
        "{cores} cores, {processor}, Linux {}; load {}; commit {commit}\n",
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or("?"),
    ))
}

/// A sink that holds the message.
pub fn sink_of(volume: &Volume, message: &[u8]) -> Done<Sink> {
    let mut sink = volume.sink(message.len() as u64);
    for piece in message.chunks(128 * 1024) {
        while sink.push(piece) == 0 {
            // Full until the store's threads have written some of it.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(sink)
}

/// Delivers a message to one account's INBOX.
pub fn deliver(volume: &Volume, account: u32, message: &[u8]) -> Done<Ticket> {
    let delivery = Delivery {
        account,
        mailbox: "INBOX".to_owned(),
        prefix: b"Return-Path: <alice@example.test>\r\nReceived: from client by server; today\r\n".to_vec(),
        ..Delivery::default()
    };
    let submit = Submit {
        deliveries: vec![delivery],
        ..Submit::default()
    };
    Ok(volume.submit(Op::Submit(submit), Some(sink_of(volume, message)?), None)?)
}
