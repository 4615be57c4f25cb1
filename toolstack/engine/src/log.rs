//! The log of a container's output, as docker's json-file: a line `{"log":…,"stream":…,"time":…}` for each of its lines.

use crate::error::{Error, ErrorKind};
use crate::stdio::Source;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// A longer line is several entries, as in docker.
const MAX_LINE_BYTES: usize = 16 << 10;
/// Entries on their way to one reader.
const READER_ENTRIES: usize = 64;
const BLOCK_BYTES: u64 = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    pub stdout: bool,
    pub stderr: bool,
    /// Go on with what comes until the container stops.
    pub follow: bool,
    /// Only so many of the last lines.
    pub tail: Option<usize>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// One line (with its newline, if it had one) or part of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub source: Source,
    pub at: DateTime<Utc>,
    pub bytes: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    log: std::borrow::Cow<'a, str>,
    stream: std::borrow::Cow<'a, str>,
    time: std::borrow::Cow<'a, str>,
}

/// How far a log has come, for those who follow it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub writes: u64,
    /// Nothing more comes.
    pub ended: bool,
}

struct Inner {
    file: File,
    /// The beginnings of lines, by source.
    partial: [Vec<u8>; 2],
    failed: bool,
}

/// The writing end, one for each run.
pub struct LogWriter {
    inner: Mutex<Inner>,
    progress: watch::Sender<Progress>,
}

fn name(source: Source) -> &'static str {
    match source {
        Source::Stdout => "stdout",
        Source::Stderr => "stderr",
    }
}

impl LogWriter {
    /// Goes on at the end of a log. `progress` tells its followers.
    pub fn open(path: &Path, progress: watch::Sender<Progress>) -> std::io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        Ok(Self {
            inner: Mutex::new(Inner {
                file,
                partial: [Vec::new(), Vec::new()],
                failed: false,
            }),
            progress,
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self, source: Source, bytes: &[u8]) {
        let mut inner = self.inner();
        let mut partial = std::mem::take(&mut inner.partial[source as usize]);
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Nanos, true);
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 2 + 128);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut piece = piece;
            while !piece.is_empty() {
                let (taken, rest) = piece.split_at(piece.len().min(MAX_LINE_BYTES - partial.len()));
                partial.extend_from_slice(taken);
                piece = rest;
                if partial.ends_with(b"\n") || partial.len() == MAX_LINE_BYTES {
                    // A character that the limit cuts in two stays whole.
                    let keep = incomplete_tail(&partial);
                    let at = partial.len() - keep;
                    encode(&mut out, source, &partial[..at], &time);
                    partial.drain(..at);
                }
            }
        }
        inner.partial[source as usize] = partial;
        self.put(&mut inner, &out);
    }

    /// The source has ended: what it left without a newline is a line.
    pub fn end(&self, source: Source) {
        let mut inner = self.inner();
        let partial = std::mem::take(&mut inner.partial[source as usize]);
        if !partial.is_empty() {
            let mut out = Vec::new();
            let time = Utc::now().to_rfc3339_opts(SecondsFormat::Nanos, true);
            encode(&mut out, source, &partial, &time);
            self.put(&mut inner, &out);
        }
    }

    fn put(&self, inner: &mut Inner, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match inner.file.write_all(bytes) {
            Ok(()) => inner.failed = false,
            // The container goes on without its log; said once.
            Err(error) if !inner.failed => {
                inner.failed = true;
                tracing::error!(%error, "a container's log cannot be written");
            }
            Err(_) => {}
        }
        self.progress.send_modify(|progress| progress.writes += 1);
    }
}

/// Bytes at the end that begin a UTF-8 character and do not finish it.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        let wanted = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if wanted > back { back } else { 0 };
    }
    0
}

fn encode(out: &mut Vec<u8>, source: Source, bytes: &[u8], time: &str) {
    let line = Line {
        log: String::from_utf8_lossy(bytes),
        stream: name(source).into(),
        time: time.into(),
    };
    if serde_json::to_writer(&mut *out, &line).is_ok() {
        out.push(b'\n');
    }
}

