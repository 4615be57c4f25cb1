//! Reads a tar, member by member: ustar with the extensions of POSIX (pax) and GNU, as Go's `archive/tar` understands
//! them, which docker uses.
//!
//! Its own reader, since a tar may come from a guest: what an extension header makes us keep is limited, and a sparse
//! file in a form that would be misread is refused.

use crate::error::{Error, shown};
use crate::field::{pax_records, until_nul};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;

const BLOCK_BYTES: usize = 512;
/// An extension header: a long name, or all extended attributes of one file.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;
/// Of a sparse file; as many as that have room in an extension header.
const MAX_PIECES: usize = 1 << 16;

/// A tar that is read once. As a [`Read`] it gives the bytes of the member that was read last.
pub struct Reader<R> {
    from: R,
    /// Of the member, as it is in the tar: what was not read, and what fills its last block.
    left: u64,
    padding: u64,
    /// Of the member as a file: where its bytes are, the rest is zeros.
    pieces: VecDeque<Range<u64>>,
    position: u64,
    bytes: u64,
}

/// An entry and what the headers before it say.
pub struct Member {
    pub kind: tar::EntryType,
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: i64,
    pub gid: i64,
    /// Seconds since the epoch, and nanoseconds behind them.
    pub mtime: (i64, u32),
    pub device: (u32, u32),
    pub xattrs: Vec<(String, Vec<u8>)>,
}

#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<i64>,
    uid: Option<i64>,
    gid: Option<i64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(String, Vec<u8>)>,
    is_sparse: bool,
}

fn bad(why: impl Into<String>) -> Error {
    Error::Read(io::Error::new(io::ErrorKind::InvalidData, why.into()))
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off")
}

impl<R: Read> Reader<R> {
    pub fn new(from: R) -> Self {
        Self {
            from,
            left: 0,
            padding: 0,
            pieces: VecDeque::new(),
            position: 0,
            bytes: 0,
        }
    }

    pub fn into_inner(self) -> R {
        self.from
    }

    /// The next entry; `None` at the end.
    pub fn next_member(&mut self) -> Result<Option<Member>, Error> {
        self.step_over(self.left + self.padding)?;
        (self.left, self.padding) = (0, 0);
        let mut extensions = Extensions::default();
        let mut is_extended = false;
        loop {
            let Some(header) = self.header()? else {
                return match is_extended {
                    true => Err(bad("it ends behind an extension header")),
                    false => Ok(None),
                };
            };
            let size = number(&header.as_bytes()[124..136])?;
            match header.entry_type().as_byte() {
                b'x' | b'X' => extensions.read_pax(&self.extension(size)?)?,
                b'L' => extensions.path = Some(until_nul(&self.extension(size)?).to_vec()),
                b'K' => extensions.link = Some(until_nul(&self.extension(size)?).to_vec()),
                // For all that follow: nothing that is kept of files.
                b'g' => {
                    self.extension(size)?;
                    continue;
                }
                _ => return self.member(&header, size, extensions).map(Some),
            }
            is_extended = true;
        }
    }

    /// The next header, verified; `None` at the end.
    fn header(&mut self) -> Result<Option<tar::Header>, Error> {
        let mut header = tar::Header::new_old();
        match self.fill(header.as_mut_bytes())? {
            0 => return Ok(None),
            BLOCK_BYTES => {}
            _ => return Err(Error::Read(cut_off())),
        }
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let others = bytes[..148].iter().chain(&bytes[156..]);
        let sum = others.map(|byte| i64::from(*byte)).sum::<i64>() + 8 * i64::from(b' ');
        match number(&bytes[148..156])? == sum {
            true => Ok(Some(header)),
            false => Err(bad("a header's checksum is wrong")),
        }
    }

