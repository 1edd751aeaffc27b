//! What the corpus tests share.
#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};

/// The folder of corpora; prints why a test is skipped when there is none.
pub(crate) fn corpora() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let folder = std::env::var_os("IRONPOST_CORPORA").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no corpora at {}; set IRONPOST_CORPORA", folder.display());
    None
}

/// All files below a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort();
    found
}

/// The same text with CRLF line ends.
pub(crate) fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() * 2);
    for &octet in message {
        if octet == b'\n' {
            out.push(b'\r');
        }
        out.push(octet);
    }
    out
}

/// Checks that octets are one parenthesised list of nested lists, strings, NIL and numbers; gives its items.
pub(crate) fn check_imap(data: &[u8], name: &str) -> usize {
    let fail = |at: usize| -> ! { panic!("{name}: at {at}: {}", String::from_utf8_lossy(data)) };
    let (mut at, mut level, mut items) = (0, 0_usize, 0);
    assert_eq!(data.first(), Some(&b'('), "{name}");
    while at < data.len() {
        let is_item = level == 1 && data[at] != b')' && data[at] != b' ';
        items += usize::from(is_item);
        match data[at] {
            b'(' => (level, at) = (level + 1, at + 1),
            b')' => {
                level = level.checked_sub(1).unwrap_or_else(|| fail(at));
                at += 1;
                if level == 0 && at != data.len() {
                    fail(at);
                }
            }
            b' ' => {
                if matches!(data.get(at + 1), None | Some(b' ' | b')')) {
                    fail(at);
                }
                at += 1;
            }
            b'"' => {
                at += 1;
                while data[at] != b'"' {
                    if !matches!(data[at], 0x20..=0x7e) {
                        fail(at);
                    }
                    at += if data[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'{' => {
                let end = at + data[at..].iter().position(|&octet| octet == b'}').unwrap();
                let length: usize = std::str::from_utf8(&data[at + 1..end]).unwrap().parse().unwrap();
                at = end + 3 + length;
                if at > data.len() || data[end + 3..at].contains(&0) {
                    fail(end);
                }
            }
            b'N' if data[at..].starts_with(b"NIL") => at += 3,
            b'0'..=b'9' => {
                while data[at].is_ascii_digit() {
                    at += 1;
                }
            }
            _ => fail(at),
        }
    }
    if level != 0 {
        fail(at);
    }
    items
}
