//! Checks that what the store holds is still what its digests say, and what was made of it what would be made again.

use crate::layer::{self, hex};
use crate::store::parse_configuration;
use crate::{Error, Store, StoredLayer, entries, rootfs};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// What was found of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub id: String,
    /// As given to it; those of its digests when it has no other.
    pub names: Vec<String>,
    /// Read and hashed; a layer that images share counts for each.
    pub bytes: u64,
    /// One sentence for each manifest, config or layer that is not what it should be.
    pub damage: Vec<String>,
    /// The same for each file made from layers that was not what they make; it is now. Guests that run keep the old.
    pub repaired: Vec<String>,
}

/// How a file differs from its digest, and its length.
type Finding = (Option<String>, u64);

impl Store {
    /// Reads manifests, configs and layers of all images, or of the one that `text` names, and compares their digests.
    /// The entries of layers and the indexes of root file systems have none: they are made again and compared.
    pub fn verify(self: &Arc<Self>, text: Option<&str>) -> Result<Vec<Verified>, Error> {
        let mut seen = BTreeMap::new();
        let mut verified = Vec::new();
        for (id, manifest, names) in self.known(text)? {
            verified.push(self.verify_image(&mut seen, id, &manifest, names)?);
        }
        Ok(verified)
    }

    fn verify_image(
        self: &Arc<Self>,
        seen: &mut BTreeMap<String, Finding>,
        id: String,
        manifest: &str,
        names: Vec<String>,
    ) -> Result<Verified, Error> {
        let config = fs::read(self.blob(&id)?)
            .map_err(Error::read(self.blob(&id)?))
            .and_then(|bytes| parse_configuration(&bytes, &id));
        let layers = match &config {
            Ok(configuration) => configuration.rootfs().diff_ids().clone(),
            // Which layers it has is not known; what is wrong is told of the config itself.
            Err(_) => Vec::new(),
        };
        // A removal meanwhile takes none of them away.
        let _pin = self.pin(&[&id, manifest], &layers)?;
        let mut files = vec![
            ("manifest", manifest.to_owned(), self.blob(manifest)?),
            ("config", id.clone(), self.blob(&id)?),
        ];
        for layer in &layers {
            files.push(("layer", layer.clone(), self.layer(layer)?));
        }
        let (mut bytes, mut damage) = (0, Vec::new());
        for (kind, digest, path) in files {
            if !seen.contains_key(&digest) {
                seen.insert(digest.clone(), check(&digest, &path)?);
            }
            let (wrong, length) = &seen[&digest];
            bytes += length;
            damage.extend(wrong.as_ref().map(|wrong| format!("{kind} {digest} {wrong}")));
        }
        if damage.is_empty()
            && let Err(error) = config
        {
            damage.push(error.to_string());
        }
        let mut repaired = Vec::new();
        if damage.is_empty() {
            match self.verify_derived(seen, &layers) {
                Ok(found) => repaired = found,
                Err(error) => damage.push(error.to_string()),
            }
        }
        Ok(Verified {
            id,
            names,
            bytes,
            damage,
            repaired,
        })
    }

    /// Checks what is made from these layers, which are whole. What is missing is made when it is needed.
    fn verify_derived(
        &self,
        seen: &mut BTreeMap<String, Finding>,
        diff_ids: &[String],
    ) -> Result<Vec<String>, Error> {
        let layers = diff_ids.iter().map(|diff_id| self.stored(diff_id));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let mut repaired = Vec::new();
        for layer in &layers {
            let key = layer.entries.display().to_string();
            if !seen.contains_key(&key) {
                let wrong = self.verify_entries(layer)?;
                seen.insert(key.clone(), (wrong, 0));
            }
            repaired.extend(seen[&key].0.clone());
        }
        let index = self.rootfs_path(&rootfs::id(diff_ids));
        let key = index.display().to_string();
        if !seen.contains_key(&key) {
            let wrong = self.verify_index(&index, &layers)?;
            seen.insert(key.clone(), (wrong, 0));
        }
        repaired.extend(seen[&key].0.clone());
        Ok(repaired)
    }

    fn verify_entries(&self, layer: &StoredLayer) -> Result<Option<String>, Error> {
        if !layer.entries.exists() {
            return Ok(None);
        }
        let again = self.temporary()?;
        layer::read_entries(&layer.tar, &again)?;
        let made = File::open(&again).map_err(Error::read(&*again))?;
        if File::open(&layer.entries).is_ok_and(|found| entries::same(found, made)) {
            return Ok(None);
        }
        self.replace(again, &layer.entries)?;
        Ok(Some(format!(
            "the entries of layer {} were damaged: made again",
            layer.diff_id
        )))
    }

    fn verify_index(&self, index: &Path, layers: &[StoredLayer]) -> Result<Option<String>, Error> {
        if !index.exists() {
            return Ok(None);
        }
        let made = self.make_rootfs(layers)?;
        let same = hash(&made).map_err(Error::read(&*made))?;
        if hash(index).is_ok_and(|found| found == same) {
            return Ok(None);
        }
        self.replace(made, index)?;
        Ok(Some(format!(
            "the index {} was damaged: made again",
            index.display()
        )))
    }
}

fn check(digest: &str, path: &Path) -> Result<Finding, Error> {
    match hash(path) {
        Ok((found, length)) if found == digest => Ok((None, length)),
        Ok((found, length)) => Ok((Some(format!("now has the digest {found}")), length)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Some("is missing".to_owned()), 0)),
        // A disk that fails says so here.
        Err(error) => Ok((Some(format!("cannot be read: {error}")), 0)),
    }
}

fn hash(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hex(hash.finalize().as_slice()), length));
        }
        hash.update(&buffer[..read]);
        length += read as u64;
    }
}