    /// Reads so many bytes, or what there is.
    fn fill(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while done < to.len() {
            match self.from.read(&mut to[done..]) {
                Ok(0) => break,
                Ok(length) => done += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(error)),
            }
        }
        Ok(done)
    }

    fn step_over(&mut self, bytes: u64) -> Result<(), Error> {
        let stepped = io::copy(&mut self.from.by_ref().take(bytes), &mut io::sink());
        match stepped.map_err(Error::Read)? == bytes {
            true => Ok(()),
            false => Err(Error::Read(cut_off())),
        }
    }

    fn extension(&mut self, size: i64) -> Result<Vec<u8>, Error> {
        let size = u64::try_from(size)
            .ok()
            .filter(|size| *size <= MAX_EXTENSION_BYTES)
            .ok_or_else(|| bad(format!("an extension header of {size} bytes is too long")))?;
        let mut bytes = vec![0; size as usize];
        if self.fill(&mut bytes)? < bytes.len() {
            return Err(Error::Read(cut_off()));
        }
        self.step_over(padding(size))?;
        Ok(bytes)
    }

    fn member(&mut self, header: &tar::Header, size: i64, extensions: Extensions) -> Result<Member, Error> {
        let field = |range: Range<usize>| number(&header.as_bytes()[range]);
        let path = extensions
            .path
            .unwrap_or_else(|| header.path_bytes().into_owned());
        if extensions.is_sparse {
            return Err(Error::Sparse(shown(&path)));
        }
        let mut kind = header.entry_type();
        // As Go reads what has a file's bytes.
        let is_sparse = kind.is_gnu_sparse();
        if is_sparse || kind == tar::EntryType::Continuous {
            kind = tar::EntryType::Regular;
        }
        if kind.is_file() && path.ends_with(b"/") {
            kind = tar::EntryType::Directory;
        }
        // Others have no bytes whatever their header says, as Go reads them.
        let has_bytes = !matches!(
            kind,
            tar::EntryType::Link
                | tar::EntryType::Symlink
                | tar::EntryType::Char
                | tar::EntryType::Block
                | tar::EntryType::Directory
                | tar::EntryType::Fifo
        );
        let size = match has_bytes {
            true => extensions.size.unwrap_or(size),
            false => 0,
        };
        self.left = u64::try_from(size).map_err(|_| bad("the size of a file is negative"))?;
        self.padding = padding(self.left);
        self.position = 0;
        self.bytes = self.left;
        self.pieces.clear();
        self.pieces.push_back(0..self.left);
        if is_sparse && has_bytes {
            self.read_pieces(header, &path)?;
        }
        let device = match kind {
            tar::EntryType::Char | tar::EntryType::Block => {
                (field(329..337)? as u32, field(337..345)? as u32)
            }
            _ => (0, 0),
        };
        Ok(Member {
            kind,
            link: extensions.link.unwrap_or_else(|| {
                let link = header.link_name_bytes();
                link.map(|link| link.into_owned()).unwrap_or_default()
            }),
            mode: field(100..108)? as u32 & 0o7777,
            uid: extensions.uid.map_or_else(|| field(108..116), Ok)?,
            gid: extensions.gid.map_or_else(|| field(116..124), Ok)?,
            mtime: extensions
                .mtime
                .map_or_else(|| field(136..148).map(|seconds| (seconds, 0)), Ok)?,
            device,
            xattrs: extensions.xattrs,
            path,
        })
    }

    /// Where the bytes of a sparse file of GNU's own format are, which stands in its header and in blocks behind that.
    fn read_pieces(&mut self, header: &tar::Header, path: &[u8]) -> Result<(), Error> {
        let wrong = || {
            bad(format!(
                "the pieces of the sparse file {:?} are not understood",
                shown(path)
            ))
        };
        let gnu = header.as_gnu().ok_or_else(wrong)?;
        self.bytes = gnu.real_size().map_err(Error::Read)?;
        self.pieces.clear();
        let mut in_tar = 0_u64;
        let mut add = |found: &[tar::GnuSparseHeader], pieces: &mut VecDeque<Range<u64>>, bytes: u64| {
            for piece in found.iter().filter(|piece| !piece.is_empty()) {
                let offset = piece.offset().map_err(Error::Read)?;
                let length = piece.length().map_err(Error::Read)?;
                let end = offset.checked_add(length).filter(|end| *end <= bytes);
                let end = end.ok_or_else(wrong)?;
                let is_behind = pieces.back().is_none_or(|last| last.end <= offset);
                if !is_behind || pieces.len() >= MAX_PIECES {
                    return Err(wrong());
                }
                if length > 0 {
                    pieces.push_back(offset..end);
                    in_tar += length;
                }
            }
            Ok(())
        };
        let mut pieces = VecDeque::new();
        add(&gnu.sparse, &mut pieces, self.bytes)?;
        let mut is_extended = gnu.is_extended();
        // Blocks in which nothing is are not more than those could be that are full.
        let mut blocks = 0;
        while is_extended {
            let mut more = tar::GnuExtSparseHeader::new();
            blocks += 1;
            if blocks > MAX_PIECES {
                return Err(wrong());
            }
            if self.fill(more.as_mut_bytes())? < BLOCK_BYTES {
                return Err(Error::Read(cut_off()));
            }
            add(&more.sparse, &mut pieces, self.bytes)?;
            is_extended = more.is_extended();
        }
        self.pieces = pieces;
        match in_tar == self.left {
            true => Ok(()),
            false => Err(wrong()),
        }
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let piece = self.pieces.front().cloned().unwrap_or(self.bytes..self.bytes);
        let most = |end: u64| {
            to.len()
                .min(usize::try_from(end - self.position).unwrap_or(usize::MAX))
        };
        if self.position < piece.start {
            let length = most(piece.start);
            to[..length].fill(0);
            self.position += length as u64;
            return Ok(length);
        }
        let length = most(piece.end);
        if length == 0 {
            return Ok(0);
        }
        let length = match self.from.read(&mut to[..length])? {
            0 => return Err(cut_off()),
            length => length,
        };
        self.position += length as u64;
        self.left -= length as u64;
        if self.position == piece.end {
            self.pieces.pop_front();
        }
        Ok(length)
    }
}

