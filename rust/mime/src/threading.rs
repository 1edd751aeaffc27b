//! Message-IDs in the form that THREAD=REFERENCES compares (RFC 5256 §3).
use crate::headers::unfold;

/// References kept of one message: a thread deeper than this is cut at its far end.
pub const MESSAGE_IDS_MAX: usize = 1000;

/// The message IDs in a raw Message-ID, References or In-Reply-To value, in order, without angle brackets.
///
/// Normalised as RFC 5256 §3 asks: quoting is undone and white space dropped, so that two spellings of one ID are
/// equal. What stands between IDs is skipped. Only the last [`MESSAGE_IDS_MAX`] are kept, the nearest ancestors.
#[must_use]
pub fn message_ids(value: &[u8]) -> Vec<Vec<u8>> {
    let value = unfold(value);
    let mut found = std::collections::VecDeque::new();
    let mut current: Option<Vec<u8>> = None;
    let mut is_quoted = false;
    let mut octets = value.iter().copied();
    while let Some(octet) = octets.next() {
        let Some(id) = current.as_mut() else {
            if octet == b'<' {
                current = Some(Vec::new());
            }
            continue;
        };
        match octet {
            // Only at its start can a local part be quoted; a quote elsewhere is a fault of no consequence.
            b'"' if is_quoted || id.is_empty() => is_quoted = !is_quoted,
            b'"' => {}
            b'\\' if is_quoted => id.extend(octets.next()),
            b' ' | b'\t' | b'\r' | b'\n' if !is_quoted => {}
            b'<' if !is_quoted => id.clear(),
            b'>' if !is_quoted => {
                if !id.is_empty() {
                    if found.len() == MESSAGE_IDS_MAX {
                        found.pop_front();
                    }
                    found.push_back(std::mem::take(id));
                }
                current = None;
            }
            _ => id.push(octet),
        }
    }
    found.into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn ids(value: &str) -> Vec<String> {
        message_ids(value.as_bytes())
            .into_iter()
            .map(|id| String::from_utf8(id).unwrap())
            .collect()
    }

    #[test]
    fn lists() {
        assert_eq!(ids(" <a@b> <c@d>\r\n\t<e@f>"), ["a@b", "c@d", "e@f"]);
        assert_eq!(
            ids("<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>"),
            ids("<01KF8JCEOCBS0045PS@xxx.yyy.com>")
        );
        assert_eq!(ids("\"Jo\" of Monday <a@b> (c)"), ["a@b"]);
        assert_eq!(ids("<a <b@c> <> <d@\r\n e> <open@x"), ["b@c", "d@e"]);
        assert_eq!(ids("<a\"b@c> <d@e>"), ["ab@c", "d@e"]);
        assert_eq!(ids("none"), Vec::<String>::new());
        assert_eq!(ids("<\"a\\\"b> c\"@d>"), ["a\"b> c@d"]);
    }

    #[test]
    fn the_nearest_ancestors_are_kept() {
        let value: String = (0..MESSAGE_IDS_MAX + 5)
            .map(|number| format!("<{number}@x> "))
            .collect();
        let found = ids(&value);
        assert_eq!(found.len(), MESSAGE_IDS_MAX);
        assert_eq!(found[0], "5@x");
    }
}
