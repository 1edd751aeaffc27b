//! A message of 150 MB costs memory by the piece, whatever is done with it. Alone in its process: the peak of the resident
//! memory is the measure.
#![expect(clippy::unwrap_used, reason = "tests")]

mod read_support;

use std::io::Write;
use std::sync::Arc;

use ironpost_proto::body::BodySink;
use ironpost_proto::imap::fetch_att::{FetchAttribute, Section, SectionText, Spelling};
use ironpost_proto::imap::modseq::FetchModifiers;
use ironpost_proto::imap::search_key::SearchKey;
use ironpost_store::compaction::Rules;
use ironpost_store::fetch::FetchCursor;
use ironpost_store::ops::{Delivery, FlagSet, Submit};
use ironpost_store::portable::Progress;
use ironpost_store::portable::export::{AccountPlan, Plan, export};
use ironpost_store::rebuild::rebuild;
use ironpost_store::{Op, Outcome, reader};
use read_support::{ACCOUNT, Rig, sequence};

/// Octets of the message.
const MESSAGE_OCTETS: u64 = 150 << 20;
/// What one step may add to the peak: a text piece in its forms, windows, buffers.
const GROWTH_OCTETS_MAX: u64 = 48 << 20;

fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Runs a step; how much more memory it needed at its peak than was in use before.
fn bounded<R>(what: &str, step: impl FnOnce() -> R) -> R {
    // 5: the peak begins anew (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    let result = step();
    let growth = status("VmHWM:").saturating_sub(before);
    println!("{what}: {} KiB", growth >> 10);
    assert!(growth <= GROWTH_OCTETS_MAX, "{what} needed {growth} octets");
    result
}

/// Counts and hashes.
#[derive(Default)]
struct Counter {
    octets: u64,
    hasher: blake3::Hasher,
}