/// Reads a log as asked. Without a log there are no entries.
pub fn read(
    path: &Path,
    options: LogOptions,
    mut progress: watch::Receiver<Progress>,
) -> Result<mpsc::Receiver<Result<LogEntry, Error>>, Error> {
    let (sender, receiver) = mpsc::channel(READER_ENTRIES);
    let failed = |error: std::io::Error| {
        Error::from_source(ErrorKind::Failed, "cannot read the container's log", &error)
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !options.follow => return Ok(receiver),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(failed)?,
        Err(error) => return Err(failed(error)),
    };
    let start = match options.tail {
        Some(lines) => tail_offset(&mut file, lines).map_err(failed)?,
        None => 0,
    };
    tokio::spawn(async move {
        let mut offset = start;
        let mut reader = Some(file);
        loop {
            let at = *progress.borrow_and_update();
            // Files block, so the reading has a thread for itself; the channel gives the pace.
            let (to, wanted) = (sender.clone(), options.clone());
            let Some(file) = reader.take() else { return };
            let done = tokio::task::spawn_blocking(move || read_from(file, offset, &wanted, &to)).await;
            match done {
                Ok(Ok(Some((file, read_to)))) => {
                    offset = read_to;
                    reader = Some(file);
                }
                Ok(Err(error)) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
                _ => return,
            }
            if !options.follow || at.ended {
                return;
            }
            tokio::select! {
                changed = progress.changed() => {
                    // The container is removed: what was written was read.
                    if changed.is_err() {
                        return;
                    }
                }
                () = sender.closed() => return,
            }
        }
    });
    Ok(receiver)
}

type Place = (File, u64);

/// Sends the whole lines from `offset` on; `None`: the reader is gone, or the rest is past `until`.
fn read_from(
    mut file: File,
    mut offset: u64,
    options: &LogOptions,
    sender: &mpsc::Sender<Result<LogEntry, Error>>,
) -> Result<Option<Place>, Error> {
    let failed = |error: std::io::Error| {
        Error::from_source(ErrorKind::Failed, "cannot read the container's log", &error)
    };
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut lines = BufReader::with_capacity(BLOCK_BYTES as usize, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = lines.read_until(b'\n', &mut line).map_err(failed)?;
        if !line.ends_with(b"\n") {
            return Ok(Some((lines.into_inner(), offset)));
        }
        offset += length as u64;
        let Some(entry) = decode(&line) else { continue };
        if options.until.is_some_and(|until| entry.at > until) {
            return Ok(None);
        }
        let wanted = match entry.source {
            Source::Stdout => options.stdout,
            Source::Stderr => options.stderr,
        };
        if wanted
            && options.since.is_none_or(|since| entry.at >= since)
            && sender.blocking_send(Ok(entry)).is_err()
        {
            return Ok(None);
        }
    }
}

/// A line that is damaged (a crash, a full disk) is left out.
fn decode(line: &[u8]) -> Option<LogEntry> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    Some(LogEntry {
        source: if line.stream == "stderr" {
            Source::Stderr
        } else {
            Source::Stdout
        },
        at: DateTime::parse_from_rfc3339(&line.time).ok()?.to_utc(),
        bytes: Bytes::from(line.log.into_owned().into_bytes()),
    })
}

/// Where the last `lines` lines begin.
fn tail_offset(file: &mut File, lines: usize) -> std::io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(end);
    }
    let mut at = end;
    // The newline at the very end ends the last line.
    let mut left = lines + 1;
    while at > 0 {
        let length = at.min(BLOCK_BYTES);
        at -= length;
        let mut block = vec![0; length as usize];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut block)?;
        for (index, byte) in block.iter().enumerate().rev() {
            if *byte == b'\n' {
                left -= 1;
                if left == 0 {
                    return Ok(at + index as u64 + 1);
                }
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
