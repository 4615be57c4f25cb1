//! The members of an archive that came as a stream.

use super::expand::expand;
use crate::Error;
use crate::archive::{Archive, EntryKind};
use crate::layer::MAX_LAYER_BYTES;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};

/// Some layers of the largest size that is allowed; what is sent counts, or its expansion.
const MAX_ARCHIVE_BYTES: u64 = 4 * MAX_LAYER_BYTES;
/// A thousand images of twenty layers with three members each, as docker once wrote them.
const MAX_MEMBERS: usize = 1 << 16;
/// Longer names are those of nothing that an archive's documents speak of.
const MAX_NAME_BYTES: usize = 512;
/// A layer that is another's, directly or by way of others.
const MAX_LINKS: usize = 8;

/// Where a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    offset: u64,
    pub bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Member {
    File(Slice),
    /// To another member, by its whole name.
    Link(String),
}

#[derive(Debug)]
pub struct Members {
    file: tempfile::TempPath,
    by_name: BTreeMap<String, Member>,
}

impl Members {
    /// Writes the stream to `file` and lists what is in it.
    pub fn spool(from: impl Read, file: tempfile::TempPath) -> Result<Self, Error> {
        Self::spool_up_to(MAX_ARCHIVE_BYTES, from, file)
    }

    fn spool_up_to(limit: u64, from: impl Read, file: tempfile::TempPath) -> Result<Self, Error> {
        let mut to = File::create(&file).map_err(Error::write(&*file))?;
        let mut plain = expand(from)?.take(limit + 1);
        let mut buffer = vec![0; 256 << 10];
        let mut total = 0;
        loop {
            let length = match plain.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::ArchiveRead(error)),
            };
            io::Write::write_all(&mut to, &buffer[..length]).map_err(Error::write(&*file))?;
            total += length as u64;
        }
        if total > limit {
            return Err(Error::Limit {
                what: "archive".to_owned(),
                limit: format!("{limit} bytes"),
            });
        }
        let by_name = list(BufReader::new(File::open(&file).map_err(Error::read(&*file))?))?;
        Ok(Self { file, by_name })
    }

    /// The file of a name, links followed.
    pub fn get(&self, name: &str) -> Option<Slice> {
        let mut name = normal(name.as_bytes())?;
        for _ in 0..MAX_LINKS {
            match self.by_name.get(&name)? {
                Member::File(slice) => return Some(*slice),
                Member::Link(to) => to.clone_into(&mut name),
            }
        }
        None
    }

    pub fn open(&self, slice: Slice) -> Result<Take<File>, Error> {
        let mut file = File::open(&self.file).map_err(Error::read(&*self.file))?;
        file.seek(SeekFrom::Start(slice.offset))
            .map_err(Error::read(&*self.file))?;
        Ok(file.take(slice.bytes))
    }

    /// A small file as a whole.
    pub fn read(&self, slice: Slice, limit: usize) -> Result<Vec<u8>, Error> {
        if slice.bytes > limit as u64 {
            return Err(Error::Limit {
                what: "document of the archive".to_owned(),
                limit: format!("{limit} bytes"),
            });
        }
        let mut bytes = Vec::new();
        self.open(slice)?
            .read_to_end(&mut bytes)
            .map_err(Error::read(&*self.file))?;
        Ok(bytes)
    }
}

fn list(tar: impl BufRead) -> Result<BTreeMap<String, Member>, Error> {
    let bad = |error: crate::tree::TreeError| Error::Archive(error.to_string());
    let mut archive = Archive::new(tar);
    let mut by_name = BTreeMap::new();
    let mut members = 0;
    while let Some(entry) = archive.next_entry().map_err(bad)? {
        members += 1;
        if members > MAX_MEMBERS {
            return Err(Error::Limit {
                what: "archive".to_owned(),
                limit: format!("{MAX_MEMBERS} members"),
            });
        }
        let Some(name) = normal(&entry.path) else { continue };
        let member = match entry.kind {
            EntryKind::File => Some(Member::File(Slice {
                offset: entry.offset,
                bytes: entry.bytes,
            })),
            EntryKind::HardLink => normal(&entry.link).map(Member::Link),
            EntryKind::Symlink => beside(&name, &entry.link).map(Member::Link),
            _ => None,
        };
        // As if it had been unpacked: the last of a name counts.
        match member {
            Some(member) => by_name.insert(name, member),
            None => by_name.remove(&name),
        };
    }
    Ok(by_name)
}

/// The target of a symbolic link, from the archive's top on.
fn beside(name: &str, target: &[u8]) -> Option<String> {
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let target = std::str::from_utf8(target).ok()?;
    let joined = match target.starts_with('/') {
        true => return None,
        false => format!("{folder}/{target}"),
    };
    let mut parts = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            // Out of the archive there is nothing.
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    normal(parts.join("/").as_bytes())
}

/// A name without `.` and doubled slashes; `None` for what nothing may speak of.
fn normal(name: &[u8]) -> Option<String> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?;
    let parts: Vec<_> = name
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tests::member;

    fn members(parts: &[Vec<u8>]) -> Result<Members, Error> {
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        Members::spool(&[parts.concat(), vec![0; 1024]].concat()[..], file)
    }

    fn text(members: &Members, name: &str) -> Option<String> {
        let bytes = members.read(members.get(name)?, 100).unwrap();
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn names_are_looked_up_and_never_followed_out() {
        let found = members(&[
            member(b"./a/layer.tar", b'0', b"first", b""),
            member(b"b/layer.tar", b'2', b"", b"../a/layer.tar"),
            member(b"c/layer.tar", b'1', b"", b"b/layer.tar"),
            member(b"out", b'2', b"", b"../../etc/passwd"),
            member(b"absolute", b'2', b"", b"/a/layer.tar"),
            member(b"loop", b'2', b"", b"loop"),
            member(b"../../etc/shadow", b'0', b"x", b""),
            member(b"/a//./layer.tar", b'0', b"second", b""),
            member(b"gone", b'0', b"x", b""),
            member(b"gone", b'5', b"", b""),
        ])
        .unwrap();
        for name in ["a/layer.tar", "b/layer.tar", "c/layer.tar", "./a//layer.tar"] {
            assert_eq!(text(&found, name).as_deref(), Some("second"), "{name}");
        }
        for name in [
            "out",
            "absolute",
            "loop",
            "../../etc/shadow",
            "etc/shadow",
            "gone",
            "",
            "a",
        ] {
            assert_eq!(found.get(name), None, "{name}");
        }
    }

    #[test]
    fn an_endless_stream_ends_at_the_limit() {
        let head = member(b"a", b'0', b"data", b"").repeat(10);
        let endless = head[..].chain(io::repeat(b'x'));
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let found = Members::spool_up_to(1 << 20, endless, file);
        assert!(matches!(found, Err(Error::Limit { .. })), "{found:?}");
    }

    #[test]
    fn an_archive_that_lies_is_refused() {
        let mut long = member(b"a", b'0', b"", b"");
        long[124..135].copy_from_slice(b"00000077777");
        assert!(matches!(members(&[long]), Err(Error::Archive(_))));
        let cut = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let cut = Members::spool(&member(b"a", b'0', b"data", b"")[..515], cut);
        assert!(matches!(cut, Err(Error::Archive(_))) || cut.unwrap().get("a").is_none());
        let many = member(b"a", b'0', b"", b"").repeat(MAX_MEMBERS + 1);
        assert!(matches!(members(&[many]), Err(Error::Limit { .. })));
    }
}
