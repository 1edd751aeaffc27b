//! Base subjects (RFC 5256 §2.1), for SORT and THREAD.
use crate::encoded_word;

/// A subject without its reply and forward marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseSubject {
    /// The base subject in UTF-8.
    pub text: String,
    /// True when a mark of a reply or forward was taken off.
    pub is_reply_or_forward: bool,
}

/// The base subject of a raw Subject value (RFC 5256 §2.1, steps 1 to 6).
///
/// Letters keep their case: comparing is the caller's collation (i;unicode-casemap). Linear in the value's length.
#[must_use]
pub fn base_subject(value: &[u8]) -> BaseSubject {
    let text = single_spaced(&encoded_word::decode(value));
    let mut rest = text.as_str();
    let mut is_marked = false;
    loop {
        rest = without_trailers(rest, &mut is_marked);
        rest = without_leaders(rest, &mut is_marked);
        match forwarded(rest) {
            Some(inner) => {
                is_marked = true;
                rest = inner;
            }
            None => break,
        }
    }
    BaseSubject {
        text: rest.to_owned(),
        is_reply_or_forward: is_marked,
    }
}

/// Step 1: tabs and line ends become spaces, runs of spaces one.
fn single_spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let is_space = matches!(character, ' ' | '\t' | '\r' | '\n');
        if !is_space {
            out.push(character);
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out
}

/// Step 2: `subj-trailer = "(fwd)" / WSP`.
fn without_trailers<'a>(mut text: &'a str, is_marked: &mut bool) -> &'a str {
    loop {
        text = text.trim_end_matches(' ');
        match strip_suffix_fold(text, "(fwd)") {
            Some(head) => {
                *is_marked = true;
                text = head;
            }
            None => return text,
        }
    }
}

/// Steps 3 to 5: leaders, and blobs as long as something is left.
fn without_leaders<'a>(whole: &'a str, is_marked: &mut bool) -> &'a str {
    let mut text = whole.trim_start_matches(' ');
    // Octets left where a run of blobs ended without a mark after it: looking again from within that run is in vain.
    let mut failed_at = None;
    loop {
        if failed_at.is_none_or(|left| text.len() <= left) {
            match leader(text) {
                Ok(tail) => {
                    *is_marked = true;
                    text = tail.trim_start_matches(' ');
                    continue;
                }
                Err(left) => failed_at = Some(left),
            }
        }
        match blob(text) {
            Some(tail) if !tail.is_empty() => text = tail,
            _ => return text,
        }
    }
}

/// `*subj-blob subj-refwd`: what follows it, or the octets left where the mark was missing.
fn leader(text: &str) -> Result<&str, usize> {
    let mut rest = text;
    while let Some(tail) = blob(rest) {
        rest = tail;
    }
    refwd(rest).ok_or(rest.len())
}

/// `subj-blob = "[" *BLOBCHAR "]" *WSP`: what follows it.
fn blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']']);
    crate::work::note(end.unwrap_or(inner.len()));
    let end = end?;
    Some(inner[end..].strip_prefix(']')?.trim_start_matches(' '))
}

/// `subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`: what follows it.
fn refwd(text: &str) -> Option<&str> {
    let rest = ["re", "fwd", "fw"]
        .iter()
        .find_map(|mark| strip_prefix_fold(text, mark))?;
    let rest = rest.trim_start_matches(' ');
    rest.strip_prefix(':').or_else(|| blob(rest)?.strip_prefix(':'))
}

/// Step 6: `"[fwd:" ... "]"`.
fn forwarded(text: &str) -> Option<&str> {
    strip_prefix_fold(text, "[fwd:")?.strip_suffix(']')
}

fn strip_prefix_fold<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn strip_suffix_fold<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    text.get(at..)?.eq_ignore_ascii_case(suffix).then(|| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_off() {
        for (value, text, marked) in [
            ("plain", "plain", false),
            ("Re: plain", "plain", true),
            ("RE : [x] re[2]: Fwd : plain (fwd) (FWD) ", "plain", true),
            ("[list] Re: [list] plain", "plain", true),
            ("[list] plain", "plain", false),
            ("[list]", "[list]", false),
            ("[a][b] [c]", "[c]", false),
            ("[Fwd: [list] Re: plain]", "plain", true),
            ("Re:", "", true),
            ("", "", false),
            ("re plain", "re plain", false),
            ("reply", "reply", false),
            ("[[odd] plain", "[[odd] plain", false),
            ("a \r\n\t b", "a b", false),
            ("=?utf-8?q?Re=3A_gr=C3=BCn?=", "gr\u{fc}n", true),
            ("fw[x] : y", "y", true),
        ] {
            let base = base_subject(value.as_bytes());
            assert_eq!(
                (base.text.as_str(), base.is_reply_or_forward),
                (text, marked),
                "{value}"
            );
        }
    }

    #[test]
    fn many_blobs_cost_linear_time() {
        // A quadratic reading would take minutes here.
        let value = format!("{}x", "[a]".repeat(300_000));
        assert_eq!(base_subject(value.as_bytes()).text, "x");
        let value = "[fwd: ".repeat(100_000) + &"]".repeat(100_000);
        assert!(base_subject(value.as_bytes()).is_reply_or_forward);
    }
}
