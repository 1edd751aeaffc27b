//! THREAD: which messages answer which (RFC 5256 §3: ORDEREDSUBJECT, REFERENCES; draft-ietf-morg-inthread: REFS).
//!
//! Messages are known by hashes of their Message-IDs. Nothing here calls itself: threads may be as deep as the mailbox is long.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use ironpost_proto::imap::quoting::write_number;
use ironpost_proto::imap::sort::ThreadAlgorithm;

use super::collation::casemap;
use super::facts::each_card;
use super::sort::sent;
use crate::card::REFERENCES_FIRST;
use crate::error::Result;
use crate::ids::Uid;
use crate::jobs::ReadContext;
use crate::view::MailboxView;
use crate::view::uids::UidSet;

/// What threading compares of one message.
struct Letter {
    uid: Uid,
    /// Sent date, or internal date for REFS.
    date: i64,
    subject: Box<[u8]>,
    is_reply: bool,
    id: u64,
    /// The oldest ancestor first.
    references: Vec<u64>,
    /// Some between the first and the others are not known.
    cut: bool,
}

/// A place in a tree: a message, or one that is only referred to.
#[derive(Default)]
struct Node {
    /// Index of its letter.
    letter: Option<usize>,
    parent: Option<usize>,
    children: Vec<usize>,
}

/// A tree to be written: a node of it, and those below.
#[derive(Default)]
struct Forest {
    nodes: Vec<Node>,
    roots: Vec<usize>,
}

/// Threads what was found and renders the answer, as UIDs or as message numbers of `numbered`.
pub(super) fn threaded(
    context: &ReadContext,
    view: &MailboxView,
    found: &UidSet,
    algorithm: ThreadAlgorithm,
    cancelled: &AtomicBool,
    number: impl Fn(Uid) -> Option<u32>,
) -> Result<Vec<u8>> {
    let mut letters: Vec<Letter> = Vec::with_capacity(found.len() as usize);
    let by_references = algorithm != ThreadAlgorithm::OrderedSubject;
    each_card(context, view, found, cancelled, |uid, row, card| {
        let extras = card.and_then(|card| card.extras).filter(|_| by_references);
        letters.push(Letter {
            uid,
            date: match algorithm {
                ThreadAlgorithm::Refs => row.internal_date,
                _ => sent(row, card),
            },
            subject: match algorithm {
                ThreadAlgorithm::Refs => Box::default(),
                _ => card.map(|card| casemap(card.base_subject)).unwrap_or_default(),
            },
            is_reply: card.is_some_and(|card| card.is_reply),
            id: card.map_or(0, |card| card.message_id),
            references: extras
                .map(|extras| extras.references.iter().collect())
                .unwrap_or_default(),
            cut: extras.is_some_and(|extras| extras.references.cut),
        });
    })?;
    let forest = match algorithm {
        ThreadAlgorithm::OrderedSubject => by_subject(&letters),
        ThreadAlgorithm::References => {
            let mut forest = linked(&letters);
            forest.prune();
            forest.sort(&letters);
            forest.join_subjects(&letters);
            forest.sort(&letters);
            forest
        }
        ThreadAlgorithm::Refs => {
            let mut forest = linked(&letters);
            forest.prune();
            forest.sort(&letters);
            forest.newest_last(&letters);
            forest
        }
    };
    Ok(forest.rendered(|letter| letters.get(letter).and_then(|letter| number(letter.uid))))
}

/// ORDEREDSUBJECT: one thread a subject, the oldest message above all others of it.
fn by_subject(letters: &[Letter]) -> Forest {
    let mut order: Vec<usize> = (0..letters.len()).collect();
    order.sort_by(|&left, &right| {
        let (left, right) = (&letters[left], &letters[right]);
        left.subject.cmp(&right.subject).then(left.date.cmp(&right.date))
    });
    let mut forest = Forest::default();
    let mut last: Option<usize> = None;
    for letter in order {
        let node = forest.add(Some(letter));
        match last {
            Some(root) if *letters[letter].subject == *forest.subject_of(root, letters) => {
                forest.nodes[root].children.push(node)
            }
            _ => {
                forest.roots.push(node);
                last = Some(node);
            }
        }
    }
    let nodes = &forest.nodes;
    forest.roots.sort_by_key(|&root| {
        nodes[root]
            .letter
            .map(|letter| (letters[letter].date, letters[letter].uid))
    });
    forest
}

