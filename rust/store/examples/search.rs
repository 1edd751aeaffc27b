//! What searching costs: `search [messages] [folder] [seed]`.
//!
//! Fills one mailbox with generated messages (sizes log-normal, median 10 KB, mean 19 KB; words by Zipf's law from 50,000;
//! a share of HTML, base64, attachments, signatures), builds the search index, prints its size, and times searches with
//! and without it, medians of several, in processor time of the searching thread. A debug build refuses to be measured.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ironpost_proto::body::BodySink;
use ironpost_proto::imap::search_key::{SearchKey, SearchProgram, SearchReturn};
use ironpost_store::card::Card;
use ironpost_store::jobs::ReadContext;
use ironpost_store::ops::{Delivery, Submit};
use ironpost_store::search::cards::CardCursor;
use ironpost_store::search::filter::Filter;
use ironpost_store::search::filter::build::{self, Limits};
use ironpost_store::search::filter::index::SearchIndex;
use ironpost_store::search::filter::segment::Document;
use ironpost_store::search::needle::Needle;
use ironpost_store::view::MailboxView;
use ironpost_store::view::rows::each_row;
use ironpost_store::{Op, Options, Outcome, Volume};

type Fault = Box<dyn std::error::Error>;

const ACCOUNT: u32 = 1;
const WORDS: usize = 50_000;
/// Stands in few messages: one of every 2,000.
const PLANTED: &str = "zwiebelfisch";
const REPEAT: usize = 5;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 32) as usize * bound) >> 32
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Words by rank, and what it takes to draw one.
struct Lexicon {
    words: Vec<String>,
    cumulated: Vec<f64>,
}

impl Lexicon {
    fn new(random: &mut Random) -> Self {
        let onsets = [
            "", "b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr", "pr", "th",
            "ch", "sh", "br", "pl", "cr", "gr", "qu", "j", "k", "z",
        ];
        let vowels = ["e", "a", "i", "o", "u", "ea", "io", "ou", "ai", "y", "ee", "ü"];
        let codas = [
            "", "", "n", "r", "s", "t", "l", "nt", "st", "ng", "m", "d", "ck", "ss", "rd", "x", "ll", "p", "ble",
            "tion",
        ];
        // Common sounds are much more common than others.
        let mut pick = |list: &[&'static str]| {
            let place = random.unit() * random.unit();
            list[(place * list.len() as f64) as usize]
        };
        let mut known = std::collections::HashSet::new();
        let mut words = Vec::new();
        while words.len() < WORDS {
            let syllables =
                1 + words.len().max(1).ilog10().min(4) as usize / 2 + usize::from(pick(&["", "x", "y"]) == "x");
            let word: String = (0..syllables.max(1))
                .map(|_| [pick(&onsets), pick(&vowels), pick(&codas)].concat())
                .collect();
            if known.insert(word.clone()) {
                words.push(word);
            } else {
                // Short words are used up: a longer one.
                let longer = [word.as_str(), pick(&onsets), pick(&vowels), pick(&codas)].concat();
                if known.insert(longer.clone()) {
                    words.push(longer);
                }
            }
        }
        let mut sum = 0.0;
        let cumulated = (1..=WORDS)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        Self { words, cumulated }
    }

    fn draw(&self, random: &mut Random) -> &str {
        let place = random.unit() * self.cumulated[WORDS - 1];
        &self.words[self.cumulated.partition_point(|sum| *sum < place).min(WORDS - 1)]
    }

    fn text(&self, random: &mut Random, octets: usize) -> String {
        let mut out = String::with_capacity(octets + 40);
        let mut line = 0;
        while out.len() < octets {
            let start = out.len();
            match random.below(300) {
                0 => out.push_str(&format!(
                    "https://www.{}.example/{}/{:x}",
                    self.draw(random),
                    self.draw(random),
                    random.next() >> 40
                )),
                1 | 2 => out.push_str(&format!(
                    "{}.{}@{}.example",
                    self.draw(random),
                    self.draw(random),
                    self.draw(random)
                )),
                3..=12 => out.push_str(&(random.next() >> (40 + random.below(20))).to_string()),
                _ => {
                    let word = self.draw(random);
                    if random.below(12) == 0 {
                        let mut letters = word.chars();
                        out.extend(letters.next().into_iter().flat_map(char::to_uppercase));
                        out.push_str(letters.as_str());
                    } else {
                        out.push_str(word);
                    }
                }
            }
            match random.below(60) {
                0..=3 => out.push_str(", "),
                4..=7 => out.push_str(". "),
                _ => out.push(' '),
            }
            line += out.len() - start;
            if line > 72 {
                out.push_str("\r\n");
                line = 0;
            }
        }
        out
    }
}

fn base64(random: &mut Random, octets: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..octets).map(|_| LETTERS[random.below(64)] as char).collect()
}

