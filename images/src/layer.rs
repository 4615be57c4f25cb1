//! One layer on its way into the store: two digests, decompression and writing in a single pass.

use crate::Error;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

/// A layer that would be larger than this unpacked is refused.
pub const MAX_LAYER_BYTES: u64 = 64 << 30;
/// What a compressed byte may become: zstd's and gzip's best on real files is far below, bombs are far above.
const MAX_EXPANSION: u64 = 1100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    pub fn of(media_type: &str) -> Result<Self, Error> {
        match media_type {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar" => Ok(Self::None),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" => Ok(Self::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd" => Ok(Self::Zstd),
            other => Err(Error::MediaType(other.chars().take(120).collect())),
        }
    }
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
struct Hashed<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(to)?;
        self.hash.update(&to[..length]);
        self.bytes += length as u64;
        Ok(length)
    }
}

/// Reads a compressed layer and writes it decompressed to `to`. Both digests must be what was announced.
pub fn ingest(
    compressed: impl Read,
    compression: Compression,
    expected_digest: &str,
    expected_bytes: u64,
    diff_id: &str,
    to: &Path,
) -> Result<(), Error> {
    let mut source = Hashed {
        inner: compressed,
        hash: Sha256::new(),
        bytes: 0,
    };
    let corrupt = |error: io::Error| Error::Layer {
        layer: expected_digest.to_owned(),
        why: error.to_string(),
    };
    let file = File::create(to).map_err(Error::write(to))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let mut hash = Sha256::new();
    let limit = MAX_LAYER_BYTES.min(expected_bytes.saturating_mul(MAX_EXPANSION).max(1 << 20));
    {
        let mut decompressed: Box<dyn Read + '_> = match compression {
            Compression::None => Box::new(&mut source),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(&mut source)),
            Compression::Zstd => Box::new(zstd::Decoder::new(&mut source).map_err(corrupt)?),
        };
        let mut buffer = vec![0; 256 << 10];
        let mut total = 0_u64;
        loop {
            let length = match decompressed.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(corrupt(error)),
            };
            total += length as u64;
            if total > limit {
                return Err(Error::Limit {
                    what: format!("layer {expected_digest}"),
                    limit: format!("{limit} bytes"),
                });
            }
            hash.update(&buffer[..length]);
            writer.write_all(&buffer[..length]).map_err(Error::write(to))?;
        }
    }
    // What stands behind the compressed stream belongs to the digest too.
    io::copy(&mut source, &mut io::sink()).map_err(corrupt)?;
    if source.bytes != expected_bytes {
        return Err(Error::Size {
            what: format!("layer {expected_digest}"),
            expected: expected_bytes,
            found: source.bytes,
        });
    }
    let found = hex(source.hash.finalize().as_slice());
    if found != expected_digest {
        return Err(Error::Digest {
            what: "layer".to_owned(),
            expected: expected_digest.to_owned(),
            found,
        });
    }
    let found = hex(hash.finalize().as_slice());
    if found != diff_id {
        return Err(Error::Digest {
            what: "unpacked layer".to_owned(),
            expected: diff_id.to_owned(),
            found,
        });
    }
    let file = writer
        .into_inner()
        .map_err(|error| Error::write(to)(error.into_error()))?;
    file.sync_data().map_err(Error::write(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn try_ingest(
        packed: &[u8],
        compression: Compression,
        digest: &str,
        bytes: u64,
        diff: &str,
    ) -> Result<Vec<u8>, Error> {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("layer");
        ingest(packed, compression, digest, bytes, diff, &to).map(|()| std::fs::read(&to).unwrap())
    }

    #[test]
    fn both_digests_are_verified() {
        let plain = b"some layer".repeat(1000);
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
    fn digests_are_safe_file_names() {
        assert!(digest_hex(&digest_of(b"x")).is_ok());
        for bad in ["sha256:../../x", "sha512:00", "", "sha256:ABCDEF"] {
            assert!(digest_hex(bad).is_err(), "{bad}");
        }
    }
}
