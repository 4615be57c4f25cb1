//! Images out of the store, as one tar that is a docker archive and an OCI layout at once, as docker writes it:
//!
//! ```text
//!   blobs/sha256/HEX   configs, manifests, and layers as uncompressed tars
//!   index.json         OCI: the manifests, once for each name
//!   manifest.json      docker: configs, names and layers
//!   oci-layout         which version of the layout it is
//! ```
//!
//! The same images make the same bytes. Layers go from the store into the tar, verified on the way; one that is
//! damaged ends it, so that a reader finds it cut off.

use crate::archive::BLOCK_BYTES;
use crate::layer::{Hashed, digest_hex, digest_of};
use crate::store::{Pin, parse_configuration};
use crate::{Error, Image, Name, Store};
use oci_spec::image::{ImageManifest, MediaType};
use reference::Parts;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which name of an OCI layout's manifest is the image's, and which is its tag; both as docker and containerd do.
pub(crate) const NAME_ANNOTATION: &str = "io.containerd.image.name";
pub(crate) const TAG_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// Images that are about to be saved; they are kept in the store while this is.
pub struct Export {
    /// By the hexadecimal part of their digest.
    blobs: BTreeMap<String, Blob>,
    index: Vec<Value>,
    manifests: Vec<Value>,
    _pins: Vec<Pin>,
}

enum Blob {
    Document(Vec<u8>),
    Layer { path: PathBuf, bytes: u64 },
}

/// An image, and the names that it is saved under.
struct Selected {
    image: Image,
    names: BTreeSet<String>,
}

impl Store {
    /// Chooses images by names, digests or ids, as `docker save` does: a repository without a tag stands for all its
    /// tags, and an image that is not asked for by a name is saved without one.
    pub fn export(self: &Arc<Self>, texts: &[String]) -> Result<Export, Error> {
        let mut selected = Vec::new();
        for text in texts {
            for (image, name) in self.select(text)? {
                add(&mut selected, image, name);
            }
        }
        let mut export = Export {
            blobs: BTreeMap::new(),
            index: Vec::new(),
            manifests: Vec::new(),
            _pins: Vec::new(),
        };
        for Selected { image, names } in &selected {
            self.add_to(&mut export, image, names)?;
        }
        Ok(export)
    }

