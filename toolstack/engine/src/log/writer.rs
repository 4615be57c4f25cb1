//! From the bytes of two streams to entries.

use super::file::LogFile;
use super::journal::{self, Journal, Known};
use super::journald::Journald;
use super::{Progress, line, path};
use crate::error::{Error, ErrorKind};
use crate::state::Container;
use crate::stdio::Source;
use chrono::{SecondsFormat, Utc};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;

/// A longer line is several entries, as in docker.
const MAX_LINE_BYTES: usize = 16 << 10;

/// Which run of a container writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// It begins.
    New(Uuid),
    /// An earlier engine wrote of it.
    TakenOver(Uuid),
}

enum Driver {
    JsonFile(LogFile),
    Journald(Journald),
}

struct Inner {
    driver: Driver,
    attributes: BTreeMap<String, String>,
    known: Known,
    folder: PathBuf,
    /// Gone when it could not be written, since what it says would not be true any more, until it can be.
    journal: Option<Journal>,
    failed: bool,
}

/// The writing end, one for each run. Dropping it leaves the lines that wait for their end to the engine after this one.
pub struct LogWriter {
    inner: Mutex<Inner>,
    progress: watch::Sender<Progress>,
}

impl LogWriter {
    /// `None`: the container's driver keeps nothing. `progress` tells the log's followers.
    pub(super) fn open(
        record: &Container,
        folder: &Path,
        run: Run,
        progress: watch::Sender<Progress>,
    ) -> Result<Option<Self>, Error> {
        let config = &record.config.host.log;
        let path = path(folder);
        let failed = |error: io::Error| {
            Error::from_source(
                ErrorKind::Failed,
                &format!("cannot open {}", path.display()),
                &error,
            )
        };
        let left = journal::read(folder);
        let (id, goes_on) = match run {
            Run::New(id) => (id, None),
            Run::TakenOver(id) => (id, left.clone().filter(|left| left.run == id)),
        };
        let driver = match config.driver() {
            "none" => {
                journal::forget(folder);
                return Ok(None);
            }
            "journald" => Driver::Journald(Journald::open(record, config)?),
            _ => {
                let until = goes_on.as_ref().map(|known| known.place);
                Driver::JsonFile(LogFile::open(&path, config.rotation()?, until).map_err(failed)?)
            }
        };
        let mut inner = Inner {
            driver,
            attributes: config.attributes(record)?,
            known: Known::default(),
            folder: folder.to_owned(),
            journal: None,
            failed: false,
        };
        match goes_on {
            Some(known) => inner.known = known,
            None => {
                // What an engine that was killed left of a run that ended unseen, unless it had just been written.
                if let Some(left) = left.filter(|left| left.place == inner.place()) {
                    for source in [Source::Stdout, Source::Stderr] {
                        inner.emit(source, &left.waiting[source as usize], &now());
                    }
                }
                inner.known.run = id;
            }
        }
        inner.known.place = inner.place();
        inner.journal = Journal::create(folder, &inner.known)
            .inspect_err(
                |error| tracing::error!(%error, folder = %folder.display(), "the log's position is not kept"),
            )
            .ok();
        Ok(Some(Self {
            inner: Mutex::new(inner),
            progress,
        }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of a stream, the first of which is its `position`th. What the log has already is left out.
    pub fn write(&self, source: Source, position: u64, bytes: &[u8]) {
        let mut inner = self.inner();
        let known = inner.known.positions[source as usize];
        let have = usize::try_from(known.saturating_sub(position)).unwrap_or(usize::MAX);
        let Some(bytes) = bytes.get(have..).filter(|bytes| !bytes.is_empty()) else {
            return;
        };
        // A gap is the guest's word against ours: what comes is logged.
        inner.known.positions[source as usize] = known.max(position);
        inner.take(source, bytes);
        drop(inner);
        self.progress.send_modify(|progress| progress.writes += 1);
    }

    /// The source has ended: what it left without a newline is a line.
    pub fn end(&self, source: Source) {
        let mut inner = self.inner();
        let left = std::mem::take(&mut inner.known.waiting[source as usize]);
        if left.is_empty() {
            return;
        }
        inner.emit(source, &left, &now());
        inner.note(source, true, 0);
        drop(inner);
        self.progress.send_modify(|progress| progress.writes += 1);
    }

    /// The run is over.
    pub fn finish(&self) {
        self.end(Source::Stdout);
        self.end(Source::Stderr);
        if let Some(journal) = self.inner().journal.take()
            && let Err(error) = journal.remove()
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the log's position cannot be removed");
        }
        self.progress.send_modify(|progress| progress.ended = true);
    }
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Nanos, true)
}

impl Inner {
    fn place(&self) -> journal::Place {
        match &self.driver {
            Driver::JsonFile(file) => file.place(),
            Driver::Journald(_) => journal::Place::default(),
        }
    }

