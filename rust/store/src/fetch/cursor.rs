//! A FETCH in progress: bounded stretches of response octets, large bodies in pieces, no transaction between two of them.
//!
//! \Seen that the same FETCH sets is not told in its lines: the session marks first or afterwards and refreshes the view,
//! which then tells the flags (RFC 9051 §6.4.5 asks for a FETCH response, not for its place).

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ironpost_proto::imap::fetch_att::FetchAttribute;
use ironpost_proto::imap::modseq::FetchModifiers;
use ironpost_proto::imap::partial::PartialRange;
use ironpost_proto::imap::sequence::SequenceSet;
use parking_lot::Mutex;

use super::decoding::Decoding;
use super::items::{FetchPlan, Written, write_content, write_fact};
use super::message::{Access, Content, Facts};
use crate::error::{Result, StoreError};
use crate::ids::Uid;
use crate::pack::format::FRAME_OCTETS;
use crate::view::MailboxView;
use crate::view::lines::{KeywordNames, write_fetch};
use crate::view::rows::{each_row, keyword_names};
use crate::view::uids::UidSet;

/// A stretch ends after this long even when it has few octets, so that its transaction is short.
const STRETCH_LIMIT: Duration = Duration::from_millis(200);
/// Octets of a body that a stretch takes at least once it has begun to.
const PIECE_OCTETS_MIN: u64 = 4096;

/// A FETCH over one view.
#[derive(Debug)]
pub struct FetchCursor {
    view: Arc<MailboxView>,
    plan: FetchPlan,
    wanted: UidSet,
    modifiers: FetchModifiers,
    done: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Messages below this have been answered; one beyond the largest UID at the end.
    next: u64,
    /// The message whose answer has begun.
    open: Option<Open>,
    /// The first fault; told after the others have been answered.
    fault: Option<StoreError>,
    /// No message is left.
    exhausted: bool,
}

/// A message whose answer has begun.
#[derive(Debug)]
struct Open {
    facts: Facts,
    content: Content,
    /// The next item.
    item: usize,
    /// What is still owed of an announced literal.
    owed: Option<Owed>,
}

#[derive(Debug)]
enum Owed {
    Octets(Range<u64>),
    Decoded(Vec<u8>, usize),
    Decoding(Decoding),
    /// So many octets that cannot be read, though they have been announced.
    Lost(u64),
}

/// The window of PARTIAL over the messages that a FETCH names (RFC 9394 §3.3).
#[must_use]
pub fn paged(named: UidSet, partial: Option<PartialRange>) -> UidSet {
    let Some(partial) = partial else {
        return named;
    };
    let range = partial.pick(named.len() as usize);
    UidSet::from_ascending(named.iter().skip(range.start).take(range.len()))
}

impl FetchCursor {
    /// Prepares a FETCH; nothing is read yet.
    #[must_use]
    pub fn new(
        view: Arc<MailboxView>,
        set: &SequenceSet,
        uid: bool,
        attributes: &[FetchAttribute],
        modifiers: FetchModifiers,
    ) -> Self {
        let wanted = paged(view.resolve(set, uid), modifiers.partial);
        let done = AtomicBool::new(wanted.is_empty());
        let tells_uid = uid && !view.told().uid_only;
        Self {
            view,
            plan: FetchPlan::new(attributes, tells_uid, modifiers.changed_since.is_some()),
            wanted,
            modifiers,
            done,
            state: Mutex::default(),
        }
    }

    /// True when nothing is left to answer, faults included.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// The messages, when the answer has not begun and there are at most `most` of them.
    pub(crate) fn few_left(&self, most: u32) -> Option<Vec<Uid>> {
        let state = self.state.lock();
        (state.next == 0 && self.wanted.len() <= most).then(|| self.wanted.iter().collect())
    }

    /// True when the hot rows answer everything.
    pub(crate) fn rows_suffice(&self) -> bool {
        self.plan.rows_suffice()
    }

    /// The view that it reads.
    #[must_use]
    pub fn view(&self) -> &Arc<MailboxView> {
        &self.view
    }

