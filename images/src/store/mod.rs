//! What is kept of images, and where.
//!
//! ```text
//!   references.json     names of images and what they stand for; replaced as a whole
//!   blobs/sha256/HEX    manifests and configs, by digest
//!   layers/HEX.tar      layers, decompressed, by their verified diff_id
//!   forms.json          how layers are transferred, and which repositories have them; may be lost
//!   layers/HEX.entries  what the tar has, for making root file systems; made again when it is missing
//!   rootfs/HEX.erofs    indexes of root file systems, by a hash of the diff_ids they are made of
//!   tmp/                what is on its way; emptied at start
//! ```
//!
//! A file appears under its final name only when it is complete, verified and on disk.

mod remove;

pub use remove::{Removed, User};

use crate::forms::Forms;
use crate::layer::{digest_hex, digest_of};
use crate::pull::Fetches;
use crate::{Error, ImageConfig, Name};
use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct References {
    images: Vec<Record>,
}

/// One image: a config and the names that stand for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    /// Digest of its config.
    id: String,
    /// Digest of its manifest.
    manifest: String,
    /// `repository:tag`, as shown.
    names: Vec<String>,
    /// `repository@digest`, as pulled.
    digests: Vec<String>,
    pulled_at: i64,
}

/// An image of the store.
#[derive(Debug, Clone)]
pub struct Image {
    pub id: String,
    pub manifest: String,
    pub names: Vec<String>,
    pub digests: Vec<String>,
    /// Seconds since the epoch.
    pub pulled_at: i64,
    pub configuration: ImageConfiguration,
    pub config: ImageConfig,
    /// Bytes of its layers, unpacked.
    pub size: u64,
    /// The same of each, from the lowest up.
    pub layer_bytes: Vec<u64>,
}

/// The names that an image gets.
pub(crate) struct Named {
    /// As shown.
    pub tags: Vec<String>,
    /// `repository@digest`, from a registry.
    pub digest: Option<String>,
    /// Seconds since the epoch.
    pub at: i64,
}

impl Named {
    /// By people, not by a registry.
    pub fn given(tags: Vec<String>, at: i64) -> Self {
        Self {
            tags,
            digest: None,
            at,
        }
    }

    /// As it was asked for, and as its registry calls it.
    pub fn pulled(name: &Name, digest: &str, at: i64) -> Self {
        Self {
            tags: name
                .digest()
                .is_none()
                .then(|| name.to_string())
                .into_iter()
                .collect(),
            digest: Some(format!("{}@{digest}", name.repository())),
            at,
        }
    }
}

pub struct Store {
    root: PathBuf,
    references: Mutex<References>,
    /// One root file system is made at a time.
    pub(crate) making: tokio::sync::Mutex<()>,
    /// Files that pulls under way rely on, and how many do: no image names them yet. Who locks this and the references
    /// locks this first.
    pinned: Mutex<BTreeMap<PathBuf, usize>>,
    forms: Mutex<Forms>,
    pub(crate) fetches: Fetches,
}

/// A layer of the store and its files.
pub(crate) struct StoredLayer {
    pub diff_id: String,
    pub tar: PathBuf,
    pub entries: PathBuf,
}

/// The files of a layer on its way into the store, removed unless it gets there.
pub(crate) struct Staged {
    pub tar: tempfile::TempPath,
    pub entries: tempfile::TempPath,
}

/// Keeps files from being collected as garbage until it is dropped, whether they are there yet or not.
pub(crate) struct Pin {
    store: Arc<Store>,
    paths: Vec<PathBuf>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pinned = self.store.pinned();
        for path in &self.paths {
            if let Some(users) = pinned.get_mut(path) {
                *users -= 1;
                if *users == 0 {
                    pinned.remove(path);
                }
            }
        }
    }
}

