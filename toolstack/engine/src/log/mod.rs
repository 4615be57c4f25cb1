//! What a container's output becomes: docker's logging drivers.
//!
//! ```text
//!   config    driver and options, and what of a container its entries tell besides   (config.rs)
//!   writer    bytes of two streams to entries, none lost or doubled                   (writer.rs)
//!   journal   how far the log has come, for the engine after this one                 (journal.rs)
//!   line      an entry as a line of json-file                                         (line.rs)
//!   file      json-file and its rotation                                              (file.rs)
//!   reader    entries of json-file, also while they come                              (reader.rs)
//!   journald  entries to and from systemd's journal                                   (journald.rs)
//! ```

mod config;
mod file;
mod journal;
mod journald;
mod line;
mod reader;
mod writer;

pub use config::{DRIVERS, LogConfig};
pub use writer::{LogWriter, Run};

use crate::error::{Error, ErrorKind};
use crate::state::Container;
use crate::stdio::Source;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Entries on their way to one reader.
const READER_ENTRIES: usize = 64;

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

impl LogOptions {
    fn wants(&self, entry: &LogEntry) -> bool {
        let wanted = match entry.source {
            Source::Stdout => self.stdout,
            Source::Stderr => self.stderr,
        };
        wanted && self.since.is_none_or(|since| entry.at >= since)
    }
}

/// One line (with its newline, if it had one) or part of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub source: Source,
    pub at: DateTime<Utc>,
    pub bytes: Bytes,
    /// What the driver's options add to each entry, for `--details`.
    pub attributes: BTreeMap<String, String>,
}

/// How far a log has come, for those who follow it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub writes: u64,
    /// Nothing more comes.
    pub ended: bool,
}

/// Entries as they are read.
pub type Entries = mpsc::Receiver<Result<LogEntry, Error>>;

/// Of the file that json-file writes to now.
pub fn path(folder: &Path) -> PathBuf {
    folder.join("log.json")
}

/// The writing end of a run; `None` when nothing is kept.
pub fn open(
    record: &Container,
    folder: &Path,
    run: Run,
    progress: watch::Sender<Progress>,
) -> Result<Option<Arc<LogWriter>>, Error> {
    LogWriter::open(record, folder, run, progress).map(|writer| writer.map(Arc::new))
}

/// Reads a container's log as asked. Without a log there are no entries.
pub fn read(
    record: &Container,
    folder: &Path,
    options: LogOptions,
    progress: watch::Receiver<Progress>,
) -> Result<Entries, Error> {
    let log = &record.config.host.log;
    match log.driver() {
        "json-file" => reader::read(&path(folder), log.rotation()?.max_files, options, progress),
        "journald" => Ok(journald::read(&record.id, options, progress)),
        _ => Err(Error::new(
            ErrorKind::NotImplemented,
            "configured logging driver does not support reading",
        )),
    }
}

#[cfg(test)]
mod tests;
