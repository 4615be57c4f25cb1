//! Pulling images from registries.

mod fetch;

pub(crate) use fetch::Fetches;

use crate::forms::Form;
use crate::layer::{Announced, Compression, MAX_LAYER_BYTES, digest_hex, digest_of};
use crate::manifest;
use crate::registry::{MAX_DOCUMENT_BYTES, Session};
use crate::store::{Named, parse_configuration};
use crate::{Credentials, Error, Image, Name, Registries, Store};
use fetch::{Fetch, Task};
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use oci_spec::image::{Descriptor, ImageManifest};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const MAX_LAYERS: usize = 1024;
pub(crate) const PARALLEL_LAYERS: usize = 3;

/// How a pull or a push comes along. Layers are named by the digest of what is transferred in a pull, in a push by their
/// diff_id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    Found {
        digest: String,
    },
    LayerWaits {
        layer: String,
    },
    LayerExists {
        layer: String,
    },
    LayerBytes {
        layer: String,
        current: u64,
        total: u64,
    },
    LayerDone {
        layer: String,
    },
    MakingRoot,
    Done {
        digest: String,
        changed: bool,
    },
    /// One of all tags is there, and then it is done.
    TagFound {
        tag: String,
    },
    TagDone {
        digest: String,
    },
    AllDone {
        repository: String,
        changed: bool,
    },
    /// A push begins.
    PushTo {
        repository: String,
    },
    LayerPrepares {
        layer: String,
    },
    /// The registry had it, in the repository `from`.
    LayerMounted {
        layer: String,
        from: String,
    },
    /// `bytes`: of the manifest.
    Pushed {
        tag: String,
        digest: String,
        bytes: u64,
    },
}

struct Pull<'a> {
    store: Arc<Store>,
    session: Arc<Session>,
    name: &'a Name,
    progress: &'a (dyn Fn(Progress) + Sync),
}

impl Store {
    /// Pulls an image, verifies all of it and makes its root file system.
    pub async fn pull(
        self: &Arc<Self>,
        name: &Name,
        registries: &Registries,
        credentials: Credentials,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Image, Error> {
        let sessions = registries.sources(name, &credentials)?;
        let mut result = Err(Error::Interrupted);
        for (index, session) in sessions.iter().enumerate() {
            let pull = Pull {
                store: Arc::clone(self),
                session: Arc::clone(session),
                name,
                progress,
            };
            result = pull.run().await;
            match &result {
                Err(error) if error.is_of_registry() && index + 1 < sessions.len() => {
                    let mirror = &session.endpoint.host;
                    let error = error as &dyn std::error::Error;
                    tracing::warn!(mirror, image = %name, error, "a mirror does not have it");
                }
                _ => break,
            }
        }
        // Layers that came before what failed are nobody's.
        if result.is_err()
            && let Err(error) = self.collect_garbage()
        {
            tracing::warn!(%error, "layers of a pull that failed are left");
        }
        result
    }

    /// Pulls all tags of `name`'s repository.
    pub async fn pull_all(
        self: &Arc<Self>,
        name: &Name,
        registries: &Registries,
        credentials: Credentials,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Vec<Image>, Error> {
        let mut tags = Err(Error::Interrupted);
        for session in registries.sources(name, &credentials)? {
            tags = session.tags(name).await;
            if tags.is_ok() {
                break;
            }
        }
        let any_changed = AtomicBool::new(false);
        let mut images = Vec::new();
        for name in tags? {
            let of_tag = |reported| match reported {
                Progress::Found { .. } => progress(Progress::TagFound {
                    tag: name.tag().unwrap_or_default().to_owned(),
                }),
                Progress::Done { digest, changed } => {
                    any_changed.fetch_or(changed, Ordering::Relaxed);
                    progress(Progress::TagDone { digest });
                }
                other => progress(other),
            };
            let credentials = credentials.clone();
            images.push(self.pull(&name, registries, credentials, &of_tag).await?);
        }
        progress(Progress::AllDone {
            repository: name.repository(),
            changed: any_changed.into_inner(),
        });
        Ok(images)
    }
}

impl Pull<'_> {
    async fn run(&self) -> Result<Image, Error> {
        let wanted = self.name.digest().or(self.name.tag()).unwrap_or("latest");
        let (top, top_digest) = self.session.manifest(wanted, self.name.digest()).await?;
        (self.progress)(Progress::Found {
            digest: top_digest.clone(),
        });
        let (manifest_bytes, manifest_digest) = match manifest::index(&top) {
            Some(index) => {
                let digest = manifest::choose(&index, &self.name.to_string())?;
                self.session.manifest(&digest, Some(&digest)).await?
            }
            None => (top, top_digest.clone()),
        };
        let manifest: ImageManifest = serde_json::from_slice(&manifest_bytes)
            .map_err(|error| self.malformed("manifest", &error.to_string()))?;
        let id = manifest.config().digest().to_string();
        digest_hex(&id)?;
        let config_bytes = self.blob(manifest.config()).await?;
        let configuration = parse_configuration(&config_bytes, &self.name.to_string())?;
        if !manifest::fits(configuration.os(), configuration.architecture()) {
            return Err(Error::Platform {
                name: self.name.to_string(),
                available: manifest::platform(configuration.os(), configuration.architecture()),
            });
        }
        let diff_ids = configuration.rootfs().diff_ids();
        if diff_ids.len() != manifest.layers().len() || diff_ids.len() > MAX_LAYERS {
            return Err(self.malformed(
                "manifest",
                &format!(
                    "{} layers and {} diff_ids",
                    manifest.layers().len(),
                    diff_ids.len()
                ),
            ));
        }
        // Until the image has its name, nothing else keeps what is here for it.
        let _pin = self.store.pin(&[&id, &manifest_digest], diff_ids)?;
        let layers = manifest.layers().iter().zip(diff_ids);
        for (descriptor, _) in layers.clone() {
            (self.progress)(Progress::LayerWaits {
                layer: descriptor.digest().to_string(),
            });
        }
        // Boxed, since a closure over these borrows would not be general enough for a future that is sent.
        let mut pulls = Vec::new();
        for (descriptor, diff_id) in layers {
            pulls.push(self.layer(descriptor, diff_id).boxed());
        }
        let fetched: Vec<Option<Form>> = stream::iter(pulls)
            .buffer_unordered(PARALLEL_LAYERS)
            .try_collect()
            .await?;
        let fetched: Vec<Form> = fetched.into_iter().flatten().collect();

        let changed = !fetched.is_empty();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs().cast_signed());
        (self.progress)(Progress::MakingRoot);
        // Without a root it is no image, so it takes no name from another before.
        let added = self.store.add_nameless(&config_bytes, Some(&manifest_bytes), now);
        let changed = added.await? || changed;
        self.store.put_blob(&manifest_digest, &manifest_bytes)?;
        let named = Named::pulled(self.name, &top_digest, now);
        self.store.register(&id, &manifest_digest, named)?;
        self.learn(&manifest, diff_ids, fetched)?;
        let image = self.store.find(&id)?;
        (self.progress)(Progress::Done {
            digest: top_digest,
            changed,
        });
        Ok(image)
    }

