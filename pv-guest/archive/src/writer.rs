//! Writes a tar: ustar headers, with what does not fit into them in pax records before.

use crate::error::{Context, Error, shown};
use crate::metadata::Stat;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, fgetxattr, flistxattr, openat, readlinkat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};

const BLOCK_BYTES: u64 = 512;
const NAME_BYTES: usize = 100;
/// Linux's limits of the list of attributes and of one.
const XATTRS_BYTES: usize = 64 << 10;
const COPY_BYTES: usize = 256 << 10;

/// Which extended attributes go into a tar, by name.
pub type Xattrs = fn(&str) -> bool;

pub struct Writer<W> {
    out: W,
    written: u64,
    xattrs: Xattrs,
    /// Names of files that have more than one, by their inodes.
    links: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

/// One entry of a tar.
struct Entry<'a> {
    kind: tar::EntryType,
    name: &'a [u8],
    link: &'a [u8],
    stat: &'a Stat,
    bytes: u64,
    xattrs: Vec<(String, Vec<u8>)>,
}

impl<'a> Entry<'a> {
    /// A file in which nothing is.
    fn empty(name: &'a [u8], stat: &'a Stat) -> Self {
        Self {
            kind: tar::EntryType::Regular,
            name,
            link: b"",
            stat,
            bytes: 0,
            xattrs: Vec::new(),
        }
    }
}

impl<W: Write> Writer<W> {
    pub fn new(out: W, xattrs: Xattrs) -> Self {
        Self {
            out,
            written: 0,
            xattrs,
            links: HashMap::new(),
            buffer: vec![0; COPY_BYTES],
        }
    }

    /// Ends the tar; gives how many bytes it has.
    pub fn finish(mut self) -> Result<u64, Error> {
        self.put(&[0; 2 * BLOCK_BYTES as usize])?;
        self.out.flush().map_err(Error::Write)?;
        Ok(self.written)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(Error::Write)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, bytes: u64) -> Result<(), Error> {
        let padding = bytes.next_multiple_of(BLOCK_BYTES) - bytes;
        self.put(&[0; BLOCK_BYTES as usize][..padding as usize])
    }

    /// Adds a file of a directory under a name. Gives its status; nothing when it is gone, or a socket, which no tar
    /// can hold. Of a directory that is the directory alone.
    pub fn add(&mut self, directory: impl AsFd, file: &[u8], name: &[u8]) -> Result<Option<Stat>, Error> {
        let directory = directory.as_fd();
        let stat = match Stat::at(directory, file) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("stat", name),
        };
        let mut entry = Entry::empty(name, &stat);
        // The first name of a file has its bytes, the others are links to it.
        if !stat.is_directory()
            && stat.links > 1
            && let Some(first) = self.links.get(&stat.inode).cloned()
        {
            entry.kind = tar::EntryType::Link;
            entry.link = &first;
            self.head(&entry)?;
            return Ok(Some(stat));
        }
        match stat.kind() {
            FileType::RegularFile => {
                let Some((content, now)) = open_file(directory, file, name)? else {
                    return Ok(None);
                };
                entry.bytes = now.bytes;
                entry.stat = &now;
                entry.xattrs = xattrs(&content, self.xattrs);
                self.head(&entry)?;
                self.copy(File::from(content), now.bytes, name)?;
            }
            FileType::Directory => {
                entry.kind = tar::EntryType::Directory;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = match openat(directory, file, flags, Mode::empty()) {
                    Ok(opened) => opened,
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                    Err(error) => return Err(error).context("open", name),
                };
                entry.xattrs = xattrs(&opened, self.xattrs);
                let with_slash = [name, if name.ends_with(b"/") { b"" } else { b"/" }].concat();
                entry.name = &with_slash;
                self.head(&entry)?;
            }
            FileType::Symlink => {
                let target = match readlinkat(directory, file, Vec::new()) {
                    Ok(target) => target.into_bytes(),
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
                    Err(error) => return Err(error).context("read the link", name),
                };
                entry.kind = tar::EntryType::Symlink;
                entry.link = &target;
                self.head(&entry)?;
            }
            FileType::CharacterDevice | FileType::BlockDevice | FileType::Fifo => {
                entry.kind = match stat.kind() {
                    FileType::CharacterDevice => tar::EntryType::Char,
                    FileType::BlockDevice => tar::EntryType::Block,
                    _ => tar::EntryType::Fifo,
                };
                self.head(&entry)?;
            }
            _ => return Ok(None),
        }
        if !stat.is_directory() && stat.links > 1 {
            self.links.insert(stat.inode, name.to_vec());
        }
        Ok(Some(stat))
    }

    /// Adds an empty file that stands for something, such as a whiteout.
    pub fn mark(&mut self, name: &[u8]) -> Result<(), Error> {
        let stat = Stat {
            mode: 0,
            uid: 0,
            gid: 0,
            bytes: 0,
            mtime: 0,
            mtime_ns: 0,
            major: 0,
            minor: 0,
            links: 1,
            inode: (0, 0),
        };
        self.head(&Entry::empty(name, &stat))
    }

    fn head(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let mut records = Vec::new();
        if entry.name.len() > NAME_BYTES {
            record(&mut records, b"path", entry.name);
        }
        if entry.link.len() > NAME_BYTES {
            record(&mut records, b"linkpath", entry.link);
        }
        if entry.stat.mtime_ns != 0 || entry.stat.mtime < 0 {
            let time = time(entry.stat.mtime, entry.stat.mtime_ns);
            record(&mut records, b"mtime", time.as_bytes());
        }
        for (name, value) in &entry.xattrs {
            record(&mut records, format!("SCHILY.xattr.{name}").as_bytes(), value);
        }
        if !records.is_empty() {
            let mut header = new_header(tar::EntryType::XHeader, b"pax", b"")?;
            header.set_mode(0o644);
            header.set_size(records.len() as u64);
            header.set_cksum();
            self.put(header.as_bytes())?;
            self.put(&records)?;
            self.pad(records.len() as u64)?;
        }
        let mut header = new_header(entry.kind, entry.name, entry.link)?;
        header.set_mode(entry.stat.mode & 0o7777);
        header.set_uid(entry.stat.uid.into());
        header.set_gid(entry.stat.gid.into());
        // One before the epoch stands in its record alone.
        header.set_mtime(u64::try_from(entry.stat.mtime).unwrap_or(0));
        header.set_size(entry.bytes);
        if matches!(entry.kind, tar::EntryType::Char | tar::EntryType::Block) {
            let numbers = header
                .set_device_major(entry.stat.major)
                .and_then(|()| header.set_device_minor(entry.stat.minor));
            numbers.map_err(Error::Write)?;
        }
        header.set_cksum();
        self.put(header.as_bytes())
    }

    /// Exactly as many bytes as the header has said: a file that has shrunk meanwhile is filled with zeros.
    fn copy(&mut self, content: File, bytes: u64, name: &[u8]) -> Result<(), Error> {
        let mut content = content.take(bytes).chain(io::repeat(0));
        let mut left = bytes;
        let mut buffer = std::mem::take(&mut self.buffer);
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let length = match content.read(&mut buffer[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.context("read", name)?,
            };
            self.put(&buffer[..length])?;
            left -= length as u64;
        }
        self.buffer = buffer;
        self.pad(bytes)
    }
}

