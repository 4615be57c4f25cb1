//! Removes a file or a tree of a directory, without following a link.

use crate::MAX_DEPTH;
use crate::error::{Context, Error, shown};
use crate::pack::list;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

struct Level {
    directory: OwnedFd,
    names: std::vec::IntoIter<Vec<u8>>,
    /// In the directory above.
    name: Vec<u8>,
}

/// What is not there is removed already.
pub fn remove(directory: impl AsFd, name: &[u8], shown_as: &[u8]) -> Result<(), Error> {
    let directory = directory.as_fd();
    if unlink(directory, name, shown_as)? {
        return Ok(());
    }
    let mut levels = vec![open(directory, name, shown_as)?];
    while let Some(level) = levels.last_mut() {
        if let Some(file) = level.names.next() {
            if !unlink(&level.directory, &file, shown_as)? {
                let below = open(&level.directory, &file, shown_as)?;
                if levels.len() >= MAX_DEPTH {
                    return Err(Error::TooDeep(shown(shown_as)));
                }
                levels.push(below);
            }
            continue;
        }
        let Some(empty) = levels.pop() else { break };
        let above = levels.last().map_or(directory, |level| level.directory.as_fd());
        match unlinkat(above, &empty.name[..], AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error).context("remove", shown_as),
        }
    }
    Ok(())
}

/// `false`: it is a directory.
fn unlink(directory: impl AsFd, name: &[u8], shown_as: &[u8]) -> Result<bool, Error> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(error).context("remove", shown_as),
    }
}

fn open(directory: impl AsFd, name: &[u8], shown_as: &[u8]) -> Result<Level, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(directory, name, flags, Mode::empty()).context("open", shown_as)?;
    Ok(Level {
        names: list(&directory, shown_as)?.into_iter(),
        directory,
        name: name.to_vec(),
    })
}
