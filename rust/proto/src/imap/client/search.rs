//! SEARCH and ESEARCH responses (RFC 9051 §7.3.4, RFC 3501 §7.2.5).

use super::event::Search;
use super::words::Words;

/// Behind the word SEARCH: numbers, as runs.
pub(super) fn search(words: &mut Words<'_>) -> Option<Search> {
    let mut found = Search::default();
    while let Some(octet) = words.peek() {
        if octet == b'(' {
            // (MODSEQ n) of RFC 7162.
            words.skip()?;
            continue;
        }
        let number = u32::try_from(words.number()?).ok()?;
        match found.ranges.last_mut() {
            Some(last) if last.1.checked_add(1) == Some(number) => last.1 = number,
            _ => found.ranges.push((number, number)),
        }
    }
    Some(found)
}

/// Behind the word ESEARCH.
pub(super) fn esearch(words: &mut Words<'_>) -> Option<Search> {
    let mut found = Search::default();
    if words.peek() == Some(b'(') {
        words.skip()?;
    }
    while words.peek().is_some() {
        match words.keyword()?.as_str() {
            "UID" => {}
            "ALL" => found.ranges = ranges(words.atom()?)?,
            "COUNT" => found.count = Some(words.number()?),
            _ => words.skip()?,
        }
    }
    Some(found)
}

fn ranges(set: &[u8]) -> Option<Vec<(u32, u32)>> {
    let text = std::str::from_utf8(set).ok()?;
    text.split(',')
        .map(|range| {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
            Some((first.min(last), first.max(last)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn numbers_become_runs() {
        let found = search(&mut Words::new(b" 2 3 4 84 882 (MODSEQ 917)", None)).unwrap();
        assert_eq!(found.ranges, [(2, 4), (84, 84), (882, 882)]);
        assert!(search(&mut Words::new(b"", None)).unwrap().ranges.is_empty());
        assert_eq!(search(&mut Words::new(b"1 x", None)), None);
        let edge = search(&mut Words::new(b"4294967295 4294967295", None)).unwrap();
        assert_eq!(edge.ranges.len(), 2);
    }

    #[test]
    fn extended_results() {
        let found = esearch(&mut Words::new(b"(TAG \"A2\") UID MIN 2 COUNT 3 ALL 9:7,12", None)).unwrap();
        assert_eq!((found.ranges, found.count), (vec![(7, 9), (12, 12)], Some(3)));
        assert_eq!(esearch(&mut Words::new(b"ALL 1:x", None)), None);
    }
}
