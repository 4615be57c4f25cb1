//! One layer on its way into the store: decompression, two digests, writing and reading of its entries in a single pass.

use crate::entries::{self, Failure};
use crate::manifest::{DOCKER_GZIP, DOCKER_TAR, FOREIGN_GZIP, FOREIGN_TAR, OCI_GZIP, OCI_TAR, OCI_ZSTD};
use crate::tree::TreeError;
use crate::{Error, Staged};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// A layer that would be larger than this unpacked is refused.
pub const MAX_LAYER_BYTES: u64 = 64 << 30;
/// What a compressed byte may become: zstd's and gzip's best on real files is far below, bombs are far above.
pub const MAX_EXPANSION: u64 = 1100;
/// Decompressed, hashed and written at a time: it stays in the processor's cache meanwhile.
const CHUNK_BYTES: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    pub fn of(media_type: &str) -> Result<Self, Error> {
        match media_type {
            OCI_TAR | DOCKER_TAR | FOREIGN_TAR => Ok(Self::None),
            OCI_GZIP | DOCKER_GZIP | FOREIGN_GZIP => Ok(Self::Gzip),
            OCI_ZSTD => Ok(Self::Zstd),
            other => Err(Error::MediaType(other.chars().take(120).collect())),
        }
    }

    /// As the first bytes of a stream tell.
    pub fn of_stream(magic: &[u8]) -> Result<Self, Error> {
        Ok(match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'B', b'Z', b'h', ..] => return Err(Error::MediaType("bzip2".to_owned())),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => return Err(Error::MediaType("xz".to_owned())),
            _ => Self::None,
        })
    }
}

/// What is said of a layer before it comes.
#[derive(Debug, Clone)]
pub struct Announced {
    /// Of the layer as it is transferred, and its length.
    pub digest: String,
    pub bytes: u64,
    pub diff_id: String,
}

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingested {
    pub diff_id: String,
    /// Unpacked.
    pub bytes: u64,
}

pub fn digest_of(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).as_slice())
}

pub(crate) fn hex(digest: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in digest {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// The hexadecimal part of a sha256 digest; anything else is refused, so it is safe as a file name.
pub fn digest_hex(digest: &str) -> Result<&str, Error> {
    digest
        .strip_prefix("sha256:")
        .filter(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
        .ok_or_else(|| Error::Malformed {
            what: "digest",
            name: digest.chars().take(80).collect(),
            why: "only sha256 is supported".to_owned(),
        })
}

/// Hashes and counts what is read through it.
pub(crate) struct Hashed<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R> Hashed<R> {
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    pub fn digest(self) -> String {
        hex(self.hash.finalize().as_slice())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(to)?;
        self.hash.update(&to[..length]);
        self.bytes += length as u64;
        Ok(length)
    }
}

/// What comes out of decompression: hashed and written as it is read.
struct Unpacked<'a, R> {
    from: R,
    chunk: Vec<u8>,
    /// What of the chunk is filled, and what of it was consumed.
    filled: usize,
    consumed: usize,
    hash: Sha256,
    bytes: u64,
    limit: u64,
    name: &'a str,
    file: File,
    path: &'a Path,
    /// Not when it is only read to see whether it is what was announced.
    is_kept: bool,
    /// Why no more was read, while whoever reads was told of an I/O error only.
    failed: Option<Error>,
}

impl<R: Read> Unpacked<'_, R> {
    /// Gets the next chunk; an empty one is the end.
    fn advance(&mut self) -> Result<(), Error> {
        (self.filled, self.consumed) = (0, 0);
        let length = loop {
            match self.from.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(|error| corrupt(self.name, error.to_string()))?,
            }
        };
        self.bytes += length as u64;
        if self.bytes > self.limit {
            return Err(Error::Limit {
                what: format!("layer {}", self.name),
                limit: format!("{} bytes", self.limit),
            });
        }
        self.hash.update(&self.chunk[..length]);
        if self.is_kept {
            self.file
                .write_all(&self.chunk[..length])
                .map_err(Error::write(self.path))?;
        }
        self.filled = length;
        Ok(())
    }

    /// Reads what is left.
    fn drain(&mut self) -> Result<(), Error> {
        match self.failed.take() {
            Some(error) => return Err(error),
            None => self.advance()?,
        }
        while self.filled > 0 {
            self.advance()?;
        }
        Ok(())
    }
}

impl<R: Read> Read for Unpacked<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(to)?;
        self.consume(length);
        Ok(length)
    }
}

