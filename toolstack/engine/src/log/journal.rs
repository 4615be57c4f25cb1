//! How far a run's log has come, kept beside it, so that an engine which takes a guest over writes on where the one
//! before was killed: no byte is lost and none written twice.
//!
//! A record is appended after each write to the log and tells how long the log is, how many bytes of a stream that
//! accounts for, and the beginning of a line that waits for its end. What the log has beyond the last record was not
//! accounted for: it is cut off, and comes again from the guest, whose ring is let go of only after the record.
//!
//! ```text
//!   0   magic    8 bytes         then, each:   0   source     u8
//!   8   run      16 bytes, UUID                1   anew       u8    the line that waited is done
//!                                              4   length     u32   of the payload
//!                                              8   position   u64   in the stream
//!                                              16  inode      u64   of the log's file
//!                                              24  log length u64
//!                                              32  payload          added to the line that waits
//! ```

use crate::stdio::Source;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;

const MAGIC: &[u8; 8] = b"hyperlog";
const HEADER_BYTES: usize = 24;
const RECORD_BYTES: usize = 32;
/// Written anew when it is longer.
const MAX_BYTES: u64 = 256 << 10;
/// One that is longer than this is not ours: a run's last record makes it a little longer than [`MAX_BYTES`].
const MAX_READ_BYTES: u64 = 4 << 20;

/// Which file of the log is written to, and its length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub inode: u64,
    pub length: u64,
}

/// All that records add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pub run: Uuid,
    pub place: Place,
    /// Bytes of each stream that are in the log or wait for the end of their line.
    pub positions: [u64; 2],
    pub waiting: [Vec<u8>; 2],
}

pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("log.position")
}

/// What an earlier engine left; `None` when it left nothing that makes sense.
pub fn read(folder: &Path) -> Option<Known> {
    let file = File::open(path(folder)).ok()?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_READ_BYTES), &mut bytes).ok()?;
    parse(&bytes)
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn parse(bytes: &[u8]) -> Option<Known> {
    let (header, mut rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let run = Uuid::from_slice(header.strip_prefix(MAGIC)?).ok()?;
    let mut known = Known {
        run,
        ..Known::default()
    };
    // A last record that is cut off was never acted upon.
    while let Some((record, after)) = rest.split_at_checked(RECORD_BYTES) {
        let Some((payload, after)) = after.split_at_checked(number(&record[4..8]) as usize) else {
            break;
        };
        let source = usize::from(record[0]);
        let waiting = known.waiting.get_mut(source)?;
        if record[1] == 1 {
            waiting.clear();
        }
        waiting.extend_from_slice(payload);
        known.positions[source] = number(&record[8..16]);
        known.place = Place {
            inode: number(&record[16..24]),
            length: number(&record[24..32]),
        };
        rest = after;
    }
    Some(known)
}

fn put(out: &mut Vec<u8>, source: Source, anew: bool, payload: &[u8], position: u64, place: Place) {
    out.extend([source as u8, u8::from(anew), 0, 0]);
    // A payload is less than a line, which is at most 16 KiB.
    out.extend((payload.len() as u32).to_le_bytes());
    out.extend(position.to_le_bytes());
    out.extend(place.inode.to_le_bytes());
    out.extend(place.length.to_le_bytes());
    out.extend_from_slice(payload);
}

fn whole(known: &Known) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(known.run.as_bytes());
    for source in [Source::Stdout, Source::Stderr] {
        let at = source as usize;
        put(
            &mut out,
            source,
            true,
            &known.waiting[at],
            known.positions[at],
            known.place,
        );
    }
    out
}

impl Journal {
    /// Of a run that is as `known` says.
    pub fn create(folder: &Path, known: &Known) -> io::Result<Self> {
        let mut journal = Self {
            path: path(folder),
            file: File::open("/dev/null")?,
            length: 0,
        };
        journal.renew(known)?;
        Ok(journal)
    }

    fn renew(&mut self, known: &Known) -> io::Result<()> {
        let bytes = whole(known);
        let new = self.path.with_extension("position.new");
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&new)?;
        file.write_all(&bytes)?;
        fs::rename(&new, &self.path)?;
        self.file = file;
        self.length = bytes.len() as u64;
        Ok(())
    }

    /// A stream is as `known` says; of its line that waits, the first `noted` bytes were noted before, unless that was
    /// another line.
    pub fn note(&mut self, known: &Known, source: Source, anew: bool, noted: usize) -> io::Result<()> {
        if self.length > MAX_BYTES {
            return self.renew(known);
        }
        let payload = known.waiting[source as usize].get(noted..).unwrap_or_default();
        let mut out = Vec::with_capacity(RECORD_BYTES + payload.len());
        put(
            &mut out,
            source,
            anew,
            payload,
            known.positions[source as usize],
            known.place,
        );
        self.file.write_all(&out)?;
        self.length += out.len() as u64;
        Ok(())
    }

    /// The run is over, or the journal is not true any more.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Nothing of an earlier run stands in the way of the next.
pub fn forget(folder: &Path) {
    let _ = fs::remove_file(path(folder));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_add_up_and_a_torn_one_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let mut known = Known {
            run: Uuid::from_u128(7),
            ..Known::default()
        };
        let mut journal = Journal::create(folder.path(), &known).unwrap();
        assert_eq!(read(folder.path()), Some(known.clone()));
        let mut add = |known: &mut Known, source: Source, anew: bool, payload: &[u8]| {
            let waiting = &mut known.waiting[source as usize];
            if anew {
                waiting.clear();
            }
            waiting.extend_from_slice(payload);
            known.positions[source as usize] += 10;
            known.place.length += 1;
            let noted = known.waiting[source as usize].len() - payload.len();
            journal.note(known, source, anew, noted).unwrap();
        };
        add(&mut known, Source::Stdout, false, b"be");
        add(&mut known, Source::Stderr, false, b"err");
        add(&mut known, Source::Stdout, false, b"gin");
        assert_eq!(read(folder.path()).unwrap(), known);
        add(&mut known, Source::Stdout, true, b"next");
        assert_eq!(read(folder.path()).unwrap().waiting[0], b"next");
        let bytes = fs::read(path(folder.path())).unwrap();
        let torn = parse(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(torn.waiting[0], b"begin");
        assert_eq!(torn.waiting[1], b"err");
        // However long it runs, it stays short.
        for _ in 0..20_000 {
            add(&mut known, Source::Stderr, true, b"line of some length");
        }
        assert!(fs::metadata(path(folder.path())).unwrap().len() < 2 * MAX_BYTES);
        assert_eq!(read(folder.path()).unwrap(), known);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&tail);
            let bytes = [&MAGIC[..], &[0; 16], &tail].concat();
            let _ = parse(&bytes);
        }
    }
}
