//! HTML to text for search and preview: tags, comments, scripts and styles go, character references are resolved.
//!
//! No parser of HTML: it never fails, builds no tree and is linear in the input's length.
use memchr::{memchr, memchr2, memmem};

/// The text between the tags. Block tags become line ends, so that words of two paragraphs stay apart.
#[must_use]
pub fn to_text(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = memchr2(b'<', b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = if rest.starts_with('&') {
            reference(rest, &mut out)
        } else {
            markup(rest, &mut out)
        };
    }
    out.push_str(rest);
    out
}

/// Takes what `<` begins: a comment, a declaration, a tag, or a lone bracket.
fn markup<'a>(html: &'a str, out: &mut String) -> &'a str {
    let bytes = html.as_bytes();
    if let Some(comment) = html.strip_prefix("<!--") {
        return memmem::find(comment.as_bytes(), b"-->").map_or("", |end| &comment[end + 3..]);
    }
    match bytes.get(1) {
        Some(b'!' | b'?') => memchr(b'>', bytes).map_or("", |end| &html[end + 1..]),
        Some(b'/') | Some(b'a'..=b'z') | Some(b'A'..=b'Z') => tag(html, out),
        _ => {
            out.push('<');
            &html[1..]
        }
    }
}

fn tag<'a>(html: &'a str, out: &mut String) -> &'a str {
    let bytes = html.as_bytes();
    let is_end = bytes.get(1) == Some(&b'/');
    let name_start = 1 + usize::from(is_end);
    let name_len = bytes[name_start..]
        .iter()
        .position(|octet| !octet.is_ascii_alphanumeric());
    let name_len = name_len.unwrap_or(bytes.len() - name_start);
    let name = html[name_start..name_start + name_len].to_ascii_lowercase();
    let rest = after_tag(html, name_start + name_len);
    if !is_inline(&name) {
        out.push('\n');
    }
    if is_end || !matches!(name.as_str(), "script" | "style") {
        return rest;
    }
    after_raw_text(rest, &name)
}

/// What follows the `>` of a tag; one within quotes does not count.
fn after_tag(html: &str, start: usize) -> &str {
    let mut quote = None;
    for (index, &octet) in html.as_bytes().iter().enumerate().skip(start) {
        match (quote, octet) {
            (None, b'>') => return &html[index + 1..],
            (None, b'"' | b'\'') => quote = Some(octet),
            (Some(open), _) if open == octet => quote = None,
            _ => {}
        }
    }
    ""
}

/// What follows the content of a script or style: its end tag.
fn after_raw_text<'a>(html: &'a str, name: &str) -> &'a str {
    memmem::find_iter(html.as_bytes(), b"</")
        .find(|&at| {
            html.as_bytes()[at + 2..]
                .get(..name.len())
                .is_some_and(|end| end.eq_ignore_ascii_case(name.as_bytes()))
        })
        .map_or("", |at| &html[at..])
}

/// Tags that stand within a word or line, or show nothing.
fn is_inline(name: &str) -> bool {
    matches!(
        name,
        "a" | "abbr"
            | "b"
            | "big"
            | "cite"
            | "code"
            | "del"
            | "em"
            | "font"
            | "i"
            | "ins"
            | "kbd"
            | "mark"
            | "q"
            | "s"
            | "script"
            | "small"
            | "span"
            | "strike"
            | "strong"
            | "style"
            | "sub"
            | "sup"
            | "tt"
            | "u"
            | "wbr"
    )
}

/// Takes a character reference; an ampersand that begins none is itself.
fn reference<'a>(html: &'a str, out: &mut String) -> &'a str {
    /// Longest name in [`NAMED`], or number of a character, with a little room.
    const NAME_OCTETS_MAX: usize = 10;
    let body = &html[1..];
    let length = body
        .bytes()
        .take(NAME_OCTETS_MAX)
        .position(|octet| !octet.is_ascii_alphanumeric() && octet != b'#')
        .unwrap_or(body.len().min(NAME_OCTETS_MAX));
    // Only ASCII octets were counted, so this is a character boundary; a longer run is no reference.
    let Some(name) = body.get(..length) else {
        out.push('&');
        return body;
    };
    let found = match name.strip_prefix('#') {
        Some(number) => numbered(number),
        None => NAMED
            .iter()
            .find(|(known, _)| *known == name)
            .map(|&(_, character)| character),
    };
    match found {
        Some(character) => {
            out.push(character);
            let rest = &body[length..];
            rest.strip_prefix(';').unwrap_or(rest)
        }
        None => {
            out.push('&');
            body
        }
    }
}

fn numbered(number: &str) -> Option<char> {
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some(
        char::from_u32(code)
            .filter(|&character| character != '\0')
            .unwrap_or(char::REPLACEMENT_CHARACTER),
    )
}