impl<R: Read> BufRead for Unpacked<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.consumed == self.filled
            && let Err(error) = self.advance()
        {
            self.failed = Some(error);
            return Err(io::Error::other("the layer cannot be read"));
        }
        Ok(&self.chunk[self.consumed..self.filled])
    }

    fn consume(&mut self, length: usize) {
        self.consumed += length;
    }
}

fn corrupt(layer: &str, why: String) -> Error {
    Error::Layer {
        layer: layer.to_owned(),
        why,
    }
}

/// Unpacks gzip. Much is read at a time, since each end of what was read costs inflate a copy of its window.
pub(crate) fn gunzip<R: Read>(from: R) -> MultiGzDecoder<BufReader<R>> {
    MultiGzDecoder::new(BufReader::with_capacity(CHUNK_BYTES, from))
}

/// Reads a compressed layer and stages it decompressed. Both digests must be what was announced, and its tar one that
/// can be read.
pub fn ingest(
    compressed: impl Read,
    compression: Compression,
    announced: &Announced,
    to: &Staged,
) -> Result<Ingested, Error> {
    let mut source = Hashed::new(compressed);
    let name = &announced.digest;
    let failed = |error: io::Error| corrupt(name, error.to_string());
    let expansion = announced.bytes.saturating_mul(MAX_EXPANSION).max(1 << 20);
    let decompressed: Box<dyn Read + '_> = match compression {
        Compression::None => Box::new(&mut source),
        Compression::Gzip => Box::new(gunzip(&mut source)),
        Compression::Zstd => Box::new(zstd::Decoder::new(&mut source).map_err(failed)?),
    };
    let written = stage(decompressed, MAX_LAYER_BYTES.min(expansion), name, true, to)?;
    // What stands behind the compressed stream belongs to the digest too.
    io::copy(&mut source, &mut io::sink()).map_err(failed)?;
    check(announced, source, &written.diff_id)?;
    written.finish(name, to)
}

/// Stages the tar of a layer of which nothing is known.
pub fn ingest_tar(tar: impl Read, to: &Staged) -> Result<Ingested, Error> {
    let name = "of the stream";
    stage(tar, MAX_LAYER_BYTES, name, false, to)?.finish(name, to)
}

/// A layer that was written and read to its end.
struct Written {
    file: File,
    diff_id: String,
    bytes: u64,
    /// Or why it is no tar that can be read: whether it is the one that was announced says whose fault that is.
    entries: Result<EntriesWriter, TreeError>,
}

impl Written {
    fn finish(self, name: &str, to: &Staged) -> Result<Ingested, Error> {
        let writer = self.entries.map_err(|error| corrupt(name, error.to_string()))?;
        finish(writer, self.bytes, &to.entries)?;
        self.file.sync_data().map_err(Error::write(&*to.tar))?;
        Ok(Ingested {
            diff_id: self.diff_id,
            bytes: self.bytes,
        })
    }
}

fn stage(
    decompressed: impl Read,
    limit: u64,
    name: &str,
    is_announced: bool,
    to: &Staged,
) -> Result<Written, Error> {
    let mut tar = Unpacked {
        from: decompressed,
        chunk: vec![0; CHUNK_BYTES],
        filled: 0,
        consumed: 0,
        hash: Sha256::new(),
        bytes: 0,
        limit,
        name,
        file: File::create(&to.tar).map_err(Error::write(&*to.tar))?,
        path: &to.tar,
        is_kept: true,
        failed: None,
    };
    let entries = match write_entries(&mut tar, &to.entries) {
        Ok(writer) => Ok(writer),
        Err(Failure::Tar(error)) if is_announced || tar.failed.is_some() => Err(error),
        // There is no more to be found out about it.
        Err(Failure::Tar(error)) => return Err(corrupt(name, error.to_string())),
        Err(Failure::Write(error)) => return Err(Error::write(&*to.entries)(error)),
    };
    tar.is_kept = entries.is_ok();
    tar.drain()?;
    Ok(Written {
        diff_id: hex(tar.hash.finalize().as_slice()),
        file: tar.file,
        bytes: tar.bytes,
        entries,
    })
}

type EntriesWriter = entries::Writer<BufWriter<File>>;

fn write_entries(tar: &mut impl BufRead, to: &Path) -> Result<EntriesWriter, Failure> {
    let mut writer = File::create(to)
        .and_then(|file| entries::Writer::new(BufWriter::new(file)))
        .map_err(Failure::Write)?;
    entries::copy(tar, &mut writer)?;
    Ok(writer)
}

