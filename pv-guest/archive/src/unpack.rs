//! A tar as a tree, with docker's rules for what is in its way.

use crate::error::{Context, Error, shown};
use crate::metadata::Stat;
use crate::path::{self, clean};
use crate::reader::{Member, Reader};
use crate::remove::remove;
use crate::root::Root;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, fsetxattr,
    linkat, makedev, mkdirat, mknodat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};

/// What is kept of directories until all is there.
const MAX_DIRECTORIES_BYTES: usize = 64 << 20;

/// Whose the files are that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// As the tar says.
    Archive,
    /// All of one user and group.
    Fixed(u32, u32),
    /// Whoever unpacks it.
    Caller,
}

#[derive(Debug, Clone)]
pub struct Options {
    /// A directory is not replaced by what is none, and the other way round.
    pub no_overwrite_dir_non_dir: bool,
    pub owner: Owner,
    /// The first part of each name that has the one begins with the other instead.
    pub rename: Option<(Vec<u8>, Vec<u8>)>,
}

/// What an entry says of its file.
struct Wanted {
    kind: tar::EntryType,
    mode: u32,
    owner: Option<(u32, u32)>,
    mtime: Timespec,
    xattrs: Vec<(String, Vec<u8>)>,
    device: (u32, u32),
}

/// The directory that is unpacked into.
struct Target<'a> {
    root: &'a Root,
    into: &'a [u8],
    options: &'a Options,
    /// Where the last entry was: those of one directory stand together.
    last: Option<(Vec<u8>, OwnedFd)>,
}

/// Unpacks a tar, and reads on to the end of what it is read from. `into` is a directory of the root that is there.
pub fn unpack(root: &Root, into: &[u8], from: impl Read, options: &Options) -> Result<(), Error> {
    match root.open(into, OFlags::PATH | OFlags::DIRECTORY) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(Error::NotADirectory),
        Err(error) => return Err(error).context("find", into),
    }
    let mut target = Target {
        root,
        into,
        options,
        last: None,
    };
    let mut reader = Reader::new(from);
    // Their times change with what is made in them.
    let mut directories = Vec::new();
    let mut directories_bytes = 0;
    while let Some(member) = reader.next_member()? {
        let name = target.name(&member.path)?;
        let wanted = wanted(&member, &name, options)?;
        target.entry(&name, &wanted, &member.link, &mut reader)?;
        if wanted.kind.is_dir() {
            directories_bytes += name.len() + size_of::<(Vec<u8>, Timespec)>();
            directories.push((name, wanted.mtime));
        }
        // More than a tar has that is none to fill memory: what comes into them later changes their times.
        if directories_bytes > MAX_DIRECTORIES_BYTES {
            target.set_directory_times(&mut directories)?;
            directories_bytes = 0;
        }
    }
    io::copy(&mut reader.into_inner(), &mut io::sink()).map_err(Error::Read)?;
    target.set_directory_times(&mut directories)
}

