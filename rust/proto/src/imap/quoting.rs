//! Writing IMAP strings: the only place that chooses between atom, quoted string and literal.

/// Appends `NIL` or a string (RFC 9051 §9, `nstring`).
pub fn write_nstring(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => out.extend_from_slice(b"NIL"),
        Some(text) => write_string(out, text),
    }
}

/// Appends a quoted string where the octets allow one, else a literal (RFC 9051 §4.3).
///
/// Quoted when short (at most 1,024 octets) and made of printable ASCII only; everything else, 8-bit text too, goes as
/// a literal, which every client reads whatever it has enabled.
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    /// Above this a literal is cheaper for the reader to take in.
    const QUOTED_OCTETS_MAX: usize = 1024;
    let quotable = text.len() <= QUOTED_OCTETS_MAX && text.iter().all(|&octet| matches!(octet, 0x20..=0x7e));
    if quotable {
        out.push(b'"');
        for &octet in text {
            if octet == b'"' || octet == b'\\' {
                out.push(b'\\');
            }
            out.push(octet);
        }
        out.push(b'"');
    } else {
        write_literal(out, text);
    }
}

/// Appends a literal: `{n}` CRLF and the octets as they are.
pub fn write_literal(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'{');
    write_number(out, text.len() as u64);
    out.extend_from_slice(b"}\r\n");
    out.extend_from_slice(text);
}

/// Appends a decimal number without allocating.
pub fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}
