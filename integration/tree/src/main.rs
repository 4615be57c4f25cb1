//! `tree FOLDER`: one line for each entry below a folder, the folder included, in order of names.
//!
//! A line is `PATH KEY=VALUE…` with spaces, backslashes and what is not ASCII written as `\xNN`:
//!
//! | key | |
//! | --- | --- |
//! | `type` | `f` `d` `l` `c` `b` `p` `s` |
//! | `mode` | octal, with setuid, setgid and sticky |
//! | `owner` | `UID:GID` |
//! | `mtime` | seconds and nanoseconds since 1970 |
//! | `size`, `sha256` | of a file |
//! | `same` | of a file that came before under another name: that name |
//! | `to` | of a symbolic link |
//! | `device` | `MAJOR:MINOR` |
//! | `xattr:NAME` | its value in hex |
//!
//! Other file systems mounted below are named (`type=mount`) and not entered.
#![forbid(unsafe_code)]

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags, lgetxattr, llistxattr, readlinkat, statx};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::ffi::{CStr, OsString};
use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const MAX_XATTR_BYTES: usize = 64 << 10;

fn main() -> ExitCode {
    let Some(top) = std::env::args_os().nth(1) else {
        eprintln!("usage: tree FOLDER");
        return ExitCode::from(2);
    };
    let mut lister = Lister {
        top: top.into(),
        device: (0, 0),
        names: HashMap::new(),
        out: BufWriter::new(std::io::stdout().lock()),
    };
    match lister.list() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tree: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Lister<W> {
    top: PathBuf,
    device: (u32, u32),
    /// First name of each inode that has several; some may be in no folder, as an overlay tells it of what is deleted.
    names: HashMap<u64, String>,
    out: W,
}

impl<W: Write> Lister<W> {
    fn list(&mut self) -> Result<()> {
        let top = stat(&self.top)?;
        self.device = (top.stx_dev_major, top.stx_dev_minor);
        self.entry(Path::new("/"))?;
        Ok(self.out.flush()?)
    }

    fn entry(&mut self, name: &Path) -> Result<()> {
        let below = name.strip_prefix("/")?;
        let path = if below.as_os_str().is_empty() {
            self.top.clone()
        } else {
            self.top.join(below)
        };
        let failed = |error: Box<dyn Error>| format!("{}: {error}", path.display());
        let stat = stat(&path).map_err(failed)?;
        let shown = escape(name.as_os_str().as_bytes());
        // Overlay shows files of its layers with devices of their own, but directories with its own.
        let kind = FileType::from_raw_mode(stat.stx_mode.into());
        if kind == FileType::Directory && (stat.stx_dev_major, stat.stx_dev_minor) != self.device {
            return Ok(writeln!(self.out, "{shown} type=mount")?);
        }
        let line = self.describe(&path, &shown, kind, &stat).map_err(failed)?;
        self.out.write_all(line.as_bytes())?;
        if kind == FileType::Directory {
            let mut names: Vec<OsString> = std::fs::read_dir(&path)?
                .map(|entry| Ok(entry?.file_name()))
                .collect::<Result<_>>()
                .map_err(failed)?;
            names.sort();
            for child in names {
                self.entry(&name.join(child))?;
            }
        }
        Ok(())
    }

    fn describe(&mut self, path: &Path, shown: &str, kind: FileType, stat: &Statx) -> Result<String> {
        let letter = match kind {
            FileType::RegularFile => 'f',
            FileType::Directory => 'd',
            FileType::Symlink => 'l',
            FileType::CharacterDevice => 'c',
            FileType::BlockDevice => 'b',
            FileType::Fifo => 'p',
            _ => 's',
        };
        let mut line = format!(
            "{shown} type={letter} mode={:o} owner={}:{} mtime={}.{:09}",
            stat.stx_mode & 0o7777,
            stat.stx_uid,
            stat.stx_gid,
            stat.stx_mtime.tv_sec,
            stat.stx_mtime.tv_nsec
        );
        match kind {
            FileType::RegularFile => {
                write!(line, " size={} sha256={}", stat.stx_size, hash(path)?)?;
                if stat.stx_nlink > 1 {
                    match self.names.entry(stat.stx_ino) {
                        Entry::Occupied(first) => write!(line, " same={}", first.get())?,
                        Entry::Vacant(first) => drop(first.insert(shown.to_owned())),
                    }
                }
            }
            FileType::Symlink => {
                let target = readlinkat(CWD, path, Vec::new())?;
                write!(line, " to={}", escape(target.as_bytes()))?;
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                write!(line, " device={}:{}", stat.stx_rdev_major, stat.stx_rdev_minor)?;
            }
            _ => {}
        }
        for (name, value) in xattrs(path)? {
            write!(line, " xattr:{name}={}", HEXLOWER.encode(&value))?;
        }
        line.push('\n');
        Ok(line)
    }
}

fn stat(path: &Path) -> Result<Statx> {
    Ok(statx(
        CWD,
        path,
        AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::BASIC_STATS,
    )?)
}

fn hash(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match std::io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(HEXLOWER.encode(&hasher.finalize())),
            length => hasher.update(&buffer[..length]),
        }
    }
}

/// In order of names.
fn xattrs(path: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut buffer = vec![0; MAX_XATTR_BYTES];
    let length = match llistxattr(path, &mut buffer) {
        Err(rustix::io::Errno::NOTSUP) => 0,
        other => other?,
    };
    let mut found = Vec::new();
    for name in buffer[..length].split_inclusive(|byte| *byte == 0) {
        let name = CStr::from_bytes_with_nul(name)?;
        let mut value = vec![0; MAX_XATTR_BYTES];
        let length = lgetxattr(path, name, &mut value)?;
        value.truncate(length);
        found.push((escape(name.to_bytes()), value));
    }
    found.sort();
    Ok(found)
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'\\' | b'=' => drop(write!(text, "\\x{byte:02x}")),
            0x21..=0x7e => text.push(byte.into()),
            _ => drop(write!(text, "\\x{byte:02x}")),
        }
    }
    text
}
