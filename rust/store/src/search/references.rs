//! Threading by Message-IDs: REFERENCES (RFC 5256 §3, after Jamie Zawinski) and REFS (draft-ietf-morg-inthread).
//!
//! A message's own References decide its parent; what others say of its ancestors counts only where it says nothing. The RFC
//! makes such links and cuts them again when it comes to the message itself; here they are not made, so that links only
//! ever join trees and a loop is seen by comparing two roots.

use std::collections::HashMap;

use super::thread::{Forest, Messages};

const NONE: u32 = u32::MAX;

/// The threads. With `subjects` threads of one base subject are merged (step 5) and threads stand in the order of their
/// first messages; without (REFS) the thread with the latest arrival stands last.
pub(super) fn by_references(messages: &Messages, subjects: bool) -> Forest {
    let links = Links::of(messages);
    let mut forest = pruned(messages, &links);
    for root in forest.roots.clone() {
        if forest.messages[root as usize].is_none() {
            sort_children(messages, &mut forest, root);
        }
    }
    sort_roots(messages, &mut forest);
    if subjects {
        merge_subjects(messages, &mut forest);
    }
    // Only a node at the top can be without a message, and its children are messages: any order of nodes will do.
    for node in 0..forest.children.len() as u32 {
        sort_children(messages, &mut forest, node);
    }
    if subjects {
        sort_roots(messages, &mut forest);
    } else {
        sort_by_latest(messages, &mut forest);
    }
    forest
}

/// Step 1: nodes for messages and for the ancestors that are named, with their links.
struct Links {
    parents: Vec<u32>,
    /// Leads towards the root of the tree, shortened with each look.
    towards: Vec<u32>,
}

impl Links {
    fn of(messages: &Messages) -> Self {
        let count = messages.entries.len();
        // A Message-ID that comes again names the first message; the others have none (RFC 5256 §3).
        let mut nodes: HashMap<u64, u32> = HashMap::with_capacity(count);
        for (message, entry) in messages.entries.iter().enumerate() {
            if entry.id != 0 {
                nodes.entry(entry.id).or_insert(message as u32);
            }
        }
        let mut links = Self {
            parents: vec![NONE; count],
            towards: (0..count as u32).collect(),
        };
        for message in 0..count {
            let mut last = NONE;
            for &id in messages.references(message) {
                let node = *nodes.entry(id).or_insert_with(|| links.add());
                // A message that is yet to come will say itself who its parent is.
                let is_open = (node as usize) < message || node as usize >= count;
                if is_open && last != NONE && links.parents[node as usize] == NONE {
                    links.link(last, node);
                }
                last = node;
            }
            if last != NONE {
                links.link(last, message as u32);
            }
        }
        links
    }

    fn add(&mut self) -> u32 {
        let node = self.parents.len() as u32;
        self.parents.push(NONE);
        self.towards.push(node);
        node
    }

    fn root(&mut self, mut node: u32) -> u32 {
        while self.towards[node as usize] != node {
            let next = self.towards[node as usize];
            self.towards[node as usize] = self.towards[next as usize];
            node = self.towards[node as usize];
        }
        node
    }

    /// Makes a root the child of `parent`, unless that would close a loop.
    fn link(&mut self, parent: u32, child: u32) {
        let root = self.root(parent);
        if root != child {
            self.parents[child as usize] = parent;
            self.towards[child as usize] = root;
        }
    }
}

/// Steps 2 and 3: without the nodes that have no message, but for those at the top with more than one child.
fn pruned(messages: &Messages, links: &Links) -> Forest {
    let count = messages.entries.len();
    // For each node the nearest ancestor that is a message, else the topmost one.
    let mut above = links.parents.clone();
    for node in 0..above.len() {
        let settled = |place: u32| place == NONE || (place as usize) < count || links.parents[place as usize] == NONE;
        let mut place = above[node];
        while !settled(place) {
            place = above[place as usize];
        }
        let found = place;
        let mut place = node as u32;
        while !settled(above[place as usize]) {
            place = std::mem::replace(&mut above[place as usize], found);
        }
    }
    let mut forest = Forest {
        roots: Vec::new(),
        children: vec![Vec::new(); count],
        messages: (0..count as u32).map(Some).collect(),
    };
    let mut orphans: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut tops = Vec::new();
    for message in 0..count as u32 {
        match above[message as usize] {
            NONE => forest.roots.push(message),
            parent if (parent as usize) < count => forest.children[parent as usize].push(message),
            top => {
                let siblings = orphans.entry(top).or_default();
                if siblings.is_empty() {
                    tops.push(top);
                }
                siblings.push(message);
            }
        }
    }
    for top in tops {
        match orphans.remove(&top).unwrap_or_default() {
            siblings if siblings.len() == 1 => forest.roots.extend(siblings),
            siblings => {
                let node = add_dummy(&mut forest, siblings);
                forest.roots.push(node);
            }
        }
    }
    forest
}

