//! `/containers/{id}/top`: what runs in a container, in the columns of ps(1).

use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::request;
use chrono::{DateTime, Datelike, Local, Utc};
use engine::ProcessInfo;
use serde_json::json;

pub async fn top(call: &Call, id: &str) -> Answer {
    let columns = columns(call.query.text("ps_args").unwrap_or("-ef"))?;
    let processes = call.engine().processes(id).await?;
    let now = Utc::now();
    let total_bytes = call
        .engine()
        .container(id)
        .map_or(0, |container| container.config.host.memory_bytes);
    let rows: Vec<Vec<String>> = processes
        .iter()
        .map(|process| {
            let cell = |column: &Column| {
                (column.value)(&Shown {
                    process,
                    now,
                    total_bytes,
                })
            };
            columns.iter().map(cell).collect()
        })
        .collect();
    let titles: Vec<&str> = columns.iter().map(|column| column.title.as_str()).collect();
    Ok(request::ok_json(&json!({ "Titles": titles, "Processes": rows })))
}

struct Shown<'a> {
    process: &'a ProcessInfo,
    now: DateTime<Utc>,
    /// Of the container; 0 when it has the default.
    total_bytes: u64,
}

#[derive(Debug)]
struct Column {
    title: String,
    value: fn(&Shown<'_>) -> String,
}

/// What `-o` may name: the name, its title, its value.
type Known = (&'static [&'static str], &'static str, fn(&Shown<'_>) -> String);

const KNOWN: &[Known] = &[
    (&["pid", "tgid"], "PID", |shown| shown.process.pid.to_string()),
    (&["ppid"], "PPID", |shown| shown.process.parent.to_string()),
    (&["pgid", "pgrp"], "PGID", |shown| shown.process.group.to_string()),
    (&["sid", "sess", "session"], "SID", |shown| {
        shown.process.session.to_string()
    }),
    (&["user", "euser", "uname"], "USER", |shown| {
        user(shown.process.uid)
    }),
    (&["uid", "euid"], "UID", |shown| shown.process.uid.to_string()),
    (&["gid", "egid"], "GID", |shown| shown.process.gid.to_string()),
    (&["group", "egroup"], "GROUP", |shown| user(shown.process.gid)),
    (&["s", "state"], "S", |shown| shown.process.state.clone()),
    (&["stat"], "STAT", stat),
    (&["ni", "nice"], "NI", |shown| shown.process.nice.to_string()),
    (&["nlwp", "thcount"], "NLWP", |shown| {
        shown.process.threads.to_string()
    }),
    (&["tty", "tt", "tname"], "TT", |shown| {
        terminal(shown.process.terminal)
    }),
    (&["c"], "C", |shown| {
        (permille_of_cpu(shown) / 10).min(99).to_string()
    }),
    (&["pcpu", "%cpu"], "%CPU", |shown| tenths(permille_of_cpu(shown))),
    (&["pmem", "%mem"], "%MEM", memory_share),
    (&["vsz", "vsize"], "VSZ", |shown| {
        (shown.process.virtual_bytes >> 10).to_string()
    }),
    (&["rss", "rssize", "rsz"], "RSS", |shown| {
        (shown.process.resident_bytes >> 10).to_string()
    }),
    (&["stime", "start_time", "start"], "STIME", started),
    (&["lstart"], "STARTED", |shown| {
        local_start(shown).format("%a %b %e %H:%M:%S %Y").to_string()
    }),
    (&["etime"], "ELAPSED", |shown| {
        elapsed(shown.process.started_ms_ago / 1000)
    }),
    (&["etimes"], "ELAPSED", |shown| {
        (shown.process.started_ms_ago / 1000).to_string()
    }),
    (&["time", "cputime"], "TIME", |shown| {
        clock(shown.process.cpu_ms / 1000)
    }),
    (&["comm", "ucmd", "ucomm"], "COMMAND", |shown| {
        shown.process.name.clone()
    }),
    (&["cmd"], "CMD", command),
    (&["args", "command"], "COMMAND", command),
];

/// Names of ps as `ps -e` prints them without `-o`.
const FULL: &[(&str, &str)] = &[
    ("user", "UID"),
    ("pid", "PID"),
    ("ppid", "PPID"),
    ("c", "C"),
    ("stime", "STIME"),
    ("tty", "TTY"),
    ("time", "TIME"),
    ("cmd", "CMD"),
];
const PLAIN: &[(&str, &str)] = &[("pid", "PID"), ("tty", "TTY"), ("time", "TIME"), ("comm", "CMD")];
const USERS: &[(&str, &str)] = &[
    ("user", "USER"),
    ("pid", "PID"),
    ("pcpu", "%CPU"),
    ("pmem", "%MEM"),
    ("vsz", "VSZ"),
    ("rss", "RSS"),
    ("tty", "TTY"),
    ("stat", "STAT"),
    ("start", "START"),
    ("time", "TIME"),
    ("args", "COMMAND"),
];

