//! Entries to systemd's journal and back: its native protocol for the way there (systemd.io/JOURNAL_NATIVE_PROTOCOL),
//! `journalctl` for the way back, since the files' format is systemd's own affair.

use super::config::LogConfig;
use super::reader::passed;
use super::{Entries, LogEntry, LogOptions, Progress, READER_ENTRIES};
use crate::error::{Error, ErrorKind};
use crate::state::Container;
use crate::stdio::Source;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

const SOCKET: &str = "/run/systemd/journal/socket";
/// A journal that takes nothing for so long holds up no container: entries are lost until it does again.
const PATIENCE: Duration = Duration::from_secs(1);
/// syslog's info and error.
const PRIORITIES: [&str; 2] = ["6", "3"];
/// Set by us; names of labels and variables may not take their place.
const OURS: [&str; 12] = [
    "MESSAGE",
    "PRIORITY",
    "CONTAINER_ID",
    "CONTAINER_ID_FULL",
    "CONTAINER_NAME",
    "CONTAINER_TAG",
    "IMAGE_NAME",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_TIMESTAMP",
    "CONTAINER_PARTIAL_MESSAGE",
    "SYSLOG_FACILITY",
    "SYSLOG_PID",
];

pub struct Journald {
    socket: UnixDatagram,
    /// What is the same in all entries.
    fields: Vec<u8>,
    stuck: bool,
}