fn add_dummy(forest: &mut Forest, children: Vec<u32>) -> u32 {
    let node = forest.children.len() as u32;
    forest.children.push(children);
    forest.messages.push(None);
    node
}

/// The message that stands for a thread: its top, or the first child of an empty top.
fn first_message(forest: &Forest, root: u32) -> u32 {
    forest.messages[root as usize]
        .or_else(|| forest.children[root as usize].first().copied())
        .unwrap_or(root)
}

fn sort_children(messages: &Messages, forest: &mut Forest, node: u32) {
    // The nodes below the top are messages, and have their numbers.
    forest.children[node as usize].sort_unstable_by_key(|&child| messages.rank(child));
}

/// Step 4, and the last of step 6: by the date of the message that stands for each thread.
fn sort_roots(messages: &Messages, forest: &mut Forest) {
    let mut roots = std::mem::take(&mut forest.roots);
    roots.sort_by_cached_key(|&root| messages.rank(first_message(forest, root)));
    forest.roots = roots;
}

/// REFS: the thread that got a message last stands last.
fn sort_by_latest(messages: &Messages, forest: &mut Forest) {
    let mut pending = Vec::new();
    let mut roots: Vec<((i64, u32), u32)> = Vec::with_capacity(forest.roots.len());
    for &root in &forest.roots {
        let mut latest = (i64::MIN, 0);
        pending.push(root);
        while let Some(node) = pending.pop() {
            if let Some(message) = forest.messages[node as usize] {
                latest = latest.max((messages.entries[message as usize].arrival, message));
            }
            pending.extend(&forest.children[node as usize]);
        }
        roots.push((latest, root));
    }
    roots.sort_unstable();
    forest.roots = roots.into_iter().map(|(_, root)| root).collect();
}

/// Step 5: joins threads that have the same base subject.
fn merge_subjects(messages: &Messages, forest: &mut Forest) {
    let is_reply = |forest: &Forest, node: u32| {
        forest.messages[node as usize].is_some_and(|message| messages.entries[message as usize].is_reply)
    };
    let roots = std::mem::take(&mut forest.roots);
    let subjects: Vec<&[u8]> = roots
        .iter()
        .map(|&root| messages.subject(first_message(forest, root) as usize))
        .collect();
    let mut table: HashMap<&[u8], u32> = HashMap::new();
    for (&root, &subject) in roots.iter().zip(&subjects).filter(|(_, subject)| !subject.is_empty()) {
        let kept = table.entry(subject).or_insert(root);
        let is_better = forest.messages[*kept as usize].is_some()
            && (forest.messages[root as usize].is_none() || is_reply(forest, *kept) && !is_reply(forest, root));
        if is_better {
            *kept = root;
        }
    }
    let mut gone = vec![false; forest.children.len()];
    let mut made = Vec::new();
    for (&root, &subject) in roots.iter().zip(&subjects) {
        let Some(kept) = table.get_mut(subject).filter(|kept| **kept != root) else {
            continue;
        };
        gone[root as usize] = true;
        let of_dummies = (
            forest.messages[*kept as usize].is_none(),
            forest.messages[root as usize].is_none(),
        );
        match of_dummies {
            (true, true) => {
                let children = std::mem::take(&mut forest.children[root as usize]);
                forest.children[*kept as usize].extend(children);
            }
            (true, false) => forest.children[*kept as usize].push(root),
            (false, _) if is_reply(forest, root) && !is_reply(forest, *kept) => {
                forest.children[*kept as usize].push(root);
            }
            (false, _) => {
                gone[*kept as usize] = true;
                *kept = add_dummy(forest, vec![*kept, root]);
                made.push(*kept);
            }
        }
    }
    forest.roots = roots.into_iter().filter(|&root| !gone[root as usize]).collect();
    forest.roots.extend(made);
}

#[cfg(test)]
mod tests {
    use super::super::thread::{Entry, render};
    use super::*;

    /// (Message-ID, References, subject, is a reply, sent, arrival)
    type Line<'a> = (u64, &'a [u64], &'a str, bool, i64, i64);

