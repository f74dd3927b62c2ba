//! Dates of the report, in UTC.
//!
//! In: milliseconds since 1970. Out: text. Knows the Gregorian calendar and no time zones.

/// A moment of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

/// Days since 1970 to a date: Howard Hinnant's `civil_from_days`, for dates after 1970 only.
fn moment(wall_ms: u64) -> Moment {
    let (days, seconds) = (wall_ms / 86_400_000, wall_ms / 1_000 % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    Moment {
        year: era * 400 + year_of_era + u64::from(month <= 2),
        month,
        day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        hour: seconds / 3_600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
    }
}

/// `20261122T153614Z`, for file names.
#[must_use]
pub fn stamp(wall_ms: u64) -> String {
    let Moment { year, month, day, hour, minute, second } = moment(wall_ms);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// `2026-11-22 15:36:14 UTC`, for people.
#[must_use]
pub fn utc(wall_ms: u64) -> String {
    let Moment { year, month, day, hour, minute, second } = moment(wall_ms);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let table = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199_999, "2024-02-29 23:59:59 UTC"),
            (1_795_361_774_000, "2026-11-22 15:36:14 UTC"),
        ];
        for (wall_ms, expected) in table {
            assert_eq!(utc(wall_ms), expected);
        }
        assert_eq!(stamp(1_795_361_774_000), "20261122T153614Z");
    }
}
