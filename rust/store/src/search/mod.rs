//! SEARCH, SORT and THREAD over a view: sets first, then hot rows, then headers, then text (RFC 9051 §6.4.4); with SAVE the view keeps what was
//! found (RFC 5182). Headers that cards tell of are looked up there; text is read only of messages that the filter does not
//! rule out.
//!
//! Runs in one job, but in stretches: no transaction lives much longer than [`STRETCH_LIMIT`] (lmdb.md 4.6). A message
//! that cannot be read is not found; `store check` names it.

pub mod answer;
pub mod cards;
mod collation;
mod document;
mod facts;
pub mod filter;
pub(crate) mod indexer;
pub mod live;
pub mod needle;
pub mod plan;
mod references;
mod sort;
mod thread;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ironpost_mime::{encoded_word, headers};
use ironpost_proto::imap::search_key::{Date, SearchProgram};
use ironpost_proto::imap::sort::SearchOrder;

use self::cards::CardCursor;
use self::filter::segment::Document;
use self::filter::{Filter, Place};
use self::live::LiveResult;
use self::needle::Needle;
use self::plan::{Facts, Sets, Test};
use crate::card::{self, fields};
use crate::db::records::MessageRecord;
use crate::error::{Result, StoreError};
use crate::fetch::internal_date::calendar_day;
use crate::fetch::message::{Access, Content, HEADER_OCTETS_MAX};
use crate::fetch::object_id::{EmailId, email_id};
use crate::ids::Uid;
use crate::jobs::ReadContext;
use crate::view::MailboxView;
use crate::view::rows::{each_row, index_sets, keyword_names};
use crate::view::uids::UidSet;

/// After this long a search begins a new transaction.
const STRETCH_LIMIT: Duration = Duration::from_millis(500);

/// Runs a search and renders its answer; gives up with `NotFound` once `cancelled` is set.
///
/// # Errors
/// Corrupt for a damaged index row.
pub fn run(
    context: &ReadContext,
    view: &MailboxView,
    program: &SearchProgram,
    uid: bool,
    tag: &str,
    cancelled: &AtomicBool,
) -> Result<Vec<u8>> {
    let Outcome {
        found,
        sorted,
        modseq,
        numbered,
        told_modseq,
    } = outcome(context, view, program, cancelled)?;
    let mut out = Vec::new();
    if program.returns.update && !LiveResult::keep(view, program, uid, tag, &found, sorted.as_deref(), told_modseq) {
        live::write_no_update(&mut out, tag, "this result is not kept up to date");
    }
    let number = |member: Uid| if uid { Some(member) } else { numbered.rank(member) };
    out.extend(match &program.order {
        SearchOrder::Number => answer::render(&found, &numbered, uid, program.returns, tag, modseq),
        SearchOrder::Sorted(_) => {
            let numbers: Vec<u32> = sorted.into_iter().flatten().filter_map(number).collect();
            answer::render_sorted(&numbers, uid, program.returns, tag, modseq)
        }
        SearchOrder::Threaded(algorithm) => thread::threaded(context, view, &found, *algorithm, cancelled, number)?,
    });
    Ok(out)
}

/// Runs a search of ESEARCH and renders what its line says behind the correlator, in UIDs (RFC 7377 §2.1); nothing when nothing
/// was found. Gives up with `NotFound` once `cancelled` is set.
///
/// # Errors
/// Corrupt for a damaged index row.
pub fn data(
    context: &ReadContext,
    view: &MailboxView,
    program: &SearchProgram,
    cancelled: &AtomicBool,
) -> Result<Vec<u8>> {
    let outcome = outcome(context, view, program, cancelled)?;
    Ok(answer::data(&outcome.found, program.returns, outcome.modseq))
}

/// What a search has found.
struct Outcome {
    found: UidSet,
    /// In the order of SORT.
    sorted: Option<Vec<Uid>>,
    /// The highest of what the answer is about, when it is asked for.
    modseq: Option<u64>,
    /// The messages that the client knew when the search began, and up to which modseq.
    numbered: UidSet,
    told_modseq: u64,
}

