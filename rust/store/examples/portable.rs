//! Speed of the neutral export and import: `portable [folder] [messages] [octets]`.
//!
//! Fills a store, exports it to a file, imports the file into a second store, and tells both in megabytes (10^6 octets of
//! messages) per second. A debug build refuses to be measured.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use ironpost_proto::body::BodySink;
use ironpost_store::ops::{Delivery, Submit};
use ironpost_store::portable::Progress;
use ironpost_store::portable::export::{Plan, export};
use ironpost_store::portable::format::Record;
use ironpost_store::portable::import::{ImportOptions, import};
use ironpost_store::{Op, Options, Volume};

fn message(octets: usize, number: u64) -> Vec<u8> {
    let words = [
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
    ];
    let mut out = format!(
        "From: Alice <alice@example.test>\r\nTo: Bob <bob@example.test>\r\nSubject: Message {number}\r\n\
         Date: Mon, 23 Nov 2026 19:17:54 +0000\r\nMessage-ID: <{number}@example.test>\r\n\r\n"
    )
    .into_bytes();
    let mut state = number | 1;
    while out.len() < octets {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        out.extend_from_slice(words[(state >> 33) as usize % words.len()].as_bytes());
        let number = (state >> 20) & 0xfff;
        out.extend_from_slice(if number < 300 { b"\r\n" } else { b" " });
        if number.is_multiple_of(7) {
            out.extend_from_slice(format!("{number:x} ").as_bytes());
        }
    }
    out.truncate(octets);
    out
}

/// Seconds of processor time that this process has taken: what wall time cannot tell on a machine that others use.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or_default()
    };
    // Fields 14 and 15 of proc(5), in hundredths.
    (ticks(12) + ticks(13)) / 100.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if cfg!(debug_assertions) {
        return Err("build with --release to measure".into());
    }
    let arguments: Vec<String> = std::env::args().collect();
    let number = |index: usize, default: u64| {
        arguments
            .get(index)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let folder = arguments
        .get(1)
        .map_or_else(|| std::env::temp_dir().join("ironpost-portable"), PathBuf::from);
    let (messages, octets) = (number(2, 50_000), number(3, 10_000) as usize);
    let mut out = std::io::stdout();
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let source = Volume::open(&folder.join("source"), &Options::default())?;
    let (mut asked, mut done) = (0, 0);
    while done < messages {
        while asked < messages && asked - done < 1000 {
            let mut sink = source.sink(0);
            sink.push(&message(octets, asked));
            let delivery = Delivery {
                account: 1 + (asked % 20) as u32,
                mailbox: "INBOX".to_owned(),
                prefix: b"Return-Path: <alice@example.test>\r\nReceived: from client by server; today\r\n".to_vec(),
                ..Delivery::default()
            };
            let submit = Submit {
                deliveries: vec![delivery],
                ..Submit::default()
            };
            source.submit(Op::Submit(submit), Some(sink), None)?;
            asked += 1;
        }
        source.wait(std::time::Duration::from_secs(10))?;
        for (_, result) in source.completions(1024) {
            result?;
            done += 1;
        }
    }
    let told = |out: &mut std::io::Stdout, what: &str, began: (Instant, f64)| {
        let (seconds, processor) = (began.0.elapsed().as_secs_f64(), processor_seconds() - began.1);
        let megabytes = messages as f64 * octets as f64 / 1e6;
        writeln!(
            out,
            "{what}: {messages} messages of {octets} octets in {seconds:.2} s: {:.0} MB/s; processor time {processor:.2} s: \
             {:.0} MB/s of one core",
            megabytes / seconds,
            megabytes / processor
        )
    };
    let path = folder.join("stream");
    let plan = Plan {
        unknown_accounts: true,
        ..Plan::default()
    };
    let began = (Instant::now(), processor_seconds());
    let file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let (_, file) = export(source.context(), file, &plan, &Progress::default())?;
    file.into_inner()?.sync_all()?;
    told(&mut out, "export", began)?;
    source.close();
    let target = Volume::open(&folder.join("target"), &Options::default())?;
    let began = (Instant::now(), processor_seconds());
    let mut same = |record: &Record| Ok(Some(record.number("Account")));
    let imported = import(
        &target,
        File::open(&path)?,
        &ImportOptions::default(),
        &Progress::default(),
        &mut same,
    )?;
    told(&mut out, "import", began)?;
    writeln!(out, "{imported:?}")?;
    target.close();
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