fn named(name: &str, title: Option<&str>) -> Result<Column, ApiError> {
    let known = KNOWN.iter().find(|(names, ..)| names.contains(&name));
    let Some((_, usual, value)) = known else {
        return Err(ApiError::invalid(format!(
            "error: unknown user-defined format specifier {name:?}: the guest's processes have {}",
            KNOWN
                .iter()
                .map(|(names, ..)| names[0])
                .collect::<Vec<_>>()
                .join(", ")
        )));
    };
    Ok(Column {
        title: title.unwrap_or(usual).to_owned(),
        value: *value,
    })
}

/// As ps understands its options, as far as they choose columns: all processes are those of the container anyway.
fn columns(text: &str) -> Result<Vec<Column>, ApiError> {
    let mut form = PLAIN;
    let mut chosen = Vec::new();
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        // `-eo pid,comm`, `-o pid=`, `o pid`, `--format=pid`
        let long = word
            .strip_prefix("--format")
            .map(|rest| rest.strip_prefix('=').unwrap_or(rest));
        let list = match (long, word.find('o')) {
            (Some(list), _) => Some(list),
            (None, Some(at)) if !word.starts_with("--") => {
                form = letters(&word[..at], text)?.unwrap_or(form);
                Some(&word[at + 1..])
            }
            _ => None,
        };
        match list {
            Some("") => {
                let list = words
                    .next()
                    .ok_or_else(|| ApiError::invalid("error: format specification must follow -o"))?;
                chosen.extend(list_of(list)?);
            }
            Some(list) => chosen.extend(list_of(list)?),
            None => form = letters(word, text)?.unwrap_or(form),
        }
    }
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    form.iter()
        .map(|(name, title)| named(name, Some(title)))
        .collect()
}

fn list_of(list: &str) -> Result<Vec<Column>, ApiError> {
    // A title of one's own goes to the end of the list, as in ps.
    if let Some((name, title)) = list.split_once('=')
        && !name.contains(',')
    {
        return Ok(vec![named(name, Some(title))?]);
    }
    list.split(',')
        .filter(|name| !name.is_empty())
        .map(|name| match name.split_once('=') {
            Some((name, title)) => named(name, Some(title)),
            None => named(name, None),
        })
        .collect()
}

/// Which columns a word of single letters asks for.
fn letters(word: &str, all: &str) -> Result<Option<&'static [(&'static str, &'static str)]>, ApiError> {
    let unix = word.starts_with('-');
    let mut form = None;
    for letter in word.trim_start_matches('-').chars() {
        match letter {
            'f' if unix => form = Some(FULL),
            'u' if !unix => form = Some(USERS),
            'a' | 'A' | 'd' | 'e' | 'N' | 'w' | 'x' | 'H' => {}
            'f' if !unix => {}
            _ => {
                return Err(ApiError::invalid(format!(
                    "error: unsupported options of ps: {all}: -e, -f, -o LIST, aux and w are known here"
                )));
            }
        }
    }
    Ok(form)
}

/// Names of users are the image's, which the host does not read.
fn user(uid: u32) -> String {
    match uid {
        0 => "root".to_owned(),
        uid => uid.to_string(),
    }
}

fn stat(shown: &Shown<'_>) -> String {
    let process = shown.process;
    let mut text = process.state.clone();
    match process.nice {
        nice if nice < 0 => text.push('<'),
        nice if nice > 0 => text.push('N'),
        _ => {}
    }
    if process.session == process.pid {
        text.push('s');
    }
    if process.threads > 1 {
        text.push('l');
    }
    text
}

fn command(shown: &Shown<'_>) -> String {
    match shown.process.command.as_str() {
        "" => format!("[{}]", shown.process.name),
        command => command.to_owned(),
    }
}

