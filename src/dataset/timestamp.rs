//! UTC time in whole seconds as RFC 3339 text: all that a sidecar needs of a calendar.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: u64 = 86_400;

/// A moment between 1970 and 9999, to the second; written as `2026-01-31T12:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds_since_1970: u64,
}

/// The text is no RFC 3339 date and time between 1970 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a date and time such as 2026-01-31T12:00:00Z")]
pub struct NotATimestamp;

impl Timestamp {
    const LAST: u64 = 253_402_300_799;

    /// The current time of the system clock.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }
}

impl From<SystemTime> for Timestamp {
    /// Fractions of a second are dropped; a clock outside 1970 to 9999 gives the nearest end.
    fn from(time: SystemTime) -> Self {
        let seconds = time
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs();
        Self {
            seconds_since_1970: seconds.min(Self::LAST),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.seconds_since_1970 / SECONDS_PER_DAY);
        let second = self.seconds_since_1970 % SECONDS_PER_DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    /// Reads any RFC 3339 date and time: fractions are dropped and an offset is taken off.
    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        parse(text).ok_or(NotATimestamp)
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date_time, zone) = text.split_at_checked(19)?;
    let mut fields = [0_u64; 6];
    let mut separators = b"-- ::".iter();
    let mut rest = date_time;
    for (field, width) in fields.iter_mut().zip([4, 2, 2, 2, 2, 2]) {
        let (digits, after) = rest.split_at_checked(width)?;
        *field = number(digits)?;
        rest = after;
        if let Some(&expected) = separators.next() {
            let (separator, after) = rest.split_at_checked(1)?;
            let found = separator.as_bytes()[0];
            if found != expected && !(expected == b' ' && matches!(found, b'T' | b't')) {
                return None;
            }
            rest = after;
        }
    }
    let [year, month, day, hour, minute, second] = fields;
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        // A leap second counts as the first second of the next minute.
        && second <= 60;
    if !valid {
        return None;
    }
    let local = (days_before(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    let seconds = local.checked_add_signed(-offset_seconds(zone)?)?;
    (seconds <= Timestamp::LAST).then_some(Timestamp {
        seconds_since_1970: seconds,
    })
}

/// Seconds that `zone`, an optional fraction and then `Z` or `+01:00`, is ahead of UTC.
fn offset_seconds(zone: &str) -> Option<i64> {
    let zone = match zone.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
        None => zone,
    };
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60) as i64)
}

fn number(digits: &str) -> Option<u64> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok() } else { None }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the given date.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let months: u64 = (1..month).map(|month| days_in_month(year, month)).sum();
    years + months + day - 1
}

/// Year, month and day of the day that lies `days` after 1970-01-01.
fn date_of(days: u64) -> (u64, u64, u64) {
    // A year has at least 365 days, so the estimate is never too early.
    let mut year = 1970 + days / 365;
    while days_before(year, 1, 1) > days {
        year -= 1;
    }
    let mut rest = days - days_before(year, 1, 1);
    let mut month = 1;
    while rest >= days_in_month(year, month) {
        rest -= days_in_month(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        (UNIX_EPOCH + Duration::from_secs(seconds)).into()
    }

    #[test]
    fn known_moments_are_written_and_read() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_769_860_800, "2026-01-31T12:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (Timestamp::LAST, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, text) in cases {
            assert_eq!(at(seconds).to_string(), text);
            assert_eq!(text.parse(), Ok(at(seconds)), "{text}");
        }
        assert_eq!(at(u64::from(u32::MAX) * 100), at(Timestamp::LAST));
    }

    #[test]
    fn every_day_comes_after_the_one_before() {
        let mut previous = (1969, 12, 31);
        for day in 0..60_000 {
            let date = date_of(day);
            assert!(date > previous, "{previous:?} then {date:?}");
            assert_eq!(days_before(date.0, date.1, date.2), day);
            previous = date;
        }
    }

    #[test]
    fn other_spellings_mean_the_same_moment() {
        let noon = "2026-01-31T12:00:00Z".parse::<Timestamp>();
        for text in [
            "2026-01-31t12:00:00z",
            "2026-01-31 12:00:00.999Z",
            "2026-01-31T12:00:00+00:00",
            "2026-01-31T14:30:00.5+02:30",
            "2026-01-30T23:00:00-13:00",
            "2026-01-31T11:59:60Z",
        ] {
            assert_eq!(text.parse(), noon, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-02-29T12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00+0100",
            "2026-01-31T12:00:00+1:00",
            "2026-01-31T12:00:00Zulu",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "+026-01-31T12:00:00Z",
            "2026-01-31T12:00:0é",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATimestamp), "{text}");
        }
    }
}