/// Steps 1 and 2 of REFERENCES: a node for every message and everything referred to, linked.
///
/// What a message says of its own parent counts more than what others say of it (step 1.B replaces links of 1.A), so these links come
/// first and none is ever taken back: then a loop is seen by comparing roots.
fn linked(letters: &[Letter]) -> Forest {
    let mut forest = Forest::default();
    let mut by_id: HashMap<u64, usize> = HashMap::with_capacity(letters.len());
    for (index, letter) in letters.iter().enumerate() {
        let node = forest.add(Some(index));
        // Nothing refers to a message without an ID, or with that of another.
        if letter.id != 0 {
            by_id.entry(letter.id).or_insert(node);
        }
    }
    let mut trees = Trees::default();
    for (own, letter) in letters.iter().enumerate() {
        if let Some(&id) = letter.references.last() {
            let parent = *by_id.entry(id).or_insert_with(|| forest.add(None));
            if trees.join(parent, own) {
                forest.nodes[own].parent = Some(parent);
            }
        }
    }
    for letter in letters {
        let mut before: Option<usize> = None;
        for (position, &id) in letter.references.iter().enumerate() {
            let node = *by_id.entry(id).or_insert_with(|| forest.add(None));
            if letter.cut && position == REFERENCES_FIRST {
                before = None;
            }
            let Node {
                letter: None,
                parent: None,
                ..
            } = forest.nodes[node]
            else {
                before = Some(node);
                continue;
            };
            if let Some(parent) = before
                && trees.join(parent, node)
            {
                forest.nodes[node].parent = Some(parent);
            }
            before = Some(node);
        }
    }
    for node in 0..forest.nodes.len() {
        match forest.nodes[node].parent {
            Some(parent) => forest.nodes[parent].children.push(node),
            None => forest.roots.push(node),
        }
    }
    forest
}

/// Which nodes are in one tree, and its root: each node points towards it.
#[derive(Default)]
struct Trees(Vec<usize>);

impl Trees {
    fn root(&mut self, mut node: usize) -> usize {
        while self.0.len() <= node {
            self.0.push(self.0.len());
        }
        while self.0[node] != node {
            self.0[node] = self.0[self.0[node]];
            node = self.0[node];
        }
        node
    }

    /// Puts a tree below a node; false when the node is in that tree. `child` is the root of its tree.
    fn join(&mut self, parent: usize, child: usize) -> bool {
        let (above, below) = (self.root(parent), self.root(child));
        if above == below {
            return false;
        }
        self.0[below] = above;
        true
    }
}

impl Forest {
    fn add(&mut self, letter: Option<usize>) -> usize {
        self.nodes.push(Node {
            letter,
            ..Node::default()
        });
        self.nodes.len() - 1
    }

    /// All nodes, parents before their children.
    fn downwards(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut waiting: Vec<usize> = self.roots.clone();
        while let Some(node) = waiting.pop() {
            order.push(node);
            waiting.extend(&self.nodes[node].children);
        }
        order
    }

    /// Step 3: takes out nodes without a message; their children go up, at the top only when there is one.
    fn prune(&mut self) {
        for node in self.downwards().into_iter().rev() {
            let children = std::mem::take(&mut self.nodes[node].children);
            self.nodes[node].children = self.promoted(children, |children| children > 0);
        }
        let roots = std::mem::take(&mut self.roots);
        self.roots = self.promoted(roots, |children| children == 1);
    }

    /// A list of siblings in which nodes without a message and without children are left out, and those for which `goes` holds,
    /// by the number of children, are replaced by these. Whatever is below has been pruned already.
    fn promoted(&mut self, siblings: Vec<usize>, goes: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut kept = Vec::with_capacity(siblings.len());
        for node in siblings {
            let children = self.nodes[node].children.len();
            if self.nodes[node].letter.is_some() {
                kept.push(node);
            } else if goes(children) {
                kept.append(&mut self.nodes[node].children);
            } else if children > 0 {
                kept.push(node);
            }
        }
        kept
    }

    /// Steps 4 and 6: siblings by date, and by number where dates are equal; a node without a message has the date of its first
    /// child.
    fn sort(&mut self, letters: &[Letter]) {
        let order = self.downwards();
        let mut dates: Vec<(i64, Uid)> = vec![(0, 0); self.nodes.len()];
        for node in order.into_iter().rev() {
            let mut children = std::mem::take(&mut self.nodes[node].children);
            children.sort_by_key(|&child| dates[child]);
            dates[node] = match self.nodes[node].letter {
                Some(letter) => (letters[letter].date, letters[letter].uid),
                None => children.first().map_or((0, 0), |&child| dates[child]),
            };
            self.nodes[node].children = children;
        }
        self.roots.sort_by_key(|&root| dates[root]);
    }

    /// REFS: threads by the date of their newest message.
    fn newest_last(&mut self, letters: &[Letter]) {
        let mut newest: Vec<(i64, Uid)> = vec![(i64::MIN, 0); self.nodes.len()];
        for node in self.downwards().into_iter().rev() {
            let own = self.nodes[node]
                .letter
                .map(|letter| (letters[letter].date, letters[letter].uid));
            let below = self.nodes[node].children.iter().map(|&child| newest[child]).max();
            newest[node] = own.max(below).unwrap_or((i64::MIN, 0));
        }
        self.roots.sort_by_key(|&root| newest[root]);
    }