/// A file to be read, and its status; nothing when there is no such file any more.
fn open_file(directory: impl AsFd, file: &[u8], name: &[u8]) -> Result<Option<(OwnedFd, Stat)>, Error> {
    // Should it be a fifo by now, opening it must not wait.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let content = match openat(directory, file, flags, Mode::empty()) {
        Ok(content) => content,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error).context("open", name),
    };
    let stat = Stat::of(&content).context("stat", name)?;
    Ok((stat.kind() == FileType::RegularFile).then_some((content, stat)))
}

fn new_header(kind: tar::EntryType, name: &[u8], link: &[u8]) -> Result<tar::Header, Error> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let Some(fields) = header.as_ustar_mut() else {
        return Err(Error::Write(io::Error::other(shown(name))));
    };
    // The beginning of what stands in a record.
    let name = &name[..name.len().min(NAME_BYTES)];
    let link = &link[..link.len().min(NAME_BYTES)];
    fields.name[..name.len()].copy_from_slice(name);
    fields.linkname[..link.len()].copy_from_slice(link);
    Ok(header)
}

/// Of a pax record: in decimal, and nanoseconds count on from the second, also before the epoch.
fn time(seconds: i64, nanoseconds: u32) -> String {
    match (seconds, nanoseconds) {
        (seconds, 0) => seconds.to_string(),
        (seconds @ 0.., nanoseconds) => format!("{seconds}.{nanoseconds:09}"),
        (seconds, nanoseconds) => format!(
            "-{}.{:09}",
            (seconds + 1).unsigned_abs(),
            1_000_000_000 - nanoseconds
        ),
    }
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits too.
fn record(to: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    to.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        to.extend_from_slice(part);
    }
}

/// Attributes that a tar can hold; that some cannot be read is no reason to fail.
pub fn xattrs(file: impl AsFd, wanted: Xattrs) -> Vec<(String, Vec<u8>)> {
    let file = file.as_fd();
    let mut names = vec![0; XATTRS_BYTES];
    let length = match flistxattr(file, &mut names[..]) {
        Ok(length) if length > 0 => length,
        _ => return Vec::new(),
    };
    let mut value = vec![0; XATTRS_BYTES];
    let mut xattrs = Vec::new();
    for name in names[..length].split(|byte| *byte == 0) {
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        if !name.is_empty()
            && !name.contains('=')
            && wanted(name)
            && let Ok(length) = fgetxattr(file, name, &mut value[..])
        {
            xattrs.push((name.to_owned(), value[..length].to_vec()));
        }
    }
    xattrs
}

/// The same of a plain file of a directory.
pub fn xattrs_at(directory: impl AsFd, file: &[u8], wanted: Xattrs) -> Vec<(String, Vec<u8>)> {
    match open_file(directory, file, file) {
        Ok(Some((opened, _))) => xattrs(&opened, wanted),
        _ => Vec::new(),
    }
}
