//! Entries of json-file, across its files and while they come.

use super::file::numbered;
use super::{Entries, LogEntry, LogOptions, Progress, READER_ENTRIES, line};
use crate::error::{Error, ErrorKind};
use chrono::{DateTime, Utc};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, watch};

const BLOCK_BYTES: usize = 64 << 10;
/// A longer line is none of ours: the longest have 16 KiB, sixfold when every byte is escaped, and attributes.
const MAX_LINE_BYTES: u64 = 8 << 20;

fn failed(error: &io::Error) -> Error {
    Error::from_source(ErrorKind::Failed, "cannot read the container's log", error)
}

pub fn read(
    path: &Path,
    max_files: usize,
    options: LogOptions,
    mut progress: watch::Receiver<Progress>,
) -> Result<Entries, Error> {
    let (sender, receiver) = mpsc::channel(READER_ENTRIES);
    // Before anything is looked at: what is written from now on is told.
    let mut at = *progress.borrow_and_update();
    let mut cursor = Cursor {
        path: path.to_owned(),
        max_files,
        files: newer_than(path, max_files, None).map_err(|error| failed(&error))?,
        offset: 0,
    };
    if let Some(lines) = options.tail {
        cursor.skip_to_tail(lines).map_err(|error| failed(&error))?;
    }
    tokio::spawn(async move {
        let mut cursor = Some(cursor);
        loop {
            // Files block, so the reading has a thread for itself; the channel gives the pace.
            let (to, wanted) = (sender.clone(), options.clone());
            let Some(mut reading) = cursor.take() else { return };
            let done = tokio::task::spawn_blocking(move || {
                reading.send(&wanted, &to).map(|more| more.then_some(reading))
            });
            match done.await {
                Ok(Ok(rest)) => cursor = rest,
                Ok(Err(error)) => {
                    let _ = sender.send(Err(failed(&error))).await;
                    return;
                }
                Err(_) => return,
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
                () = passed(options.until) => return,
                () = sender.closed() => return,
            }
            at = *progress.borrow_and_update();
        }
    });
    Ok(receiver)
}

/// Waits for a moment, if there is one.
pub async fn passed(until: Option<DateTime<Utc>>) {
    match until.map(|until| (until - Utc::now()).to_std().unwrap_or_default()) {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}

struct LogFile {
    file: File,
    inode: u64,
    /// As it was when it was opened: who does not follow reads to there, however fast it grows.
    length: u64,
}

/// The files of a log that are newer than one of them, or all: the oldest first. From new to old they are opened, and
/// each only once, since a rotation meanwhile moves them only that way.
fn newer_than(path: &Path, max_files: usize, inode: Option<u64>) -> io::Result<VecDeque<LogFile>> {
    let mut files: VecDeque<LogFile> = VecDeque::new();
    for number in 0..=max_files {
        let file = match File::open(numbered(path, number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let (of_file, length) = (metadata.ino(), metadata.len());
        if Some(of_file) == inode {
            break;
        }
        if files.iter().all(|known| known.inode != of_file) {
            files.push_front(LogFile {
                file,
                inode: of_file,
                length,
            });
        }
    }
    Ok(files)
}

/// Where a reader stands: in the first of `files`.
struct Cursor {
    path: PathBuf,
    max_files: usize,
    files: VecDeque<LogFile>,
    offset: u64,
}

impl Cursor {
    fn skip_to_tail(&mut self, lines: usize) -> io::Result<()> {
        let mut left = lines;
        for at in (0..self.files.len()).rev() {
            let (offset, found) = tail_of(&mut self.files[at], left)?;
            left -= found;
            if left == 0 {
                self.files.drain(..at);
                self.offset = offset;
                break;
            }
        }
        Ok(())
    }

    /// Sends what there is; `false`: the reader is gone, or the rest is past `until`.
    fn send(&mut self, options: &LogOptions, to: &mpsc::Sender<Result<LogEntry, Error>>) -> io::Result<bool> {
        loop {
            let Some(current) = self.files.front() else {
                self.files = newer_than(&self.path, self.max_files, None)?;
                if self.files.is_empty() {
                    return Ok(true);
                }
                continue;
            };
            let inode = current.inode;
            if !self.send_file(options, to)? {
                return Ok(false);
            }
            if self.files.len() == 1 && options.follow {
                let newer = newer_than(&self.path, self.max_files, Some(inode))?;
                if newer.is_empty() {
                    return Ok(true);
                }
                // It is complete now, which it may not have been when it was read.
                if !self.send_file(options, to)? {
                    return Ok(false);
                }
                self.files.extend(newer);
            } else if self.files.len() == 1 {
                return Ok(true);
            }
            self.files.pop_front();
            self.offset = 0;
        }
    }

    /// The whole lines of the first file from where we stand.
    fn send_file(
        &mut self,
        options: &LogOptions,
        to: &mpsc::Sender<Result<LogEntry, Error>>,
    ) -> io::Result<bool> {
        let Some(LogFile { file, length, .. }) = self.files.front_mut() else {
            return Ok(true);
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let end = if options.follow { u64::MAX } else { *length };
        let mut lines = BufReader::with_capacity(BLOCK_BYTES, file.take(end.saturating_sub(self.offset)));
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut length = lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? as u64;
            if length == MAX_LINE_BYTES && !line.ends_with(b"\n") {
                line.clear();
                length += lines.skip_until(b'\n')? as u64;
            } else if !line.ends_with(b"\n") {
                return Ok(true);
            }
            self.offset += length;
            let Some(entry) = line::decode(&line) else {
                continue;
            };
            if options.until.is_some_and(|until| entry.at > until) {
                return Ok(false);
            }
            if options.wants(&entry) && to.blocking_send(Ok(entry)).is_err() {
                return Ok(false);
            }
        }
    }
}

/// Where the last `lines` lines of a file begin, and how many there are of them.
fn tail_of(log: &mut LogFile, lines: usize) -> io::Result<(u64, usize)> {
    let (file, end) = (&mut log.file, log.length);
    let mut at = end;
    let mut found = 0;
    while at > 0 && lines > 0 {
        let length = at.min(BLOCK_BYTES as u64);
        at -= length;
        let mut block = vec![0; length as usize];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut block)?;
        for (index, byte) in block.iter().enumerate().rev() {
            if *byte == b'\n' {
                // The newline before the first of them is that of another line.
                if found == lines {
                    return Ok((at + index as u64 + 1, found));
                }
                found += 1;
            }
        }
    }
    Ok((if lines == 0 { end } else { 0 }, found))
}
