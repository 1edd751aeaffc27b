//! IMAP BODY and BODYSTRUCTURE from the part table (RFC 9051 §7.5.2).
//!
//! Types, parameters and texts stand as in the message. A multipart without parts shows one empty text, because the
//! grammar demands a part; what a limit made opaque shows as application/octet-stream.
use ironpost_proto::imap::quoting::write_number;

use crate::envelope::{envelope, write_clean, write_raw};
use crate::headers::fields;
use crate::params::{self, ContentType, Parameter};
use crate::structure::{Part, PartKind, Structure, is_message};

/// The Content fields of one part; the first usable one of each.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<ContentType>,
    encoding: Option<Vec<u8>>,
    disposition: Option<(Vec<u8>, Vec<Parameter>)>,
    languages: Vec<Vec<u8>>,
    id: Option<&'a [u8]>,
    description: Option<&'a [u8]>,
    md5: Option<&'a [u8]>,
    location: Option<&'a [u8]>,
}

/// A container whose parts are being written; the rest of it comes after them.
struct Pending<'a> {
    index: usize,
    fields: Fields<'a>,
}

/// Appends the parenthesised BODY, or BODYSTRUCTURE when `extended` (RFC 9051 §7.5.2).
///
/// `structure` must be the table of `message`; with another one the answer is wrong, but nothing worse.
pub fn bodystructure(message: &[u8], structure: &Structure, extended: bool, out: &mut Vec<u8>) {
    let parts = structure.parts();
    // A stack instead of recursion: the depth is the message's choice.
    let mut pending: Vec<Pending<'_>> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        close(parts, &mut pending, index, extended, out);
        let mut found = read(message, part);
        if part.kind == PartKind::Leaf && found.kind.as_ref().is_some_and(is_container) {
            // The type stood beyond the limit that the table was made under: the body was never looked into.
            found.kind = None;
        }
        out.push(b'(');
        match part.kind {
            PartKind::Multipart => pending.push(Pending { index, fields: found }),
            PartKind::Message => {
                write_basic(part, &found, out);
                out.push(b' ');
                envelope(parts.get(index + 1).map_or(&[], |inner| header(message, inner)), out);
                out.push(b' ');
                pending.push(Pending { index, fields: found });
            }
            PartKind::Leaf | PartKind::Opaque => {
                write_basic(part, &found, out);
                if found
                    .kind
                    .as_ref()
                    .is_none_or(|kind| kind.main.eq_ignore_ascii_case(b"text"))
                {
                    out.push(b' ');
                    write_number(out, part.lines as u64);
                }
                write_end(&found, part.kind, extended, out);
            }
        }
    }
    close(parts, &mut pending, parts.len(), extended, out);
}

fn is_container(kind: &ContentType) -> bool {
    kind.main.eq_ignore_ascii_case(b"multipart") || is_message(kind)
}

/// Writes the end of every container that holds no part from `index` on.
fn close(parts: &[Part], pending: &mut Vec<Pending<'_>>, index: usize, extended: bool, out: &mut Vec<u8>) {
    while let Some(last) = pending.pop_if(|last| parts.get(last.index).is_none_or(|part| part.next <= index)) {
        let Some(part) = parts.get(last.index) else { continue };
        if part.kind == PartKind::Message {
            out.push(b' ');
            write_number(out, part.lines as u64);
        } else {
            if part.next == last.index + 1 {
                out.extend_from_slice(b"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0");
                out.extend_from_slice(if extended { b" NIL NIL NIL NIL)" } else { b")" });
            }
            out.push(b' ');
            let sub = last.fields.kind.as_ref().map_or(&b"mixed"[..], |kind| &kind.sub);
            write_clean(out, sub);
        }
        write_end(&last.fields, part.kind, extended, out);
    }
}

fn header<'a>(message: &'a [u8], part: &Part) -> &'a [u8] {
    message.get(part.header.clone()).unwrap_or_default()
}

