//! Docker's way to write times, durations and sizes.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// Go's zero time: what never happened.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// RFC 3339 with as many digits as it takes (Go's `RFC3339Nano`).
pub fn moment(at: DateTime<Utc>) -> String {
    let nanos = at.timestamp_subsec_nanos();
    let whole = at.format("%Y-%m-%dT%H:%M:%S");
    if nanos == 0 {
        return format!("{whole}Z");
    }
    let fraction = format!("{nanos:09}");
    format!("{whole}.{}Z", fraction.trim_end_matches('0'))
}

pub fn moment_or_never(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| NEVER.to_owned(), moment)
}

/// RFC 3339 with nine digits: the times in logs, which line up.
pub fn log_moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// `3 minutes`, as docker's `units.HumanDuration`.
pub fn duration(duration: TimeDelta) -> String {
    let seconds = duration.num_seconds();
    let minutes = seconds / 60;
    // Rounded, as there.
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// `1.049MB`: four digits, thousands (docker's `units.HumanSize`).
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    // Go's %.4g.
    let digits_before = if value < 1.0 {
        1
    } else {
        value.log10() as usize + 1
    };
    let text = format!("{value:.*}", 4usize.saturating_sub(digits_before));
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{}", UNITS[unit])
}

/// `[====>    ]  1.2MB/2.4MB`, as docker's client draws it on a wide terminal.
pub fn progress_bar(current: u64, total: u64) -> String {
    if total == 0 {
        return format!("{:>8}", size(current));
    }
    let filled = (u128::from(current) * 50 / u128::from(total)).min(50) as usize;
    let numbers = match current > total {
        true => format!("{:>8}", size(current)),
        false => format!("{:>8}/{}", size(current), size(total)),
    };
    format!("[{}>{}] {numbers}", "=".repeat(filled), " ".repeat(50 - filled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_dockers() {
        const HOUR: i64 = 3600;
        const DAY: i64 = 24 * HOUR;
        for (seconds, expected) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (180, "3 minutes"),
            (59 * 60, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + 1799, "About an hour"),
            (HOUR + 1800, "2 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (60 * DAY, "2 months"),
            (729 * DAY, "24 months"),
            (2 * 365 * DAY, "2 years"),
        ] {
            assert_eq!(duration(TimeDelta::seconds(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn times_are_dockers() {
        let at = DateTime::from_timestamp(1_136_073_600, 120_000_000).unwrap();
        assert_eq!(moment(at), "2006-01-01T00:00:00.12Z");
        assert_eq!(log_moment(at), "2006-01-01T00:00:00.120000000Z");
        assert_eq!(
            moment(DateTime::from_timestamp(0, 0).unwrap()),
            "1970-01-01T00:00:00Z"
        );
        assert_eq!(moment_or_never(None), NEVER);
    }

    #[test]
    fn sizes_and_bars_are_dockers() {
        for (bytes, expected) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1_048_576, "1.049MB"),
            (12_345_678, "12.35MB"),
            (123_456_789, "123.5MB"),
            (2_500_000_000, "2.5GB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        let bar = progress_bar(1_048_576, 2_097_152);
        assert_eq!(
            bar,
            format!("[{}>{}]  1.049MB/2.097MB", "=".repeat(25), " ".repeat(25))
        );
        assert_eq!(progress_bar(5, 0), "      5B");
    }

    proptest! {
        #[test]
        fn any_number_can_be_written(bytes: u64, total: u64, seconds in -1i64 << 40..1i64 << 40) {
            prop_assert!(size(bytes).len() <= 8);
            prop_assert!(progress_bar(bytes, total).len() < 90);
            prop_assert!(!duration(TimeDelta::seconds(seconds)).is_empty());
        }

        #[test]
        fn moments_are_read_again(nanos in 0i64..4_000_000_000_000_000_000) {
            let at = DateTime::from_timestamp_nanos(nanos);
            prop_assert_eq!(crate::query::parse_moment(&moment(at)), Some(at));
            prop_assert_eq!(crate::query::parse_moment(&log_moment(at)), Some(at));
        }
    }
}
