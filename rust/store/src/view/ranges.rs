//! Sequence-set text of ascending numbers (RFC 9051 §9, `sequence-set`), as compact as ranges allow.

use ironpost_proto::imap::quoting::write_number;

/// Appends ascending numbers as a sequence set: `1:3,7`. Nothing for no numbers.
pub fn write_set(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    let mut open: Option<(u32, u32)> = None;
    let mut first_range = true;
    for number in numbers {
        match &mut open {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            Some(range) => {
                write_range(out, *range, &mut first_range);
                *range = (number, number);
            }
            None => open = Some((number, number)),
        }
    }
    if let Some(range) = open {
        write_range(out, range, &mut first_range);
    }
}

fn write_range(out: &mut Vec<u8>, (first, last): (u32, u32), first_range: &mut bool) {
    if !*first_range {
        out.push(b',');
    }
    *first_range = false;
    write_number(out, u64::from(first));
    if last != first {
        out.push(b':');
        write_number(out, u64::from(last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_ranges() {
        for (numbers, text) in [
            (vec![], ""),
            (vec![4], "4"),
            (vec![1, 2], "1:2"),
            (vec![1, 2, 3, 7, 9, 10], "1:3,7,9:10"),
            (vec![u32::MAX - 1, u32::MAX], "4294967294:4294967295"),
        ] {
            let mut out = Vec::new();
            write_set(&mut out, numbers);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }
}
