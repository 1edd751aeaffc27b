//! FETCH responses (RFC 9051 §7.5.2), with Gmail's labels; items that nobody asked for are passed over.

use super::event::{Fetch, FetchedBody};
use super::words::{Text, Words};
use crate::imap::date_time::date_time;
use crate::imap::lexer::Lexer;

/// Behind `* number FETCH`.
pub(super) fn fetch(number: u32, words: &mut Words<'_>) -> Option<Fetch> {
    let mut found = Fetch {
        number,
        uid: None,
        flags: None,
        internal_date: None,
        size: None,
        modseq: None,
        labels: None,
        body: FetchedBody::Absent,
    };
    if !words.eat(b'(') {
        return None;
    }
    while !words.eat(b')') {
        let item = words.item()?;
        match item.as_str() {
            "UID" => found.uid = Some(u32::try_from(words.number()?).ok()?),
            "FLAGS" => found.flags = Some(words.names()?),
            "INTERNALDATE" => found.internal_date = internal_date(&words.text()?.octets()),
            "RFC822.SIZE" => found.size = Some(words.number()?),
            "MODSEQ" => found.modseq = words.names()?.first().and_then(|number| number.parse().ok()),
            "X-GM-LABELS" => found.labels = Some(words.list()?.into_iter().map(|label| label.into_owned()).collect()),
            "BODY[]" | "BODY[]<0>" | "RFC822" | "BINARY[]" => {
                found.body = match words.text()? {
                    Text::Nil => FetchedBody::Nil,
                    Text::Octets(octets) => FetchedBody::Inline(octets.into_owned()),
                    Text::Streamed => FetchedBody::Streamed,
                };
            }
            _ => words.skip()?,
        }
    }
    Some(found)
}

/// `17-Jul-1996 02:44:25 -0700`, also with a day of one digit or without a zone; `None` when it is no date.
fn internal_date(text: &[u8]) -> Option<(i64, i32)> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let mut parts = text.split_ascii_whitespace();
    let (day, time) = (parts.next()?, parts.next()?);
    let zone = parts
        .next()
        .filter(|zone| zone.starts_with(['+', '-']))
        .unwrap_or("+0000");
    let padding = if day.find('-') == Some(1) { " " } else { "" };
    let strict = format!("\"{padding}{day} {time} {zone}\"");
    date_time(&mut Lexer::new(strict.as_bytes())).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(text: &str) -> Option<Fetch> {
        fetch(3, &mut Words::new(text.as_bytes(), None))
    }

    #[test]
    fn everything_that_is_asked_for() {
        let found = parse(
            "(UID 9 FLAGS (\\Seen $Forwarded) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4286 \
             ENVELOPE (NIL (((\"x\" NIL)))) MODSEQ (12111230047) X-GM-LABELS (\\Inbox \"M&APw-nchen\") BODY[] \"hi\")",
        )
        .unwrap();
        assert_eq!((found.number, found.uid, found.size), (3, Some(9), Some(4286)));
        assert_eq!(found.flags.unwrap(), ["\\Seen", "$Forwarded"]);
        assert_eq!(found.internal_date, Some((837_596_665, -420)));
        assert_eq!(found.modseq, Some(12_111_230_047));
        assert_eq!(found.labels.unwrap(), [&b"\\Inbox"[..], b"M&APw-nchen"]);
        assert_eq!(found.body, FetchedBody::Inline(b"hi".to_vec()));
    }

    #[test]
    fn dates_of_the_sloppy() {
        assert_eq!(internal_date(b" 1-Jan-1970 00:00:00 +0000"), Some((0, 0)));
        assert_eq!(internal_date(b"1-Jan-1970 00:00:01"), Some((1, 0)));
        assert_eq!(internal_date(b"01-jan-1970 00:00:01 GMT"), Some((1, 0)));
        for bad in [&b""[..], b"NIL", b"31-Feb-2000 00:00:00 +0000", b"\xff", b"x"] {
            assert_eq!(internal_date(bad), None, "{bad:?}");
        }
        assert_eq!(parse("(INTERNALDATE NIL UID 1)").unwrap().internal_date, None);
    }

    #[test]
    fn what_cannot_be_read_is_no_fetch() {
        for bad in [
            "",
            "UID 1",
            "(UID x)",
            "(UID 4294967296)",
            "(UID 1",
            "(BODY[ x)",
            "(FLAGS \\Seen)",
            "(UID)",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse("(BODY[] NIL)").unwrap().body, FetchedBody::Nil);
        assert_eq!(parse("()").unwrap().uid, None);
    }
}
