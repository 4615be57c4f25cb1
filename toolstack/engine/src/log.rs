//! The log of a container's output, as docker's json-file.

use crate::stdio::Source;
use bytes::Bytes;
use chrono::{DateTime, Utc};

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
