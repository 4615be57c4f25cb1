//! Points in time: as the API sends them, as people read and write them.

use std::time::Duration;

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, TimeZone, Utc};

use crate::units::{human_duration, parse_duration};

/// `3 minutes ago`
pub fn ago(unix_seconds: i64) -> String {
    let age = Utc::now().timestamp().saturating_sub(unix_seconds);
    let age = Duration::from_secs(u64::try_from(age).unwrap_or(0));
    format!("{} ago", human_duration(age))
}

/// `2024-05-01 10:00:00 +0200`, in the local zone; docker's letters of the zone follow only for UTC, since chrono knows
/// no others.
pub fn local(unix_seconds: i64) -> String {
    match Local.timestamp_opt(unix_seconds, 0).single() {
        Some(time) if time.offset().local_minus_utc() == 0 => {
            time.format("%Y-%m-%d %H:%M:%S %z UTC").to_string()
        }
        Some(time) => time.format("%Y-%m-%d %H:%M:%S %z").to_string(),
        None => unix_seconds.to_string(),
    }
}

/// `2024-05-01T10:00:00+02:00`
pub fn iso(unix_seconds: i64) -> String {
    match Local.timestamp_opt(unix_seconds, 0).single() {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        None => unix_seconds.to_string(),
    }
}

/// What `--since` and `--until` take: a duration before now, a date or time (local unless it names a zone), or seconds
/// since 1970. The result is seconds since 1970 with a fraction, as the API wants them.
pub fn parse_point(text: &str) -> Result<String, String> {
    if let Some(back) = parse_duration(text) {
        let back = chrono::Duration::from_std(back).map_err(|_| invalid(text))?;
        let at = Utc::now().checked_sub_signed(back).ok_or_else(|| invalid(text))?;
        return Ok(seconds(at));
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Ok(text.to_owned());
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(seconds(time.to_utc()));
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| {
            NaiveDate::parse_from_str(text.trim_end_matches('Z'), "%Y-%m-%d")
                .ok()?
                .and_hms_opt(0, 0, 0)
        })
        .ok_or_else(|| invalid(text))?;
    if text.ends_with('Z') {
        return Ok(seconds(naive.and_utc()));
    }
    let local = Local
        .from_local_datetime(&naive)
        .earliest()
        .ok_or_else(|| invalid(text))?;
    Ok(seconds(local.to_utc()))
}

fn invalid(text: &str) -> String {
    format!("failed to parse {text:?} as a time: write 42m, 2013-01-02T13:23:37Z or 1357133017")
}

fn seconds(time: DateTime<Utc>) -> String {
    format!("{}.{:09}", time.timestamp(), time.timestamp_subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        let parse = |text| parse_point(text).unwrap();
        assert_eq!(parse("2013-01-02T13:23:37Z"), "1357133017.000000000");
        assert_eq!(parse("2013-01-02T13:23:37.5+01:00"), "1357129417.500000000");
        assert_eq!(parse("1357133017"), "1357133017");
        assert_eq!(parse("1357133017.25"), "1357133017.25");
        let ten_minutes_ago: f64 = parse("10m").parse().unwrap();
        let now = Utc::now().timestamp() as f64;
        assert!((now - ten_minutes_ago - 600.0).abs() < 5.0);
        assert!(parse_point("yesterday").is_err());
        assert!(parse_point("").is_err());
    }

    #[test]
    fn ages() {
        assert_eq!(ago(Utc::now().timestamp() - 185), "3 minutes ago");
        assert_eq!(ago(i64::MAX), "Less than a second ago");
    }
}
