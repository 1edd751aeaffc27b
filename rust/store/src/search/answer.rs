//! SEARCH and ESEARCH answers (RFC 9051 §7.3.4, RFC 3501 §7.2.5, RFC 4731, RFC 7162 §3.1.5), and what SAVE keeps (RFC 5182).

use std::ops::Range;

use ironpost_proto::imap::quoting::{write_number, write_string};
use ironpost_proto::imap::search_key::SearchReturn;

use crate::view::ranges::write_set;
use crate::view::uids::UidSet;

/// Renders what was found, as UIDs or as message numbers of `numbered`, with the modseq when one is given.
#[must_use]
pub fn render(
    found: &UidSet,
    numbered: &UidSet,
    uid: bool,
    returns: SearchReturn,
    tag: &str,
    modseq: Option<u64>,
) -> Vec<u8> {
    let number = |member: u32| if uid { Some(member) } else { numbered.rank(member) };
    if !returns.extended {
        return plain(b"* SEARCH", found.iter().filter_map(number), modseq);
    }
    let ends = (found.first().and_then(number), found.last().and_then(number));
    extended(uid, returns, tag, modseq, found.len(), ends, |out, window| {
        let some = found.iter().skip(window.start).take(window.len());
        write_set(out, some.filter_map(number));
    })
}

/// Renders numbers in the order of SORT (RFC 5256 §4, RFC 5267 §3.1): MIN and MAX are the first and the last of it.
#[must_use]
pub fn render_sorted(numbers: &[u32], uid: bool, returns: SearchReturn, tag: &str, modseq: Option<u64>) -> Vec<u8> {
    if !returns.extended {
        return plain(b"* SORT", numbers.iter().copied(), modseq);
    }
    let ends = (numbers.first().copied(), numbers.last().copied());
    let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    extended(uid, returns, tag, modseq, count, ends, |out, window| {
        write_ordered_set(out, numbers.get(window).unwrap_or_default());
    })
}

