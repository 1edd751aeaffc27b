//! Calendar arithmetic for INTERNALDATE and the date keys of SEARCH (RFC 9051 §9, `date-time`).

use ironpost_proto::imap::search_key::Date;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const DAY_SECONDS: i64 = 86_400;
/// Dates outside the years 0 to 9999 are shown as the nearest of these: four digits are all that the grammar has.
const FIRST_DAY: i64 = -719_528;
const LAST_DAY: i64 = 2_932_896;

/// The calendar day on which a moment falls in its own zone.
#[must_use]
pub fn calendar_day(seconds: i64, zone_minutes: i32) -> Date {
    let local = seconds.saturating_add(i64::from(zone_minutes) * 60);
    civil(local.div_euclid(DAY_SECONDS).clamp(FIRST_DAY, LAST_DAY))
}

/// Appends `"dd-Mon-yyyy hh:mm:ss +zzzz"`, the day padded with a space.
pub fn write_internal_date(out: &mut Vec<u8>, seconds: i64, zone_minutes: i32) {
    // A zone beyond a day cannot be written; it only comes from damage.
    let zone = zone_minutes.clamp(-1439, 1439);
    let local = seconds
        .saturating_add(i64::from(zone) * 60)
        .clamp(FIRST_DAY * DAY_SECONDS, LAST_DAY * DAY_SECONDS + DAY_SECONDS - 1);
    let date = civil(local.div_euclid(DAY_SECONDS));
    let clock = local.rem_euclid(DAY_SECONDS) as u32;
    let offset = zone.unsigned_abs();
    let mut text = *b"\"dd-Mon-yyyy hh:mm:ss +zzzz\"";
    text[1..3].copy_from_slice(&two_digits(u32::from(date.day)));
    if text[1] == b'0' {
        text[1] = b' ';
    }
    text[4..7].copy_from_slice(MONTHS[usize::from(date.month - 1) % 12]);
    text[8..10].copy_from_slice(&two_digits(u32::from(date.year) / 100));
    text[10..12].copy_from_slice(&two_digits(u32::from(date.year) % 100));
    text[13..15].copy_from_slice(&two_digits(clock / 3600));
    text[16..18].copy_from_slice(&two_digits(clock / 60 % 60));
    text[19..21].copy_from_slice(&two_digits(clock % 60));
    text[22] = if zone < 0 { b'-' } else { b'+' };
    text[23..25].copy_from_slice(&two_digits(offset / 60));
    text[25..27].copy_from_slice(&two_digits(offset % 60));
    out.extend_from_slice(&text);
}

fn two_digits(number: u32) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

/// Days since 1970-01-01 to the proleptic Gregorian calendar, counted in eras of 400 years that begin on 1 March.
fn civil(day: i64) -> Date {
    const ERA_DAYS: i64 = 146_097;
    const EPOCH_FROM_ERA: i64 = 719_468;
    let shifted = day + EPOCH_FROM_ERA;
    let era = shifted.div_euclid(ERA_DAYS);
    let of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Date {
        year: year as u16,
        month: month as u8,
        day: day as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(seconds: i64, zone: i32) -> String {
        let mut out = Vec::new();
        write_internal_date(&mut out, seconds, zone);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn known_moments() {
        assert_eq!(written(0, 0), "\" 1-Jan-1970 00:00:00 +0000\"");
        assert_eq!(written(837_596_665, -420), "\"17-Jul-1996 02:44:25 -0700\"");
        assert_eq!(written(951_827_696, 330), "\"29-Feb-2000 18:04:56 +0530\"");
        assert_eq!(written(-1, 0), "\"31-Dec-1969 23:59:59 +0000\"");
        assert_eq!(written(i64::MAX, 0), "\"31-Dec-9999 23:59:59 +0000\"");
        assert_eq!(written(i64::MIN, -100_000), "\" 1-Jan-0000 00:00:00 -2359\"");
    }

    #[test]
    fn days_follow_one_another_through_the_centuries() {
        let mut expected = Date {
            year: 1600,
            month: 1,
            day: 1,
        };
        for day in -135_140..135_140_i64 {
            assert_eq!(civil(day), expected);
            let leap = expected.year.is_multiple_of(4)
                && (!expected.year.is_multiple_of(100) || expected.year.is_multiple_of(400));
            let last = match expected.month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            if expected.day < last {
                expected.day += 1;
            } else if expected.month < 12 {
                expected = Date {
                    year: expected.year,
                    month: expected.month + 1,
                    day: 1,
                };
            } else {
                expected = Date {
                    year: expected.year + 1,
                    month: 1,
                    day: 1,
                };
            }
        }
    }

    #[test]
    fn the_day_is_that_of_the_zone() {
        assert_eq!(
            calendar_day(0, -60),
            Date {
                year: 1969,
                month: 12,
                day: 31
            }
        );
        assert_eq!(
            calendar_day(86_399, 1),
            Date {
                year: 1970,
                month: 1,
                day: 2
            }
        );
    }
}
