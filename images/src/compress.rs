//! A layer of the store made ready for a registry. The same layer always gives the same bytes.

use crate::Error;
use crate::forms::Form;
use crate::layer::hex;
use crate::manifest::OCI_GZIP;
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

/// That of gzip itself: higher ones cost much for little.
const LEVEL: u32 = 6;

struct Hashed<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hash.update(&bytes[..length]);
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Compresses the tar of a layer into `to`. A tar that is not what its diff_id says is an error: what a disk has damaged
/// is not to be spread.
pub(crate) fn gzip(tar: &Path, diff_id: &str, to: &Path) -> Result<Form, Error> {
    let mut from = File::open(tar).map_err(Error::read(tar))?;
    let file = File::create(to).map_err(Error::write(to))?;
    let packed = Hashed {
        inner: BufWriter::with_capacity(1 << 20, file),
        hash: Sha256::new(),
        bytes: 0,
    };
    // Without a time and a name of a file.
    let mut encoder = GzBuilder::new().write(packed, Compression::new(LEVEL));
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::read(tar)(error)),
        };
        hash.update(&buffer[..length]);
        encoder.write_all(&buffer[..length]).map_err(Error::write(to))?;
    }
    if hex(hash.finalize().as_slice()) != diff_id {
        return Err(Error::altered(tar));
    }
    let mut packed = encoder.finish().map_err(Error::write(to))?;
    packed.flush().map_err(Error::write(to))?;
    Ok(Form {
        diff_id: diff_id.to_owned(),
        digest: hex(packed.hash.finalize().as_slice()),
        bytes: packed.bytes,
        media_type: OCI_GZIP.to_owned(),
        repositories: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::digest_of;

    #[test]
    fn a_layer_is_always_compressed_alike_and_never_when_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let plain = b"some layer".repeat(100_000);
        std::fs::write(path("tar"), &plain).unwrap();
        let diff_id = digest_of(&plain);
        let first = gzip(&path("tar"), &diff_id, &path("1")).unwrap();
        assert_eq!(gzip(&path("tar"), &diff_id, &path("2")).unwrap(), first);
        let packed = std::fs::read(path("1")).unwrap();
        assert_eq!(first.digest, digest_of(&packed));
        assert_eq!(first.bytes, packed.len() as u64);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, plain);
        std::fs::write(path("tar"), &plain[1..]).unwrap();
        let damaged = gzip(&path("tar"), &diff_id, &path("3"));
        assert!(matches!(damaged, Err(Error::Damaged { .. })));
    }
}
