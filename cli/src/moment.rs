//! Times as people and JSON read them, in UTC.

use conclave_client::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// As in `2026-11-23T11:44:17.25Z`, for JSON; `None` for a time that no calendar has.
pub(crate) fn rfc3339(moment: Timestamp) -> Option<String> {
    date_time(moment)?.format(&Rfc3339).ok()
}

/// As in `2026-11-23 11:44:17`, for people.
pub(crate) fn short(moment: Timestamp) -> String {
    let Some(at) = date_time(moment) else { return format!("{} ms", moment.0) };
    let (date, time) = (at.date(), at.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

fn date_time(moment: Timestamp) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment.0).checked_mul(1_000_000)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(rfc3339(Timestamp(0)).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(Timestamp(951_782_400_250)).unwrap(), "2000-02-29T00:00:00.25Z");
        assert_eq!(short(Timestamp(951_782_400_250)), "2000-02-29 00:00:00");
        assert_eq!(rfc3339(Timestamp(u64::MAX)), None);
        assert_eq!(short(Timestamp(u64::MAX)), "18446744073709551615 ms");
    }
}
