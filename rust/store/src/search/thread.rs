//! THREAD (RFC 5256 §3): ORDEREDSUBJECT here, REFERENCES and REFS by `references`; and the answer's parentheses.
//!
//! Nothing recurs: how deep threads are is a matter of what peers send.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ironpost_proto::imap::quoting::write_number;
use ironpost_proto::imap::sort::ThreadAlgorithm;

use super::collation::casemap_onto;
use super::facts::each_card;
use super::references;
use super::sort::sent;
use crate::error::Result;
use crate::ids::Uid;
use crate::jobs::ReadContext;
use crate::view::MailboxView;
use crate::view::uids::UidSet;

/// What threading knows of the messages found, in the order of the mailbox.
#[derive(Debug, Default)]
pub(super) struct Messages {
    pub(super) entries: Vec<Entry>,
    /// Base subjects by i;unicode-casemap, one behind the other.
    subjects: Vec<u8>,
    /// Hashes of Message-IDs, one message's behind the other's.
    references: Vec<u64>,
}

/// One message.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) uid: Uid,
    /// Sent date, else internal date.
    pub(super) sent: i64,
    pub(super) arrival: i64,
    /// Hash of its Message-ID; 0 without one.
    pub(super) id: u64,
    /// The subject has a mark of a reply or forward.
    pub(super) is_reply: bool,
    subject: Range<usize>,
    references: Range<usize>,
}

impl Messages {
    pub(super) fn subject(&self, message: usize) -> &[u8] {
        &self.subjects[self.entries[message].subject.clone()]
    }

    /// The ancestors that it names, the oldest first.
    pub(super) fn references(&self, message: usize) -> &[u64] {
        &self.references[self.entries[message].references.clone()]
    }

    /// What messages are sorted by among others: when they were sent, then their place in the mailbox.
    pub(super) fn rank(&self, message: u32) -> (i64, u32) {
        (self.entries[message as usize].sent, message)
    }

    pub(super) fn push(&mut self, entry: Entry, subject: &str, references: impl Iterator<Item = u64>) {
        let (subjects, hashes) = (self.subjects.len(), self.references.len());
        casemap_onto(subject, &mut self.subjects);
        self.references.extend(references);
        self.entries.push(Entry {
            subject: subjects..self.subjects.len(),
            references: hashes..self.references.len(),
            ..entry
        });
    }
}

impl Entry {
    pub(super) fn new(uid: Uid, sent: i64, arrival: i64, id: u64, is_reply: bool) -> Self {
        let (subject, references) = (0..0, 0..0);
        Self {
            uid,
            sent,
            arrival,
            id,
            is_reply,
            subject,
            references,
        }
    }
}

/// Threads: nodes by number, each with its children in order. A node without a message stands at the top alone.
#[derive(Debug, Default)]
pub(super) struct Forest {
    /// The top of each thread.
    pub(super) roots: Vec<u32>,
    /// The children of each node.
    pub(super) children: Vec<Vec<u32>>,
    /// The message of each node, as its place in [`Messages`].
    pub(super) messages: Vec<Option<u32>>,
}

