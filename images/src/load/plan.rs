//! What images an archive has, and where in it each part of them is.
//!
//! An OCI layout goes before docker's `manifest.json` where there are both, since it keeps the image's own manifest.

use super::documents::{MAX_IMAGES, annotated, check, docker_images};
use super::members::{Members, Slice};
use crate::layer::{Announced, Compression, digest_hex, digest_of};
use crate::manifest::{fits, for_this_machine, index, platform, platforms};
use crate::pull::MAX_LAYERS;
use crate::registry::MAX_DOCUMENT_BYTES;
use crate::store::parse_configuration;
use crate::{Error, Name};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use std::cell::Cell;

/// Indexes within indexes: one is usual.
const MAX_NESTING: usize = 4;
/// All documents of an archive together are in memory at once.
const MAX_DOCUMENTS_BYTES: u64 = 64 << 20;

/// One image.
#[derive(Debug)]
pub struct Planned {
    pub id: String,
    pub config: Vec<u8>,
    pub manifest: Manifest,
    pub names: Vec<Name>,
    pub diff_ids: Vec<String>,
    /// As many.
    pub layers: Vec<Source>,
}

/// A docker archive has none: one is made of the config.
#[derive(Debug)]
pub struct Manifest {
    pub digest: String,
    pub bytes: Option<Vec<u8>>,
}

/// Where a layer is.
#[derive(Debug)]
pub enum Source {
    /// Of an OCI layout, whose manifest says what it is.
    Blob {
        slice: Slice,
        compression: Compression,
        announced: Announced,
    },
    /// Of a docker archive, plain or not.
    Tar(Slice),
}

pub fn plan(members: &Members) -> Result<Vec<Planned>, Error> {
    let reader = Reader {
        members,
        left: Cell::new(MAX_DOCUMENTS_BYTES),
    };
    let images = match (members.get("index.json"), members.get("manifest.json")) {
        (Some(index), _) if members.get("oci-layout").is_some() => reader.layout(index)?,
        (_, Some(manifest)) => reader.docker(manifest)?,
        _ => {
            return Err(Error::Archive(
                "it has neither manifest.json nor an OCI layout's index.json".to_owned(),
            ));
        }
    };
    match images.is_empty() {
        true => Err(Error::Archive("it has no images".to_owned())),
        false => Ok(images),
    }
}

struct Reader<'a> {
    members: &'a Members,
    left: Cell<u64>,
}