impl Write for Counter {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.octets += octets.len() as u64;
        self.hasher.update(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The message in pieces: text that says which line it is, in one part; an encoded part; the end.
fn message(header: &[u8], take: &mut dyn FnMut(&[u8])) {
    take(header);
    let mut piece = Vec::new();
    let mut octets = header.len() as u64;
    let mut line = 0_u64;
    while octets < MESSAGE_OCTETS {
        piece.clear();
        while piece.len() < 100_000 {
            if line == 2_000_000 {
                piece.extend_from_slice(b"\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n");
            }
            piece.extend_from_slice(format!("line{line:012}of/text/in/the/midst/of/it\r\n").as_bytes());
            line += 1;
        }
        octets += piece.len() as u64;
        take(&piece);
    }
    take(b"the very last needle\r\n");
}

fn deliver(rig: &Rig, header: &[u8]) -> (u64, blake3::Hash) {
    let mut sink = rig.volume.sink(0);
    let mut sent = Counter::default();
    message(header, &mut |piece| {
        sent.write_all(piece).unwrap();
        let mut rest = piece;
        while !rest.is_empty() {
            let taken = sink.push(rest);
            rest = &rest[taken..];
            if !rest.is_empty() {
                rig.wait(rig.volume.wait_sink(&sink)).unwrap();
            }
        }
    });
    let op = Op::Submit(Submit {
        deliveries: vec![Delivery {
            account: ACCOUNT,
            mailbox: "INBOX".to_owned(),
            prefix: Vec::new(),
            flags: FlagSet::default(),
        }],
        ..Submit::default()
    });
    rig.wait(rig.volume.submit(op, Some(sink), None)).unwrap();
    (sent.octets, sent.hasher.finalize())
}

fn whole(path: &[u32]) -> FetchAttribute {
    FetchAttribute::Section {
        section: Section {
            path: path.to_vec(),
            text: SectionText::Whole,
        },
        partial: None,
        peek: true,
        spelling: Spelling::Body,
    }
}

#[test]
fn a_hundred_and_fifty_megabytes_cost_memory_by_the_piece() {
    let mut rig = Rig::new();
    rig.deliver(b"Subject: warm\r\n\r\nx\r\n");
    let multipart =
        b"Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n";
    let (octets, digest) = bounded("delivering", || deliver(&rig, multipart));
    // All of it is header: there is no empty line.
    bounded("delivering what is no mail", || deliver(&rig, b"Subject: none\r\nX: "));
    let view = rig.open("INBOX", true);
    let fetch = |number: &str, item: FetchAttribute| {
        let mut read = Counter::default();
        let cursor = Arc::new(FetchCursor::new(
            Arc::clone(&view),
            &sequence(number),
            false,
            &[item],
            FetchModifiers::default(),
        ));
        let mut start: Option<usize> = None;
        while !cursor.is_done() {
            match rig
                .wait(rig.volume.read(reader::fetch(Arc::clone(&cursor), 262_144)))
                .unwrap()
            {
                Outcome::Bytes(octets) => {
                    // Without the line that announces the literal.
                    let from =
                        *start.get_or_insert_with(|| octets.iter().position(|&octet| octet == b'\n').unwrap() + 1);
                    read.write_all(octets.get(from..).unwrap_or_default()).unwrap();
                    start = Some(0);
                }
                other => panic!("{other:?}"),
            }
        }
        read
    };
    let read = bounded("BODY[]", || fetch("2", whole(&[])));
    assert_eq!(read.octets, octets + 3);
    let again = bounded("reading by pieces", || {
        let mut read = Counter::default();
        while read.octets < octets {
            let job = reader::read_message(Arc::clone(&view), 2, read.octets, 1 << 20);
            match rig.wait(rig.volume.read(job)).unwrap() {
                Outcome::Bytes(piece) => read.write_all(&piece).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        read
    });
    assert_eq!(again.hasher.finalize(), digest);
    let part = bounded("BODY[1]", || fetch("2", whole(&[1])));
    assert!(part.octets > 50 << 20);
    let binary = bounded("BINARY[2]", || {
        fetch(
            "2",
            FetchAttribute::Binary {
                path: vec![2],
                partial: None,
                peek: true,
            },
        )
    });
    assert!(
        binary.octets > 30 << 20 && binary.octets < 90 << 20,
        "{}",
        binary.octets
    );
    for item in [FetchAttribute::Envelope, FetchAttribute::BodyStructure] {
        bounded("card", || fetch("2:3", item.clone()));
    }
    let fields = FetchAttribute::Section {
        section: Section {
            path: Vec::new(),
            text: SectionText::HeaderFields {
                names: vec![b"Subject".to_vec()],
                not: false,
            },
        },
        partial: None,
        peek: true,
        spelling: Spelling::Body,
    };
    bounded("fields of a header without end", || fetch("3", fields));
    let found = bounded("searching text", || {
        rig.search(&view, SearchKey::Text("the very last needle".to_owned()))
    });
    // In the multipart it stands in base64.
    assert_eq!(found, "3");
    let found = bounded("searching a body", || {
        rig.search(&view, SearchKey::Body("line000001999999".to_owned()))
    });
    assert_eq!(found, "2");
    let job = reader::top_octets(Arc::clone(&view), 2, u32::MAX);
    match bounded("TOP", || rig.wait(rig.volume.read(job)).unwrap()) {
        Outcome::Count(count) => assert_eq!(count, octets),
        other => panic!("{other:?}"),
    }
    let plan = Plan {
        accounts: vec![AccountPlan {
            id: ACCOUNT,
            fields: Vec::new(),
        }],
        ..Plan::default()
    };
    bounded("exporting", || {
        export(rig.volume.context(), Counter::default(), &plan, &Progress::default()).unwrap()
    });
    bounded("checking", || match rig.wait(rig.volume.check(true)).unwrap() {
        Outcome::Check(report) => assert_eq!(report.problems, Vec::<String>::new()),
        other => panic!("{other:?}"),
    });
    bounded("compacting", || rig.wait(rig.volume.compact(Rules::default())).unwrap());
    bounded("rebuilding", || {
        rig.volume.close();
        rebuild(rig.folder.path(), 1 << 30, &mut |_, _| {}).unwrap();
    });
    rig.volume = read_support::open(rig.folder.path());
    rig.finish();
}