    fn threads(lines: &[Line<'_>], subjects: bool) -> String {
        let mut messages = Messages::default();
        for &(id, references, subject, is_reply, sent, arrival) in lines {
            let entry = Entry::new(1, sent, arrival, id, is_reply);
            messages.push(entry, subject, references.iter().copied());
        }
        let mut out = Vec::new();
        render(&by_references(&messages, subjects), &mut out, |message| {
            Some(message + 1)
        });
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn chains_siblings_and_missing_parents() {
        let lines: &[Line<'_>] = &[
            (1, &[], "a", false, 1, 1),
            (2, &[1], "a", true, 2, 2),
            (3, &[1, 2], "a", true, 3, 3),
            (4, &[1], "a", true, 2, 4),
            // Two children of a message that is not here; a grandchild by way of one that is not here.
            (6, &[50], "b", true, 6, 6),
            (7, &[50], "b", true, 5, 7),
            (8, &[6, 51, 52], "b", true, 8, 8),
            // An only child of one that is not here.
            (9, &[53], "c", true, 9, 9),
        ];
        assert_eq!(threads(lines, true), "(1 (2 3)(4))((6)(5 7))(8)");
        assert_eq!(threads(lines, false), "(1 (2 3)(4))((6)(5 7))(8)");
    }

    #[test]
    fn a_message_decides_its_parent_itself() {
        // 3 says that 2 came from 1; 2 itself says 5.
        let lines: &[Line<'_>] = &[
            (3, &[1, 2], "", false, 3, 0),
            (2, &[5], "", false, 2, 0),
            (1, &[], "", false, 1, 0),
            (5, &[], "", false, 1, 0),
        ];
        assert_eq!(threads(lines, true), "(3)(4 2 1)");
        // One that says nothing takes what a later one says of it.
        let lines: &[Line<'_>] = &[
            (2, &[], "", false, 2, 0),
            (1, &[], "", false, 1, 0),
            (3, &[1, 2], "", false, 3, 0),
        ];
        assert_eq!(threads(lines, true), "(2 1 3)");
    }

    #[test]
    fn loops_and_repeated_ids() {
        let lines: &[Line<'_>] = &[
            (1, &[2], "", false, 1, 0),
            (2, &[1], "", false, 2, 0),
            (3, &[3], "", false, 3, 0),
            (3, &[1], "", false, 4, 0),
            (0, &[7, 8, 7], "", false, 5, 0),
        ];
        let text = threads(lines, true);
        let mut numbers: Vec<&str> = text.split(['(', ')', ' ']).filter(|word| !word.is_empty()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, ["1", "2", "3", "4", "5"], "{text}");
        assert_eq!(text, "(2 1 4)(3)(5)");
    }

    #[test]
    fn subjects_are_merged_as_step_5_says() {
        // A reply goes below what it replies to.
        let lines: &[Line<'_>] = &[(1, &[], "s", true, 1, 0), (2, &[], "S", false, 2, 0)];
        assert_eq!(threads(lines, true), "(2 1)");
        assert_eq!(threads(lines, false), "(1)(2)");
        // Equals become siblings, and a third joins them.
        let lines: &[Line<'_>] = &[
            (1, &[], "s", false, 3, 0),
            (2, &[], "s", false, 2, 0),
            (3, &[], "s", false, 1, 0),
            (4, &[], "s", true, 4, 0),
        ];
        assert_eq!(threads(lines, true), "((3)(2)(1)(4))");
        // Two that lack their tops are joined; a message goes below such a top.
        let lines: &[Line<'_>] = &[
            (1, &[90], "s", true, 1, 0),
            (2, &[90], "s", true, 2, 0),
            (3, &[91], "s", true, 3, 0),
            (4, &[91], "x", true, 4, 0),
            (5, &[], "s", false, 5, 0),
        ];
        assert_eq!(threads(lines, true), "((1)(2)(3)(4)(5))");
        // No subject is nobody's subject.
        let lines: &[Line<'_>] = &[(1, &[], "", false, 1, 0), (2, &[], "", false, 2, 0)];
        assert_eq!(threads(lines, true), "(1)(2)");
    }

    #[test]
    fn refs_puts_the_latest_thread_last() {
        let lines: &[Line<'_>] = &[
            (1, &[], "a", false, 1, 1),
            (2, &[], "b", false, 2, 2),
            (3, &[1], "c", false, 3, 3),
        ];
        assert_eq!(threads(lines, false), "(2)(1 3)");
        assert_eq!(threads(lines, true), "(1 3)(2)");
    }

    #[test]
    fn long_chains_cost_little_time_and_no_stack() {
        // Each message names the one that comes after it: with a walk to the top for each link this would take minutes.
        let count = 200_000_u64;
        let mut messages = Messages::default();
        for id in 1..=count {
            messages.push(Entry::new(1, 0, 0, id, false), "", [id + 1].into_iter());
        }
        assert_eq!(by_references(&messages, true).roots.len(), 1);
        let mut messages = Messages::default();
        for id in 1..=count {
            let entry = Entry::new(1, 0, 0, if id % 2 == 0 { 0 } else { id }, false);
            messages.push(entry, "", (id.saturating_sub(3)..id).chain([count + id]));
        }
        let forest = by_references(&messages, false);
        assert!(!forest.roots.is_empty());
    }
}
