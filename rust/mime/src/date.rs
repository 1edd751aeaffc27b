//! RFC 5322 dates with comments, obsolete zones and the liberties that real mail takes.
//!
//! The day's name is not compared with the date. Two-digit years, missing seconds, a missing zone, `-` between day,
//! month and year and the order of C's asctime are understood. Every number is checked for its range.

/// A piece of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a [u8]),
    Number { value: u32, digits: usize },
    Sign(u8),
    Colon,
}

/// Pieces of one date; the longest regular one has 13.
const TOKENS_MAX: usize = 24;

/// A Date field's value: seconds since 1970-01-01 UTC and the zone's offset in minutes (RFC 5322 §3.3, §4.3).
#[must_use]
pub fn parse(value: &[u8]) -> Option<(i64, i32)> {
    let tokens = tokens(value)?;
    let mut rest = tokens.as_slice();
    if let [Token::Word(name), tail @ ..] = rest
        && month(name).is_none()
    {
        rest = tail;
    }
    let (day, month, year, clock, offset) = match *rest {
        // Mon Jan  2 15:04:05 [zone] 2006, as asctime and date write it.
        [
            Token::Word(name),
            Token::Number {
                value: day,
                digits: 1..=2,
            },
            ref tail @ ..,
        ] => {
            let (clock, tail) = clock(tail)?;
            let (year, offset) = match *tail {
                [year @ Token::Number { .. }, ref tail @ ..] => (year_of(year)?, zone(tail)),
                [Token::Word(_), year @ Token::Number { .. }, ..] => (year_of(year)?, zone(tail)),
                _ => return None,
            };
            (day, month(name)?, year, clock, offset)
        }
        [
            Token::Number {
                value: day,
                digits: 1..=2,
            },
            ref tail @ ..,
        ] => {
            let tail = skip_dash(tail);
            let [Token::Word(name), ref tail @ ..] = *tail else {
                return None;
            };
            let [year, ref tail @ ..] = *skip_dash(tail) else {
                return None;
            };
            let (clock, tail) = clock(tail)?;
            (day, month(name)?, year_of(year)?, clock, zone(tail))
        }
        _ => return None,
    };
    if day == 0 || day > days_in(month, year) {
        return None;
    }
    let seconds = days_from_epoch(year, month, day) * 86_400 + clock - i64::from(offset) * 60;
    Some((seconds, offset))
}

/// Splits a value; `None` when it has too many pieces or an unclosed comment holds the rest.
fn tokens(value: &[u8]) -> Option<Vec<Token<'_>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&octet) = value.get(at) {
        let run = |test: fn(&u8) -> bool| {
            value[at..]
                .iter()
                .position(|octet| !test(octet))
                .unwrap_or(value.len() - at)
        };
        let (token, length) = match octet {
            b'(' => {
                at += comment_len(&value[at..]);
                continue;
            }
            b'0'..=b'9' => {
                let digits = run(u8::is_ascii_digit);
                let text = std::str::from_utf8(&value[at..at + digits]).ok()?;
                (
                    Token::Number {
                        value: text.parse().ok()?,
                        digits,
                    },
                    digits,
                )
            }
            b':' => (Token::Colon, 1),
            // Some clocks are written 21.30.15; a dot elsewhere (Sept.) means nothing.
            b'.' if matches!(found.last(), Some(Token::Number { .. }))
                && value.get(at + 1).is_some_and(u8::is_ascii_digit) =>
            {
                (Token::Colon, 1)
            }
            b'+' | b'-' => (Token::Sign(octet), 1),
            _ if octet.is_ascii_alphabetic() => {
                let length = run(u8::is_ascii_alphabetic);
                (Token::Word(&value[at..at + length]), length)
            }
            _ => {
                at += 1;
                continue;
            }
        };
        // What stands after the zone is of no interest.
        if found.len() >= TOKENS_MAX {
            return Some(found);
        }
        found.push(token);
        at += length;
    }
    Some(found)
}