impl Extensions {
    fn read_pax(&mut self, records: &[u8]) -> Result<(), Error> {
        let wrong = || bad("a pax header is not understood");
        for record in pax_records(records) {
            let (key, value) = record.ok_or_else(wrong)?;
            let text = || std::str::from_utf8(value).unwrap_or("");
            let whole = || text().parse::<i64>().map(Some).map_err(|_| wrong());
            match key {
                // Without a value it is not set.
                b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime" if value.is_empty() => {}
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = whole()?,
                b"uid" => self.uid = whole()?,
                b"gid" => self.gid = whole()?,
                b"mtime" => self.mtime = time(text()),
                _ if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
                _ => {
                    let name = key.strip_prefix(b"SCHILY.xattr.");
                    if let Some(Ok(name)) = name.map(std::str::from_utf8) {
                        self.xattrs.push((name.to_owned(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }
}

fn padding(bytes: u64) -> u64 {
    let block = BLOCK_BYTES as u64;
    (block - bytes % block) % block
}

/// A number in octal, or in base 256 and with a sign when its first bit is set. Blank is 0.
fn number(field: &[u8]) -> Result<i64, Error> {
    let wrong = || bad(format!("{:?} is no number", String::from_utf8_lossy(field)));
    if let Some(first) = field.first().filter(|first| **first & 0x80 != 0) {
        // The second bit is the sign.
        let mut value = i128::from((first & 0x7f).cast_signed() << 1 >> 1);
        for byte in &field[1..] {
            value = value << 8 | i128::from(*byte);
        }
        return i64::try_from(value).map_err(|_| wrong());
    }
    let text = std::str::from_utf8(until_nul(field)).map_err(|_| wrong())?.trim();
    if text.is_empty() {
        return Ok(0);
    }
    i64::from_str_radix(text, 8).map_err(|_| wrong())
}

/// Seconds since the epoch or before it, perhaps with a fraction, and nanoseconds behind them.
fn time(text: &str) -> Option<(i64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let (seconds, nanoseconds) = (whole.parse::<i64>().ok()?, digits.parse::<u32>().ok()?);
    match whole.starts_with('-') && nanoseconds > 0 {
        true => Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds)),
        false => Some((seconds, nanoseconds)),
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
