//! `HEALTHCHECK`, to docker's `HealthConfig`.

use super::{ChangeError, at_least_one, words, wrong};
use serde_json::{Map, Value, json};

/// Flags and where their values go.
const FLAGS: [(&str, &str); 5] = [
    ("interval", "Interval"),
    ("timeout", "Timeout"),
    ("start-period", "StartPeriod"),
    ("start-interval", "StartInterval"),
    ("retries", "Retries"),
];
const MIN_NS: i64 = 1_000_000;

pub fn parse(rest: &str, flags: &[String]) -> Result<Value, ChangeError> {
    let kind = rest.split(char::is_whitespace).next().unwrap_or_default();
    let behind = rest[kind.len()..].trim_start();
    let kind = kind.to_uppercase();
    match kind.as_str() {
        "" => Err(at_least_one("HEALTHCHECK")),
        "NONE" if behind.is_empty() => Ok(json!({ "Test": ["NONE"] })),
        "NONE" => Err(wrong("HEALTHCHECK NONE takes no arguments")),
        "CMD" => {
            let mut health = Map::new();
            let command = words::command(behind)?;
            if command.words.is_empty() {
                return Err(wrong("Missing command after HEALTHCHECK CMD"));
            }
            let form = if command.is_json { "CMD" } else { "CMD-SHELL" };
            let test = std::iter::once(form.to_owned()).chain(command.words);
            health.insert("Test".to_owned(), test.collect());
            set_flags(&mut health, flags)?;
            Ok(health.into())
        }
        other => Err(wrong(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)"))),
    }
}

fn set_flags(health: &mut Map<String, Value>, flags: &[String]) -> Result<(), ChangeError> {
    let mut seen = Vec::new();
    for flag in flags.iter().take_while(|flag| *flag != "--") {
        let (name, value) = match flag[2..].split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (&flag[2..], None),
        };
        let Some((_, key)) = FLAGS.iter().find(|(known, _)| *known == name) else {
            return Err(wrong(format!("unknown flag: --{name}")));
        };
        if seen.contains(&name) {
            return Err(wrong(format!("duplicate flag specified: --{name}")));
        }
        seen.push(name);
        let value = value.ok_or_else(|| wrong(format!("missing a value on flag: --{name}")))?;
        let number = match name {
            _ if value.is_empty() => 0,
            "retries" => retries(value)?,
            _ => interval(name, value)?,
        };
        if number != 0 {
            health.insert((*key).to_owned(), json!(number));
        }
    }
    Ok(())
}

fn retries(text: &str) -> Result<i64, ChangeError> {
    let number: i32 = text
        .parse()
        .map_err(|_| wrong(format!("invalid value for --retries: {text:?} is no number")))?;
    match number < 0 {
        true => Err(wrong(format!("--retries cannot be negative ({number})"))),
        false => Ok(number.into()),
    }
}

fn interval(name: &str, text: &str) -> Result<i64, ChangeError> {
    let nanoseconds = duration_ns(text).ok_or_else(|| wrong(format!("time: invalid duration {text:?}")))?;
    match nanoseconds {
        0 => Ok(0),
        short if short < MIN_NS => Err(wrong(format!("Interval {name:?} cannot be less than 1ms"))),
        long => Ok(long),
    }
}

/// Go's `1h2m3.5s`.
fn duration_ns(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0_i64;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let unit_ns = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3600 * 1_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        // As much of it as an hour's nanoseconds can show.
        let fraction = &fraction[..fraction.len().min(12)];
        let parts: i64 = if fraction.is_empty() {
            0
        } else {
            fraction.parse().ok()?
        };
        let part_ns = i128::from(parts) * i128::from(unit_ns) / 10_i128.pow(fraction.len() as u32);
        nanoseconds = whole
            .checked_mul(unit_ns)?
            .checked_add(i64::try_from(part_ns).ok()?)?
            .checked_add(nanoseconds)?;
        rest = tail;
    }
    Some(sign * nanoseconds)
}
