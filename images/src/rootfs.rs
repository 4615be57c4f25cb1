//! The read-only root disk of an image: the index of its merged tree as EROFS, and behind it the layers as they are.

use crate::entries::{Next, Reader};
use crate::erofs::{self, BLOCK_BYTES, Part};
use crate::layer::{digest_of, read_entries};
use crate::tree::{Tree, TreeError};
use crate::{Error, Image, Store, StoredLayer};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bumped when root file systems are made in another way.
const FORMAT: &str = "erofs-5";

/// What a root disk is put together from. A guest sees the index and the layers, in this order and each in whole
/// blocks of 512 bytes, as one disk; or has each as a disk of its own, which the index knows too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RootDisk {
    /// Hexadecimal; the same for images of the same layers.
    pub id: String,
    pub index: PathBuf,
    /// Without those that have no whole block.
    pub layers: Vec<PathBuf>,
}

/// Why a root cannot be made.
#[derive(Debug)]
pub enum Failure {
    /// The entries kept of this layer cannot be used: they have to be made again.
    Entries {
        layer: usize,
    },
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Merges layers, lowest first, and writes the index of their root file system to `out`.
pub fn make(layers: &[StoredLayer], out: &Path) -> Result<(), Failure> {
    let mut tree = Tree::default();
    let mut parts = Vec::new();
    let mut hash = Sha256::new();
    for (index, layer) in layers.iter().enumerate() {
        let part = Part::of(&layer.tar)?;
        merge(&mut tree, index, layer, part.bytes)?;
        parts.push(part);
        hash.update(&layer.diff_id);
        hash.update("\n");
    }
    // The digests of the layers say all that is in it.
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hash.finalize()[..16]);
    let file = File::create(out).map_err(Error::write(out))?;
    erofs::write(&tree, &parts, uuid, &file, out)?;
    Ok(file.sync_all().map_err(Error::write(out))?)
}

fn merge(tree: &mut Tree, index: usize, layer: &StoredLayer, tar_bytes: u64) -> Result<(), Failure> {
    let unusable = |error: io::Error| {
        tracing::debug!(layer = layer.diff_id, %error, "entries of the layer cannot be used");
        Failure::Entries { layer: index }
    };
    let corrupt = |error: TreeError| Error::Layer {
        layer: layer.diff_id.clone(),
        why: error.to_string(),
    };
    let mut entries = File::open(&layer.entries)
        .and_then(Reader::new)
        .map_err(unusable)?;
    loop {
        match entries.next_entry().map_err(unusable)? {
            Next::Entry(entry) => tree.apply(index, entry).map_err(corrupt)?,
            Next::End(bytes) if bytes == tar_bytes => return Ok(()),
            Next::End(bytes) => {
                return Err(Failure::Other(Error::Damaged {
                    path: layer.tar.clone(),
                    why: format!("it has {tar_bytes} bytes, not {bytes}"),
                }));
            }
        }
    }
}

/// The disk of this index. Each layer must be as long as the index has it: what is behind it would be read from the
/// wrong place.
pub fn disk(id: String, index: PathBuf, layers: &[StoredLayer]) -> Result<RootDisk, Error> {
    let damaged = |path: &Path, why: String| Error::Damaged {
        path: path.to_owned(),
        why,
    };
    let file = File::open(&index).map_err(Error::read(&index))?;
    let told = erofs::parts(&file).map_err(|error| damaged(&index, error.to_string()))?;
    let index_bytes = file.metadata().map_err(Error::read(&index))?.len();
    if index_bytes != u64::from(told.index_blocks) * BLOCK_BYTES {
        return Err(damaged(&index, format!("it has {index_bytes} bytes")));
    }
    let mut parts = Vec::new();
    for layer in layers {
        let part = Part::of(&layer.tar)?;
        if part.blocks() > 0 {
            parts.push(part);
        }
    }
    let blocks = parts.iter().map(Part::blocks);
    if !blocks
        .clone()
        .eq(told.part_blocks.iter().map(|blocks| u64::from(*blocks)))
    {
        let differs = blocks
            .zip(&told.part_blocks)
            .position(|(found, told)| found != u64::from(*told));
        let path = differs.map_or(&index, |at| &parts[at].path);
        return Err(damaged(
            path,
            "its length is not what the image's index says".to_owned(),
        ));
    }
    Ok(RootDisk {
        id,
        index,
        layers: parts.into_iter().map(|part| part.path).collect(),
    })
}

/// What stands for the root file system of these layers, in hexadecimal.
pub fn id(diff_ids: &[String]) -> String {
    let mut key = FORMAT.to_owned();
    for diff_id in diff_ids {
        key.push('\n');
        key.push_str(diff_id);
    }
    digest_of(key.as_bytes())["sha256:".len()..].to_owned()
}

impl Store {
    /// The image's root disk; its index is made if it is not there yet.
    pub async fn rootfs(self: &Arc<Self>, image: &Image) -> Result<RootDisk, Error> {
        let diff_ids = image.configuration.rootfs().diff_ids();
        let id = id(diff_ids);
        let path = self.rootfs_path(&id);
        let layers = diff_ids
            .iter()
            .map(|diff_id| self.stored(diff_id))
            .collect::<Result<Vec<_>, Error>>()?;
        if path.exists() {
            return disk(id, path, &layers);
        }
        let _making = self.making.lock().await;
        if path.exists() {
            return disk(id, path, &layers);
        }
        let store = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            store.replace(store.make_rootfs(&layers)?, &path)?;
            disk(id, path, &layers)
        })
        .await
        .unwrap_or(Err(Error::Interrupted))
    }

    pub(crate) fn make_rootfs(&self, layers: &[StoredLayer]) -> Result<tempfile::TempPath, Error> {
        // Entries that cannot be used are made again, each once.
        let mut again = BTreeSet::new();
        loop {
            let temporary = self.temporary()?;
            match make(layers, &temporary) {
                Ok(()) => return Ok(temporary),
                Err(Failure::Other(error)) => return Err(error),
                Err(Failure::Entries { layer }) => {
                    let layer = &layers[layer];
                    if !again.insert(&layer.diff_id) {
                        return Err(Error::Damaged {
                            path: layer.entries.clone(),
                            why: "it cannot be read although it was just made".to_owned(),
                        });
                    }
                    let entries = self.temporary()?;
                    read_entries(&layer.tar, &entries)?;
                    self.replace(entries, &layer.entries)?;
                }
            }
        }
    }
}
