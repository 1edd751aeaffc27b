//! Dates of SEARCH and APPEND (RFC 9051 §9, `date` and `date-time`), checked against the calendar.

use super::fault::Fault;
use super::lexer::{Lexer, decimal};
use super::search_key::Date;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

const BAD_DATE: Fault = Fault::syntax("malformed date");

/// `date = date-text / DQUOTE date-text DQUOTE`
pub(super) fn date(lexer: &mut Lexer<'_>) -> Result<Date, Fault> {
    let quoted = lexer.eat(b'"');
    let day = lexer.take_while(|octet| octet.is_ascii_digit());
    if day.is_empty() || day.len() > 2 {
        return Err(BAD_DATE);
    }
    let date = month_and_year(lexer, day)?;
    if quoted {
        lexer.expect(b'"', "malformed date")?;
    }
    Ok(date)
}

/// `"-" date-month "-" date-year`, behind the digits of the day.
fn month_and_year(lexer: &mut Lexer<'_>, day: &[u8]) -> Result<Date, Fault> {
    lexer.expect(b'-', "malformed date")?;
    let name = lexer.take_while(|octet| octet.is_ascii_alphabetic());
    let month = MONTHS
        .iter()
        .position(|month| name.eq_ignore_ascii_case(month.as_bytes()))
        .ok_or(BAD_DATE)?;
    lexer.expect(b'-', "malformed date")?;
    let year = digits(lexer, 4)?;
    let date = Date {
        year: u16::try_from(year).map_err(|_| BAD_DATE)?,
        month: u8::try_from(month + 1).map_err(|_| BAD_DATE)?,
        day: decimal(day).and_then(|day| u8::try_from(day).ok()).ok_or(BAD_DATE)?,
    };
    if date.day == 0 || date.day > days_in_month(date) {
        Err(BAD_DATE)
    } else {
        Ok(date)
    }
}

/// `date-time`: Unix seconds and the zone's offset in minutes.
///
/// `date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE`
pub(super) fn date_time(lexer: &mut Lexer<'_>) -> Result<(i64, i32), Fault> {
    lexer.expect(b'"', "malformed date")?;
    // date-day-fixed = (SP DIGIT) / 2DIGIT
    let width = if lexer.eat(b' ') { 1 } else { 2 };
    let day = lexer.take_while(|octet| octet.is_ascii_digit());
    if day.len() != width {
        return Err(BAD_DATE);
    }
    let date = month_and_year(lexer, day)?;
    lexer.expect(b' ', "malformed date")?;
    let hour = digits(lexer, 2)?;
    lexer.expect(b':', "malformed date")?;
    let minute = digits(lexer, 2)?;
    lexer.expect(b':', "malformed date")?;
    let second = digits(lexer, 2)?;
    lexer.expect(b' ', "malformed date")?;
    let east = lexer.eat(b'+');
    if !east {
        lexer.expect(b'-', "malformed date")?;
    }
    let zone = digits(lexer, 4)?;
    lexer.expect(b'"', "malformed date")?;
    if hour > 23 || minute > 59 || second > 60 || zone > 2359 || zone % 100 > 59 {
        return Err(BAD_DATE);
    }
    let magnitude = i32::try_from(zone / 100 * 60 + zone % 100).map_err(|_| BAD_DATE)?;
    let offset = if east { magnitude } else { -magnitude };
    let seconds = days_since_1970(date) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    Ok((seconds - i64::from(offset) * 60, offset))
}