    /// The next stretch, about `limit` octets at most.
    ///
    /// # Errors
    /// After all other messages have been answered: Corrupt when one was damaged and left out, Refused with
    /// [`super::items::UNKNOWN_ENCODING`] when BINARY met an unknown encoding. Errors of the index as a whole at once.
    pub fn stretch(&self, access: &Access<'_>, limit: usize) -> Result<Vec<u8>> {
        let limit = limit.max(1);
        let started = Instant::now();
        let mut state = self.state.lock();
        let mut out = Vec::with_capacity(limit.min(16 * 1024));
        // What the message rows name may be newer than the view's list.
        let keywords = keyword_names(&access.context.tables, access.txn, self.view.account)?;
        if state.open.is_some() {
            self.go_on(access, &mut state, &keywords, limit, &mut out);
        }
        if state.open.is_none() && out.len() < limit && !state.exhausted {
            self.messages(access, &mut state, &keywords, limit, started, &mut out)?;
        }
        if state.exhausted && state.open.is_none() {
            match state.fault.take() {
                None => self.done.store(true, Ordering::Release),
                Some(fault) if out.is_empty() => {
                    self.done.store(true, Ordering::Release);
                    return Err(fault);
                }
                // The octets go first; the next call tells the fault.
                fault => state.fault = fault,
            }
        }
        Ok(out)
    }

    /// Answers messages until the stretch is full.
    fn messages(
        &self,
        access: &Access<'_>,
        state: &mut State,
        keywords: &KeywordNames,
        limit: usize,
        started: Instant,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let told = self.view.told();
        let from = Uid::try_from(state.next).unwrap_or(Uid::MAX);
        let last = self.wanted.last().map_or(0, u64::from);
        let mut number_of = Numbers::new(&told.uids);
        let any_recent = !told.recent.is_empty();
        let mut stopped = false;
        let mut looked_at = 0_u32;
        each_row(
            &access.context.tables,
            access.txn,
            self.view.mailbox,
            self.wanted.iter_range(from, Uid::MAX),
            |uid, row| {
                state.next = u64::from(uid) + 1;
                let row = match row {
                    Ok(row) => row,
                    Err(fault) => {
                        keep_first(&mut state.fault, fault);
                        return Ok(true);
                    }
                };
                if self.modifiers.changed_since.is_some_and(|since| row.modseq <= since) {
                    return Ok(true);
                }
                let Some(number) = number_of.of(uid) else {
                    return Ok(true);
                };
                let facts = Facts {
                    uid,
                    recent: any_recent && told.recent.contains(uid),
                    row: *row,
                };
                let start = out.len();
                write_fetch(out, number, uid, told.uid_only);
                if self.plan.rows_suffice() {
                    self.plan.write_row(&facts, keywords, out);
                    out.extend_from_slice(b")\r\n");
                } else {
                    let mut open = Open {
                        facts,
                        content: Content::new(row),
                        item: 0,
                        owed: None,
                    };
                    match self.advance(access, &mut open, keywords, limit, out) {
                        Ok(true) => {}
                        Ok(false) => {
                            state.open = Some(open);
                            stopped = true;
                            return Ok(false);
                        }
                        Err(fault) => {
                            // Nothing of it has left us yet, so that the message can be left out as a whole.
                            out.truncate(start);
                            keep_first(&mut state.fault, fault);
                        }
                    }
                }
                looked_at += 1;
                let late = looked_at.is_multiple_of(16) && started.elapsed() > STRETCH_LIMIT;
                stopped = out.len() >= limit || late;
                Ok(!stopped)
            },
        )?;
        state.exhausted = !stopped || state.next > last;
        Ok(())
    }

    /// Goes on with the message whose answer an earlier stretch has begun.
    fn go_on(&self, access: &Access<'_>, state: &mut State, keywords: &KeywordNames, limit: usize, out: &mut Vec<u8>) {
        let Some(mut open) = state.open.take() else {
            return;
        };
        match self.advance(access, &mut open, keywords, limit, out) {
            Ok(true) => {}
            Ok(false) => state.open = Some(open),
            Err(fault) => {
                // A literal that has been announced is counted by the client: its damaged rest is made of spaces. Items not
                // yet begun are left out, and the command fails in the end.
                keep_first(&mut state.fault, fault);
                let owed = match &open.owed {
                    Some(Owed::Octets(range)) => range.end - range.start,
                    Some(Owed::Decoded(octets, from)) => (octets.len() - from) as u64,
                    Some(Owed::Decoding(decoding)) => decoding.left(),
                    Some(Owed::Lost(octets)) => *octets,
                    None => 0,
                };
                open.owed = (owed > 0).then_some(Owed::Lost(owed));
                open.item = usize::MAX;
                if !matches!(self.advance(access, &mut open, keywords, limit, out), Ok(true)) {
                    state.open = Some(open);
                }
            }
        }
    }

