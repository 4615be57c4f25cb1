//! Removing images by docker's rules (`daemon/images/image_delete.go`), and the files that no image has any more.

use super::{Record, Store};
use crate::rootfs;
use crate::{Error, Name};
use std::collections::BTreeSet;
use std::fs;

/// What a removal did, in docker's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    Untagged(String),
    Deleted(String),
}

/// A container that uses an image.
#[derive(Debug, Clone)]
pub struct User {
    pub container: String,
    pub is_running: bool,
}

impl Store {
    /// Removes a name or a digest, and the image with its last one, damaged or not. By its id all of them go. `used`
    /// says who uses an image: with `force` it loses its names all the same, and stays for them.
    pub fn remove(
        &self,
        text: &str,
        force: bool,
        used: impl FnOnce(&str) -> Vec<User>,
    ) -> Result<Vec<Removed>, Error> {
        let image = self.find_record(text)?;
        let users = used(&image.id);
        let shown = text
            .parse::<Name>()
            .map(|name| name.to_string())
            .unwrap_or_default();
        let gone = match references(&image).any(|reference| *reference == shown) {
            true => {
                check_reference(&image, text, force, &users)?;
                with_reference(&image, &shown)
            }
            false => {
                check_id(&image, force, &users)?;
                references(&image).cloned().collect()
            }
        };
        let mut is_deleted = false;
        self.change(|known| {
            known.images.retain_mut(|record| {
                if record.id != image.id {
                    return true;
                }
                record.names.retain(|name| !gone.contains(name));
                record.digests.retain(|digest| !gone.contains(digest));
                // It may have got another name meanwhile.
                is_deleted = users.is_empty() && references(record).next().is_none();
                !is_deleted
            });
        })?;
        let mut removed: Vec<_> = gone.into_iter().map(Removed::Untagged).collect();
        if is_deleted {
            removed.push(Removed::Deleted(image.id));
            removed.extend(self.collect_garbage()?.into_iter().map(Removed::Deleted));
        }
        Ok(removed)
    }

    /// Removes an image that no container uses, if it still has no name (or `named_too`) and is not on its way into or
    /// out of the store; gives nothing when it stays.
    pub fn prune(&self, id: &str, named_too: bool) -> Result<Vec<Removed>, Error> {
        let config = self.blob(id)?;
        let mut pruned = None;
        {
            // Whoever makes an image keeps it pinned until it has its names.
            let pinned = self.pinned();
            if pinned.contains_key(&config) {
                return Ok(Vec::new());
            }
            self.change(|known| {
                let goes = |record: &Record| record.id == id && (named_too || record.names.is_empty());
                let position = known.images.iter().position(goes);
                pruned = position.map(|position| known.images.remove(position));
            })?;
        }
        let Some(image) = pruned else {
            return Ok(Vec::new());
        };
        let names = references(&image).cloned().map(Removed::Untagged);
        let mut removed: Vec<_> = names.collect();
        removed.push(Removed::Deleted(image.id));
        removed.extend(self.collect_garbage()?.into_iter().map(Removed::Deleted));
        Ok(removed)
    }

    /// Removes blobs, layers and root file systems that no image has; gives the diff_ids of removed layers. While the
    /// config of an image cannot be read, every layer may be one of its own, so all of them stay.
    pub fn collect_garbage(&self) -> Result<Vec<String>, Error> {
        // Held until all is removed: a pull pins first and looks afterwards. It has its names before it unpins, so they
        // are read behind the pins.
        let pinned = self.pinned();
        let records = self.references().images.clone();
        let mut keep = BTreeSet::new();
        let mut folders = vec!["blobs/sha256", "layers", "rootfs"];
        for record in &records {
            keep.insert(self.blob(&record.id)?);
            keep.insert(self.blob(&record.manifest)?);
            let Ok(configuration) = self.configuration(&record.id) else {
                folders.truncate(1);
                continue;
            };
            let diff_ids = configuration.rootfs().diff_ids();
            keep.insert(self.rootfs_path(&rootfs::id(diff_ids)));
            for diff_id in diff_ids {
                keep.insert(self.layer(diff_id)?);
                keep.insert(self.entries(diff_id)?);
            }
        }
        let mut removed = Vec::new();
        for folder in folders {
            let folder = self.root.join(folder);
            for entry in fs::read_dir(&folder).map_err(Error::read(&folder))?.flatten() {
                let path = entry.path();
                if !keep.contains(&path) && !pinned.contains_key(&path) {
                    fs::remove_file(&path).map_err(Error::write(&path))?;
                    if path.extension().is_some_and(|extension| extension == "tar")
                        && let Some(stem) = path.file_stem()
                    {
                        removed.push(format!("sha256:{}", stem.to_string_lossy()));
                    }
                }
            }
        }
        Ok(removed)
    }
}

fn references(image: &Record) -> impl Iterator<Item = &String> {
    image.names.iter().chain(&image.digests)
}

fn short_id(image: &Record) -> String {
    image.id.chars().skip("sha256:".len()).take(12).collect()
}

fn repository(name: &str) -> Option<String> {
    name.parse().map(|name: Name| name.repository()).ok()
}

/// At most one name, and digests of its repository alone: what goes without being forced.
fn is_single(image: &Record) -> bool {
    let repositories: BTreeSet<_> = references(image).map(|name| repository(name)).collect();
    image.names.len() <= 1 && repositories.len() <= 1
}

/// Without its last name it would be there for its containers alone: that has to be forced.
fn check_reference(image: &Record, text: &str, force: bool, users: &[User]) -> Result<(), Error> {
    match users.first() {
        Some(user) if !force && is_single(image) => Err(Error::Conflict(format!(
            "unable to remove {text:?} (must be forced) - container {} is using its referenced image {}",
            user.container,
            short_id(image)
        ))),
        _ => Ok(()),
    }
}

fn check_id(image: &Record, force: bool, users: &[User]) -> Result<(), Error> {
    let short = short_id(image);
    let container = |user: &User| user.container.clone();
    let why = if let Some(running) = users.iter().find(|user| user.is_running) {
        format!(
            "(cannot be forced) - image is being used by running container {}",
            container(running)
        )
    } else if !force && !is_single(image) {
        "(must be forced) - image is referenced in multiple repositories".to_owned()
    } else if let Some(stopped) = users.first().filter(|_| !force) {
        format!(
            "(must be forced) - image is being used by stopped container {}",
            container(stopped)
        )
    } else if let Some(stopped) = users.first().filter(|_| references(image).next().is_none()) {
        format!(
            "(cannot be forced) - image has no name and is being used by stopped container {}",
            container(stopped)
        )
    } else {
        return Ok(());
    };
    Err(Error::Conflict(format!("unable to delete {short} {why}")))
}

/// What goes with a name or digest of an image: it, and with a repository's last name its digests too, as with docker.
fn with_reference(image: &Record, gone: &str) -> Vec<String> {
    let of = repository(gone);
    let is_last_name = image.names.iter().any(|name| name == gone)
        && !image
            .names
            .iter()
            .any(|other| other != gone && repository(other) == of);
    let digests = image
        .digests
        .iter()
        .filter(|digest| is_last_name && repository(digest) == of);
    std::iter::once(gone.to_owned()).chain(digests.cloned()).collect()
}