/// RFC 3339 `date-time`, as Unix seconds: `2002-10-02T10:00:00.05+08:00`.
pub(super) fn internet_date_time(lexer: &mut Lexer<'_>) -> Result<i64, Fault> {
    let date = Date {
        year: u16::try_from(digits(lexer, 4)?).map_err(|_| BAD_DATE)?,
        month: after_mark(lexer, b'-')?,
        day: after_mark(lexer, b'-')?,
    };
    if !(1..=12).contains(&date.month) || date.day == 0 || date.day > days_in_month(date) {
        return Err(BAD_DATE);
    }
    if !lexer.eat(b't') {
        lexer.expect(b'T', "malformed date")?;
    }
    let hour = digits(lexer, 2)?;
    let minute = u32::from(after_mark(lexer, b':')?);
    let second = u32::from(after_mark(lexer, b':')?);
    if lexer.eat(b'.') && lexer.take_while(|octet| octet.is_ascii_digit()).is_empty() {
        return Err(BAD_DATE);
    }
    let mut offset = 0;
    if !lexer.eat(b'Z') && !lexer.eat(b'z') {
        let east = lexer.eat(b'+');
        if !east {
            lexer.expect(b'-', "malformed date")?;
        }
        let (hours, minutes) = (digits(lexer, 2)?, u32::from(after_mark(lexer, b':')?));
        if hours > 23 || minutes > 59 {
            return Err(BAD_DATE);
        }
        let magnitude = i64::from(hours * 3600 + minutes * 60);
        offset = if east { magnitude } else { -magnitude };
    }
    if hour > 23 || minute > 59 || second > 60 {
        return Err(BAD_DATE);
    }
    Ok(days_since_1970(date) * 86_400 + i64::from(hour * 3600 + minute * 60 + second) - offset)
}

/// Two digits behind a mark.
fn after_mark(lexer: &mut Lexer<'_>, mark: u8) -> Result<u8, Fault> {
    lexer.expect(mark, "malformed date")?;
    u8::try_from(digits(lexer, 2)?).map_err(|_| BAD_DATE)
}

fn digits(lexer: &mut Lexer<'_>, count: usize) -> Result<u32, Fault> {
    let run = lexer.take_while(|octet| octet.is_ascii_digit());
    if run.len() != count {
        return Err(BAD_DATE);
    }
    decimal(run)
        .and_then(|number| u32::try_from(number).ok())
        .ok_or(BAD_DATE)
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(date: Date) -> u8 {
    match date.month {
        2 if is_leap(date.year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar.
fn days_since_1970(date: Date) -> i64 {
    // Years begin in March here, so that the leap day is a year's last.
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let month = (i64::from(date.month) + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + i64::from(date.day) - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn search_dates() {
        let parse = |text: &str| date(&mut Lexer::new(text.as_bytes()));
        assert_eq!(
            parse("1-Feb-1994").unwrap(),
            Date {
                year: 1994,
                month: 2,
                day: 1
            }
        );
        assert_eq!(
            parse("\"29-feb-2000\"").unwrap(),
            Date {
                year: 2000,
                month: 2,
                day: 29
            }
        );
        for bad in [
            "29-Feb-1900",
            "0-Jan-2000",
            "32-Jan-2000",
            "1-Foo-2000",
            "1-Jan-20",
            "001-Jan-2000",
            "\"1-Jan-2000",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn append_dates() {
        let parse = |text: &str| date_time(&mut Lexer::new(text.as_bytes()));
        assert_eq!(parse("\"17-Jul-1996 02:44:25 -0700\"").unwrap(), (837_596_665, -420));
        assert_eq!(parse("\" 1-Jan-1970 00:00:00 +0000\"").unwrap(), (0, 0));
        assert_eq!(parse("\"31-Dec-1969 23:59:59 +0000\"").unwrap(), (-1, 0));
        assert_eq!(parse("\"29-Feb-2024 12:00:00 +0530\"").unwrap(), (1_709_188_200, 330));
        assert_eq!(parse("\"01-Jan-0000 00:00:00 +0000\"").unwrap().0, -62_167_219_200);
        for bad in [
            "\"1-Jan-1970 00:00:00 +0000\"",
            "\"01-Jan-1970 24:00:00 +0000\"",
            "\"01-Jan-1970 00:60:00 +0000\"",
            "\"01-Jan-1970 00:00:00 0000\"",
            "\"01-Jan-1970 00:00:00 +0060\"",
            "\"01-Jan-1970 00:00:00 +2400\"",
            "\"01-Jan-1970 00:00:00 +0000",
            "\"01-Jan-1970\"",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
