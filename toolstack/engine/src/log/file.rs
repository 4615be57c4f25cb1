//! The files of json-file: `log.json` is written to, `log.json.1` was before it, and so on.

use super::config::Rotation;
use super::journal::Place;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The `number`th of the files, 0 being the newest.
pub fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

pub struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    place: Place,
}

impl LogFile {
    /// Goes on where the log ends. `until`: what is accounted for of it; the rest is cut off.
    pub fn open(path: &Path, rotation: Rotation, until: Option<Place>) -> io::Result<Self> {
        let (file, inode) = append_to(path)?;
        let mut log = Self {
            path: path.to_owned(),
            rotation,
            place: Place {
                inode,
                length: file.metadata()?.len(),
            },
            file,
        };
        match until {
            Some(until) if until.inode == inode => log.cut(until.length)?,
            // It was begun by a rotation that nothing had been written after, as far as is known.
            Some(_) => log.cut(0)?,
            None => log.end_line()?,
        }
        Ok(log)
    }

    pub fn place(&self) -> Place {
        self.place
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.place.length > length {
            self.file.set_len(length)?;
            self.place.length = length;
        }
        Ok(())
    }

    /// What a power cut left of a line must not spoil the next.
    fn end_line(&mut self) -> io::Result<()> {
        let mut last = [b'\n'];
        if self.place.length > 0 {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        if last != [b'\n'] {
            self.append(b"\n")?;
        }
        Ok(())
    }

    /// With so many bytes more: another file has to be begun before anything is written.
    pub fn is_full(&self, more: u64) -> bool {
        self.rotation
            .max_bytes
            .is_some_and(|most| self.place.length + more >= most)
    }

    /// All of it, or nothing.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.place.length += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                let _ = self.file.set_len(self.place.length);
                Err(error)
            }
        }
    }

    /// Begins another file; the oldest goes when there are too many.
    pub fn rotate(&mut self) -> io::Result<()> {
        let oldest = self.rotation.max_files - 1;
        there(fs::remove_file(numbered(&self.path, oldest)))?;
        for number in (0..oldest).rev() {
            there(fs::rename(
                numbered(&self.path, number),
                numbered(&self.path, number + 1),
            ))?;
        }
        let (file, inode) = append_to(&self.path)?;
        self.file = file;
        self.place = Place { inode, length: 0 };
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let file = File::options().append(true).create(true).open(path)?;
    let inode = file.metadata()?.ino();
    Ok((file, inode))
}

fn there(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
