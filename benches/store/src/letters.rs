//! Plain messages of a given size, each different.

const WORDS: [&str; 11] = [
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

/// What the server puts in front of each.
pub(crate) const PREFIX: &[u8] = b"Return-Path: <alice@example.test>\r\nReceived: from client by server; today\r\n";

/// A message of so many octets; the same number makes the same message.
pub(crate) fn letter(octets: usize, number: u64) -> Vec<u8> {
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
        out.extend_from_slice(WORDS[(state >> 33) as usize % WORDS.len()].as_bytes());
        let number = (state >> 20) & 0xfff;
        out.extend_from_slice(if number < 300 { b"\r\n" } else { b" " });
        if number.is_multiple_of(7) {
            out.extend_from_slice(format!("{number:x} ").as_bytes());
        }
    }
    out.truncate(octets);
    out
}