/// Searches, and keeps what SAVE wants kept.
fn outcome(
    context: &ReadContext,
    view: &MailboxView,
    program: &SearchProgram,
    cancelled: &AtomicBool,
) -> Result<Outcome> {
    let (numbered, recent, saved, told_modseq) = {
        let told = view.told();
        (told.uids.clone(), told.recent.clone(), told.saved.clone(), told.modseq)
    };
    let known = Known {
        numbered: &numbered,
        recent: &recent,
        saved: &saved,
    };
    let found = find(context, view, program, &known, None, cancelled);
    let sorted = match (&found, &program.order) {
        (Ok(found), SearchOrder::Sorted(criteria)) => Some(sort::sorted(context, view, found, criteria, cancelled)),
        _ => None,
    };
    let (found, sorted) = match (found, sorted.transpose()) {
        (Ok(found), Ok(sorted)) => (found, sorted),
        (Err(error), _) | (_, Err(error)) => {
            if program.returns.save {
                // RFC 5182 §2.1: a SEARCH that fails leaves the empty result behind.
                view.told().saved = UidSet::new();
            }
            return Err(error);
        }
    };
    let named = answer::named(&found, sorted.as_deref(), program.returns);
    let modseq = if program.asks_modseq() {
        highest_modseq(context, view, &named)?
    } else {
        None
    };
    if program.returns.save {
        view.told().saved = named;
    }
    Ok(Outcome {
        found,
        sorted,
        modseq,
        numbered,
        told_modseq,
    })
}

fn seconds_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// The highest modseq among messages; `None` for none.
fn highest_modseq(context: &ReadContext, view: &MailboxView, uids: &UidSet) -> Result<Option<u64>> {
    let txn = context.begin()?;
    let mut highest = None;
    each_row(&context.tables, &txn, view.mailbox, uids.iter(), |_, row| {
        highest = highest.max(row.ok().map(|row| row.modseq));
        Ok(true)
    })?;
    Ok(highest)
}

/// So many messages that no segment covers, looked at by one search, are worth the builder's attention.
const UNCOVERED_MANY: u32 = 512;

/// What the client has been told when the search began.
struct Known<'a> {
    numbered: &'a UidSet,
    recent: &'a UidSet,
    saved: &'a UidSet,
}

fn find(
    context: &ReadContext,
    view: &MailboxView,
    program: &SearchProgram,
    known: &Known<'_>,
    within: Option<&UidSet>,
    cancelled: &AtomicBool,
) -> Result<UidSet> {
    let tables = &context.tables;
    let (index, names) = {
        let txn = context.begin()?;
        (
            index_sets(tables, &txn, view.mailbox)?,
            keyword_names(tables, &txn, view.account)?,
        )
    };
    // Messages that the client has not been told of are not found, nor those that are gone.
    let mut all = known.numbered.intersection(&index.present);
    if let Some(within) = within {
        all = all.intersection(within);
    }
    let keyword_bit = |keyword: &[u8]| {
        let number = names
            .iter()
            .position(|name| name.as_bytes().eq_ignore_ascii_case(keyword))?;
        1_u64.checked_shl(number as u32)
    };
    let sets = Sets {
        all: &all,
        numbered: known.numbered,
        seen: &index.seen,
        deleted: &index.deleted,
        recent: known.recent,
        saved: known.saved,
        now: seconds_now(),
        keyword_bit: &keyword_bit,
    };
    let mut test = Test::prepare(&program.key, &sets);
    if let Test::Member(found) = test {
        return Ok(found);
    }
    let candidates = test.candidates(&all);
    view.progress().begin(candidates.len());
    let mut filter = {
        let needles = test.text_needles();
        (!needles.is_empty()).then(|| Filter::prepare(&context.search, view.account, &needles))
    };
    let mut uncovered = 0_u32;
    let mut found = Vec::new();
    let mut next: Option<Uid> = Some(0);
    while let Some(from) = next.take() {
        let txn = context.begin()?;
        let access = Access { context, txn: &txn };
        let cards = RefCell::new(CardCursor::new(tables.cards, &txn));
        let started = Instant::now();
        let mut looked_at = 0_u32;
        each_row(
            tables,
            &txn,
            view.mailbox,
            candidates.iter_range(from, Uid::MAX),
            |uid, row| {
                // A message that cannot be read is not found.
                let Ok(row) = row else { return Ok(true) };
                let place = filter.as_mut().and_then(|filter| {
                    filter.place(Document {
                        blob: row.blob,
                        prefix: row.prefix,
                    })
                });
                uncovered += u32::from(place.is_none());
                let mut message = Message {
                    access: &access,
                    cards: &cards,
                    uid,
                    row,
                    filter: filter.as_ref().zip(place),
                    content: Content::new(row),
                    header: None,
                    cancelled,
                };
                let held = message.decided(&test).map_or_else(|| test.holds(&mut message), Ok);
                match held {
                    Ok(true) => found.push(uid),
                    Ok(false) | Err(StoreError::Corrupt(_)) => {}
                    Err(error) => return Err(error),
                }
                looked_at += 1;
                view.progress().step();
                // The clock is asked after each message that had to be read, and now and then among the others.
                if (message.content.is_loaded() || looked_at.is_multiple_of(256)) && started.elapsed() > STRETCH_LIMIT {
                    next = uid.checked_add(1);
                    return Ok(false);
                }
                Ok(!cancelled.load(Ordering::Relaxed))
            },
        )?;
        if cancelled.load(Ordering::Relaxed) {
            return Err(StoreError::NotFound("nobody waits for this search any more".to_owned()));
        }
    }
    if filter.is_some() && uncovered > UNCOVERED_MANY {
        context.search.want(view.account);
    }
    Ok(UidSet::from_ascending(found))
}

