//! The entries of a layer's tar, kept beside it: a root file system is made without reading the tar again.
//!
//! A zstd stream with a checksum: [`FORMAT`], then records, each the length of its postcard encoding (32 bits,
//! little-endian) and the encoding. The last record has the length of the tar. The file is derived from the tar: one
//! that is missing or damaged is made anew.

use crate::archive::{Archive, Entry};
use crate::tree::{MAX_ENTRIES, TreeError};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};

/// Bumped when what is kept of an entry changes.
const FORMAT: &[u8] = b"hyper entries 2\n";
const COMPRESSION_LEVEL: i32 = 1;
/// More than the longest entry: a name, a link and all attributes come from one extension header each.
const MAX_RECORD_BYTES: u32 = 8 << 20;

#[derive(Serialize, Deserialize)]
enum Record {
    Entry(Entry),
    End { tar_bytes: u64 },
}

pub struct Writer<W: Write> {
    out: zstd::Encoder<'static, W>,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W) -> io::Result<Self> {
        let mut out = zstd::Encoder::new(out, COMPRESSION_LEVEL)?;
        out.include_checksum(true)?;
        out.write_all(FORMAT)?;
        Ok(Self { out })
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        let bytes = postcard::to_stdvec(record).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&bytes)
    }

    pub fn add(&mut self, entry: Entry) -> io::Result<()> {
        self.record(&Record::Entry(entry))
    }

    /// Ends the file; without it, it is damaged.
    pub fn finish(mut self, tar_bytes: u64) -> io::Result<W> {
        self.record(&Record::End { tar_bytes })?;
        self.out.finish()
    }
}

/// Why entries are not written.
#[derive(Debug)]
pub enum Failure {
    Tar(TreeError),
    Write(io::Error),
}

/// Writes the entries of a tar, up to its end marker.
pub fn copy<W: Write>(tar: impl BufRead, to: &mut Writer<W>) -> Result<(), Failure> {
    let mut archive = Archive::new(tar);
    let mut count = 0;
    while let Some(entry) = archive.next_entry().map_err(Failure::Tar)? {
        count += 1;
        if count > MAX_ENTRIES {
            return Err(Failure::Tar(TreeError::TooManyEntries));
        }
        to.add(entry).map_err(Failure::Write)?;
    }
    Ok(())
}

pub struct Reader<R: Read> {
    from: zstd::Decoder<'static, io::BufReader<R>>,
    record: Vec<u8>,
}

/// One step through the entries.
pub enum Next {
    Entry(Entry),
    /// The last: the length of the tar.
    End(u64),
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl<R: Read> Reader<R> {
    pub fn new(from: R) -> io::Result<Self> {
        let mut from = zstd::Decoder::new(from)?;
        let mut format = [0; FORMAT.len()];
        from.read_exact(&mut format)?;
        if format != FORMAT {
            return Err(damaged("of another format"));
        }
        Ok(Self {
            from,
            record: Vec::new(),
        })
    }

    pub fn next_entry(&mut self) -> io::Result<Next> {
        let mut length = [0; 4];
        self.from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > MAX_RECORD_BYTES {
            return Err(damaged("a record is too long"));
        }
        self.record.resize(length as usize, 0);
        self.from.read_exact(&mut self.record)?;
        match postcard::from_bytes(&self.record).map_err(io::Error::other)? {
            Record::Entry(entry) => Ok(Next::Entry(entry)),
            // What follows must be the end of the stream, whose checksum is verified there.
            Record::End { tar_bytes } => match self.from.read(&mut [0])? {
                0 => Ok(Next::End(tar_bytes)),
                _ => Err(damaged("it goes on behind its end")),
            },
        }
    }
}

/// Whether two files have the same entries. They may be compressed in different ways.
pub fn same(one: impl Read, other: impl Read) -> bool {
    let unpacked = |from| zstd::Decoder::new(from).map(|from| io::BufReader::with_capacity(1 << 17, from));
    let (Ok(mut one), Ok(mut other)) = (
        unpacked(Box::new(one) as Box<dyn Read + '_>),
        unpacked(Box::new(other)),
    ) else {
        return false;
    };
    loop {
        let length = match (one.fill_buf(), other.fill_buf()) {
            (Ok([]), Ok([])) => return true,
            (Ok(one), Ok(other)) => {
                let length = one.len().min(other.len());
                if length == 0 || one[..length] != other[..length] {
                    return false;
                }
                length
            }
            _ => return false,
        };
        one.consume(length);
        other.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tests::{member, pax};

    fn kept(tar: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        copy(tar, &mut writer).unwrap();
        writer.finish(tar.len() as u64).unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<(Vec<Entry>, u64)> {
        let mut reader = Reader::new(bytes)?;
        let mut entries = Vec::new();
        loop {
            match reader.next_entry()? {
                Next::Entry(entry) => entries.push(entry),
                Next::End(bytes) => return Ok((entries, bytes)),
            }
        }
    }

    #[test]
    fn entries_are_read_as_the_tar_has_them_and_damage_is_found() {
        let tar = [
            pax(&[("SCHILY.xattr.user.a", b"\0\xff"), ("mtime", b"7.5")]),
            member(b"bytes-\xff", b'0', b"content", b""),
            member(b"link", b'2', b"", b"bytes"),
            vec![0; 1024],
        ]
        .concat();
        let mut archive = Archive::new(&tar[..]);
        let mut expected = Vec::new();
        while let Some(entry) = archive.next_entry().unwrap() {
            expected.push(entry);
        }
        let bytes = kept(&tar);
        assert_eq!(read(&bytes).unwrap(), (expected, tar.len() as u64));
        let otherwise = zstd::encode_all(&zstd::decode_all(&bytes[..]).unwrap()[..], 9).unwrap();
        assert!(same(&bytes[..], &otherwise[..]));
        for at in 0..bytes.len() {
            assert!(!same(&bytes[..at], &bytes[..]), "cut at {at}");
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            if let Ok(found) = read(&changed) {
                // Bits of the frame's header that mean nothing.
                assert_eq!(found, read(&bytes).unwrap(), "changed at {at}");
            }
        }
    }
}