    fn malformed(&self, what: &'static str, why: &str) -> Error {
        Error::Malformed {
            what,
            name: self.name.to_string(),
            why: why.to_owned(),
        }
    }

    /// Fetches a small blob and verifies it.
    async fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let expected = descriptor.digest().to_string();
        if descriptor.size() > MAX_DOCUMENT_BYTES as u64 {
            return Err(Error::Limit {
                what: "config".to_owned(),
                limit: format!("{MAX_DOCUMENT_BYTES} bytes"),
            });
        }
        let bytes = self.session.small_blob(&expected, descriptor.size()).await?;
        let found = digest_of(&bytes);
        match found == expected {
            true => Ok(bytes),
            false => Err(Error::Digest {
                what: "config".to_owned(),
                expected,
                found,
            }),
        }
    }

    /// Keeps which compressed layers unpack to which: those that were verified now, and those that are known already.
    fn learn(&self, manifest: &ImageManifest, diff_ids: &[String], fetched: Vec<Form>) -> Result<(), Error> {
        let mut forms = fetched;
        for (descriptor, diff_id) in manifest.layers().iter().zip(diff_ids) {
            let form = self.form(descriptor, diff_id);
            let known = self.store.forms(diff_id);
            if known.iter().any(|known| known.digest == form.digest) {
                forms.push(form);
            }
        }
        self.store.learn_forms(forms)
    }

    fn form(&self, descriptor: &Descriptor, diff_id: &str) -> Form {
        Form {
            diff_id: diff_id.to_owned(),
            digest: descriptor.digest().to_string(),
            bytes: descriptor.size(),
            media_type: descriptor.media_type().to_string(),
            repositories: vec![self.name.repository()],
        }
    }

    /// Brings one layer into the store; gives how it came if it had to be fetched.
    async fn layer(&self, descriptor: &Descriptor, diff_id: &str) -> Result<Option<Form>, Error> {
        let layer = descriptor.digest().to_string();
        digest_hex(&layer)?;
        let to = self.store.layer(diff_id)?;
        let total = descriptor.size();
        let key = (
            self.session.endpoint.host.clone(),
            layer.clone(),
            diff_id.to_owned(),
        );
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            let begin = || self.fetch(descriptor, diff_id);
            let Some((fetch, own)) = self.store.fetches.join(&key, || to.exists(), begin)? else {
                (self.progress)(Progress::LayerExists { layer });
                return Ok(None);
            };
            let mut ended = pin!(fetch.ended());
            let is_done = loop {
                tokio::select! {
                    is_done = &mut ended => break is_done,
                    _ = tick.tick() => {
                        let current = fetch.received();
                        (self.progress)(Progress::LayerBytes { layer: layer.clone(), current, total });
                    }
                }
            };
            match own {
                _ if is_done => break,
                Some(task) => task.await.unwrap_or(Err(Error::Interrupted))?,
                // Another pull's failed, perhaps of what is its alone: its password, its repository, its manifest.
                None => {}
            }
        }
        (self.progress)(Progress::LayerDone { layer });
        Ok(Some(self.form(descriptor, diff_id)))
    }

    fn fetch(&self, descriptor: &Descriptor, diff_id: &str) -> Result<(Fetch, Task), Error> {
        let announced = Announced {
            digest: descriptor.digest().to_string(),
            bytes: descriptor.size(),
            diff_id: diff_id.to_owned(),
        };
        if announced.bytes > MAX_LAYER_BYTES {
            return Err(Error::Limit {
                what: format!("layer {}", announced.digest),
                limit: format!("{MAX_LAYER_BYTES} bytes"),
            });
        }
        let compression = Compression::of(descriptor.media_type().as_ref())?;
        Fetch::begin(&self.store, &self.session, announced, compression)
    }
}