    fn select(&self, text: &str) -> Result<Vec<(Image, Option<String>)>, Error> {
        let name = text.parse::<Name>().ok();
        if let Some(name) = name.as_ref().filter(|_| Parts::of(text).is_bare()) {
            let mut found = Vec::new();
            for image in self.list()? {
                let names = image.names.clone();
                let of_repository = |known: &String| {
                    known
                        .parse::<Name>()
                        .is_ok_and(|known| known.repository() == name.repository())
                };
                found.extend(
                    names
                        .into_iter()
                        .filter(of_repository)
                        .map(|known| (image.clone(), Some(known))),
                );
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let image = self.find(text)?;
        let shown = name.map(|name| name.to_string());
        let shown = shown.filter(|shown| image.names.contains(shown));
        Ok(vec![(image, shown)])
    }

    fn add_to(
        self: &Arc<Self>,
        export: &mut Export,
        image: &Image,
        names: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let pin = self.pin(
            &[&image.id, &image.manifest],
            image.configuration.rootfs().diff_ids(),
        )?;
        export._pins.push(pin);
        let config = self.document(&image.id)?;
        let configuration = parse_configuration(&config, &image.id)?;
        let diff_ids = configuration.rootfs().diff_ids();
        let manifest = self.portable_manifest(image, &config, diff_ids)?;
        let mut layers = Vec::new();
        let mut sources = serde_json::Map::new();
        for diff_id in diff_ids {
            let path = self.layer(diff_id)?;
            let bytes = path.metadata().map_err(Error::read(&path))?.len();
            layers.push(blob_path(diff_id)?);
            sources.insert(
                diff_id.clone(),
                json!({ "mediaType": MediaType::ImageLayer.to_string(), "size": bytes, "digest": diff_id }),
            );
            export
                .blobs
                .insert(digest_hex(diff_id)?.to_owned(), Blob::Layer { path, bytes });
        }
        let digest = digest_of(&manifest);
        let descriptor = json!({
            "mediaType": MediaType::ImageManifest.to_string(), "digest": digest, "size": manifest.len(),
            "platform": { "architecture": "amd64", "os": "linux" },
        });
        export.index.extend(named(&descriptor, names)?);
        export.manifests.push(json!({
            "Config": blob_path(&image.id)?,
            "RepoTags": if names.is_empty() { Value::Null } else { json!(names) },
            "Layers": layers,
            "LayerSources": sources,
        }));
        export
            .blobs
            .insert(digest_hex(&image.id)?.to_owned(), Blob::Document(config));
        export
            .blobs
            .insert(digest_hex(&digest)?.to_owned(), Blob::Document(manifest));
        Ok(())
    }

    /// The image's own manifest when its layers are not compressed, else one that says what is saved.
    fn portable_manifest(&self, image: &Image, config: &[u8], diff_ids: &[String]) -> Result<Vec<u8>, Error> {
        if let Ok(own) = self.document(&image.manifest)
            && let Ok(manifest) = serde_json::from_slice::<ImageManifest>(&own)
            && manifest.config().digest().as_ref() == image.id
            && manifest.layers().len() == diff_ids.len()
            && manifest.layers().iter().zip(diff_ids).all(|(layer, diff_id)| {
                *layer.media_type() == MediaType::ImageLayer && layer.digest().as_ref() == diff_id
            })
        {
            return Ok(own);
        }
        self.manifest_of(config, diff_ids)
    }
}

fn add(selected: &mut Vec<Selected>, image: Image, name: Option<String>) {
    let at = selected
        .iter()
        .position(|known| known.image.id == image.id)
        .unwrap_or_else(|| {
            selected.push(Selected {
                image,
                names: BTreeSet::new(),
            });
            selected.len() - 1
        });
    selected[at].names.extend(name);
}

fn blob_path(digest: &str) -> Result<String, Error> {
    Ok(format!("blobs/sha256/{}", digest_hex(digest)?))
}

/// The descriptor once for each name, or once without.
fn named(descriptor: &Value, names: &BTreeSet<String>) -> Result<Vec<Value>, Error> {
    if names.is_empty() {
        return Ok(vec![descriptor.clone()]);
    }
    let with_name = |name: &String| {
        let name: Name = name.parse()?;
        let mut descriptor = descriptor.clone();
        descriptor["annotations"] = json!({
            NAME_ANNOTATION: name.whole(),
            TAG_ANNOTATION: name.tag().unwrap_or_default(),
        });
        Ok(descriptor)
    };
    names.iter().map(with_name).collect()
}

impl Export {
    /// Writes all of it.
    pub fn write(&self, mut out: impl Write) -> Result<(), Error> {
        for folder in ["blobs/", "blobs/sha256/"] {
            append(&mut out, folder, 0, io::empty())?;
        }
        for (hex, blob) in &self.blobs {
            let name = format!("blobs/sha256/{hex}");
            match blob {
                Blob::Document(bytes) => append(&mut out, &name, bytes.len() as u64, &bytes[..])?,
                Blob::Layer { path, bytes } => append_layer(&mut out, &name, hex, path, *bytes)?,
            }
        }
        let index = json!({
            "schemaVersion": 2, "mediaType": MediaType::ImageIndex.to_string(), "manifests": self.index,
        });
        for (name, document) in [
            ("index.json", index),
            ("manifest.json", json!(self.manifests)),
            ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" })),
        ] {
            let text = document.to_string();
            append(&mut out, name, text.len() as u64, text.as_bytes())?;
        }
        out.write_all(&[0; 2 * BLOCK_BYTES as usize])
            .and_then(|()| out.flush())
            .map_err(Error::ArchiveWrite)
    }
}

/// Not `tar::Builder`, which would also end an archive that has failed.
fn append(out: &mut impl Write, name: &str, bytes: u64, mut content: impl Read) -> Result<(), Error> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).map_err(Error::ArchiveWrite)?;
    let (kind, mode) = match name.ends_with('/') {
        true => (tar::EntryType::Directory, 0o755),
        false => (tar::EntryType::Regular, 0o644),
    };
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes);
    header.set_cksum();
    out.write_all(header.as_bytes()).map_err(Error::ArchiveWrite)?;
    let found = io::copy(&mut content, out).map_err(Error::ArchiveWrite)?;
    if found != bytes {
        return Err(Error::Size {
            what: name.to_owned(),
            expected: bytes,
            found,
        });
    }
    let padding = bytes.next_multiple_of(BLOCK_BYTES) - bytes;
    out.write_all(&[0; BLOCK_BYTES as usize][..padding as usize])
        .map_err(Error::ArchiveWrite)
}

fn append_layer(out: &mut impl Write, name: &str, hex: &str, path: &Path, bytes: u64) -> Result<(), Error> {
    let file = File::open(path).map_err(Error::read(path))?;
    let mut content = Hashed::new(file.take(bytes));
    append(out, name, bytes, &mut content)?;
    let (found, expected) = (content.digest(), format!("sha256:{hex}"));
    match found == expected {
        true => Ok(()),
        false => Err(Error::Digest {
            what: path.display().to_string(),
            expected,
            found,
        }),
    }
}

#[cfg(test)]
#[path = "save_tests.rs"]
pub(crate) mod tests;
