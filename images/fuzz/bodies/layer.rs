//! A compressed layer on its way into the store. What is not what was announced leaves an error.

use crate::Staged;
use crate::error::Error;
use crate::layer::{Announced, Compression, digest_of, ingest};

pub fn run(bytes: &[u8]) {
    let Some((choice, packed)) = bytes.split_first() else {
        return;
    };
    let compression = match choice % 3 {
        0 => Compression::None,
        1 => Compression::Gzip,
        _ => Compression::Zstd,
    };
    let path = || {
        tempfile::NamedTempFile::new()
            .expect("a temporary file")
            .into_temp_path()
    };
    let to = Staged {
        tar: path(),
        entries: path(),
    };
    let (digest, size) = (digest_of(packed), packed.len() as u64);
    let announced = |bytes, diff_id: &str| Announced {
        digest: digest.clone(),
        bytes,
        diff_id: diff_id.to_owned(),
    };
    // Its own digest is right, so all that is left to be wrong is inside.
    let nothing = announced(size, &digest_of(b""));
    let result = ingest(packed, compression, &nothing, &to);
    if result.is_ok() {
        assert_eq!(std::fs::metadata(&to.tar).expect("the layer").len(), 0);
    }
    if compression == Compression::None {
        // As announced; but it may be no tar.
        match ingest(packed, compression, &announced(size, &digest), &to) {
            Ok(_) => assert_eq!(std::fs::read(&to.tar).expect("the layer"), packed),
            Err(error) => assert!(matches!(error, Error::Layer { .. }), "{error}"),
        }
    }
    assert!(ingest(packed, compression, &announced(size + 1, &digest), &to).is_err());
}