fn read<'a>(message: &'a [u8], part: &Part) -> Fields<'a> {
    let mut found = Fields::default();
    if !part.is_mime {
        return found;
    }
    let mut has_type = false;
    for field in fields(header(message, part)) {
        let Some((prefix, name)) = field.name.split_at_checked(b"Content-".len()) else {
            continue;
        };
        if !prefix.eq_ignore_ascii_case(b"Content-") {
            continue;
        }
        match name.to_ascii_lowercase().as_slice() {
            b"type" if !has_type => {
                has_type = true;
                found.kind = params::content_type(field.value);
            }
            b"transfer-encoding" if found.encoding.is_none() => found.encoding = params::single_token(field.value),
            b"disposition" if found.disposition.is_none() => found.disposition = params::disposition(field.value),
            b"language" if found.languages.is_empty() => found.languages = params::languages(field.value),
            b"id" => {
                found.id.get_or_insert(field.value);
            }
            b"description" => {
                found.description.get_or_insert(field.value);
            }
            b"md5" => {
                found.md5.get_or_insert(field.value);
            }
            b"location" => {
                found.location.get_or_insert(field.value);
            }
            _ => {}
        }
    }
    found
}

/// `media-type SP body-fields`: type, parameters, id, description, encoding, octets.
fn write_basic(part: &Part, found: &Fields<'_>, out: &mut Vec<u8>) {
    match (&found.kind, part.kind) {
        (_, PartKind::Opaque) => out.extend_from_slice(b"\"application\" \"octet-stream\" NIL"),
        (Some(kind), PartKind::Message) if kind.is(b"message", b"global") => {
            out.extend_from_slice(b"\"message\" \"global\" ");
            write_params(&kind.params, false, out);
        }
        (kind, PartKind::Message) => {
            out.extend_from_slice(b"\"message\" \"rfc822\" ");
            write_params(kind.as_ref().map_or(&[], |kind| &kind.params), false, out);
        }
        // RFC 2045 §5.2: what is absent or unreadable is text/plain in US-ASCII.
        (None, _) => out.extend_from_slice(b"\"text\" \"plain\" (\"charset\" \"us-ascii\")"),
        (Some(kind), _) => {
            write_clean(out, &kind.main);
            out.push(b' ');
            write_clean(out, &kind.sub);
            out.push(b' ');
            write_params(&kind.params, kind.main.eq_ignore_ascii_case(b"text"), out);
        }
    }
    out.push(b' ');
    write_raw(out, found.id);
    out.push(b' ');
    write_raw(out, found.description);
    out.push(b' ');
    write_clean(out, found.encoding.as_deref().unwrap_or(b"7bit"));
    out.push(b' ');
    write_number(out, part.body.len() as u64);
}

/// The extension data and the closing parenthesis.
fn write_end(found: &Fields<'_>, kind: PartKind, extended: bool, out: &mut Vec<u8>) {
    if extended {
        out.push(b' ');
        if kind == PartKind::Multipart {
            write_params(found.kind.as_ref().map_or(&[], |kind| &kind.params), false, out);
        } else {
            write_raw(out, found.md5);
        }
        out.push(b' ');
        match &found.disposition {
            None => out.extend_from_slice(b"NIL"),
            Some((name, params)) => {
                out.push(b'(');
                write_clean(out, name);
                out.push(b' ');
                write_params(params, false, out);
                out.push(b')');
            }
        }
        out.push(b' ');
        if found.languages.is_empty() {
            out.extend_from_slice(b"NIL");
        } else {
            for (index, language) in found.languages.iter().enumerate() {
                out.push(if index == 0 { b'(' } else { b' ' });
                write_clean(out, language);
            }
            out.push(b')');
        }
        out.push(b' ');
        write_raw(out, found.location);
    }
    out.push(b')');
}

/// `body-fld-param`; a text without a charset gets the default one (RFC 2046 §4.1.2).
fn write_params(params: &[Parameter], is_text: bool, out: &mut Vec<u8>) {
    let needs_charset = is_text && !params.iter().any(|param| param.name.eq_ignore_ascii_case(b"charset"));
    if params.is_empty() && !needs_charset {
        out.extend_from_slice(b"NIL");
        return;
    }
    let default = (b"charset".as_slice(), b"us-ascii".as_slice());
    let pairs = params
        .iter()
        .map(|param| (param.name.as_slice(), param.value.as_slice()));
    for (index, (name, value)) in pairs.chain(needs_charset.then_some(default)).enumerate() {
        out.push(if index == 0 { b'(' } else { b' ' });
        write_clean(out, name);
        out.push(b' ');
        write_clean(out, value);
    }
    out.push(b')');
}

#[cfg(test)]
#[path = "bodystructure_tests.rs"]
mod tests;
