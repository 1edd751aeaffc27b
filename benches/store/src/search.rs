//! What searching costs.
//!
//! Fills one mailbox with generated messages (`mail`), builds the search index, prints its size, and times searches with
//! and without it, medians of several, in processor time of the searching thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ironpost_proto::imap::search_key::{SearchKey, SearchProgram, SearchReturn};
use ironpost_proto::imap::sort::SearchOrder;
use ironpost_store::card::Card;
use ironpost_store::jobs::ReadContext;
use ironpost_store::search::cards::CardCursor;
use ironpost_store::search::filter::Filter;
use ironpost_store::search::filter::build::{self, Limits};
use ironpost_store::search::filter::index::SearchIndex;
use ironpost_store::search::filter::segment::Document;
use ironpost_store::search::needle::Needle;
use ironpost_store::view::MailboxView;
use ironpost_store::view::rows::each_row;
use ironpost_store::{Options, Volume};

use crate::Fault;
use crate::arguments::Arguments;
use crate::flow::{delivery, fill, flow};
use crate::mail::{Lexicon, PLANTED, Random, WORDS, message};
use crate::report::{head, median, processor_of_thread, row, say, verdict};
use crate::scratch::Scratch;

const ACCOUNT: u32 = 1;
const REPEAT: usize = 5;
/// Of the text's octets.
const INDEX_PERCENT_MAX: f64 = 25.0;

/// Delivers the messages; how many octets they have.
fn deliver(volume: &Volume, lexicon: &Lexicon, random: &mut Random, count: usize) -> Result<u64, Fault> {
    let mut octets = 0;
    flow(volume, count as u64, 64, |number| {
        let body = message(lexicon, random, number as usize);
        let prefix = format!(
            "Return-Path: <{}@example.test>\r\nDelivered-To: someone@example.org\r\nReceived: from client{}.example ([192.0.2.{}])\r\n\
             \tby mail.example.org with ESMTPS id {:012x}; Mon, 23 Nov 2026 19:{:02}:00 +0000\r\n",
            lexicon.draw(random),
            random.below(50),
            random.below(256),
            random.next() >> 16,
            number % 60
        );
        octets += (body.len() + prefix.len()) as u64;
        Ok((delivery(ACCOUNT, prefix.as_bytes()), Some(fill(volume, &body)?)))
    })?;
    Ok(octets)
}

fn find(context: &ReadContext, view: &MailboxView, key: &SearchKey) -> Result<usize, Fault> {
    let program = SearchProgram {
        order: SearchOrder::default(),
        returns: SearchReturn::default(),
        key: key.clone(),
    };
    let line = ironpost_store::search::run(context, view, &program, true, "a", &AtomicBool::new(false))?;
    Ok(line.iter().filter(|octet| **octet == b' ').count() - 1)
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

/// Milliseconds of processor time, the median, and what the call answers.
fn timed<R>(repeat: usize, mut call: impl FnMut() -> Result<R, Fault>) -> Result<(f64, R), Fault> {
    let mut times = Vec::new();
    let mut answer = None;
    for _ in 0..repeat {
        let began = processor_of_thread();
        answer = Some(call()?);
        times.push((processor_of_thread() - began) * 1000.0);
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

/// Fills, builds, searches.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let count = arguments.number("messages", 10_000, 100_000)? as usize;
    let mut random = Random::new(arguments.number("seed", 1, 1)?);
    let scratch = Scratch::new(arguments)?;
    let lexicon = Lexicon::new(&mut random);
    let options = Options {
        sync: false,
        ..Options::default()
    };
    let volume = Volume::open(scratch.path(), &options)?;
    let began = Instant::now();
    let octets = deliver(&volume, &lexicon, &mut random, count)?;
    say(&format!(
        "{count} messages, {octets} octets, delivered in {:.1} s",
        began.elapsed().as_secs_f64()
    ))?;

    let context = volume.context().clone();
    let began = Instant::now();
    let (mut steps, mut merged, mut longest) = (0, 0, 0.0_f64);
    let used = processor_of_thread();
    loop {
        let step = Instant::now();
        let done = build::step(&context, &Limits::default())?;
        longest = longest.max(step.elapsed().as_secs_f64());
        (steps, merged) = (steps + 1, merged + done.merged);
        if !done.more {
            break;
        }
    }
    let (seconds, used) = (began.elapsed().as_secs_f64(), processor_of_thread() - used);
    let segments = context.search.segments(ACCOUNT);
    let index: u64 = segments.iter().map(|segment| segment.octets()).sum();
    let text_octets: u64 = segments.iter().map(|segment| segment.text_octets()).sum();
    say(&format!(
        "index: {index} octets in {} segments; text {text_octets} octets: {:.1} % of the text, {:.1} % of the messages; built in \
         {seconds:.1} s, {used:.1} s of the processor ({:.0} MB/s of messages), {steps} steps, the longest {longest:.2} s, \
         {merged} segments merged",
        segments.len(),
        100.0 * index as f64 / text_octets as f64,
        100.0 * index as f64 / octets as f64,
        octets as f64 / used / 1e6
    ))?;
    drop(segments);
    let metrics = volume.metrics();
    say(&format!(
        "LMDB: {} octets a message",
        metrics["index_bytes"] / count as u64
    ))?;

    let view = {
        let txn = context.begin()?;
        let (view, _) = MailboxView::open(&context.tables, &txn, ACCOUNT, "INBOX", true)?;
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
        say(&format!(
            "{word:?}: {} messages left to be read",
            candidates(&context, &view, word)?
        ))?;
    }
    head(&["search", "found", "ms with the index", "ms without", "times"])?;
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
        let (mut plain, mut times) = ("-".to_owned(), "-".to_owned());
        if scan {
            let (without, again) = timed(first_scan, || find(&without, &view, &key))?;
            if again != found {
                return Err(format!("{again} found without the index").into());
            }
            (plain, times) = (format!("{without:.2}"), format!("{:.0}", without / with));
        }
        row([name.to_owned(), found.to_string(), format!("{with:.2}"), plain, times])?;
    }
    let (keys, had) = timed(REPEAT, || sort_keys(&context, &view))?;
    say(&format!("SORT/THREAD keys of {had} messages: {keys:.2} ms"))?;
    volume.close();
    let share = 100.0 * index as f64 / text_octets as f64;
    verdict(
        "search index, of the text",
        &format!("{share:.1} %"),
        "less than 25 %",
        share < INDEX_PERCENT_MAX,
    )
}
