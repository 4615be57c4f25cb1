//! Checks that what the store holds is still what its digests say.

use crate::layer::hex;
use crate::store::parse_configuration;
use crate::{Error, Store};
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
}

/// How a file differs from its digest, and its length.
type Finding = (Option<String>, u64);

impl Store {
    /// Reads manifests, configs and layers of all images, or of the one that `text` names, and compares their digests.
    /// The root file systems are made from the layers and have no digest of their own.
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
        Ok(Verified {
            id,
            names,
            bytes,
            damage,
        })
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
