//! Reads the tar of a layer: ustar with the extensions of POSIX (pax) and GNU that image builders write, as Go's
//! `archive/tar`, which docker and containerd use, understands them.
//!
//! Its own reader, since a layer is hostile: what an extension header makes us keep is limited, a file must lie inside
//! the tar, and what would be misread is refused (sparse files).

use crate::tree::TreeError;
use ::archive::field::{pax_records, until_nul};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead};

pub const BLOCK_BYTES: u64 = 512;
/// An extension header: long names and all extended attributes of one file.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;
/// Linux's limit for one attribute's value, and a generous one for all of a file.
const MAX_XATTR_BYTES: usize = 64 << 10;
const MAX_XATTRS: usize = 256;
const MAX_XATTR_NAME_BYTES: usize = 255;

/// What an entry is; `File` also stands for what has a file's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    File,
    HardLink,
    Symlink,
    Character,
    Block,
    Directory,
    Fifo,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub kind: EntryKind,
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Seconds since the epoch, before it less than 0; nanoseconds go on from there.
    pub mtime: i64,
    pub mtime_ns: u32,
    pub device: (u32, u32),
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// Where a file's bytes are in the tar, and how many.
    pub offset: u64,
    pub bytes: u64,
    /// The tar has all of its last block, and zeros behind it.
    pub filled: bool,
}

/// What extension headers say about the entry behind them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(String, Vec<u8>)>,
    sparse: bool,
}

/// A tar that is read once, from its beginning.
pub struct Archive<R> {
    tar: R,
    /// What is read next.
    at: u64,
}

fn bad(why: impl Into<String>) -> TreeError {
    TreeError::Tar(why.into())
}

fn unreadable(error: io::Error) -> TreeError {
    bad(error.to_string())
}

pub fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(200)]).into_owned()
}

impl<R: BufRead> Archive<R> {
    pub fn new(tar: R) -> Self {
        Self { tar, at: 0 }
    }