/// The names that mail uses: markup, Latin-1 letters, punctuation.
const NAMED: [(&str, char); 125] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("iexcl", '\u{a1}'),
    ("cent", '\u{a2}'),
    ("pound", '\u{a3}'),
    ("curren", '\u{a4}'),
    ("yen", '\u{a5}'),
    ("brvbar", '\u{a6}'),
    ("sect", '\u{a7}'),
    ("uml", '\u{a8}'),
    ("copy", '\u{a9}'),
    ("ordf", '\u{aa}'),
    ("laquo", '\u{ab}'),
    ("not", '\u{ac}'),
    ("shy", '\u{ad}'),
    ("reg", '\u{ae}'),
    ("macr", '\u{af}'),
    ("deg", '\u{b0}'),
    ("plusmn", '\u{b1}'),
    ("sup2", '\u{b2}'),
    ("sup3", '\u{b3}'),
    ("acute", '\u{b4}'),
    ("micro", '\u{b5}'),
    ("para", '\u{b6}'),
    ("middot", '\u{b7}'),
    ("cedil", '\u{b8}'),
    ("sup1", '\u{b9}'),
    ("ordm", '\u{ba}'),
    ("raquo", '\u{bb}'),
    ("frac14", '\u{bc}'),
    ("frac12", '\u{bd}'),
    ("frac34", '\u{be}'),
    ("iquest", '\u{bf}'),
    ("Agrave", '\u{c0}'),
    ("Aacute", '\u{c1}'),
    ("Acirc", '\u{c2}'),
    ("Atilde", '\u{c3}'),
    ("Auml", '\u{c4}'),
    ("Aring", '\u{c5}'),
    ("AElig", '\u{c6}'),
    ("Ccedil", '\u{c7}'),
    ("Egrave", '\u{c8}'),
    ("Eacute", '\u{c9}'),
    ("Ecirc", '\u{ca}'),
    ("Euml", '\u{cb}'),
    ("Igrave", '\u{cc}'),
    ("Iacute", '\u{cd}'),
    ("Icirc", '\u{ce}'),
    ("Iuml", '\u{cf}'),
    ("ETH", '\u{d0}'),
    ("Ntilde", '\u{d1}'),
    ("Ograve", '\u{d2}'),
    ("Oacute", '\u{d3}'),
    ("Ocirc", '\u{d4}'),
    ("Otilde", '\u{d5}'),
    ("Ouml", '\u{d6}'),
    ("times", '\u{d7}'),
    ("Oslash", '\u{d8}'),
    ("Ugrave", '\u{d9}'),
    ("Uacute", '\u{da}'),
    ("Ucirc", '\u{db}'),
    ("Uuml", '\u{dc}'),
    ("Yacute", '\u{dd}'),
    ("THORN", '\u{de}'),
    ("szlig", '\u{df}'),
    ("agrave", '\u{e0}'),
    ("aacute", '\u{e1}'),
    ("acirc", '\u{e2}'),
    ("atilde", '\u{e3}'),
    ("auml", '\u{e4}'),
    ("aring", '\u{e5}'),
    ("aelig", '\u{e6}'),
    ("ccedil", '\u{e7}'),
    ("egrave", '\u{e8}'),
    ("eacute", '\u{e9}'),
    ("ecirc", '\u{ea}'),
    ("euml", '\u{eb}'),
    ("igrave", '\u{ec}'),
    ("iacute", '\u{ed}'),
    ("icirc", '\u{ee}'),
    ("iuml", '\u{ef}'),
    ("eth", '\u{f0}'),
    ("ntilde", '\u{f1}'),
    ("ograve", '\u{f2}'),
    ("oacute", '\u{f3}'),
    ("ocirc", '\u{f4}'),
    ("otilde", '\u{f5}'),
    ("ouml", '\u{f6}'),
    ("divide", '\u{f7}'),
    ("oslash", '\u{f8}'),
    ("ugrave", '\u{f9}'),
    ("uacute", '\u{fa}'),
    ("ucirc", '\u{fb}'),
    ("uuml", '\u{fc}'),
    ("yacute", '\u{fd}'),
    ("thorn", '\u{fe}'),
    ("yuml", '\u{ff}'),
    ("OElig", '\u{152}'),
    ("oelig", '\u{153}'),
    ("Scaron", '\u{160}'),
    ("scaron", '\u{161}'),
    ("Yuml", '\u{178}'),
    ("circ", '\u{2c6}'),
    ("tilde", '\u{2dc}'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("thinsp", '\u{2009}'),
    ("zwnj", '\u{200c}'),
    ("ndash", '\u{2013}'),
    ("mdash", '\u{2014}'),
    ("lsquo", '\u{2018}'),
    ("rsquo", '\u{2019}'),
    ("sbquo", '\u{201a}'),
    ("ldquo", '\u{201c}'),
    ("rdquo", '\u{201d}'),
    ("bdquo", '\u{201e}'),
    ("bull", '\u{2022}'),
    ("hellip", '\u{2026}'),
    ("lsaquo", '\u{2039}'),
    ("rsaquo", '\u{203a}'),
    ("euro", '\u{20ac}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go() {
        assert_eq!(to_text("a<b>b</b>c<br>d<p class='x>y'>e"), "abc\nd\ne");
        assert_eq!(to_text("<!DOCTYPE html><!-- <p>x --><?xml?>y"), "y");
        assert_eq!(to_text("1 < 2 <3 <"), "1 < 2 <3 <");
        assert_eq!(to_text("a<script>if (1 </ 2) '<p>'</SCRIPT >b<style>c"), "ab");
        assert_eq!(to_text("open <p class=\"never closed> b"), "open \n");
        assert_eq!(to_text("\u{e9}<i>\u{20ac}</i><\u{e9}"), "\u{e9}\u{20ac}<\u{e9}");
        assert_eq!(to_text("<a") + &to_text("</") + &to_text("<p"), "\n\n");
    }

    #[test]
    fn references_are_resolved() {
        assert_eq!(to_text("&lt;&#65;&#x42;&eacute&nbsp;&AMP"), "<AB\u{e9}\u{a0}&AMP");
        assert_eq!(
            to_text("a & b &; &# &#x; &nosuchname; &\u{e9}"),
            "a & b &; &# &#x; &nosuchname; &\u{e9}"
        );
        assert_eq!(to_text("&#0;&#xd800;&#9999999;"), "\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(to_text("&abcdefghi\u{e9}"), "&abcdefghi\u{e9}");
    }
}
