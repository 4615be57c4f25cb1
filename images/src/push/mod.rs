//! Pushing images to registries.
//!
//! What was pulled is pushed as the same bytes, and keeps its digest, as long as the target has or gets its layers in that
//! form: they are there, can be mounted, or the registry that they came from still gives them. Otherwise a layer is
//! compressed anew, and with it the manifest is another one.

mod layer;
mod source;

use crate::layer::digest_of;
use crate::manifest;
use crate::pull::{PARALLEL_LAYERS, Progress};
use crate::registry::{Fault, Session, Started};
use crate::{Credentials, Error, Image, Name, Registries, Store};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Repositories of the same registry that a token is to let us read.
const MAX_NEIGHBOURS: usize = 4;

struct Push<'a> {
    store: Arc<Store>,
    session: Arc<Session>,
    registries: &'a Registries,
    credentials: Credentials,
    name: &'a Name,
    progress: &'a (dyn Fn(Progress) + Sync),
    /// The manifest is of docker's kind.
    docker: bool,
}

/// What is known of an image before anything is sent.
struct Prepared {
    config: Vec<u8>,
    manifest_bytes: Vec<u8>,
    manifest: Value,
    /// Digests of the layers as the manifest has them, one for each diff_id.
    digests: Vec<String>,
}

impl Store {
    /// Pushes an image under the name it has here.
    pub async fn push(
        self: &Arc<Self>,
        name: &Name,
        registries: &Registries,
        credentials: Credentials,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), Error> {
        refuse_digest(name)?;
        progress(Progress::PushTo {
            repository: name.repository(),
        });
        self.push_tag(name, registries, &credentials, progress).await
    }

    /// Pushes all that have a tag in `name`'s repository.
    pub async fn push_all(
        self: &Arc<Self>,
        name: &Name,
        registries: &Registries,
        credentials: Credentials,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), Error> {
        refuse_digest(name)?;
        let repository = name.repository();
        progress(Progress::PushTo {
            repository: repository.clone(),
        });
        let images = self.list()?;
        let names = images.iter().flat_map(|image| &image.names);
        let names: BTreeSet<_> = names.filter(|other| has_repository(other, &repository)).collect();
        if names.is_empty() {
            return Err(Error::NotTagged(repository));
        }
        for name in names {
            self.push_tag(&name.parse()?, registries, &credentials, progress)
                .await?;
        }
        Ok(())
    }

    async fn push_tag(
        self: &Arc<Self>,
        name: &Name,
        registries: &Registries,
        credentials: &Credentials,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), Error> {
        let not_tagged = || Error::NotTagged(name.repository());
        let image = self.find(&name.to_string()).map_err(|_| not_tagged())?;
        if !image.names.contains(&name.to_string()) {
            return Err(not_tagged());
        }
        let diff_ids = image.configuration.rootfs().diff_ids();
        // A removal meanwhile takes nothing of it away.
        let _pin = self.pin(&[&image.id, &image.manifest], diff_ids)?;
        let prepared = self.prepare(&image)?;
        let neighbours = self.neighbours(name, diff_ids);
        let push = Push {
            store: Arc::clone(self),
            session: registries.target(name, &neighbours, credentials.clone())?,
            registries,
            credentials: credentials.clone(),
            name,
            progress,
            docker: manifest::media_type(&prepared.manifest) == manifest::DOCKER_MANIFEST,
        };
        push.run(&image, prepared).await
    }

    fn prepare(&self, image: &Image) -> Result<Prepared, Error> {
        let config = self.document(&image.id)?;
        let manifest_bytes = self.document(&image.manifest)?;
        let malformed = |why: &str| Error::Malformed {
            what: "manifest",
            name: image.manifest.clone(),
            why: why.to_owned(),
        };
        let manifest: Value =
            serde_json::from_slice(&manifest_bytes).map_err(|error| malformed(&error.to_string()))?;
        let layers = manifest["layers"].as_array();
        let digests = layers.into_iter().flatten();
        let digests: Option<Vec<String>> = digests
            .map(|layer| layer["digest"].as_str().map(str::to_owned))
            .collect();
        let digests = digests.ok_or_else(|| malformed("a layer has no digest"))?;
        if digests.len() != image.configuration.rootfs().diff_ids().len() {
            return Err(malformed("it has not the layers of its config"));
        }
        Ok(Prepared {
            config,
            manifest_bytes,
            manifest,
            digests,
        })
    }

