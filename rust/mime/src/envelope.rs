//! IMAP ENVELOPE (RFC 9051 §7.5.2).
//!
//! Of a field that may stand once the first counts; address fields that stand several times are one list, so that no
//! client sees other senders than the filters before it did.
use ironpost_proto::imap::quoting::{write_nstring, write_string};

use crate::address_list::{self, Address};
use crate::headers::{fields, unfold};

/// The fields of an ENVELOPE.
#[derive(Default)]
struct Envelope<'a> {
    date: Option<&'a [u8]>,
    subject: Option<&'a [u8]>,
    in_reply_to: Option<&'a [u8]>,
    message_id: Option<&'a [u8]>,
    /// From, Sender, Reply-To, To, Cc, Bcc.
    addresses: [Vec<Address>; 6],
}

const ADDRESS_FIELDS: [&[u8]; 6] = [b"From", b"Sender", b"Reply-To", b"To", b"Cc", b"Bcc"];

/// Appends the parenthesised ENVELOPE of a header section (RFC 9051 §7.5.2).
///
/// Sender and Reply-To that are absent or empty repeat From. Texts stay RFC 2047 encoded; folds become spaces, in the
/// subject and in names every run of white space one space.
pub fn envelope(header: &[u8], out: &mut Vec<u8>) {
    let found = read(header);
    let [from, sender, reply_to, to, cc, bcc] = &found.addresses;
    out.push(b'(');
    write_raw(out, found.date);
    out.push(b' ');
    match found.subject {
        None => out.extend_from_slice(b"NIL"),
        Some(subject) => write_spaced(out, &unfold(subject)),
    }
    for list in [
        from,
        if sender.is_empty() { from } else { sender },
        if reply_to.is_empty() { from } else { reply_to },
    ]
    .into_iter()
    .chain([to, cc, bcc])
    {
        out.push(b' ');
        write_addresses(out, list);
    }
    out.push(b' ');
    write_raw(out, found.in_reply_to);
    out.push(b' ');
    write_raw(out, found.message_id);
    out.push(b')');
}

fn read(header: &[u8]) -> Envelope<'_> {
    let mut found = Envelope::default();
    for field in fields(header) {
        if let Some(index) = ADDRESS_FIELDS.iter().position(|name| field.is(name)) {
            let list = &mut found.addresses[index];
            if list.len() < address_list::ADDRESSES_MAX {
                list.append(&mut address_list::parse(field.value));
            }
            continue;
        }
        let slot = if field.is(b"Date") {
            &mut found.date
        } else if field.is(b"Subject") {
            &mut found.subject
        } else if field.is(b"In-Reply-To") {
            &mut found.in_reply_to
        } else if field.is(b"Message-ID") {
            &mut found.message_id
        } else {
            continue;
        };
        slot.get_or_insert(field.value);
    }
    found
}

/// Appends a raw header value as a string, unfolded; `None` is NIL.
pub(crate) fn write_raw(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => write_nstring(out, None),
        Some(value) => write_clean(out, &unfold(value)),
    }
}

/// Appends a string; line ends go, and NUL, which no IMAP string may hold (RFC 9051 §9, CHAR8), becomes U+FFFD.
pub(crate) fn write_clean(out: &mut Vec<u8>, text: &[u8]) {
    if !text.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n')) {
        write_string(out, text);
        return;
    }
    let mut clean = Vec::with_capacity(text.len());
    for &octet in text {
        match octet {
            0 => clean.extend_from_slice("\u{fffd}".as_bytes()),
            b'\r' | b'\n' => {}
            _ => clean.push(octet),
        }
    }
    write_string(out, &clean);
}

/// Appends a string for people: no white space at its ends, one space for every run within.
fn write_spaced(out: &mut Vec<u8>, text: &[u8]) {
    let is_space = |octet: &u8| matches!(octet, b' ' | b'\t' | b'\r' | b'\n');
    let mut spaced = Vec::with_capacity(text.len());
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !spaced.is_empty() {
            spaced.push(b' ');
        }
        spaced.extend_from_slice(word);
    }
    write_clean(out, &spaced);
}

fn write_addresses(out: &mut Vec<u8>, list: &[Address]) {
    if list.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for address in list {
        out.push(b'(');
        match &address.name {
            None => out.extend_from_slice(b"NIL"),
            Some(name) => write_spaced(out, name),
        }
        for part in [&address.route, &address.mailbox, &address.host] {
            out.push(b' ');
            match part {
                None => out.extend_from_slice(b"NIL"),
                Some(text) => write_clean(out, text),
            }
        }
        out.push(b')');
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &[u8]) -> String {
        let mut out = Vec::new();
        envelope(header, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn example_of_rfc_9051() {
        let header = b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
From: Terry Gray <gray@cac.washington.edu>\r\n\
Subject: IMAP4rev2 WG mtg summary and minutes\r\n\
To: imap@cac.washington.edu\r\n\
cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
Message-Id: <B27397-0100000@cac.washington.ed>\r\n\r\nFrom: body\r\n";
        assert_eq!(
            shown(header),
            "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev2 WG mtg summary and minutes\" \
((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((NIL NIL \"imap\" \"cac.washington.edu\")) \
((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \
\"<B27397-0100000@cac.washington.ed>\")"
        );
    }

    #[test]
    fn absent_empty_and_repeated_fields() {
        assert_eq!(shown(b""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        assert_eq!(
            shown(b"Subject:\r\nSubject: second\r\nSender:\r\nFrom: a@b\r\nTo: c@d\r\nTo: e@f\r\n"),
            "(NIL \"\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) \
((NIL NIL \"c\" \"d\")(NIL NIL \"e\" \"f\")) NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn texts_are_unfolded_and_clean() {
        assert_eq!(
            shown(b"Subject: a\r\n\tb  \"c\\\r\nTo: G:;\r\nMessage-ID: <x\0y>\r\n"),
            "(NIL \"a b \\\"c\\\\\" NIL NIL NIL ((NIL NIL \"G\" NIL)(NIL NIL NIL NIL)) NIL NIL NIL {7}\r\n<x\u{fffd}y>)"
        );
    }
}
