//! RFC 5322 dates.

/// A Date field's value: seconds since 1970-01-01 UTC and the zone's offset in minutes.
#[must_use]
pub fn parse(_value: &[u8]) -> Option<(i64, i32)> {
    None
}