    /// Repositories of the same registry that are known to have some of the layers.
    fn neighbours(&self, name: &Name, diff_ids: &[String]) -> Vec<String> {
        let forms = diff_ids.iter().flat_map(|diff_id| self.forms(diff_id));
        let repositories = forms.flat_map(|form| form.repositories);
        let paths = repositories.filter_map(|repository| layer::neighbour(name, &repository));
        let paths: BTreeSet<_> = paths.collect();
        paths.into_iter().take(MAX_NEIGHBOURS).collect()
    }
}

impl Push<'_> {
    async fn run(&self, image: &Image, mut prepared: Prepared) -> Result<(), Error> {
        let diff_ids = image.configuration.rootfs().diff_ids();
        // A layer that an image has twice is one.
        let layers: BTreeMap<&str, &str> = diff_ids
            .iter()
            .zip(&prepared.digests)
            .map(|(diff_id, digest)| (diff_id.as_str(), digest.as_str()))
            .collect();
        let layer = |layer: &str| layer.to_owned();
        for diff_id in layers.keys() {
            (self.progress)(Progress::LayerPrepares {
                layer: layer(diff_id),
            });
        }
        // Boxed, since a closure over these borrows would not be general enough for a future that is sent.
        let mut pushes = Vec::new();
        for (diff_id, digest) in layers {
            pushes.push(self.layer(diff_id, digest).boxed());
        }
        let mut pushed = BTreeMap::new();
        let mut pushes = stream::iter(pushes).buffer_unordered(PARALLEL_LAYERS);
        while let Some(mut form) = pushes.try_next().await? {
            form.repositories = vec![self.name.repository()];
            pushed.insert(form.diff_id.clone(), form);
        }
        drop(pushes);
        // What was sent need not be sent again, even if the rest fails.
        self.store.learn_forms(pushed.values().cloned().collect())?;
        self.config(&image.id, &prepared.config).await?;

        let mut changed = false;
        for (index, diff_id) in diff_ids.iter().enumerate() {
            let (Some(form), own) = (pushed.get(diff_id), &prepared.digests[index]) else {
                return Err(Error::Interrupted);
            };
            if form.digest != *own {
                let media_type = form.media_type_for(self.docker);
                prepared.manifest["layers"][index] =
                    json!({ "mediaType": media_type, "digest": form.digest, "size": form.bytes });
                changed = true;
            }
        }
        let bytes = match changed {
            true => prepared.manifest.to_string().into_bytes(),
            false => prepared.manifest_bytes,
        };
        self.manifest(&image.id, manifest::media_type(&prepared.manifest), &bytes)
            .await
    }

    async fn config(&self, digest: &str, config: &[u8]) -> Result<(), Error> {
        let length = config.len() as u64;
        let push = async {
            let mut attempts = self.session.retry.begin();
            while !self.session.has_blob(digest, length).await? {
                let Started::Upload(upload) = self.session.start_upload(None).await? else {
                    return Err(Fault::Lost);
                };
                match upload
                    .finish(digest, length, Bytes::copy_from_slice(config))
                    .await
                {
                    Err(Fault::Lost) if attempts.again(None).await => {}
                    result => return result,
                }
            }
            Ok(())
        };
        push.await.map_err(|fault| self.failed(fault))
    }

    async fn manifest(&self, id: &str, media_type: &str, bytes: &[u8]) -> Result<(), Error> {
        let tag = self.name.tag().unwrap_or("latest");
        let put = self.session.put_manifest(tag, media_type, bytes).await;
        put.map_err(|fault| self.failed(fault))?;
        let digest = digest_of(bytes);
        self.store
            .add_digest(id, &format!("{}@{digest}", self.name.repository()))?;
        (self.progress)(Progress::Pushed {
            tag: tag.to_owned(),
            digest,
            bytes: bytes.len() as u64,
        });
        Ok(())
    }

    fn failed(&self, fault: Fault) -> Error {
        match fault.is_denied() {
            true => Error::PushDenied(self.name.repository()),
            false => self.session.failed(fault),
        }
    }
}

fn refuse_digest(name: &Name) -> Result<(), Error> {
    match name.digest() {
        Some(_) => Err(Error::PushByDigest(name.to_string())),
        None => Ok(()),
    }
}

fn has_repository(name: &str, repository: &str) -> bool {
    name.parse::<Name>()
        .is_ok_and(|name| name.repository() == repository)
}