impl Target<'_> {
    /// An entry's name in the directory, cleaned; empty for the directory itself.
    fn name(&self, name: &[u8]) -> Result<Vec<u8>, Error> {
        let name = match &self.options.rename {
            Some((old, new)) => renamed(name, old, new),
            None => name.to_vec(),
        };
        inside(&name)
    }

    fn full(&self, name: &[u8]) -> Vec<u8> {
        path::join(self.into, name)
    }

    /// The directory in which an entry is to be, made if it is missing.
    fn parent(&mut self, name: &[u8]) -> Result<&OwnedFd, Error> {
        let parent = match name.iter().rposition(|byte| *byte == b'/') {
            Some(at) => &name[..at],
            None => b"",
        };
        if self.last.as_ref().is_none_or(|(known, _)| known != parent) {
            let opened = self.directory(parent)?;
            self.last = Some((parent.to_vec(), opened));
        }
        match &self.last {
            Some((_, opened)) => Ok(opened),
            None => Err(Error::NotADirectory),
        }
    }

    fn directory(&self, name: &[u8]) -> Result<OwnedFd, Error> {
        let full = self.full(name);
        let open = |path: &[u8]| self.root.open(path, OFlags::PATH | OFlags::DIRECTORY);
        match open(&full) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.context("open", &full),
        }
        let ends = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let ends = ends.map(|(at, _)| at).chain([name.len()]);
        let mut above = open(self.into).context("open", self.into)?;
        let mut start = 0;
        for end in ends {
            let below = self.full(&name[..end]);
            let opened = match open(&below) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    mkdirat(&above, &name[start..end], Mode::from_raw_mode(0o755)).context("make", &below)?;
                    if let Owner::Fixed(uid, gid) = self.options.owner {
                        chown(&above, &name[start..end], (uid, gid)).context("chown", &below)?;
                    }
                    open(&below)
                }
                other => other,
            };
            above = opened.context("open", &below)?;
            start = end + 1;
        }
        Ok(above)
    }

    fn entry(
        &mut self,
        name: &[u8],
        wanted: &Wanted,
        link: &[u8],
        content: &mut impl Read,
    ) -> Result<(), Error> {
        let is_directory = wanted.kind.is_dir();
        if name.is_empty() {
            // The directory that is there, and stays as it is.
            return match is_directory {
                true => Ok(()),
                false => Err(Error::DirectoryInTheWay(shown(self.into))),
            };
        }
        let full = self.full(name);
        // Found before anything is removed for it.
        let linked = match wanted.kind.is_hard_link() {
            true => Some(self.root.find(&self.full(&self.name(link)?))?),
            false => None,
        };
        let no_overwrite = self.options.no_overwrite_dir_non_dir;
        let base = path::base(name);
        let parent = self.parent(name)?;
        let mut is_there = false;
        match Stat::at(parent, base) {
            Ok(found) => match (found.is_directory(), is_directory) {
                (true, false) if no_overwrite => return Err(Error::DirectoryInTheWay(shown(&full))),
                (false, true) if no_overwrite => return Err(Error::FileInTheWay(shown(&full))),
                (true, true) => is_there = true,
                _ => remove(parent, base, &full)?,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("stat", &full),
        }
        match (wanted.kind, linked) {
            (_, Some((directory, source))) => {
                linkat(&directory, &source[..], parent, base, AtFlags::empty()).context("link", &full)
            }
            (tar::EntryType::Directory, _) => {
                if !is_there {
                    mkdirat(parent, base, Mode::RWXU).context("make", &full)?;
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = openat(parent, base, flags, Mode::empty()).context("open", &full)?;
                settle(&opened, wanted, &full)
            }
            (tar::EntryType::Symlink, _) => {
                symlinkat(link, parent, base).context("make", &full)?;
                settle_unopened(parent, base, wanted, &full)
            }
            (tar::EntryType::Char | tar::EntryType::Block | tar::EntryType::Fifo, _) => {
                let kind = match wanted.kind {
                    tar::EntryType::Char => FileType::CharacterDevice,
                    tar::EntryType::Block => FileType::BlockDevice,
                    _ => FileType::Fifo,
                };
                let (mode, device) = (Mode::RUSR | Mode::WUSR, makedev(wanted.device.0, wanted.device.1));
                mknodat(parent, base, kind, mode, device).context("make", &full)?;
                settle_unopened(parent, base, wanted, &full)
            }
            _ => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let created =
                    openat(parent, base, flags, Mode::RUSR | Mode::WUSR).context("create", &full)?;
                let mut file = File::from(created);
                copy(content, &mut file, &full)?;
                settle(&file, wanted, &full)?;
                rustix::fs::futimens(&file, &times(wanted.mtime)).context("set the time of", &full)
            }
        }
    }

    fn set_directory_times(&mut self, directories: &mut Vec<(Vec<u8>, Timespec)>) -> Result<(), Error> {
        for (name, mtime) in directories.drain(..) {
            self.set_directory_time(&name, mtime)?;
        }
        Ok(())
    }

    fn set_directory_time(&mut self, name: &[u8], mtime: Timespec) -> Result<(), Error> {
        if name.is_empty() {
            return Ok(());
        }
        let full = self.full(name);
        let base = path::base(name);
        let parent = self.parent(name)?;
        match utimensat(parent, base, &times(mtime), AtFlags::SYMLINK_NOFOLLOW) {
            // A later entry may have taken its place.
            Err(Errno::NOENT) => Ok(()),
            other => other.context("set the time of", &full),
        }
    }
}