    /// The letter that stands for a root: its own, or its first child's.
    fn speaker<'l>(&self, root: usize, letters: &'l [Letter]) -> Option<&'l Letter> {
        let node = &self.nodes[root];
        let letter = node
            .letter
            .or_else(|| node.children.first().and_then(|&child| self.nodes[child].letter));
        letter.and_then(|letter| letters.get(letter))
    }

    fn subject_of<'l>(&self, root: usize, letters: &'l [Letter]) -> &'l [u8] {
        self.speaker(root, letters).map_or(&[], |letter| &letter.subject)
    }

    /// Step 5: joins threads of one subject.
    fn join_subjects(&mut self, letters: &[Letter]) {
        let mut table: HashMap<&[u8], usize> = HashMap::new();
        let is_reply = |forest: &Self, root: usize| forest.speaker(root, letters).is_some_and(|letter| letter.is_reply);
        for &root in &self.roots {
            let subject = self.subject_of(root, letters);
            if subject.is_empty() {
                continue;
            }
            let replaces = table.get(subject).is_none_or(|&other| {
                let dummy = |node: usize| self.nodes[node].letter.is_none();
                (dummy(root) && !dummy(other)) || (!dummy(other) && is_reply(self, other) && !is_reply(self, root))
            });
            if replaces {
                table.insert(subject, root);
            }
        }
        let mut gone = vec![false; self.nodes.len()];
        for root in self.roots.clone() {
            let subject = self.subject_of(root, letters);
            let Some(&other) = table.get(subject).filter(|&&other| other != root) else {
                continue;
            };
            match (self.nodes[other].letter.is_some(), self.nodes[root].letter.is_some()) {
                (false, false) => {
                    let mut children = std::mem::take(&mut self.nodes[root].children);
                    self.nodes[other].children.append(&mut children);
                    gone[root] = true;
                }
                (false, true) => {
                    self.nodes[other].children.push(root);
                    gone[root] = true;
                }
                (true, true) if is_reply(self, root) && !is_reply(self, other) => {
                    self.nodes[other].children.push(root);
                    gone[root] = true;
                }
                _ => {
                    // Both stand side by side below a new node in the place of the one in the table.
                    let joint = self.add(None);
                    self.nodes[joint].children = vec![other, root];
                    gone.push(false);
                    gone[root] = true;
                    gone[other] = true;
                    self.roots.push(joint);
                    table.insert(subject, joint);
                }
            }
        }
        self.roots.retain(|&root| !gone[root]);
    }

    /// `* THREAD (2)(3 6 (4 23)(44 7 96))`
    fn rendered(&self, number: impl Fn(usize) -> Option<u32>) -> Vec<u8> {
        enum Task {
            /// A list of its own.
            List(usize),
            /// What comes behind a message in its list.
            Below(usize),
            Close,
        }
        let mut out = b"* THREAD".to_vec();
        if !self.roots.is_empty() {
            out.push(b' ');
        }
        let mut tasks: Vec<Task> = self.roots.iter().rev().map(|&root| Task::List(root)).collect();
        while let Some(task) = tasks.pop() {
            let node = match task {
                Task::Close => {
                    out.push(b')');
                    continue;
                }
                Task::List(node) => {
                    out.push(b'(');
                    tasks.push(Task::Close);
                    node
                }
                Task::Below(node) => node,
            };
            let children = &self.nodes[node].children;
            if let Some(number) = self.nodes[node].letter.and_then(&number) {
                write_number(&mut out, u64::from(number));
                if !children.is_empty() {
                    out.push(b' ');
                }
            }
            match children[..] {
                [only] => tasks.push(Task::Below(only)),
                _ => tasks.extend(children.iter().rev().map(|&child| Task::List(child))),
            }
        }
        out.extend_from_slice(b"\r\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(uid: Uid, subject: &str, is_reply: bool, id: u64, references: &[u64]) -> Letter {
        Letter {
            uid,
            date: i64::from(uid),
            subject: casemap(subject),
            is_reply,
            id,
            references: references.to_vec(),
            cut: false,
        }
    }

    fn references(letters: &[Letter]) -> String {
        let mut forest = linked(letters);
        forest.prune();
        forest.sort(letters);
        forest.join_subjects(letters);
        forest.sort(letters);
        written(&forest, letters)
    }

    fn refs(letters: &[Letter]) -> String {
        let mut forest = linked(letters);
        forest.prune();
        forest.sort(letters);
        forest.newest_last(letters);
        written(&forest, letters)
    }

    fn written(forest: &Forest, letters: &[Letter]) -> String {
        let out = forest.rendered(|letter| Some(letters[letter].uid));
        String::from_utf8_lossy(&out).trim_end().to_owned()
    }

    /// The shape of the example in RFC 5256 §4.
    #[test]
    fn nested_answers() {
        let letters = [
            letter(2, "other", false, 20, &[]),
            letter(3, "x", false, 30, &[]),
            letter(4, "x", true, 40, &[30, 60]),
            letter(6, "x", true, 60, &[30]),
            letter(7, "x", true, 70, &[30, 60, 440]),
            letter(23, "x", true, 230, &[30, 60, 40]),
            letter(44, "x", true, 440, &[30, 60]),
            letter(96, "x", true, 960, &[70]),
        ];
        assert_eq!(references(&letters), "* THREAD (2)(3 6 (4 23)(44 7 96))");
        assert_eq!(references(&[]), "* THREAD");
    }

    #[test]
    fn what_is_missing_joins_its_children() {
        // Both answer 100, which is not here; 101 is its child, and not here either.
        let letters = [letter(3, "a", true, 1, &[100]), letter(6, "b", true, 2, &[100, 101])];
        assert_eq!(references(&letters), "* THREAD ((3)(6))");
        // One alone takes the place of what is missing.
        assert_eq!(references(&letters[1..]), "* THREAD (6)");
    }

    #[test]
    fn loops_and_doubles_are_cut() {
        let letters = [
            letter(1, "a", false, 10, &[20]),
            letter(2, "b", false, 20, &[10]),
            letter(3, "c", false, 30, &[30]),
            letter(4, "d", false, 10, &[]),
            letter(5, "e", false, 0, &[50, 60, 50]),
            letter(6, "f", false, 0, &[]),
        ];
        assert_eq!(references(&letters), "* THREAD (2 1)(3)(4)(5)(6)");
    }

    /// RFC 5256 §3, REFERENCES step 5.
    #[test]
    fn one_subject_is_one_thread() {
        let reply = [letter(1, "a", false, 1, &[]), letter(2, "A", true, 2, &[])];
        assert_eq!(references(&reply), "* THREAD (1 2)");
        let late = [letter(1, "a", true, 1, &[]), letter(2, "a", false, 2, &[])];
        assert_eq!(references(&late), "* THREAD (2 1)");
        let equals = [
            letter(1, "a", false, 1, &[]),
            letter(2, "a", false, 2, &[]),
            letter(3, "a", true, 3, &[]),
        ];
        assert_eq!(references(&equals), "* THREAD ((1)(2)(3))");
        let dummies = [
            letter(1, "a", true, 1, &[9]),
            letter(2, "a", true, 2, &[9]),
            letter(3, "a", true, 3, &[8]),
            letter(4, "a", true, 4, &[8]),
            letter(5, "a", true, 5, &[]),
        ];
        assert_eq!(references(&dummies), "* THREAD ((1)(2)(3)(4)(5))");
        let none = [letter(1, "", false, 1, &[]), letter(2, "", true, 2, &[])];
        assert_eq!(references(&none), "* THREAD (1)(2)");
        // Not by REFS.
        assert_eq!(refs(&reply), "* THREAD (1)(2)");
    }

    #[test]
    fn refs_puts_the_newest_last() {
        let letters = [
            letter(1, "a", false, 1, &[]),
            letter(2, "b", false, 2, &[]),
            letter(3, "a", true, 3, &[1]),
        ];
        assert_eq!(refs(&letters), "* THREAD (2)(1 3)");
        assert_eq!(references(&letters), "* THREAD (1 3)(2)");
    }

    #[test]
    fn by_subject_the_first_is_above_all() {
        let letters = [
            letter(1, "b", false, 1, &[]),
            letter(2, "a", false, 2, &[]),
            letter(3, "B", true, 3, &[]),
            letter(4, "b", true, 4, &[3]),
            letter(5, "c", true, 5, &[]),
            letter(6, "C", true, 6, &[]),
        ];
        assert_eq!(written(&by_subject(&letters), &letters), "* THREAD (1 (3)(4))(2)(5 6)");
    }

    #[test]
    fn depth_costs_no_stack_and_no_square() {
        const MANY: u32 = 200_000;
        let letters: Vec<Letter> = (1..=MANY)
            .map(|uid| letter(uid, "", true, u64::from(uid), &[u64::from(uid) - 1]))
            .collect();
        let answer = references(&letters);
        assert!(
            answer.starts_with("* THREAD (1 2 3 ") && answer.ends_with(" 200000)"),
            "{}",
            &answer[..60]
        );
        let backwards: Vec<Letter> = (1..=MANY)
            .map(|uid| letter(uid, "", true, u64::from(MANY - uid + 1), &[u64::from(MANY - uid)]))
            .collect();
        assert!(references(&backwards).starts_with("* THREAD (200000 199999 "));
    }
}