/// The messages found, in threads, as the whole line of the answer.
///
/// # Errors
/// What LMDB raises; `NotFound` once `cancelled` is set.
pub(super) fn threaded(
    context: &ReadContext,
    view: &MailboxView,
    found: &UidSet,
    algorithm: ThreadAlgorithm,
    cancelled: &AtomicBool,
    number: impl Fn(Uid) -> Option<u32>,
) -> Result<Vec<u8>> {
    let mut messages = Messages::default();
    each_card(context, view, found, cancelled, |uid, row, card| {
        let entry = Entry::new(
            uid,
            sent(row, card),
            row.internal_date,
            card.map_or(0, |card| card.message_id),
            card.is_some_and(|card| card.is_reply),
        );
        let subject = card.map_or("", |card| card.base_subject);
        let extras = card.and_then(|card| card.extras);
        messages.push(
            entry,
            subject,
            extras.iter().flat_map(|extras| extras.references.iter()),
        );
    })?;
    let forest = match algorithm {
        ThreadAlgorithm::OrderedSubject => by_subject(&messages),
        ThreadAlgorithm::References => references::by_references(&messages, true),
        ThreadAlgorithm::Refs => references::by_references(&messages, false),
    };
    let mut out = b"* THREAD".to_vec();
    if !forest.roots.is_empty() {
        out.push(b' ');
    }
    render(&forest, &mut out, |message| {
        number(messages.entries[message as usize].uid)
    });
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// ORDEREDSUBJECT: the first message of each base subject, the others below it; all by sent date.
pub(super) fn by_subject(messages: &Messages) -> Forest {
    let count = messages.entries.len() as u32;
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_unstable_by_key(|&message| messages.rank(message));
    let mut forest = Forest {
        children: vec![Vec::new(); count as usize],
        messages: (0..count).map(Some).collect(),
        roots: Vec::new(),
    };
    let mut firsts: HashMap<&[u8], u32> = HashMap::new();
    for message in order {
        match firsts.entry(messages.subject(message as usize)) {
            std::collections::hash_map::Entry::Occupied(first) => {
                forest.children[*first.get() as usize].push(message);
            }
            std::collections::hash_map::Entry::Vacant(first) => {
                first.insert(message);
                forest.roots.push(message);
            }
        }
    }
    forest
}

/// `thread-list = "(" (thread-members / thread-nested) ")"`, `thread-members = nz-number *(SP nz-number) [SP
/// thread-nested]`, `thread-nested = 2*thread-list` (RFC 5256 §5)
pub(super) fn render(forest: &Forest, out: &mut Vec<u8>, number: impl Fn(u32) -> Option<u32>) {
    enum Step {
        Open(u32),
        Close,
    }
    let mut steps: Vec<Step> = forest.roots.iter().rev().map(|&root| Step::Open(root)).collect();
    while let Some(step) = steps.pop() {
        let Step::Open(mut node) = step else {
            out.push(b')');
            continue;
        };
        out.push(b'(');
        steps.push(Step::Close);
        loop {
            let told = forest.messages[node as usize].and_then(&number);
            if let Some(told) = told {
                write_number(out, u64::from(told));
            }
            match forest.children[node as usize].as_slice() {
                [] => break,
                [only] => {
                    if told.is_some() {
                        out.push(b' ');
                    }
                    node = *only;
                }
                several => {
                    if told.is_some() {
                        out.push(b' ');
                    }
                    steps.extend(several.iter().rev().map(|&child| Step::Open(child)));
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(forest: &Forest) -> String {
        let mut out = Vec::new();
        render(forest, &mut out, |message| Some(message + 1));
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn parentheses() {
        // RFC 5256 §4: (2)(3 6 (4 23)(44 7 96)), with numbers of our own.
        let forest = Forest {
            roots: vec![0, 1],
            children: vec![vec![], vec![2], vec![3, 5], vec![4], vec![], vec![6], vec![7], vec![]],
            messages: (0..8).map(Some).collect(),
        };
        assert_eq!(text(&forest), "(1)(2 3 (4 5)(6 7 8))");
        // ((3)(5)): two messages without their parent.
        let forest = Forest {
            roots: vec![0],
            children: vec![vec![1, 2], vec![], vec![]],
            messages: vec![None, Some(2), Some(4)],
        };
        assert_eq!(text(&forest), "((3)(5))");
    }

    #[test]
    fn subjects_in_the_order_of_their_first_message() {
        let mut messages = Messages::default();
        for (sent, subject) in [(5, "b"), (3, "a"), (4, "B"), (9, ""), (3, "A"), (2, "")] {
            messages.push(Entry::new(1, sent, 0, 0, false), subject, std::iter::empty());
        }
        assert_eq!(text(&by_subject(&messages)), "(6 4)(2 5)(3 1)");
    }

    #[test]
    fn a_deep_thread_costs_no_stack() {
        let count = 300_000_u32;
        let forest = Forest {
            roots: vec![0],
            children: (1..=count)
                .map(|next| if next < count { vec![next] } else { vec![] })
                .collect(),
            messages: (0..count).map(Some).collect(),
        };
        assert!(text(&forest).starts_with("(1 2 3 "));
    }
}