/// A name that stays below the directory it is taken from; empty for the directory.
fn inside(name: &[u8]) -> Result<Vec<u8>, Error> {
    let start = name.iter().position(|byte| *byte != b'/').unwrap_or(name.len());
    let cleaned = clean(&name[start..]);
    match &cleaned[..] {
        b".." => Err(Error::Outside(shown(name))),
        other if other.starts_with(b"../") => Err(Error::Outside(shown(name))),
        b"." => Ok(Vec::new()),
        _ => Ok(cleaned),
    }
}

fn renamed(name: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    match name.strip_prefix(old) {
        Some(rest) if old.is_empty() || rest.is_empty() || rest.starts_with(b"/") => {
            path::join(new, rest.strip_prefix(b"/").unwrap_or(rest))
        }
        _ => name.to_vec(),
    }
}

/// What an entry asks for.
fn wanted(member: &Member, name: &[u8], options: &Options) -> Result<Wanted, Error> {
    match member.kind {
        tar::EntryType::Regular | tar::EntryType::Link | tar::EntryType::Symlink | tar::EntryType::Char => {}
        tar::EntryType::Block | tar::EntryType::Directory | tar::EntryType::Fifo => {}
        other => {
            return Err(Error::Kind {
                path: shown(name),
                kind: char::from(other.as_byte()),
            });
        }
    }
    let number = |number: i64| u32::try_from(number).map_err(|error| Error::Read(io::Error::other(error)));
    let owner = match options.owner {
        Owner::Archive => Some((number(member.uid)?, number(member.gid)?)),
        Owner::Fixed(uid, gid) => Some((uid, gid)),
        Owner::Caller => None,
    };
    let (seconds, nanoseconds) = member.mtime;
    Ok(Wanted {
        kind: member.kind,
        mode: member.mode,
        owner,
        mtime: Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds.into(),
        },
        xattrs: member.xattrs.clone(),
        device: member.device,
    })
}

fn copy(content: &mut impl Read, file: &mut File, name: &[u8]) -> Result<(), Error> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = match content.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::Read(error)),
        };
        file.write_all(&buffer[..length]).context("write", name)?;
    }
}

/// Owner, permissions and attributes. The owner first: a change of it takes away capabilities and set-user-id bits.
fn settle(file: impl AsFd, wanted: &Wanted, name: &[u8]) -> Result<(), Error> {
    let file = file.as_fd();
    if let Some((uid, gid)) = wanted.owner {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::fchown(file, uid, gid).context("chown", name)?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(wanted.mode)).context("chmod", name)?;
    for (name, value) in &wanted.xattrs {
        // As far as the file system has them, as docker does it.
        let _ = fsetxattr(file, name.as_str(), value, XattrFlags::empty());
    }
    Ok(())
}

/// Owner, permissions and time of what cannot be opened: a link, a device, a fifo.
fn settle_unopened(directory: &OwnedFd, base: &[u8], wanted: &Wanted, name: &[u8]) -> Result<(), Error> {
    if let Some(owner) = wanted.owner {
        chown(directory, base, owner).context("chown", name)?;
    }
    if !wanted.kind.is_symlink() {
        chmodat(
            directory,
            base,
            Mode::from_raw_mode(wanted.mode),
            AtFlags::empty(),
        )
        .context("chmod", name)?;
    }
    utimensat(directory, base, &times(wanted.mtime), AtFlags::SYMLINK_NOFOLLOW)
        .context("set the time of", name)
}

fn chown(directory: &OwnedFd, base: &[u8], (uid, gid): (u32, u32)) -> Result<(), Errno> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    chownat(directory, base, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
}

fn times(mtime: Timespec) -> Timestamps {
    Timestamps {
        last_access: mtime,
        last_modification: mtime,
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