    fn take(&mut self, source: Source, bytes: &[u8]) {
        let at = source as usize;
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 2 + 128);
        // What the journal knows of the line that waits: so many of its bytes, unless it is another line.
        let mut noted = self.known.waiting[at].len();
        let mut anew = false;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = rest.len().min(MAX_LINE_BYTES - self.known.waiting[at].len());
            let newline = rest[..room].iter().position(|byte| *byte == b'\n');
            let (piece, after) = rest.split_at(newline.map_or(room, |newline| newline + 1));
            rest = after;
            self.known.waiting[at].extend_from_slice(piece);
            self.known.positions[at] += piece.len() as u64;
            if newline.is_none() && self.known.waiting[at].len() < MAX_LINE_BYTES {
                break;
            }
            // All that a full file has is accounted for, see below.
            if out.is_empty() && self.is_full(0) {
                self.rotate();
            }
            let line = std::mem::take(&mut self.known.waiting[at]);
            // A character that the limit cuts in two stays whole.
            let end = line.len() - incomplete_tail(&line);
            self.encode(&mut out, source, &line[..end], &now());
            self.known.waiting[at].extend_from_slice(&line[end..]);
            (noted, anew) = (0, true);
            if self.is_full(out.len()) {
                self.put(&out);
                out.clear();
                self.note(source, anew, noted);
                (noted, anew) = (self.known.waiting[at].len(), false);
            }
        }
        self.put(&out);
        self.note(source, anew, noted);
    }

    /// One entry, at once.
    fn emit(&mut self, source: Source, bytes: &[u8], time: &str) {
        if bytes.is_empty() {
            return;
        }
        if self.is_full(0) {
            self.rotate();
        }
        let mut out = Vec::new();
        self.encode(&mut out, source, bytes, time);
        self.put(&out);
    }

    fn encode(&mut self, out: &mut Vec<u8>, source: Source, bytes: &[u8], time: &str) {
        match &mut self.driver {
            Driver::JsonFile(_) => line::encode(out, source, bytes, &self.attributes, time),
            Driver::Journald(journald) => {
                let result = journald.send(source, bytes, &self.attributes, time);
                self.written(result);
            }
        }
    }

    fn is_full(&self, more: usize) -> bool {
        match &self.driver {
            Driver::JsonFile(file) => file.is_full(more as u64),
            Driver::Journald(_) => false,
        }
    }

    fn rotate(&mut self) {
        if let Driver::JsonFile(file) = &mut self.driver {
            let result = file.rotate();
            self.written(result);
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        if let Driver::JsonFile(file) = &mut self.driver
            && !bytes.is_empty()
        {
            let result = file.append(bytes);
            self.written(result);
        }
    }

    fn written(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => self.failed = false,
            // The container goes on without its log; said once.
            Err(error) if !self.failed => {
                self.failed = true;
                tracing::error!(%error, "a container's log cannot be written");
            }
            Err(_) => {}
        }
    }

    /// Tells the journal how a stream stands, of whose line that waits it knows the first `noted` bytes.
    fn note(&mut self, source: Source, anew: bool, noted: usize) {
        self.known.place = self.place();
        let Some(journal) = &mut self.journal else {
            self.journal = Journal::create(&self.folder, &self.known).ok();
            return;
        };
        if let Err(error) = journal.note(&self.known, source, anew, noted) {
            tracing::error!(%error, "the position of a container's log is not kept until it can be written");
            if let Some(journal) = self.journal.take() {
                let _ = journal.remove();
            }
        }
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
