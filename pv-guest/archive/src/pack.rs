//! A tree as a tar.

use crate::MAX_DEPTH;
use crate::error::{Context, Error, shown};
use crate::path::join;
use crate::writer::Writer;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Dir, Mode, OFlags, openat};
use rustix::io::Errno;
use std::io::Write;

struct Level {
    directory: OwnedFd,
    names: std::vec::IntoIter<Vec<u8>>,
    /// Of the directory, in the tar.
    name: Vec<u8>,
}

/// Adds a file of a directory, and all below it, under a name: `a/b` stands for `name/b`.
pub fn pack<W: Write>(
    writer: &mut Writer<W>,
    directory: impl AsFd,
    file: &[u8],
    name: &[u8],
) -> Result<(), Error> {
    let directory = directory.as_fd();
    let Some(stat) = writer.add(directory, file, name)? else {
        return Ok(());
    };
    let mut levels = Vec::new();
    if stat.is_directory()
        && let Some(opened) = open_directory(directory, file, name)?
    {
        levels.push(level(opened, name.to_vec())?);
    }
    while let Some(level_now) = levels.last_mut() {
        let Some(file) = level_now.names.next() else {
            levels.pop();
            continue;
        };
        let name = join(&level_now.name, &file);
        let added = writer.add(&level_now.directory, &file, &name)?;
        if added.is_some_and(|stat| stat.is_directory())
            && let Some(opened) = open_directory(&level_now.directory, &file, &name)?
        {
            if levels.len() >= MAX_DEPTH {
                return Err(Error::TooDeep(shown(&name)));
            }
            levels.push(level(opened, name)?);
        }
    }
    Ok(())
}

fn level(directory: OwnedFd, name: Vec<u8>) -> Result<Level, Error> {
    Ok(Level {
        names: list(&directory, &name)?.into_iter(),
        directory,
        name,
    })
}

/// A directory of a directory; nothing when there is none any more.
pub fn open_directory(directory: impl AsFd, file: &[u8], name: &[u8]) -> Result<Option<OwnedFd>, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(directory, file, flags, Mode::empty()) {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error).context("open", name),
    }
}

/// The names in a directory, in order.
pub fn list(directory: impl AsFd, name: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).context("list", name)? {
        let entry = entry.context("list", name)?;
        match entry.file_name().to_bytes() {
            b"." | b".." => {}
            file => names.push(file.to_vec()),
        }
    }
    names.sort();
    Ok(names)
}