fn plain(name: &[u8], numbers: impl Iterator<Item = u32>, modseq: Option<u64>) -> Vec<u8> {
    let mut out = name.to_vec();
    for number in numbers {
        out.push(b' ');
        write_number(&mut out, u64::from(number));
    }
    if let Some(modseq) = modseq {
        out.extend_from_slice(b" (MODSEQ ");
        write_number(&mut out, modseq);
        out.push(b')');
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// What an ESEARCH line says of UIDs behind its correlator, ` UID` and return data; nothing when there is nothing to say, or
/// nothing was found (RFC 7377 §2.1).
#[must_use]
pub fn data(found: &UidSet, returns: SearchReturn, modseq: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    if found.is_empty() || is_silent(returns) {
        return out;
    }
    out.extend_from_slice(b" UID");
    let ends = (found.first(), found.last());
    write_data(&mut out, returns, modseq, found.len(), ends, |out, window| {
        write_set(out, found.iter().skip(window.start).take(window.len()));
    });
    out
}

/// Is any data asked for? UPDATE and CONTEXT ask for none (RFC 5267 §4.1), but make ALL no default.
fn names_data(returns: SearchReturn) -> bool {
    let named = returns.min || returns.max || returns.count || returns.all || returns.partial.is_some();
    named || returns.update || returns.context
}

/// SAVE alone asks for no answer (RFC 5182 §2.2).
fn is_silent(returns: SearchReturn) -> bool {
    returns.save && !names_data(returns)
}

/// ESEARCH (RFC 4731 §3.1).
fn extended(
    uid: bool,
    returns: SearchReturn,
    tag: &str,
    modseq: Option<u64>,
    count: u32,
    ends: (Option<u32>, Option<u32>),
    write_some: impl Fn(&mut Vec<u8>, Range<usize>),
) -> Vec<u8> {
    let mut out = Vec::new();
    if is_silent(returns) {
        return out;
    }
    out.extend_from_slice(b"* ESEARCH (TAG ");
    write_string(&mut out, tag.as_bytes());
    out.push(b')');
    if uid {
        out.extend_from_slice(b" UID");
    }
    write_data(&mut out, returns, modseq, count, ends, write_some);
    out.extend_from_slice(b"\r\n");
    out
}

fn write_data(
    out: &mut Vec<u8>,
    returns: SearchReturn,
    modseq: Option<u64>,
    count: u32,
    (first, last): (Option<u32>, Option<u32>),
    write_some: impl Fn(&mut Vec<u8>, Range<usize>),
) {
    let item = |out: &mut Vec<u8>, name: &[u8], value: Option<u32>| {
        if let Some(value) = value {
            out.extend_from_slice(name);
            write_number(out, u64::from(value));
        }
    };
    // MIN, MAX and ALL are left out when nothing was found; COUNT then says 0.
    if returns.min {
        item(out, b" MIN ", first);
    }
    if returns.max {
        item(out, b" MAX ", last);
    }
    if returns.count {
        item(out, b" COUNT ", Some(count));
    }
    if (returns.all || !names_data(returns)) && count > 0 {
        out.extend_from_slice(b" ALL ");
        write_some(out, 0..count as usize);
    }
    if let Some(partial) = returns.partial {
        // RFC 9394 §3.1: the range as the client wrote it.
        let sign = if partial.from_end { "-" } else { "" };
        let range = format!(" PARTIAL ({sign}{}:{sign}{} ", partial.first, partial.last);
        out.extend_from_slice(range.as_bytes());
        let window = partial.pick(count as usize);
        if window.is_empty() {
            out.extend_from_slice(b"NIL");
        } else {
            write_some(out, window);
        }
        out.push(b')');
    }
    if let Some(modseq) = modseq {
        out.extend_from_slice(b" MODSEQ ");
        write_number(out, modseq);
    }
}

/// A sequence set whose order counts: only numbers that follow one another become a range.
pub(super) fn write_ordered_set(out: &mut Vec<u8>, numbers: &[u32]) {
    for (index, run) in numbers
        .chunk_by(|&left, &right| left.checked_add(1) == Some(right))
        .enumerate()
    {
        if index > 0 {
            out.push(b',');
        }
        if let [first, .., last] = run {
            write_number(out, u64::from(*first));
            out.push(b':');
            write_number(out, u64::from(*last));
        } else if let [only] = run {
            write_number(out, u64::from(*only));
        }
    }
}

/// What an answer is about, of results in their order: everything, but with MIN, MAX and PARTIAL alone only these. It is what `$`
/// becomes (RFC 5182 §2.4, RFC 9394 §3.2) and what the modseq is the highest of (RFC 4731 §3.2).
#[must_use]
pub fn named(results: &UidSet, order: Option<&[u32]>, returns: SearchReturn) -> UidSet {
    let narrow = returns.partial.is_some() || (!returns.count && (returns.min || returns.max));
    if returns.all || !narrow {
        return results.clone();
    }
    let count = results.len() as usize;
    let at = |place: usize| match order {
        Some(order) => order.get(place).copied(),
        None => results.iter().nth(place),
    };
    let mut uids: Vec<u32> = Vec::new();
    if returns.min {
        uids.extend(at(0));
    }
    if returns.max {
        uids.extend(count.checked_sub(1).and_then(at));
    }
    if let Some(window) = returns.partial.map(|partial| partial.pick(count)) {
        match order {
            Some(order) => uids.extend(order.get(window).unwrap_or_default()),
            None => uids.extend(results.iter().skip(window.start).take(window.len())),
        }
    }
    uids.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use ironpost_proto::imap::partial::PartialRange;

    use super::*;

    fn text(found: &[u32], uid: bool, returns: SearchReturn) -> String {
        let numbered = UidSet::from_ascending([10, 20, 21, 22, 40]);
        let found = UidSet::from_ascending(found.iter().copied());
        String::from_utf8_lossy(&render(&found, &numbered, uid, returns, "a1", None)).into_owned()
    }

    #[test]
    fn answers_in_both_forms() {
        let plain = SearchReturn::default();
        assert_eq!(text(&[], false, plain), "* SEARCH\r\n");
        assert_eq!(text(&[10, 22], false, plain), "* SEARCH 1 4\r\n");
        assert_eq!(text(&[10, 22], true, plain), "* SEARCH 10 22\r\n");
        let all = SearchReturn {
            extended: true,
            all: true,
            ..plain
        };
        assert_eq!(
            text(&[10, 20, 21, 40], false, all),
            "* ESEARCH (TAG \"a1\") ALL 1:3,5\r\n"
        );
        assert_eq!(
            text(&[10, 20, 21, 40], true, all),
            "* ESEARCH (TAG \"a1\") UID ALL 10,20:21,40\r\n"
        );
        assert_eq!(text(&[], true, all), "* ESEARCH (TAG \"a1\") UID\r\n");
        let counts = SearchReturn {
            extended: true,
            min: true,
            max: true,
            count: true,
            ..SearchReturn::default()
        };
        assert_eq!(
            text(&[20, 40], false, counts),
            "* ESEARCH (TAG \"a1\") MIN 2 MAX 5 COUNT 2\r\n"
        );
        assert_eq!(text(&[], false, counts), "* ESEARCH (TAG \"a1\") COUNT 0\r\n");
        let save = SearchReturn {
            extended: true,
            save: true,
            ..plain
        };
        assert_eq!(text(&[10, 20], false, save), "");
    }

    #[test]
    fn modseqs_stand_at_the_end() {
        let numbered = UidSet::from_ascending([10, 20]);
        let text = |returns, modseq| {
            String::from_utf8(render(&numbered, &numbered, false, returns, "a1", modseq)).unwrap_or_default()
        };
        let plain = SearchReturn::default();
        assert_eq!(text(plain, Some(7)), "* SEARCH 1 2 (MODSEQ 7)\r\n");
        let counted = SearchReturn {
            extended: true,
            count: true,
            ..plain
        };
        assert_eq!(text(counted, Some(7)), "* ESEARCH (TAG \"a1\") COUNT 2 MODSEQ 7\r\n");
        assert_eq!(text(counted, None), "* ESEARCH (TAG \"a1\") COUNT 2\r\n");
    }

    #[test]
    fn what_save_keeps() {
        let kept = |found: &[u32], min, max, count, all| {
            let returns = SearchReturn {
                extended: true,
                min,
                max,
                count,
                all,
                save: true,
                ..SearchReturn::default()
            };
            let found = UidSet::from_ascending(found.iter().copied());
            named(&found, None, returns).iter().collect::<Vec<u32>>()
        };
        assert_eq!(kept(&[3, 5, 9], false, false, false, false), [3, 5, 9]);
        assert_eq!(kept(&[3, 5, 9], true, false, false, false), [3]);
        assert_eq!(kept(&[3, 5, 9], false, true, false, false), [9]);
        assert_eq!(kept(&[3, 5, 9], true, true, false, false), [3, 9]);
        assert_eq!(kept(&[3], true, true, false, false), [3]);
        assert_eq!(kept(&[3, 5, 9], true, false, true, false), [3, 5, 9]);
        assert_eq!(kept(&[3, 5, 9], true, true, false, true), [3, 5, 9]);
        assert!(kept(&[], true, true, false, false).is_empty());
    }

    /// RFC 9394 §3.1, §3.2.
    #[test]
    fn windows_of_results() {
        let page = |first, last, from_end| SearchReturn {
            extended: true,
            save: true,
            partial: Some(PartialRange { first, last, from_end }),
            ..SearchReturn::default()
        };
        assert_eq!(
            text(&[10, 20, 21, 40], true, page(2, 3, false)),
            "* ESEARCH (TAG \"a1\") UID PARTIAL (2:3 20:21)\r\n"
        );
        assert_eq!(
            text(&[10, 20, 21, 40], false, page(1, 2, true)),
            "* ESEARCH (TAG \"a1\") PARTIAL (-1:-2 3,5)\r\n"
        );
        assert_eq!(
            text(&[10], true, page(9, 5, false)),
            "* ESEARCH (TAG \"a1\") UID PARTIAL (9:5 NIL)\r\n"
        );
        let sorted = render_sorted(&[40, 10, 11, 12, 5], true, page(1, 4, false), "a1", None);
        assert_eq!(
            String::from_utf8_lossy(&sorted),
            "* ESEARCH (TAG \"a1\") UID PARTIAL (1:4 40,10:12)\r\n"
        );
        let found = UidSet::from_ascending([5, 10, 11, 12, 40]);
        let kept = |order: Option<&[u32]>, returns| named(&found, order, returns).iter().collect::<Vec<u32>>();
        assert_eq!(kept(None, page(1, 2, false)), [5, 10]);
        assert_eq!(kept(Some(&[40, 10, 11, 12, 5]), page(1, 2, false)), [10, 40]);
        let with_last = SearchReturn {
            max: true,
            ..page(1, 2, false)
        };
        assert_eq!(kept(None, with_last), [5, 10, 40]);
    }
}