/// `tty_nr` of proc(5): the minor number is in bits 31 to 20 and 7 to 0, the major in 15 to 8.
fn terminal(number: u32) -> String {
    let (major, minor) = (number >> 8 & 0xff, number >> 12 & 0xfff00 | number & 0xff);
    match major {
        0 => "?".to_owned(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        5 => "console".to_owned(),
        _ => format!("{major}:{minor}"),
    }
}

/// Of its life, as ps counts.
fn permille_of_cpu(shown: &Shown<'_>) -> u64 {
    let process = shown.process;
    process.cpu_ms.saturating_mul(1000) / process.started_ms_ago.max(1000)
}

fn memory_share(shown: &Shown<'_>) -> String {
    match shown.total_bytes {
        0 => "0.0".to_owned(),
        total => tenths(shown.process.resident_bytes.saturating_mul(1000) / total),
    }
}

fn tenths(permille: u64) -> String {
    format!("{}.{}", permille / 10, permille % 10)
}

fn local_start(shown: &Shown<'_>) -> DateTime<Local> {
    let ago = i64::try_from(shown.process.started_ms_ago)
        .ok()
        .and_then(chrono::TimeDelta::try_milliseconds)
        .unwrap_or_default();
    let at = shown.now.checked_sub_signed(ago).unwrap_or(shown.now);
    at.with_timezone(&Local)
}

fn started(shown: &Shown<'_>) -> String {
    let (start, now) = (local_start(shown), shown.now.with_timezone(&Local));
    let form = match () {
        () if start.date_naive() == now.date_naive() => "%H:%M",
        () if start.year() == now.year() => "%b%d",
        () => "%Y",
    };
    start.format(form).to_string()
}

/// `[days-]hours:minutes:seconds`
fn clock(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        days => format!("{days}-{clock}"),
    }
}

/// The same, without hours that are none.
fn elapsed(seconds: u64) -> String {
    match seconds {
        0..3600 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        _ => clock(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn titles(text: &str) -> Result<String, String> {
        let columns = columns(text).map_err(|error| error.message)?;
        Ok(columns
            .into_iter()
            .map(|column| column.title)
            .collect::<Vec<_>>()
            .join(" "))
    }

    #[test]
    fn options_choose_columns_as_in_ps() {
        for (text, expected) in [
            ("-ef", "UID PID PPID C STIME TTY TIME CMD"),
            ("-e -f", "UID PID PPID C STIME TTY TIME CMD"),
            ("aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
            ("-e", "PID TTY TIME CMD"),
            ("-eo pid,comm", "PID COMMAND"),
            ("-o pid= -o args", " COMMAND"),
            ("-o user=WHO,pid", "WHO,pid"),
            ("o ppid", "PPID"),
            ("--format=etime,rss", "ELAPSED RSS"),
            ("axo uid", "UID"),
        ] {
            assert_eq!(titles(text).unwrap(), expected, "{text}");
        }
        assert!(
            titles("-o nothing")
                .unwrap_err()
                .contains("unknown user-defined format specifier")
        );
        assert!(titles("-o").unwrap_err().contains("must follow -o"));
        assert!(titles("-p 1").unwrap_err().contains("unsupported options"));
    }

    #[test]
    fn cells_are_as_ps_writes_them() {
        let process = ProcessInfo {
            pid: 42,
            session: 42,
            state: "S".to_owned(),
            threads: 2,
            terminal: 34817,
            started_ms_ago: 90_061_000,
            cpu_ms: 3_661_000,
            resident_bytes: 10 << 20,
            name: "sh".to_owned(),
            ..ProcessInfo::default()
        };
        let shown = Shown {
            process: &process,
            now: Utc::now(),
            total_bytes: 100 << 20,
        };
        let cell = |name: &str| (named(name, None).unwrap().value)(&shown);
        assert_eq!(
            (cell("stat"), cell("tty"), cell("cmd")),
            ("Ssl".into(), "pts/1".into(), "[sh]".into())
        );
        assert_eq!(
            (cell("time"), cell("etime"), cell("c")),
            ("01:01:01".into(), "1-01:01:01".into(), "4".into())
        );
        assert_eq!(
            (cell("pmem"), cell("rss"), cell("user")),
            ("10.0".into(), "10240".into(), "root".into())
        );
        assert_eq!((terminal(0), elapsed(61)), ("?".into(), "01:01".into()));
    }

    proptest! {
        #[test]
        fn any_options_are_understood_or_refused(text in "[-=,a-z ]{0,40}") {
            let _ = columns(&text);
        }

        #[test]
        fn a_guest_may_tell_anything(numbers in prop::array::uniform8(any::<u64>()), small in prop::array::uniform4(any::<u32>())) {
            let process = ProcessInfo {
                pid: small[0],
                uid: small[1],
                terminal: small[2],
                session: small[3],
                started_ms_ago: numbers[0],
                cpu_ms: numbers[1],
                virtual_bytes: numbers[2],
                resident_bytes: numbers[3],
                threads: numbers[4],
                ..ProcessInfo::default()
            };
            let shown = Shown { process: &process, now: Utc::now(), total_bytes: numbers[5] };
            for (_, _, value) in KNOWN {
                value(&shown);
            }
        }
    }
}
