//! The read-only root file system of an image: its merged tree as EROFS.

use crate::Error;
use crate::erofs::{self, Part};
use crate::tree::Tree;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Of a tar while its headers are read; what is stepped over is not.
const BUFFER_BYTES: usize = 64 << 10;

/// Merges layers, lowest first, and writes their root file system to `out`.
pub fn make(layers: &[(String, PathBuf)], out: &Path) -> Result<(), Error> {
    let mut tree = Tree::default();
    let mut parts = Vec::new();
    let mut hash = Sha256::new();
    for (index, (diff_id, path)) in layers.iter().enumerate() {
        let part = Part::open(path)?;
        tree.apply(index, BufReader::with_capacity(BUFFER_BYTES, &part.file))
            .map_err(|error| Error::Layer {
                layer: diff_id.clone(),
                why: error.to_string(),
            })?;
        parts.push(part);
        hash.update(diff_id);
        hash.update("\n");
    }
    // The digests of the layers say all that is in it.
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hash.finalize()[..16]);
    let file = File::create(out).map_err(Error::write(out))?;
    erofs::write(&tree, &parts, uuid, &file, out)?;
    file.sync_all().map_err(Error::write(out))
}