/// In the binary form, which takes any value.
fn put(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    out.extend((value.len() as u64).to_le_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// As docker's `sanitizeKeyMode`: upper case, what is no letter or digit becomes `_`.
fn field_name(name: &str) -> Option<String> {
    let field: String = name
        .to_ascii_uppercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let field = field.trim_start_matches(|c: char| c == '_' || c.is_ascii_digit());
    // journald drops entries with longer names.
    (!field.is_empty() && field.len() <= 64 && !OURS.contains(&field)).then(|| field.to_owned())
}

impl Journald {
    pub fn open(record: &Container, config: &LogConfig) -> Result<Self, Error> {
        let failed = |error: io::Error| {
            Error::from_source(
                ErrorKind::Failed,
                "logger: journald is not to be had on this host",
                &error,
            )
        };
        let socket = UnixDatagram::unbound().map_err(failed)?;
        socket.connect(SOCKET).map_err(failed)?;
        socket.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        let tag = config.tag(record)?;
        let mut fields = Vec::new();
        for (name, value) in [
            ("CONTAINER_ID", record.short_id()),
            ("CONTAINER_ID_FULL", record.id.as_str()),
            ("CONTAINER_NAME", record.name.as_str()),
            ("CONTAINER_TAG", tag.as_str()),
            ("IMAGE_NAME", record.config.image.as_str()),
            ("SYSLOG_IDENTIFIER", tag.as_str()),
        ] {
            put(&mut fields, name, value.as_bytes());
        }
        Ok(Self {
            socket,
            fields,
            stuck: false,
        })
    }

    pub fn send(
        &mut self,
        source: Source,
        bytes: &[u8],
        attributes: &BTreeMap<String, String>,
        time: &str,
    ) -> io::Result<()> {
        let message = entry(&self.fields, source, bytes, attributes, time);
        match self.socket.send(&message) {
            // A journal that was restarted has another socket.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::NotConnected
                ) =>
            {
                self.socket.connect(SOCKET)?;
                self.socket.send(&message)?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.stuck => {
                // Waited for once; from now on an entry goes at once or not at all.
                self.stuck = true;
                self.socket.set_nonblocking(true)?;
                return Err(error);
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        if std::mem::take(&mut self.stuck) {
            self.socket.set_nonblocking(false)?;
        }
        Ok(())
    }
}

fn entry(
    fields: &[u8],
    source: Source,
    bytes: &[u8],
    attributes: &BTreeMap<String, String>,
    time: &str,
) -> Vec<u8> {
    let line = bytes.strip_suffix(b"\n");
    let mut out = Vec::with_capacity(fields.len() + bytes.len() + 256);
    put(&mut out, "MESSAGE", line.unwrap_or(bytes));
    put(&mut out, "PRIORITY", PRIORITIES[source as usize].as_bytes());
    put(&mut out, "SYSLOG_TIMESTAMP", time.as_bytes());
    if line.is_none() {
        put(&mut out, "CONTAINER_PARTIAL_MESSAGE", b"true");
    }
    out.extend_from_slice(fields);
    for (name, value) in attributes {
        if let Some(name) = field_name(name) {
            put(&mut out, &name, value.as_bytes());
        }
    }
    out
}

pub fn read(id: &str, options: LogOptions, progress: watch::Receiver<Progress>) -> Entries {
    let mut reading = Reading {
        id: id.to_owned(),
        following: options.follow && !progress.borrow().ended,
        options,
        cursor: None,
    };
    let (sender, receiver) = mpsc::channel(READER_ENTRIES);
    tokio::spawn(async move {
        if reading.following {
            let on = reading.pass(Some(progress), &sender).await;
            reading.following = false;
            if !on {
                return;
            }
        }
        // What journald still had on its way; then all of it, or the rest of what was followed.
        let _ = Command::new("journalctl")
            .arg("--sync")
            .stderr(Stdio::null())
            .status()
            .await;
        reading.pass(None, &sender).await;
    });
    receiver
}

struct Reading {
    id: String,
    options: LogOptions,
    following: bool,
    /// Of the last entry that was read.
    cursor: Option<String>,
}

impl Reading {
    fn journalctl(&self) -> io::Result<Child> {
        let mut command = Command::new("journalctl");
        command
            .args(["--output=json", "--all", "--quiet", "--no-pager"])
            .arg(format!("CONTAINER_ID_FULL={}", self.id))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        match (&self.cursor, self.options.tail) {
            (Some(cursor), _) => command.arg(format!("--after-cursor={cursor}")),
            (None, Some(lines)) => command.arg(format!("--lines={lines}")),
            (None, None) => command.arg("--lines=all"),
        };
        if self.following {
            command.arg("--follow");
        }
        if let Some(since) = self.options.since {
            command.arg(format!("--since=@{}", since.timestamp()));
        }
        command.spawn()
    }

    /// Until journalctl ends or the run does; `false`: nobody wants more.
    async fn pass(
        &mut self,
        progress: Option<watch::Receiver<Progress>>,
        sender: &mpsc::Sender<Result<LogEntry, Error>>,
    ) -> bool {
        let mut child = match self.journalctl() {
            Ok(child) => child,
            Err(error) => {
                let what = "cannot read the journal with journalctl";
                let _ = sender
                    .send(Err(Error::from_source(ErrorKind::Failed, what, &error)))
                    .await;
                return false;
            }
        };
        let Some(output) = child.stdout.take() else {
            return true;
        };
        let mut lines = BufReader::new(output).lines();
        let until = self.options.until;
        let over = passed(until.filter(|_| self.following));
        let ended = async {
            match progress {
                Some(mut progress) => drop(progress.wait_for(|progress| progress.ended).await),
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over, ended);
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line,
                () = &mut ended => return true,
                () = &mut over => return false,
                () = sender.closed() => return false,
            };
            let Ok(Some(line)) = line else { return true };
            let Some((entry, cursor)) = decode(&line) else {
                continue;
            };
            self.cursor = cursor;
            if until.is_some_and(|until| entry.at > until) {
                return false;
            }
            if self.options.wants(&entry) && sender.send(Ok(entry)).await.is_err() {
                return false;
            }
        }
    }
}

/// A line of `journalctl --output=json`, and its cursor.
fn decode(line: &str) -> Option<(LogEntry, Option<String>)> {
    let fields: BTreeMap<String, Value> = serde_json::from_str(line).ok()?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let mut bytes = match fields.get("MESSAGE")? {
        Value::String(text) => text.clone().into_bytes(),
        // What is no text comes as numbers.
        Value::Array(numbers) => numbers
            .iter()
            .map(|number| number.as_u64().and_then(|number| u8::try_from(number).ok()))
            .collect::<Option<_>>()?,
        Value::Null => Vec::new(),
        _ => return None,
    };
    if text("CONTAINER_PARTIAL_MESSAGE") != Some("true") {
        bytes.push(b'\n');
    }
    let at = match text("SYSLOG_TIMESTAMP").and_then(|time| DateTime::parse_from_rfc3339(time).ok()) {
        Some(at) => at.to_utc(),
        None => DateTime::<Utc>::from_timestamp_micros(text("__REALTIME_TIMESTAMP")?.parse().ok()?)?,
    };
    let attributes = fields
        .iter()
        .filter(|(name, _)| !name.starts_with('_') && !OURS.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let cursor = text("__CURSOR").map(str::to_owned);
    let entry = LogEntry {
        source: if text("PRIORITY") == Some(PRIORITIES[1]) {
            Source::Stderr
        } else {
            Source::Stdout
        },
        at,
        bytes: Bytes::from(bytes),
        attributes,
    };
    Some((entry, cursor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_journal_takes() {
        assert_eq!(field_name("com.example-x1").unwrap(), "COM_EXAMPLE_X1");
        assert_eq!(field_name("_9private").unwrap(), "PRIVATE");
        for bad in ["", "__", "message", "container.id", &"x".repeat(65)] {
            assert_eq!(field_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn entries_carry_any_line() {
        let attributes = BTreeMap::from([("tier".to_owned(), "front".to_owned())]);
        let sent = entry(b"", Source::Stderr, b"a=b\n", &attributes, "T");
        let message = b"MESSAGE\n\x03\0\0\0\0\0\0\0a=b\nPRIORITY\n\x01\0\0\0\0\0\0\x003\n";
        assert!(sent.starts_with(message), "{sent:?}");
        assert!(sent.ends_with(b"TIER\n\x05\0\0\0\0\0\0\0front\n"));
        let partial = entry(b"", Source::Stdout, b"half", &attributes, "T");
        assert!(String::from_utf8_lossy(&partial).contains("CONTAINER_PARTIAL_MESSAGE"));
    }

    #[test]
    fn entries_come_back() {
        let line = r#"{"MESSAGE":"hi","PRIORITY":"3","SYSLOG_TIMESTAMP":"2023-11-14T22:13:20.000000042Z","TIER":"front","_PID":"1"}"#;
        let (entry, cursor) = decode(line).unwrap();
        assert_eq!(cursor, None);
        assert_eq!((entry.source, &entry.bytes[..]), (Source::Stderr, &b"hi\n"[..]));
        assert_eq!(entry.at.timestamp_subsec_nanos(), 42);
        assert_eq!(entry.attributes.len(), 1);
        let binary = r#"{"MESSAGE":[255,10,0],"CONTAINER_PARTIAL_MESSAGE":"true","__REALTIME_TIMESTAMP":"1700000000000000"}"#;
        let (entry, _) = decode(binary).unwrap();
        assert_eq!(
            (entry.source, &entry.bytes[..]),
            (Source::Stdout, &[255, 10, 0][..])
        );
        for bad in [
            "",
            "{}",
            r#"{"MESSAGE":7}"#,
            r#"{"MESSAGE":[256]}"#,
            r#"{"MESSAGE":"x"}"#,
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