impl Store {
    pub fn open(root: &Path) -> Result<Arc<Self>, Error> {
        for name in ["blobs/sha256", "layers", "rootfs", "tmp"] {
            let path = root.join(name);
            fs::create_dir_all(&path).map_err(Error::write(&path))?;
        }
        let tmp = root.join("tmp");
        for entry in fs::read_dir(&tmp).map_err(Error::read(&tmp))?.flatten() {
            fs::remove_file(entry.path()).map_err(Error::write(entry.path()))?;
        }
        let path = root.join("references.json");
        let references = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Error::Malformed {
                what: "store",
                name: path.display().to_string(),
                why: error.to_string(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => References::default(),
            Err(error) => return Err(Error::read(path)(error)),
        };
        Ok(Arc::new(Self {
            root: root.to_owned(),
            references: Mutex::new(references),
            making: tokio::sync::Mutex::new(()),
            pinned: Mutex::new(BTreeMap::new()),
            forms: Mutex::new(Forms::read(&root.join("forms.json"))),
            fetches: Fetches::default(),
        }))
    }

    fn references(&self) -> MutexGuard<'_, References> {
        self.references.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pinned(&self) -> MutexGuard<'_, BTreeMap<PathBuf, usize>> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn known_forms(&self) -> MutexGuard<'_, Forms> {
        self.forms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forms_path(&self) -> PathBuf {
        self.root.join("forms.json")
    }

    /// Keeps blobs and layers, by digest and by diff_id.
    pub(crate) fn pin(self: &Arc<Self>, blobs: &[&str], layers: &[String]) -> Result<Pin, Error> {
        let blobs = blobs.iter().map(|digest| self.blob(digest));
        let tars = layers.iter().map(|diff_id| self.layer(diff_id));
        let entries = layers.iter().map(|diff_id| self.entries(diff_id));
        let paths = blobs.chain(tars).chain(entries).collect::<Result<Vec<_>, _>>()?;
        let mut pinned = self.pinned();
        for path in &paths {
            *pinned.entry(path.clone()).or_default() += 1;
        }
        Ok(Pin {
            store: Arc::clone(self),
            paths,
        })
    }

    /// Writes the names as they are now; the change is undone in memory when that fails.
    fn change(&self, change: impl FnOnce(&mut References)) -> Result<(), Error> {
        let mut references = self.references();
        let mut changed = references.clone();
        change(&mut changed);
        let path = self.root.join("references.json");
        let bytes = serde_json::to_vec_pretty(&changed).map_err(|error| Error::write(&path)(error.into()))?;
        self.publish(&bytes, &path)?;
        *references = changed;
        Ok(())
    }

    /// A new file in `tmp`, removed unless it is moved away.
    pub(crate) fn temporary(&self) -> Result<tempfile::TempPath, Error> {
        let tmp = self.root.join("tmp");
        Ok(tempfile::NamedTempFile::new_in(&tmp)
            .map_err(Error::write(&tmp))?
            .into_temp_path())
    }

    /// Writes a file so that it is there whole or not at all.
    pub(crate) fn publish(&self, bytes: &[u8], to: &Path) -> Result<(), Error> {
        let path = self.temporary()?;
        let mut file = File::create(&path).map_err(Error::write(&*path))?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(Error::write(&*path))?;
        self.replace(path, to)
    }

    /// Moves a file that is complete to where it belongs.
    pub(crate) fn replace(&self, from: tempfile::TempPath, to: &Path) -> Result<(), Error> {
        from.persist(to).map_err(|error| Error::write(to)(error.error))?;
        sync_parent(to)
    }

    pub(crate) fn blob(&self, digest: &str) -> Result<PathBuf, Error> {
        Ok(self.root.join("blobs/sha256").join(digest_hex(digest)?))
    }

    pub(crate) fn put_blob(&self, digest: &str, bytes: &[u8]) -> Result<(), Error> {
        self.publish(bytes, &self.blob(digest)?)
    }

    pub(crate) fn layer(&self, diff_id: &str) -> Result<PathBuf, Error> {
        Ok(self
            .root
            .join("layers")
            .join(format!("{}.tar", digest_hex(diff_id)?)))
    }

    pub(crate) fn rootfs_path(&self, id: &str) -> PathBuf {
        self.root.join("rootfs").join(format!("{id}.erofs"))
    }

    fn entries(&self, diff_id: &str) -> Result<PathBuf, Error> {
        Ok(self.layer(diff_id)?.with_extension("entries"))
    }

    pub(crate) fn stored(&self, diff_id: &str) -> Result<StoredLayer, Error> {
        Ok(StoredLayer {
            diff_id: diff_id.to_owned(),
            tar: self.layer(diff_id)?,
            entries: self.entries(diff_id)?,
        })
    }

    pub(crate) fn stage(&self) -> Result<Staged, Error> {
        Ok(Staged {
            tar: self.temporary()?,
            entries: self.temporary()?,
        })
    }

    /// The tar last: it is what tells that the layer is there. One that is there by now stays: guests may have it open.
    pub(crate) fn put_layer(&self, diff_id: &str, from: Staged) -> Result<(), Error> {
        if self.layer(diff_id)?.exists() {
            return Ok(());
        }
        for (from, to) in [
            (from.entries, self.entries(diff_id)?),
            (from.tar, self.layer(diff_id)?),
        ] {
            from.persist(&to)
                .map_err(|error| Error::write(&to)(error.error))?;
        }
        sync_parent(&self.layer(diff_id)?)
    }

    /// Gives names to an image whose blobs and layers are there; whatever had them before loses them.
    pub(crate) fn register(&self, id: &str, manifest: &str, named: Named) -> Result<(), Error> {
        self.change(|references| {
            for image in &mut references.images {
                image.names.retain(|known| !named.tags.contains(known));
            }
            let position = references
                .images
                .iter()
                .position(|image| image.id == id)
                .unwrap_or_else(|| {
                    references.images.push(Record {
                        id: id.to_owned(),
                        manifest: manifest.to_owned(),
                        names: Vec::new(),
                        digests: Vec::new(),
                        pulled_at: named.at,
                    });
                    references.images.len() - 1
                });
            let image = &mut references.images[position];
            manifest.clone_into(&mut image.manifest);
            image.names.extend(named.tags);
            image
                .digests
                .extend(named.digest.filter(|digest| !image.digests.contains(digest)));
        })
    }

    /// Notes what a registry calls an image, unless that is gone.
    pub(crate) fn add_digest(&self, id: &str, digest: &str) -> Result<(), Error> {
        self.change(|references| {
            for image in &mut references.images {
                if image.id == id && !image.digests.iter().any(|known| known == digest) {
                    image.digests.push(digest.to_owned());
                }
            }
        })
    }

    /// All images, the newest first. One whose files were damaged is left out, so that it hides no other: pulling it
    /// again mends it.
    pub fn list(&self) -> Result<Vec<Image>, Error> {
        let mut records = self.references().images.clone();
        records.sort_by_key(|record| std::cmp::Reverse(record.pulled_at));
        let mut images = Vec::new();
        for record in records {
            let id = record.id.clone();
            match self.load(record) {
                Ok(image) => images.push(image),
                Err(error) => tracing::warn!(image = id, %error, "image is damaged: pull it again"),
            }
        }
        Ok(images)
    }

    /// A manifest or config as it was put there.
    pub fn document(&self, digest: &str) -> Result<Vec<u8>, Error> {
        let path = self.blob(digest)?;
        let bytes = fs::read(&path).map_err(Error::read(&path))?;
        match digest_of(&bytes) == digest {
            true => Ok(bytes),
            false => Err(Error::altered(path)),
        }
    }

    fn configuration(&self, id: &str) -> Result<ImageConfiguration, Error> {
        parse_configuration(&self.document(id)?, id)
    }

    fn load(&self, record: Record) -> Result<Image, Error> {
        let (configuration, config) = ImageConfig::parse(&self.document(&record.id)?, &record.id)?;
        let mut layer_bytes = Vec::new();
        for diff_id in configuration.rootfs().diff_ids() {
            let path = self.layer(diff_id)?;
            layer_bytes.push(fs::metadata(&path).map_err(Error::read(&path))?.len());
        }
        Ok(Image {
            config,
            configuration,
            id: record.id,
            manifest: record.manifest,
            names: record.names,
            digests: record.digests,
            pulled_at: record.pulled_at,
            size: layer_bytes.iter().sum(),
            layer_bytes,
        })
    }

    /// The image of a name, a digest, or an id or its beginning.
    pub fn find(&self, text: &str) -> Result<Image, Error> {
        self.load(self.find_record(text)?)
    }

    fn find_record(&self, text: &str) -> Result<Record, Error> {
        let not_found = || Error::NotFound(text.chars().take(200).collect());
        let records = self.references().images.clone();
        if let Ok(name) = text.parse::<Name>() {
            let shown = name.to_string();
            if let Some(record) = records
                .iter()
                .find(|image| image.names.contains(&shown) || image.digests.contains(&shown))
            {
                return Ok(record.clone());
            }
        }
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.len() < 4 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(not_found());
        }
        let mut matching = records
            .into_iter()
            .filter(|image| image.id["sha256:".len()..].starts_with(hex));
        match (matching.next(), matching.next()) {
            (Some(record), None) => Ok(record),
            _ => Err(not_found()),
        }
    }

    /// Id, manifest and names of all images, or of one, also of those whose files are damaged.
    pub(crate) fn known(&self, text: Option<&str>) -> Result<Vec<(String, String, Vec<String>)>, Error> {
        let records = match text {
            None => self.references().images.clone(),
            Some(text) => vec![self.find_record(text)?],
        };
        let names = |record: Record| match record.names.is_empty() {
            true => (record.id, record.manifest, record.digests),
            false => (record.id, record.manifest, record.names),
        };
        Ok(records.into_iter().map(names).collect())
    }

    /// Gives an image one more name.
    pub fn tag(&self, image: &str, name: &Name) -> Result<(), Error> {
        let id = self.find(image)?.id;
        let shown = name.to_string();
        if name.digest().is_some() {
            return Err(reference::Error::format(&shown).into());
        }
        self.change(|references| {
            for image in &mut references.images {
                image.names.retain(|known| *known != shown);
                if image.id == id {
                    image.names.push(shown.clone());
                }
            }
        })
    }
}

/// Makes what was renamed to `path` last.
fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(path);
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::write(parent))
}

pub fn parse_configuration(bytes: &[u8], name: &str) -> Result<ImageConfiguration, Error> {
    ImageConfig::parse(bytes, name).map(|(configuration, _)| configuration)
}

#[cfg(test)]
mod tests;