/// Makes the entries of a layer of the store again.
pub fn read_entries(tar: &Path, to: &Path) -> Result<(), Error> {
    let file = File::open(tar).map_err(Error::read(tar))?;
    let bytes = file.metadata().map_err(Error::read(tar))?.len();
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, file);
    let writer = write_entries(&mut reader, to).map_err(|failure| match failure {
        Failure::Tar(error) => corrupt(&tar.display().to_string(), error.to_string()),
        Failure::Write(error) => Error::write(to)(error),
    })?;
    finish(writer, bytes, to)
}

fn finish(writer: EntriesWriter, tar_bytes: u64, to: &Path) -> Result<(), Error> {
    writer
        .finish(tar_bytes)
        .and_then(|writer| writer.into_inner().map_err(io::IntoInnerError::into_error))
        .and_then(|file| file.sync_data())
        .map_err(Error::write(to))
}

fn check<R>(announced: &Announced, source: Hashed<R>, diff_id: &str) -> Result<(), Error> {
    if source.bytes != announced.bytes {
        return Err(Error::Size {
            what: format!("layer {}", announced.digest),
            expected: announced.bytes,
            found: source.bytes,
        });
    }
    let same = |what: &str, expected: &str, found: &str| match expected == found {
        true => Ok(()),
        false => Err(Error::Digest {
            what: what.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }),
    };
    let found = source.digest();
    same("layer", &announced.digest, &found)?;
    same("unpacked layer", &announced.diff_id, diff_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tests::member;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A staged layer in a folder of its own.
    fn staged() -> Staged {
        let path = || tempfile::NamedTempFile::new().unwrap().into_temp_path();
        Staged {
            tar: path(),
            entries: path(),
        }
    }

    fn try_ingest(
        packed: &[u8],
        compression: Compression,
        digest: &str,
        bytes: u64,
        diff: &str,
    ) -> Result<Vec<u8>, Error> {
        let to = staged();
        let announced = Announced {
            digest: digest.to_owned(),
            bytes,
            diff_id: diff.to_owned(),
        };
        ingest(packed, compression, &announced, &to).map(|_| std::fs::read(&to.tar).unwrap())
    }

    #[test]
    fn both_digests_are_verified() {
        let plain = [
            member(b"file", b'0', &b"some layer".repeat(100_000), b""),
            vec![0; 1024],
            b"behind its end".to_vec(),
        ]
        .concat();
        for (packed, compression) in [
            (gzip(&plain), Compression::Gzip),
            (zstd::encode_all(&plain[..], 3).unwrap(), Compression::Zstd),
            (plain.clone(), Compression::None),
        ] {
            let (digest, diff, size) = (digest_of(&packed), digest_of(&plain), packed.len() as u64);
            assert_eq!(
                try_ingest(&packed, compression, &digest, size, &diff).unwrap(),
                plain
            );
            let wrong = digest_of(b"other");
            assert!(matches!(
                try_ingest(&packed, compression, &wrong, size, &diff),
                Err(Error::Digest { .. })
            ));
            assert!(matches!(
                try_ingest(&packed, compression, &digest, size, &wrong),
                Err(Error::Digest { .. })
            ));
            assert!(matches!(
                try_ingest(&packed, compression, &digest, size + 1, &diff),
                Err(Error::Size { .. })
            ));
            let cut = &packed[..packed.len() - 5];
            assert!(try_ingest(cut, compression, &digest, size, &diff).is_err());
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = zstd::encode_all(io::repeat(0).take(200 << 20), 19).unwrap();
        let result = try_ingest(
            &bomb,
            Compression::Zstd,
            &digest_of(&bomb),
            bomb.len() as u64,
            &digest_of(b""),
        );
        assert!(matches!(result, Err(Error::Limit { .. })), "{result:?}");
    }

    #[test]
    fn what_is_no_tar_is_refused_and_a_wrong_digest_told_first() {
        let plain = b"no tar".repeat(1000);
        let (digest, size) = (digest_of(&plain), plain.len() as u64);
        let result = try_ingest(&plain, Compression::None, &digest, size, &digest);
        assert!(matches!(result, Err(Error::Layer { .. })), "{result:?}");
        let wrong = digest_of(b"other");
        let result = try_ingest(&plain, Compression::None, &wrong, size, &wrong);
        assert!(matches!(result, Err(Error::Digest { .. })), "{result:?}");
    }

    #[test]
    fn digests_are_safe_file_names() {
        assert!(digest_hex(&digest_of(b"x")).is_ok());
        for bad in ["sha256:../../x", "sha512:00", "", "sha256:ABCDEF"] {
            assert!(digest_hex(bad).is_err(), "{bad}");
        }
    }
}
