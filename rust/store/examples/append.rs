//! Durable deliveries per second: `append [folder] [seconds] [outstanding] [octets]`.
//!
//! Keeps a number of tickets outstanding, as that many SMTP connections would, and counts completions. A debug build
//! refuses to be measured.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ironpost_proto::body::BodySink;
use ironpost_store::ops::{Delivery, Submit};
use ironpost_store::{Op, Options, Outcome, Volume};

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
        "and",
    ];
    let mut out = format!(
        "From: Alice Example <alice@example.test>\r\nTo: Bob Example <bob@example.test>\r\nSubject: Message {number}\r\n\
         Date: Mon, 23 Nov 2026 19:17:54 +0000\r\nMessage-ID: <{number}@example.test>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n"
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if cfg!(debug_assertions) {
        return Err("build with --release to measure".into());
    }
    let arguments: Vec<String> = std::env::args().collect();
    let number = |index: usize, default: usize| {
        arguments
            .get(index)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let folder = arguments
        .get(1)
        .map_or_else(|| std::env::temp_dir().join("ironpost-append"), PathBuf::from);
    let (seconds, outstanding, octets) = (number(2, 5), number(3, 50), number(4, 10_000));
    let volume = Volume::open(&folder, &Options::default())?;
    writeln!(std::io::stdout(), "recovery: {}", volume.recovery())?;
    let bodies: Vec<Vec<u8>> = (0..64).map(|index| message(octets, index)).collect();
    let prefix = b"Return-Path: <alice@example.test>\r\nReceived: from client by server; today\r\n".to_vec();
    let (mut submitted, mut done) = (0_u64, 0_u64);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds as u64) {
        while submitted - done < outstanding as u64 {
            let mut sink = volume.sink(0);
            sink.push(&bodies[submitted as usize % bodies.len()]);
            let delivery = Delivery {
                account: 1 + (submitted % 100) as u32,
                mailbox: "INBOX".to_owned(),
                prefix: prefix.clone(),
                ..Delivery::default()
            };
            let submit = Submit {
                deliveries: vec![delivery],
                ..Submit::default()
            };
            volume.submit(Op::Submit(submit), Some(sink), None)?;
            submitted += 1;
        }
        done += wait(&volume)?;
    }
    while done < submitted {
        done += wait(&volume)?;
    }
    let elapsed = began.elapsed().as_secs_f64();
    let metrics = volume.metrics();
    writeln!(
        std::io::stdout(),
        "{done} messages of {octets} octets in {elapsed:.2} s: {:.0} messages/s; {:.1} operations a batch, {} commits, \
         {} pack syncs, {} octets appended, index {} octets",
        done as f64 / elapsed,
        metrics["ops"] as f64 / metrics["batches"] as f64,
        metrics["commits"],
        metrics["pack_syncs"],
        metrics["bytes_appended"],
        metrics["index_bytes"],
    )?;
    Ok(())
}

/// Waits for completions; how many came.
fn wait(volume: &Volume) -> Result<u64, Box<dyn std::error::Error>> {
    volume.wait(Duration::from_secs(30))?;
    let finished = volume.completions(1024);
    let count = finished.len() as u64;
    for (_, result) in finished {
        match result? {
            Outcome::Submitted(..) => {}
            other => return Err(format!("unexpected {other:?}").into()),
        }
    }
    Ok(count)
}
