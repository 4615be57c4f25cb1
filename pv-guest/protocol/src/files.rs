//! Jobs on the files of a container, and what they carry: the status of a path, the list of changes.
//!
//! A job is one request. Its bytes go on a stream that the engine chooses, with the ordinary windows; the reply comes
//! after the stream's end (or, of an extraction, after all was written) and vouches for the count of bytes. Without that
//! reply what came is of no worth. A job ends with the connection: an engine that takes over finds none.

use crate::message::StreamId;
use serde::{Deserialize, Serialize};

/// Jobs of one guest at a time.
pub const MAX_JOBS: usize = 16;
/// Linux's limit of a path.
pub const MAX_PATH_BYTES: usize = 4096;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "kebab-case")]
pub enum FileJob {
    /// What a path is; a link itself, not what it leads to. The reply is [`crate::message::ReplyBody::PathStat`].
    Stat { path: String },
    /// A tar of a path, whose names begin with its last component.
    Archive { path: String, stream: StreamId },
    /// Takes a tar that comes on the stream into a directory that is there.
    Extract {
        path: String,
        stream: StreamId,
        /// A directory is not replaced by what is none, and the other way round.
        #[serde(default)]
        no_overwrite_dir_non_dir: bool,
        /// All that is made belongs to this user (as [`crate::message::ProcessSpec::user`]); else as the tar says.
        #[serde(default)]
        owner: Option<String>,
    },
    /// How the container's files differ from its image's: a list of [`Change`]s.
    Changes { stream: StreamId },
    /// The same as a layer: an OCI layer tar of the container's own files.
    Layer {
        stream: StreamId,
        /// Its processes stand still meanwhile.
        #[serde(default)]
        pause: bool,
    },
    /// A tar of all of the container's root, without what is mounted in it.
    Export { stream: StreamId },
}

impl FileJob {
    /// The stream on which the agent sends.
    pub fn output(&self) -> Option<StreamId> {
        match self {
            Self::Stat { .. } | Self::Extract { .. } => None,
            Self::Archive { stream, .. }
            | Self::Changes { stream }
            | Self::Layer { stream, .. }
            | Self::Export { stream } => Some(*stream),
        }
    }

    /// The stream on which the engine sends.
    pub fn input(&self) -> Option<StreamId> {
        match self {
            Self::Extract { stream, .. } => Some(*stream),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathStat {
    pub bytes: u64,
    /// `st_mode`: type and permissions.
    pub mode: u32,
    pub mtime: i64,
    pub mtime_ns: u32,
    /// Where a link leads in the end, as an absolute path in the container; empty of what is no link.
    pub link_target: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Modified,
    Added,
    Deleted,
}

/// A path that is not as the image has it. On a stream: a byte for the kind (`C`, `A`, `D`), the absolute path, a NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    pub path: Vec<u8>,
}

impl Change {
    pub fn encode(&self, to: &mut Vec<u8>) {
        to.push(match self.kind {
            ChangeKind::Modified => b'C',
            ChangeKind::Added => b'A',
            ChangeKind::Deleted => b'D',
        });
        to.extend_from_slice(&self.path);
        to.push(0);
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadChange {
    #[error("a change of the unknown kind {0}")]
    Kind(u8),
    #[error("a change has no path")]
    NoPath,
    #[error("a path is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
    #[error("the list of changes is cut off")]
    CutOff,
}

/// Puts changes together from the bytes of their stream; keeps no more than one path.
#[derive(Debug, Default)]
pub struct ChangeDecoder(Vec<u8>);

impl ChangeDecoder {
    /// Takes bytes, and gives each change that they complete to `each`.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Change)) -> Result<(), BadChange> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == 0) {
            self.keep(&rest[..end])?;
            rest = &rest[end + 1..];
            each(change(&self.0)?);
            self.0.clear();
        }
        self.keep(rest)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), BadChange> {
        if self.0.len() + bytes.len() > 1 + MAX_PATH_BYTES {
            return Err(BadChange::TooLong);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// The stream has ended.
    pub fn finish(self) -> Result<(), BadChange> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(BadChange::CutOff),
        }
    }
}

fn change(record: &[u8]) -> Result<Change, BadChange> {
    let (kind, path) = record.split_first().ok_or(BadChange::NoPath)?;
    let kind = match kind {
        b'C' => ChangeKind::Modified,
        b'A' => ChangeKind::Added,
        b'D' => ChangeKind::Deleted,
        other => return Err(BadChange::Kind(*other)),
    };
    match path.first() {
        Some(b'/') => Ok(Change {
            kind,
            path: path.to_vec(),
        }),
        _ => Err(BadChange::NoPath),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Decoder, encode};
    use crate::message::{Request, RequestBody};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn change() -> impl Strategy<Value = Change> {
        let kind = prop_oneof![
            Just(ChangeKind::Modified),
            Just(ChangeKind::Added),
            Just(ChangeKind::Deleted)
        ];
        (kind, vec(1..=255_u8, 0..200)).prop_map(|(kind, name)| Change {
            kind,
            path: [b"/", &name[..]].concat(),
        })
    }

    proptest! {
        #[test]
        fn changes_survive_any_cut(changes in vec(change(), 0..20), cut in 1..100_usize) {
            let mut bytes = Vec::new();
            changes.iter().for_each(|change| change.encode(&mut bytes));
            let (mut decoder, mut found) = (ChangeDecoder::default(), Vec::new());
            for chunk in bytes.chunks(cut) {
                decoder.push(chunk, |change| found.push(change)).unwrap();
            }
            decoder.finish().unwrap();
            prop_assert_eq!(found, changes);
        }
    }

    #[test]
    fn what_is_no_list_of_changes_is_refused() {
        let decode = |bytes: &[u8]| {
            let mut decoder = ChangeDecoder::default();
            decoder.push(bytes, drop)?;
            decoder.finish()
        };
        assert_eq!(decode(b"C/a\0X/b\0"), Err(BadChange::Kind(b'X')));
        assert_eq!(decode(b"\0"), Err(BadChange::NoPath));
        assert_eq!(decode(b"Aa\0"), Err(BadChange::NoPath));
        assert_eq!(decode(b"A/a"), Err(BadChange::CutOff));
        assert_eq!(decode(&[b'A'; 5000]), Err(BadChange::TooLong));
    }

    #[test]
    fn jobs_are_told_as_json() {
        let body = RequestBody::Files {
            container: "c".to_owned(),
            job: FileJob::Extract {
                path: "/x".to_owned(),
                stream: 20,
                no_overwrite_dir_non_dir: true,
                owner: None,
            },
        };
        let mut decoder = Decoder::default();
        let request = Request { id: 1, body };
        decoder.push(&encode(&request).unwrap());
        assert_eq!(decoder.decode::<Request>().unwrap(), Some(request));
    }
}