fn encode_base64(text: &[u8], out: &mut String) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for line in text.chunks(57) {
        for three in line.chunks(3) {
            let word = three.iter().fold(0_u32, |word, octet| word << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
            for place in 0..4 {
                let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize] as char;
                out.push(if place <= three.len() { letter } else { '=' });
            }
        }
        out.push_str("\r\n");
    }
}

fn html(text: &str) -> String {
    let mut out = String::from("<html><head><style>p { margin: 0 }</style></head><body>\r\n");
    for line in text.lines() {
        out.push_str("<p class=\"MsoNormal\"><span style=\"font-size:11.0pt\">");
        out.push_str(line);
        out.push_str("</span></p>\r\n");
    }
    out.push_str("</body></html>\r\n");
    out
}

fn message(lexicon: &Lexicon, random: &mut Random, number: usize) -> Vec<u8> {
    // The mean of a log-normal distribution is its median times exp(sigma² / 2).
    let sigma = (2.0 * (1.9_f64).ln()).sqrt();
    let octets = (10_000.0 * (sigma * random.normal()).exp()).clamp(1_200.0, 2_000_000.0) as usize;
    let person = |random: &mut Random| {
        let name = |rank: usize| lexicon.words[500 + rank].clone();
        let (first, last) = (name(random.below(300)), name(random.below(2000)));
        format!(
            "{first} {last} <{first}.{last}@{}.example>",
            lexicon.words[3000 + random.below(200)]
        )
    };
    let mut out = format!(
        "Received: from mx{}.example by mail.example with ESMTPS id {:016x};\r\n\tMon, {} Nov 2026 19:{:02}:{:02} +0000\r\n",
        random.below(9),
        random.next(),
        1 + number % 28,
        number % 60,
        random.below(60)
    );
    if random.below(10) < 6 {
        let signature = base64(random, 344);
        out.push_str("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.test; s=s1;\r\n\th=from:to:subject:date; b=");
        for line in signature.as_bytes().chunks(72) {
            out.push_str(&String::from_utf8_lossy(line));
            out.push_str("\r\n\t");
        }
        out.push_str(" x=1\r\n");
    }
    let subject = lexicon.text(random, 30).replace("\r\n", " ");
    let (from, to) = (person(random), person(random));
    out.push_str(&format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {}{subject}\r\nDate: Mon, {} Nov 2026 19:{:02}:00 +0000\r\n\
         Message-ID: <{:016x}.{number}@example.test>\r\nMIME-Version: 1.0\r\n",
        if number.is_multiple_of(3) { "Re: " } else { "" },
        1 + number % 28,
        number % 60,
        random.next(),
    ));
    if number.is_multiple_of(3) {
        out.push_str(&format!(
            "In-Reply-To: <{:016x}@example.test>\r\nReferences:",
            random.next()
        ));
        for _ in 0..1 + random.below(6) {
            out.push_str(&format!(" <{:016x}@example.test>\r\n", random.next()));
        }
    }
    let planted = if number % 2000 == 1234 {
        format!(" {PLANTED} ")
    } else {
        String::new()
    };
    let left = octets.saturating_sub(out.len());
    match random.below(20) {
        0..=9 => {
            out.push_str("Content-Type: text/plain; charset=utf-8\r\n\r\n");
            out.push_str(&lexicon.text(random, left));
            out.push_str(&planted);
        }
        10..=14 => {
            let text = lexicon.text(random, left * 2 / 5) + &planted;
            out.push_str("Content-Type: multipart/alternative; boundary=\"==b1\"\r\n\r\n--==b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
            out.push_str(&text);
            out.push_str("\r\n--==b1\r\nContent-Type: text/html; charset=utf-8\r\n\r\n");
            out.push_str(&html(&text));
            out.push_str("\r\n--==b1--\r\n");
        }
        15 | 16 => {
            out.push_str("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
            let text = html(&(lexicon.text(random, left / 2) + &planted));
            encode_base64(text.as_bytes(), &mut out);
        }
        17 => {
            out.push_str("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
            let text = lexicon.text(random, left * 3 / 4) + &planted;
            encode_base64(text.as_bytes(), &mut out);
        }
        _ => {
            out.push_str("Content-Type: multipart/mixed; boundary=\"==b1\"\r\n\r\n--==b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
            out.push_str(&lexicon.text(random, left / 5));
            out.push_str(&planted);
            out.push_str("\r\n--==b1\r\nContent-Type: application/pdf; name=\"report.pdf\"\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n");
            let attachment = base64(random, left * 4 / 5);
            for line in attachment.as_bytes().chunks(76) {
                out.push_str(&String::from_utf8_lossy(line));
                out.push_str("\r\n");
            }
            out.push_str("--==b1--\r\n");
        }
    }
    out.into_bytes()
}

fn fill(volume: &Volume, lexicon: &Lexicon, random: &mut Random, count: usize) -> Result<u64, Fault> {
    const OUTSTANDING: usize = 64;
    let mut octets = 0;
    let (mut submitted, mut done) = (0, 0);
    while done < count {
        while submitted < count && submitted - done < OUTSTANDING {
            let body = message(lexicon, random, submitted);
            let prefix = format!(
                "Return-Path: <{}@example.test>\r\nDelivered-To: someone@example.org\r\nReceived: from client{}.example ([192.0.2.{}])\r\n\
                 \tby mail.example.org with ESMTPS id {:012x}; Mon, 23 Nov 2026 19:{:02}:00 +0000\r\n",
                lexicon.draw(random),
                random.below(50),
                random.below(256),
                random.next() >> 16,
                submitted % 60
            );
            octets += (body.len() + prefix.len()) as u64;
            let mut sink = volume.sink(body.len() as u64);
            let mut rest = &body[..];
            while !rest.is_empty() {
                rest = &rest[sink.push(rest)..];
                if !rest.is_empty() {
                    volume.wait(Duration::from_millis(1))?;
                }
            }
            let op = Op::Submit(Submit {
                deliveries: vec![Delivery {
                    account: ACCOUNT,
                    mailbox: "INBOX".to_owned(),
                    prefix: prefix.into_bytes(),
                    ..Delivery::default()
                }],
                ..Submit::default()
            });
            volume.submit(op, Some(sink), None)?;
            submitted += 1;
        }
        volume.wait(Duration::from_secs(30))?;
        for (_, result) in volume.completions(1024) {
            match result? {
                Outcome::Submitted(..) => done += 1,
                other => return Err(format!("unexpected {other:?}").into()),
            }
        }
    }
    Ok(octets)
}

fn find(context: &ReadContext, view: &MailboxView, key: &SearchKey) -> Result<usize, Fault> {
    let program = SearchProgram {
        returns: SearchReturn::default(),
        key: key.clone(),
    };
    let line = ironpost_store::search::run(context, view, &program, true, "a", &AtomicBool::new(false))?;
    Ok(line.iter().filter(|octet| **octet == b' ').count() - 1)
}

/// Seconds of the processor that this thread has taken: what others do meanwhile does not count.
fn processor() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// How many messages the filter leaves to be read.
fn candidates(context: &ReadContext, view: &MailboxView, needle: &str) -> Result<usize, Fault> {
    let needle = Needle::new(needle);
    let mut filter = Filter::prepare(&context.search, ACCOUNT, &[&needle]);
    let txn = context.begin()?;
    let uids = view.told().uids.clone();
    let mut left = 0;
    each_row(&context.tables, &txn, view.mailbox, uids.iter(), |_, row| {
        let row = row?;
        let document = Document {
            blob: row.blob,
            prefix: row.prefix,
        };
        let place = filter.place(document);
        left += usize::from(place.is_none_or(|place| !filter.rules_out(place, 0)));
        Ok(true)
    })?;
    Ok(left)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Milliseconds of processor time, the median, and what the call answers.
fn timed<R>(repeat: usize, mut call: impl FnMut() -> Result<R, Fault>) -> Result<(f64, R), Fault> {
    let mut times = Vec::new();
    let mut answer = None;
    for _ in 0..repeat {
        let began = processor();
        answer = Some(call()?);
        times.push((processor() - began) * 1000.0);
    }
    Ok((median(times), answer.ok_or("nothing was timed")?))
}

/// Reads what SORT and THREAD need of every message, from rows and cards alone; how many had it.
fn sort_keys(context: &ReadContext, view: &MailboxView) -> Result<usize, Fault> {
    let txn = context.begin()?;
    let mut cards = CardCursor::new(context.tables.cards, &txn);
    let mut count = 0;
    let mut sum = 0_u64;
    let uids = view.told().uids.clone();
    each_row(&context.tables, &txn, view.mailbox, uids.iter(), |_, row| {
        let row = row?;
        let card = cards.get(row.blob)?;
        if let Some(card) = card.and_then(Card::decode)
            && let Some(extras) = card.extras
        {
            sum += card.date.map_or(0, |date| date.0 as u64) + card.base_subject.len() as u64 + card.from.len() as u64;
            sum += extras.display_from.len() as u64 + extras.references.iter().fold(0, |one, hash| one ^ hash) % 7;
            count += 1;
        }
        Ok(true)
    })?;
    std::hint::black_box(sum);
    Ok(count)
}

fn main() -> Result<(), Fault> {
    if cfg!(debug_assertions) {
        return Err("build with --release to measure".into());
    }
    let arguments: Vec<String> = std::env::args().collect();
    let count: usize = arguments.get(1).map_or(Ok(10_000), |text| text.parse())?;
    let folder = arguments
        .get(2)
        .map_or_else(|| std::env::temp_dir().join("ironpost-search"), PathBuf::from);
    let mut random = Random(arguments.get(3).map_or(Ok(1), |text| text.parse())? | 1);
    let lexicon = Lexicon::new(&mut random);
    let options = Options {
        sync: false,
        ..Options::default()
    };
    let volume = Volume::open(&folder, &options)?;
    let mut out = std::io::stdout();
    let began = Instant::now();
    let octets = fill(&volume, &lexicon, &mut random, count)?;
    writeln!(
        out,
        "{count} messages, {octets} octets, delivered in {:.1} s",
        began.elapsed().as_secs_f64()
    )?;

    let context = volume.context().clone();
    let began = Instant::now();
    let (mut steps, mut merged, mut longest) = (0, 0, 0.0_f64);
    let used = processor();
    loop {
        let step = Instant::now();
        let done = build::step(&context, &Limits::default())?;
        longest = longest.max(step.elapsed().as_secs_f64());
        (steps, merged) = (steps + 1, merged + done.merged);
        if !done.more {
            break;
        }
    }
    let (seconds, used) = (began.elapsed().as_secs_f64(), processor() - used);
    let segments = context.search.segments(ACCOUNT);
    let index: u64 = segments.iter().map(|segment| segment.octets()).sum();
    let text: u64 = segments.iter().map(|segment| segment.text_octets()).sum();
    writeln!(
        out,
        "index: {index} octets in {} segments; text {text} octets: {:.1} % of the text, {:.1} % of the messages; built in \
         {seconds:.1} s, {used:.1} s of the processor ({:.0} MB/s of messages), {steps} steps, the longest {longest:.2} s, \
         {merged} segments merged",
        segments.len(),
        100.0 * index as f64 / text as f64,
        100.0 * index as f64 / octets as f64,
        octets as f64 / used / 1e6
    )?;
    drop(segments);
    let metrics = volume.metrics();
    writeln!(out, "LMDB: {} octets a message", metrics["index_bytes"] / count as u64)?;

    let view = {
        let txn = context.begin()?;
        let (view, _) = MailboxView::open(
            &context.tables,
            &txn,
            ACCOUNT,
            "INBOX",
            true,
            context.last_transaction(),
        )?;
        view
    };
    let mut without = context.clone();
    without.search = Arc::new(SearchIndex::new(PathBuf::new(), [0; 16], false));
    let text = |text: &str| SearchKey::Text(text.to_owned());
    let header = |name: &str, text: &str| SearchKey::Header {
        name: name.as_bytes().to_vec(),
        text: text.to_owned(),
    };
    let long = |from: usize| {
        lexicon.words[from..]
            .iter()
            .find(|word| word.len() >= 7)
            .map_or("", String::as_str)
    };
    let (rarest, frequent) = (long(WORDS - 50), long(300));
    for word in [PLANTED, "kwyjibo", rarest, frequent] {
        writeln!(
            out,
            "{word:?}: {} messages left to be read",
            candidates(&context, &view, word)?
        )?;
    }
    let first_scan = if count > 20_000 { 1 } else { 3 };
    for (name, key, scan) in [
        ("TEXT, in 1 of 2,000", text(PLANTED), true),
        ("TEXT, nowhere", text("kwyjibo"), false),
        ("TEXT, a rare word", text(rarest), false),
        ("TEXT, a frequent word", text(frequent), true),
        ("BODY, in 1 of 2,000", SearchKey::Body(PLANTED.to_owned()), true),
        ("BODY, a rare word", SearchKey::Body(rarest.to_owned()), false),
        (
            "NOT TEXT, in 1 of 2,000",
            SearchKey::Not(Box::new(text(PLANTED))),
            false,
        ),
        (
            "OR TEXT TEXT",
            SearchKey::Or(Box::new(text(PLANTED)), Box::new(text("kwyjibo"))),
            false,
        ),
        ("FROM", header("from", &lexicon.words[700]), false),
        ("SUBJECT", header("subject", long(2000)), false),
        ("HEADER Message-ID", header("message-id", ".77@example.test"), false),
        ("HEADER Received", header("received", "mx7.example"), true),
    ] {
        let (with, found) = timed(REPEAT, || find(&context, &view, &key))?;
        write!(out, "{name:24} {with:10.2} ms with the index, {found} found")?;
        if scan {
            let (plain, again) = timed(first_scan, || find(&without, &view, &key))?;
            if again != found {
                return Err(format!("{again} found without the index").into());
            }
            write!(out, "; {plain:10.2} ms without ({:.0} times)", plain / with)?;
        }
        writeln!(out)?;
    }
    let (keys, had) = timed(REPEAT, || sort_keys(&context, &view))?;
    writeln!(out, "SORT/THREAD keys of {had} messages: {keys:.2} ms")?;
    volume.close();
    Ok(())
}