    /// The next entry; `None` at the end.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TreeError> {
        let mut extensions = Extensions::default();
        let mut extended = false;
        loop {
            let Some(header) = self.header()? else {
                return if extended {
                    Err(bad("it ends behind an extension header"))
                } else {
                    Ok(None)
                };
            };
            let size = number(&header.0[124..136])?;
            match header.0[156] {
                b'x' | b'X' => read_pax(&self.extension(size)?, &mut extensions)?,
                b'L' => extensions.path = Some(until_nul(&self.extension(size)?).to_vec()),
                b'K' => extensions.link = Some(until_nul(&self.extension(size)?).to_vec()),
                // For all that follow: nothing in an image needs them.
                b'g' => drop(self.extension(size)?),
                flag => return self.entry(&header, flag, size, extensions).map(Some),
            }
            extended |= header.0[156] != b'g';
        }
    }

    /// The next header, verified; `None` at the end.
    fn header(&mut self) -> Result<Option<Header>, TreeError> {
        let mut header = Header([0; BLOCK_BYTES as usize]);
        match self.read(&mut header.0)? {
            0 => return Ok(None),
            all if all == header.0.len() => {}
            _ => return Err(bad("it is cut off")),
        }
        if header.0.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if !header.is_whole() {
            return Err(bad("a header's checksum is wrong"));
        }
        Ok(Some(header))
    }

    /// Reads so many bytes, or what there is.
    fn read(&mut self, to: &mut [u8]) -> Result<usize, TreeError> {
        let mut done = 0;
        while done < to.len() {
            match self.tar.read(&mut to[done..]) {
                Ok(0) => break,
                Ok(length) => done += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        self.at += done as u64;
        Ok(done)
    }

    /// Steps over so many bytes of data, which must be there.
    fn step_over(&mut self, size: u64) -> Result<(), TreeError> {
        let mut left = size;
        while left > 0 {
            let there = match self.tar.fill_buf() {
                Ok([]) => return Err(bad("it is cut off")),
                Ok(buffer) => buffer.len(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            let step = left.min(there as u64);
            self.tar.consume(step as usize);
            self.at += step;
            left -= step;
        }
        Ok(())
    }

    /// Steps to the next block and says whether all behind the data is there and zero. At the very end it may be missing.
    fn padding(&mut self) -> Result<bool, TreeError> {
        let mut padding = [0; BLOCK_BYTES as usize];
        let wanted = (self.at.next_multiple_of(BLOCK_BYTES) - self.at) as usize;
        let found = self.read(&mut padding[..wanted])?;
        Ok(found == wanted && padding[..found].iter().all(|byte| *byte == 0))
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, TreeError> {
        if size > MAX_EXTENSION_BYTES {
            return Err(bad(format!("an extension header of {size} bytes is too long")));
        }
        let mut bytes = vec![0; size as usize];
        if self.read(&mut bytes)? < bytes.len() {
            return Err(bad("it is cut off"));
        }
        self.padding()?;
        Ok(bytes)
    }

    fn entry(
        &mut self,
        header: &Header,
        flag: u8,
        size: u64,
        extensions: Extensions,
    ) -> Result<Entry, TreeError> {
        let field = |range: std::ops::Range<usize>| number(&header.0[range]);
        let path = extensions.path.unwrap_or_else(|| header.path());
        let kind = match flag {
            b'0' | 0 if path.ends_with(b"/") => EntryKind::Directory,
            b'0' | 0 | b'7' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::Character,
            b'4' => EntryKind::Block,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            b'S' => return Err(TreeError::Sparse(show(&path))),
            other => {
                return Err(TreeError::Kind {
                    path: show(&path),
                    kind: char::from(other),
                });
            }
        };
        if extensions.sparse {
            return Err(TreeError::Sparse(show(&path)));
        }
        // Others have no data whatever their header says, as Go reads them.
        let bytes = if kind == EntryKind::File {
            extensions.size.unwrap_or(size)
        } else {
            0
        };
        let offset = self.at;
        if offset.checked_add(bytes).is_none() {
            return Err(bad("it is cut off"));
        }
        self.step_over(bytes)?;
        let filled = self.padding()?;
        let device = match kind {
            EntryKind::Character | EntryKind::Block => (field(329..337)? as u32, field(337..345)? as u32),
            _ => (0, 0),
        };
        let (mtime, mtime_ns) = extensions
            .mtime
            .unwrap_or_else(|| (seconds(&header.0[136..148]).unwrap_or(0), 0));
        let (uid, gid) = (
            extensions.uid.map_or_else(|| field(108..116), Ok)?,
            extensions.gid.map_or_else(|| field(116..124), Ok)?,
        );
        if uid > u64::from(u32::MAX) || gid > u64::from(u32::MAX) {
            let path = show(&path);
            return Err(bad(format!("{path:?} has an owner that is no 32-bit number")));
        }
        Ok(Entry {
            kind,
            link: extensions
                .link
                .unwrap_or_else(|| until_nul(&header.0[157..257]).to_vec()),
            mode: field(100..108)? as u32 & 0o7777,
            uid,
            gid,
            mtime,
            mtime_ns,
            device,
            xattrs: extensions.xattrs,
            offset,
            bytes,
            filled,
            path,
        })
    }
}

struct Header([u8; BLOCK_BYTES as usize]);

impl Header {
    fn is_whole(&self) -> bool {
        let sum = |value: fn(u8) -> i64| -> i64 {
            let field = 8 * i64::from(b' ');
            let others = self.0[..148].iter().chain(&self.0[156..]);
            field + others.map(|byte| value(*byte)).sum::<i64>()
        };
        // Some old writers summed signed characters.
        number(&self.0[148..156]).is_ok_and(|told| {
            let told = told.cast_signed();
            told == sum(i64::from) || told == sum(|byte| i64::from(byte.cast_signed()))
        })
    }

    fn path(&self) -> Vec<u8> {
        let name = until_nul(&self.0[..100]);
        let prefix = until_nul(&self.0[345..500]);
        // GNU's own format has other fields where POSIX has the prefix.
        if &self.0[257..263] == b"ustar\0" && !prefix.is_empty() {
            [prefix, b"/", name].concat()
        } else {
            name.to_vec()
        }
    }
}

/// A number in octal, or in base 256 when its first bit is set. Blank is 0.
fn number(field: &[u8]) -> Result<u64, TreeError> {
    let wrong = || bad(format!("{:?} is no number", String::from_utf8_lossy(field)));
    if let Some((first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        // The second bit is the sign.
        if first & 0x40 != 0 {
            return Err(bad("a number is negative"));
        }
        let mut value = u64::from(first & 0x3f);
        for byte in rest {
            if value >> 56 != 0 {
                return Err(wrong());
            }
            value = value << 8 | u64::from(*byte);
        }
        return Ok(value);
    }
    let text = until_nul(field).trim_ascii();
    if text.is_empty() {
        return Ok(0);
    }
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    u64::from_str_radix(text, 8).map_err(|_| wrong())
}

/// The same with a sign.
fn seconds(field: &[u8]) -> Option<i64> {
    if field.first().is_none_or(|first| first & 0xc0 != 0xc0) {
        return i64::try_from(number(field).ok()?).ok();
    }
    let value = field
        .iter()
        .fold(-1_i128, |value, byte| value << 8 | i128::from(*byte));
    i64::try_from(value).ok()
}

fn read_pax(records: &[u8], extensions: &mut Extensions) -> Result<(), TreeError> {
    let wrong = || bad("a pax header is not understood");
    for record in pax_records(records) {
        let (key, value) = record.ok_or_else(wrong)?;
        let text = || std::str::from_utf8(value).unwrap_or("");
        let whole = || text().parse::<u64>().map(Some).map_err(|_| wrong());
        match key {
            // Without a value it is not set.
            b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime" if value.is_empty() => {}
            b"path" => extensions.path = Some(value.to_vec()),
            b"linkpath" => extensions.link = Some(value.to_vec()),
            b"size" => extensions.size = whole()?,
            b"uid" => extensions.uid = whole()?,
            b"gid" => extensions.gid = whole()?,
            b"mtime" => extensions.mtime = Some(time(text())),
            _ if key.starts_with(b"GNU.sparse.") => extensions.sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    add_xattr(&mut extensions.xattrs, name, value)?;
                }
            }
        }
    }
    Ok(())
}

/// Seconds and nanoseconds behind them; what is smaller is cut off, and what is no time is 0.
fn time(text: &str) -> (i64, u32) {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let Ok(seconds) = whole.parse::<i64>() else {
        return (0, 0);
    };
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    match digits.parse().unwrap_or(0) {
        nanoseconds @ 1.. if whole.starts_with('-') => {
            (seconds.saturating_sub(1), 1_000_000_000 - nanoseconds)
        }
        nanoseconds => (seconds, nanoseconds),
    }
}

fn add_xattr(xattrs: &mut Vec<(String, Vec<u8>)>, name: &[u8], value: &[u8]) -> Result<(), TreeError> {
    let name = std::str::from_utf8(name).unwrap_or("");
    // The guest's overlay would take them for its own.
    if name.starts_with("trusted.overlay.") {
        return Ok(());
    }
    let plain = !name.is_empty() && name.len() <= MAX_XATTR_NAME_BYTES && !name.contains('\0');
    xattrs.retain(|(known, _)| known != name);
    if !plain || value.len() > MAX_XATTR_BYTES || xattrs.len() >= MAX_XATTRS {
        return Err(TreeError::Xattrs(show(name.as_bytes())));
    }
    xattrs.push((name.to_owned(), value.to_vec()));
    Ok(())
}

#[cfg(test)]
#[path = "archive_tests.rs"]
pub(crate) mod tests;