/// One candidate; what is dear is read when a test asks for it.
struct Message<'a, 't> {
    access: &'a Access<'a>,
    cards: &'a RefCell<CardCursor<'t>>,
    uid: Uid,
    row: &'a MessageRecord,
    /// The filter, when a segment covers the message.
    filter: Option<(&'a Filter, Place)>,
    content: Content,
    header: Option<Vec<u8>>,
    /// Nobody waits for the answer any more.
    cancelled: &'a AtomicBool,
}

impl<'t> Message<'_, 't> {
    fn decided(&self, test: &Test) -> Option<bool> {
        test.decided(self)
    }

    /// The decoded, folded values of a header field as the card tells them; `None`: the header must be read.
    fn field_block(&self, field: usize) -> Result<Option<&'t [u8]>> {
        let mut cards = self.cards.borrow_mut();
        let card = cards.get(self.row.blob)?;
        if self.row.prefix != 0 && cards.get(self.row.prefix)?.is_some() {
            // The prefix has fields of its own that count.
            return Ok(None);
        }
        Ok(card.and_then(|card| card::field_block(card, field)))
    }

    fn header(&mut self) -> Result<&[u8]> {
        if self.header.is_none() {
            let end = self.content.prefix_octets() + self.content.structure(self.access)?.header_len() as u64;
            let mut header = Vec::new();
            self.content
                .read(self.access, 0..end.min(HEADER_OCTETS_MAX), &mut header)?;
            self.header = Some(header);
        }
        Ok(self.header.as_deref().unwrap_or_default())
    }
}

impl Facts for Message<'_, '_> {
    type Error = StoreError;

    fn uid(&self) -> u32 {
        self.uid
    }

    fn flags(&self) -> u8 {
        self.row.flags
    }

    fn keywords(&self) -> u64 {
        self.row.keywords
    }

    fn modseq(&self) -> u64 {
        self.row.modseq
    }

    fn size(&self) -> u64 {
        u64::from(self.row.size)
    }

    fn internal_day(&self) -> Date {
        calendar_day(self.row.internal_date, i32::from(self.row.internal_zone))
    }

    fn internal_seconds(&self) -> i64 {
        self.row.internal_date
    }

    fn saved_day(&self) -> Date {
        match self.row.saved {
            0 => calendar_day(self.row.internal_date, 0),
            saved => calendar_day(i64::from(saved), 0),
        }
    }

    fn email_id(&mut self) -> Result<EmailId> {
        email_id(self.access, &mut self.content)
    }

    fn sent_day(&mut self) -> Result<Option<Date>> {
        let date = self.content.from_card(self.access, |card| Some(card.date))?;
        Ok(date.map(|(seconds, zone)| calendar_day(seconds, i32::from(zone))))
    }

    fn header_holds(&mut self, name: &[u8], needle: &Needle) -> Result<bool> {
        if let Some(field) = fields::index_of(name)
            && let Some(block) = self.field_block(field)?
        {
            return Ok(needle.is_in_block(block));
        }
        Ok(headers::fields(self.header()?)
            .filter(|field| field.name.eq_ignore_ascii_case(name))
            .any(|field| needle.is_empty() || needle.is_in(&encoded_word::decode(field.value))))
    }

    fn text_ruled_out(&self, needle: &Needle) -> bool {
        match (self.filter, needle.slot) {
            (Some((filter, place)), Some(slot)) => filter.rules_out(place, slot),
            _ => false,
        }
    }

    fn text_holds(&mut self, needle: &Needle, header: bool) -> Result<bool> {
        if needle.is_empty() {
            return Ok(true);
        }
        if self.text_ruled_out(needle) {
            return Ok(false);
        }
        let mut folded = String::new();
        if header {
            let mut prefix = Vec::new();
            self.content
                .read(self.access, 0..self.content.prefix_octets(), &mut prefix)?;
            document::prefix_text(&prefix, &mut folded);
            if needle.is_in_folded(&folded) {
                return Ok(true);
            }
        }
        let structure = self.content.structure(self.access)?.clone();
        let mut blob = self.content.blob_window(self.access);
        let mut found = false;
        document::body_pieces(&mut blob, &structure, header, &mut folded, |piece| {
            found = needle.is_in_folded(piece);
            !found && !self.cancelled.load(Ordering::Relaxed)
        });
        blob.finish()?;
        Ok(found)
    }
}
