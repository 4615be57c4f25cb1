//! One layer on its way into the store: two digests, decompression and writing in a single pass.

use crate::Error;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

/// A layer that would be larger than this unpacked is refused.
pub const MAX_LAYER_BYTES: u64 = 64 << 30;
/// What a compressed byte may become: zstd's and gzip's best on real files is far below, bombs are far above.
pub const MAX_EXPANSION: u64 = 1100;

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

/// Reads a compressed layer and writes it decompressed to `to`. Both digests must be what was announced.
pub fn ingest(
    compressed: impl Read,
    compression: Compression,
    announced: Option<&Announced>,
    to: &Path,
) -> Result<Ingested, Error> {
    let mut source = Hashed::new(compressed);
    let name = announced.map_or("of the stream", |announced| &announced.digest);
    let corrupt = |error: io::Error| Error::Layer {
        layer: name.to_owned(),
        why: error.to_string(),
    };
    let file = File::create(to).map_err(Error::write(to))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let mut hash = Sha256::new();
    let expansion = |announced: &Announced| announced.bytes.saturating_mul(MAX_EXPANSION).max(1 << 20);
    let limit = announced.map_or(MAX_LAYER_BYTES, |announced| {
        MAX_LAYER_BYTES.min(expansion(announced))
    });
    let mut total = 0_u64;
    {
        let mut decompressed: Box<dyn Read + '_> = match compression {
            Compression::None => Box::new(&mut source),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(&mut source)),
            Compression::Zstd => Box::new(zstd::Decoder::new(&mut source).map_err(corrupt)?),
        };
        let mut buffer = vec![0; 256 << 10];
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
                    what: format!("layer {name}"),
                    limit: format!("{limit} bytes"),
                });
            }
            hash.update(&buffer[..length]);
            writer.write_all(&buffer[..length]).map_err(Error::write(to))?;
        }
    }
    // What stands behind the compressed stream belongs to the digest too.
    io::copy(&mut source, &mut io::sink()).map_err(corrupt)?;
    let diff_id = hex(hash.finalize().as_slice());
    if let Some(announced) = announced {
        check(announced, source, &diff_id)?;
    }
    let file = writer
        .into_inner()
        .map_err(|error| Error::write(to)(error.into_error()))?;
    file.sync_data().map_err(Error::write(to))?;
    Ok(Ingested {
        diff_id,
        bytes: total,
    })
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
        let announced = Announced {
            digest: digest.to_owned(),
            bytes,
            diff_id: diff.to_owned(),
        };
        ingest(packed, compression, Some(&announced), &to).map(|_| std::fs::read(&to).unwrap())
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