impl Reader<'_> {
    fn read(&self, slice: Slice) -> Result<Vec<u8>, Error> {
        let left = self.left.get().checked_sub(slice.bytes).ok_or(Error::Limit {
            what: "size of the archive's documents".to_owned(),
            limit: format!("{MAX_DOCUMENTS_BYTES} bytes"),
        })?;
        self.left.set(left);
        self.members.read(slice, MAX_DOCUMENT_BYTES)
    }

    fn get(&self, name: &str) -> Result<Slice, Error> {
        let shown = || name.chars().take(200).collect::<String>();
        self.members
            .get(name)
            .ok_or_else(|| Error::Archive(format!("{} is missing in it", shown())))
    }

    // OCI layout

    fn layout(&self, top: Slice) -> Result<Vec<Planned>, Error> {
        let Some(top) = index(&self.read(top)?) else {
            return Err(malformed("index.json", "it is no index".to_owned()));
        };
        check("images", top.manifests().len(), MAX_IMAGES)?;
        let mut images: Vec<Planned> = Vec::new();
        let mut available = Vec::new();
        for descriptor in top.manifests() {
            let name = annotated(&descriptor.annotations().clone().unwrap_or_default())?;
            match self.image(descriptor, 0)? {
                // Once for each of its names.
                Found::Image(image) => match images.iter_mut().find(|known| known.id == image.id) {
                    Some(known) => known.names.extend(name),
                    None => images.push(Planned {
                        names: name.into_iter().collect(),
                        ..*image
                    }),
                },
                Found::Other(platform) => available.push(platform),
            }
        }
        if images.is_empty() && !available.is_empty() {
            available.truncate(20);
            return Err(Error::Platform {
                name: "the archive".to_owned(),
                available: available.join(", "),
            });
        }
        Ok(images)
    }

    fn image(&self, descriptor: &Descriptor, nesting: usize) -> Result<Found, Error> {
        if let Some(found) = descriptor.platform()
            && !fits(found.os(), found.architecture())
        {
            return Ok(Found::Other(platform(found.os(), found.architecture())));
        }
        let bytes = self.blob(descriptor)?;
        match index(&bytes) {
            Some(index) => self.nested(&index, nesting),
            None => self.manifest(bytes, descriptor.digest().as_ref()),
        }
    }

    fn nested(&self, index: &ImageIndex, nesting: usize) -> Result<Found, Error> {
        if nesting >= MAX_NESTING {
            return Err(Error::Limit {
                what: "number of indexes within one another".to_owned(),
                limit: MAX_NESTING.to_string(),
            });
        }
        match (for_this_machine(index), index.manifests().as_slice()) {
            (Some(descriptor), _) => self.image(descriptor, nesting + 1),
            // An index of one may leave out what the config says anyway.
            (None, [only]) if only.platform().is_none() => self.image(only, nesting + 1),
            _ => Ok(Found::Other(platforms(index))),
        }
    }

    fn manifest(&self, bytes: Vec<u8>, digest: &str) -> Result<Found, Error> {
        let manifest: ImageManifest =
            serde_json::from_slice(&bytes).map_err(|error| malformed("manifest", error.to_string()))?;
        let config = self.blob(manifest.config())?;
        let configuration = parse_configuration(&config, digest)?;
        if !fits(configuration.os(), configuration.architecture()) {
            return Ok(Found::Other(platform(
                configuration.os(),
                configuration.architecture(),
            )));
        }
        let diff_ids = self.diff_ids(&configuration, manifest.layers().len())?;
        let layers = manifest.layers().iter().zip(&diff_ids);
        let layers = layers.map(|(descriptor, diff_id)| {
            Ok(Source::Blob {
                slice: self.find_blob(descriptor)?,
                compression: Compression::of(descriptor.media_type().as_ref())?,
                announced: Announced {
                    digest: descriptor.digest().to_string(),
                    bytes: descriptor.size(),
                    diff_id: diff_id.clone(),
                },
            })
        });
        Ok(Found::Image(Box::new(Planned {
            id: manifest.config().digest().to_string(),
            config,
            names: Vec::new(),
            layers: layers.collect::<Result<_, Error>>()?,
            diff_ids,
            manifest: Manifest {
                digest: digest.to_owned(),
                bytes: Some(bytes),
            },
        })))
    }

    fn find_blob(&self, descriptor: &Descriptor) -> Result<Slice, Error> {
        let digest = descriptor.digest().as_ref();
        let slice = self.get(&format!("blobs/sha256/{}", digest_hex(digest)?))?;
        match slice.bytes == descriptor.size() {
            true => Ok(slice),
            false => Err(Error::Size {
                what: digest.to_owned(),
                expected: descriptor.size(),
                found: slice.bytes,
            }),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let bytes = self.read(self.find_blob(descriptor)?)?;
        let (expected, found) = (descriptor.digest().to_string(), digest_of(&bytes));
        match expected == found {
            true => Ok(bytes),
            false => Err(Error::Digest {
                what: "document of the archive".to_owned(),
                expected,
                found,
            }),
        }
    }

    // docker archive

    fn docker(&self, manifest: Slice) -> Result<Vec<Planned>, Error> {
        let images = docker_images(&self.read(manifest)?)?;
        let planned = images.iter().map(|image| {
            let config = self.read(self.get(&image.config)?)?;
            let id = digest_of(&config);
            let configuration = parse_configuration(&config, &id)?;
            if !fits(configuration.os(), configuration.architecture()) {
                return Err(Error::Platform {
                    name: "the archive".to_owned(),
                    available: platform(configuration.os(), configuration.architecture()),
                });
            }
            let diff_ids = self.diff_ids(&configuration, image.layers().len())?;
            let layers = image.layers().iter().map(|path| self.get(path).map(Source::Tar));
            Ok(Planned {
                layers: layers.collect::<Result<_, _>>()?,
                // Nothing has this digest but the config.
                manifest: Manifest {
                    digest: id.clone(),
                    bytes: None,
                },
                id,
                config,
                names: image.names()?,
                diff_ids,
            })
        });
        planned.collect()
    }

    fn diff_ids(&self, configuration: &ImageConfiguration, layers: usize) -> Result<Vec<String>, Error> {
        let diff_ids = configuration.rootfs().diff_ids();
        check("layers", layers, MAX_LAYERS)?;
        if diff_ids.len() != layers {
            let why = format!("{layers} layers and {} diff_ids", diff_ids.len());
            return Err(malformed("manifest", why));
        }
        for diff_id in diff_ids {
            digest_hex(diff_id)?;
        }
        Ok(diff_ids.clone())
    }
}

enum Found {
    Image(Box<Planned>),
    /// Of another platform, which this is.
    Other(String),
}

fn malformed(what: &'static str, why: String) -> Error {
    Error::Malformed {
        what,
        name: "the archive".to_owned(),
        why,
    }
}