fn comment_len(text: &[u8]) -> usize {
    let mut level = 0_usize;
    let mut is_quoted = false;
    for (index, &octet) in text.iter().enumerate() {
        match octet {
            _ if is_quoted => is_quoted = false,
            b'\\' => is_quoted = true,
            b'(' => level += 1,
            b')' => {
                level -= 1;
                if level == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

fn skip_dash<'t, 'a>(tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    match tokens {
        [Token::Sign(b'-'), tail @ ..] => tail,
        _ => tokens,
    }
}

/// `hour ":" minute [":" second]` as seconds of the day, and what follows.
fn clock<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<(i64, &'t [Token<'a>])> {
    let [
        Token::Number { value: hour, .. },
        Token::Colon,
        Token::Number { value: minute, .. },
        tail @ ..,
    ] = tokens
    else {
        return None;
    };
    let (second, tail) = match tail {
        [Token::Colon, Token::Number { value, .. }, tail @ ..] => (*value, tail),
        _ => (0, tail),
    };
    // 60 is a leap second (RFC 5322 §3.3).
    if *hour > 23 || *minute > 59 || second > 60 {
        return None;
    }
    Some((i64::from(hour * 3600 + minute * 60 + second), tail))
}

/// The zone's offset in minutes; what is unknown or missing counts as UTC (RFC 5322 §4.3).
fn zone(tokens: &[Token<'_>]) -> i32 {
    match *tokens {
        [Token::Sign(sign), Token::Number { value, digits: 4 }, ..] => signed(sign, value / 100, value % 100),
        [
            Token::Sign(sign),
            Token::Number { value: hours, .. },
            Token::Colon,
            Token::Number { value: minutes, .. },
            ..,
        ] if hours < 100 => signed(sign, hours, minutes),
        [Token::Word(name), ref tail @ ..] => match name.to_ascii_uppercase().as_slice() {
            b"EDT" => -4 * 60,
            b"EST" | b"CDT" => -5 * 60,
            b"CST" | b"MDT" => -6 * 60,
            b"MST" | b"PDT" => -7 * 60,
            b"PST" => -8 * 60,
            // GMT+0200 and the like.
            b"GMT" | b"UTC" | b"UT" if matches!(tail, [Token::Sign(_), ..]) => zone(tail),
            _ => 0,
        },
        _ => 0,
    }
}

fn signed(sign: u8, hours: u32, minutes: u32) -> i32 {
    if minutes > 59 {
        return 0;
    }
    let offset = i32::try_from(hours * 60 + minutes).unwrap_or(0);
    if sign == b'-' { -offset } else { offset }
}

/// RFC 5322 §4.3: two digits mean 1950 to 2049, three are added to 1900.
fn year_of(token: Token<'_>) -> Option<i64> {
    let Token::Number { value, digits } = token else {
        return None;
    };
    let value = i64::from(value);
    match digits {
        2 if value < 50 => Some(value + 2000),
        2 | 3 => Some(value + 1900),
        4 if value > 0 => Some(value),
        _ => None,
    }
}

/// 1 to 12 for a name that begins with a month's three letters.
fn month(name: &[u8]) -> Option<u32> {
    const NAMES: [&[u8; 3]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
    ];
    let start = name.get(..3)?;
    (1..)
        .zip(NAMES)
        .find(|(_, month)| start.eq_ignore_ascii_case(*month))
        .map(|(number, _)| number)
}

fn days_in(month: u32, year: i64) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar; years count from March so that the leap day ends one.
fn days_from_epoch(year: i64, month: u32, day: u32) -> i64 {
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_dates() {
        for (text, seconds, offset) in [
            ("Fri, 21 Nov 1997 09:55:06 -0600", 880_127_706, -360),
            ("1 Jan 1970 00:00 +0000", 0, 0),
            (" Thu, 13 Feb 1969 23:32:54 -0330", -27_723_426, -210),
            (
                "Thu,\r\n      13\r\n        Feb\r\n  1969\r\n    23:32\r\n -0330 (Newfoundland Time)",
                -27_723_480,
                -210,
            ),
            ("Tue, 29 Feb 2000 12:00:60 GMT", 951_825_660, 0),
            ("Mon, 23 Nov 2026 19:17:53 +0530", 1_795_441_673, 330),
        ] {
            assert_eq!(parse(text.as_bytes()), Some((seconds, offset)), "{text}");
        }
    }

    #[test]
    fn obsolete_and_odd_dates() {
        for (text, seconds, offset) in [
            ("21 Nov 97 09:55:06 GMT", 880_106_106, 0),
            ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880_127_706, -360),
            ("21 Nov 097 09:55:06 PST", 880_134_906, -480),
            ("Fri Nov 21 09:55:06 1997", 880_106_106, 0),
            ("Fri Nov 21 09:55:06 EST 1997", 880_124_106, -300),
            ("21-Nov-1997 09:55:06 +0000", 880_106_106, 0),
            ("Friday, 21 November 1997 09.55.06 Z", 880_106_106, 0),
            ("21 Nov 1997 09:55:06 XYZ", 880_106_106, 0),
            ("21 Nov 1997 09:55:06", 880_106_106, 0),
            ("21 Nov 1997 09:55:06 +01:00", 880_102_506, 60),
            ("21 Nov 1997 09:55:06 GMT+0100", 880_102_506, 60),
        ] {
            assert_eq!(parse(text.as_bytes()), Some((seconds, offset)), "{text}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "Fri",
            "31 Feb 2020 00:00:00 +0000",
            "29 Feb 1900 00:00:00 +0000",
            "0 Jan 2020 00:00:00 +0000",
            "1 Foo 2020 00:00:00 +0000",
            "1 Jan 2020 24:00:00 +0000",
            "1 Jan 2020 00:60:00 +0000",
            "1 Jan 2020",
            "1 Jan 20200 00:00:00 +0000",
            "99999999999999 Jan 2020 00:00:00",
            "(never closed 1 Jan 2020 00:00:00",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