    /// Writes items of a message until it is complete (true) or the stretch is full in the midst of a literal (false).
    fn advance(
        &self,
        access: &Access<'_>,
        open: &mut Open,
        keywords: &KeywordNames,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        loop {
            if let Some(owed) = &mut open.owed {
                let room = (limit.saturating_sub(out.len()) as u64).max(PIECE_OCTETS_MIN);
                let left = match owed {
                    Owed::Octets(range) => {
                        let piece = range.start..piece_end(range, room, open.content.prefix_octets());
                        let before = out.len();
                        let read = open.content.read(access, piece.clone(), out);
                        if read.is_err() || (out.len() - before) as u64 != piece.end - piece.start {
                            out.truncate(before);
                            read?;
                            return Err(StoreError::Corrupt(format!(
                                "message {}: its body is short",
                                open.facts.uid
                            )));
                        }
                        range.start = piece.end;
                        !range.is_empty()
                    }
                    Owed::Lost(octets) => {
                        let piece = room.min(*octets);
                        out.resize(out.len() + piece as usize, b' ');
                        *octets -= piece;
                        *octets > 0
                    }
                    Owed::Decoding(decoding) => {
                        let before = out.len();
                        let left = decoding.left();
                        let written = decoding.write(access, &mut open.content, room, out);
                        if written.is_err() {
                            // What has been written counts: the literal's length is announced.
                            debug_assert_eq!((out.len() - before) as u64, left - decoding.left());
                            written?;
                        }
                        decoding.left() > 0
                    }
                    Owed::Decoded(octets, from) => {
                        let piece = *from..octets.len().min(from.saturating_add(room as usize));
                        *from = piece.end;
                        out.extend_from_slice(octets.get(piece).unwrap_or_default());
                        *from < octets.len()
                    }
                };
                if left {
                    return Ok(false);
                }
                open.owed = None;
            }
            let Some(item) = self.plan.item(open.item) else {
                out.extend_from_slice(b")\r\n");
                return Ok(true);
            };
            let start = out.len();
            if open.item > 0 {
                out.push(b' ');
            }
            open.item += 1;
            if !write_fact(item, &open.facts, keywords, out) {
                open.owed = match write_content(item, access, &mut open.content, out) {
                    Ok(Written::Whole) => None,
                    Ok(Written::Octets(range)) => Some(Owed::Octets(range)),
                    Ok(Written::Decoded(octets)) => Some(Owed::Decoded(octets, 0)),
                    Ok(Written::Decoding(decoding)) => Some(Owed::Decoding(decoding)),
                    Err(fault) => {
                        out.truncate(start);
                        return Err(fault);
                    }
                };
            }
        }
    }
}

/// Where the next piece of a body ends: at the end of a frame of the pack where there is room for most of one, so that no
/// frame is decompressed twice.
fn piece_end(range: &Range<u64>, room: u64, prefix_octets: u64) -> u64 {
    const FRAME: u64 = FRAME_OCTETS as u64;
    let end = if room < FRAME / 2 {
        range.start.saturating_add(room)
    } else {
        let frame = range.start.saturating_sub(prefix_octets) / FRAME;
        // The room has no bound when the whole answer is wanted at once.
        frame
            .saturating_add((room / FRAME).max(1))
            .saturating_mul(FRAME)
            .saturating_add(prefix_octets)
    };
    end.min(range.end)
}

/// Message numbers of ascending UIDs: the next one costs a step, only a jump costs a look-up.
struct Numbers<'a> {
    uids: &'a UidSet,
    last: Option<(Uid, u32)>,
}

impl<'a> Numbers<'a> {
    fn new(uids: &'a UidSet) -> Self {
        Self { uids, last: None }
    }

    fn of(&mut self, uid: Uid) -> Option<u32> {
        let number = match self.last {
            Some((last, number)) if last.checked_add(1) == Some(uid) && self.uids.contains(uid) => number + 1,
            _ => self.uids.rank(uid)?,
        };
        self.last = Some((uid, number));
        Some(number)
    }
}

fn keep_first(kept: &mut Option<StoreError>, fault: StoreError) {
    if kept.is_none() {
        *kept = Some(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_at_frames_and_never_beyond_the_range() {
        const FRAME: u64 = FRAME_OCTETS as u64;
        assert_eq!(piece_end(&(0..10), 4096, 0), 10);
        assert_eq!(piece_end(&(0..FRAME * 9), 100, 0), 100);
        assert_eq!(piece_end(&(0..FRAME * 9), FRAME, 7), FRAME + 7);
        assert_eq!(piece_end(&(FRAME + 10..FRAME * 9), FRAME * 2, 7), FRAME * 3 + 7);
        // The whole at once, from beyond the first frame on.
        assert_eq!(piece_end(&(FRAME * 2..FRAME * 9), u64::MAX, 7), FRAME * 9);
    }
}
