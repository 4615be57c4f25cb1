//! What a tar keeps of a file besides its bytes.

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, RawMode, statat};
use std::io;

/// A file's status; a link's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Type and permissions.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub bytes: u64,
    pub mtime: i64,
    pub mtime_ns: u32,
    /// Of a device.
    pub major: u32,
    pub minor: u32,
    pub links: u64,
    /// Device and number, which hard links have in common.
    pub inode: (u64, u64),
}

impl Stat {
    pub fn at(directory: impl AsFd, name: &[u8]) -> io::Result<Self> {
        Ok(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.into())
    }

    pub fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(rustix::fs::fstat(file)?.into())
    }

    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode as RawMode)
    }

    pub fn is_directory(&self) -> bool {
        self.kind() == FileType::Directory
    }
}

impl From<rustix::fs::Stat> for Stat {
    fn from(stat: rustix::fs::Stat) -> Self {
        Self {
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: stat.st_mtime,
            mtime_ns: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            major: rustix::fs::major(stat.st_rdev),
            minor: rustix::fs::minor(stat.st_rdev),
            links: stat.st_nlink,
            inode: (stat.st_dev, stat.st_ino),
        }
    }
}
