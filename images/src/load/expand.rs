//! Decompression of what nobody has announced a size of: limited by what has been read for it.

use crate::Error;
use crate::layer::{Compression, MAX_EXPANSION, gunzip};
use std::cell::Cell;
use std::io::{self, Cursor, Read};
use std::rc::Rc;

/// More than the longest of the beginnings that tell how a stream is compressed.
const MAGIC_BYTES: usize = 6;
/// Small streams may be of anything.
const FREE_BYTES: u64 = 1 << 20;

/// Counts what is read for compressed input.
struct Counted<R> {
    inner: R,
    bytes: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(to)?;
        self.bytes.set(self.bytes.get() + length as u64);
        Ok(length)
    }
}

/// Refuses to give more than the input can honestly be.
struct Limited<R> {
    inner: R,
    given: u64,
    bytes: Rc<Cell<u64>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(to)?;
        self.given += length as u64;
        let limit = self.bytes.get().saturating_mul(MAX_EXPANSION).max(FREE_BYTES);
        if self.given > limit {
            return Err(io::Error::other(format!(
                "it expands to more than {MAX_EXPANSION} times its size"
            )));
        }
        Ok(length)
    }
}

/// The plain bytes of a stream that is plain or compressed with gzip or zstd, as its beginning tells.
pub fn expand<'a>(mut from: impl Read + 'a) -> Result<Box<dyn Read + 'a>, Error> {
    let mut magic = Vec::new();
    from.by_ref()
        .take(MAGIC_BYTES as u64)
        .read_to_end(&mut magic)
        .map_err(Error::ArchiveRead)?;
    let compression = Compression::of_stream(&magic)?;
    let bytes = Rc::new(Cell::new(0));
    let counted = Counted {
        inner: Cursor::new(magic).chain(from),
        bytes: Rc::clone(&bytes),
    };
    let inner: Box<dyn Read + 'a> = match compression {
        Compression::None => return Ok(Box::new(counted)),
        Compression::Gzip => Box::new(gunzip(counted)),
        Compression::Zstd => Box::new(zstd::Decoder::new(counted).map_err(Error::ArchiveRead)?),
    };
    Ok(Box::new(Limited {
        inner,
        given: 0,
        bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_refused_and_real_things_are_not() {
        let bomb = zstd::encode_all(io::repeat(0).take(200 << 20), 19).unwrap();
        let copied = io::copy(&mut expand(&bomb[..]).unwrap(), &mut io::sink());
        assert!(copied.unwrap_err().to_string().contains("expands"));
        let plain: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = zstd::encode_all(&plain[..], 3).unwrap();
        let mut back = Vec::new();
        expand(&packed[..]).unwrap().read_to_end(&mut back).unwrap();
        assert_eq!(back, plain);
        assert!(matches!(expand(&b"BZh91AY"[..]), Err(Error::MediaType(_))));
    }
}
