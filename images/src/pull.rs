//! Pulling images from registries.

use crate::layer::{self, Announced, Compression, MAX_LAYER_BYTES, digest_hex, digest_of};
use crate::registry::unanswered;
use crate::store::{Named, parse_configuration};
use crate::{Credentials, Error, Image, Name, Registries, Store};
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use oci_spec::image::{Arch, Descriptor, ImageIndex, ImageManifest, Os};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::io::{StreamReader, SyncIoBridge};

/// Manifests and configs larger than this are refused, as registries themselves do.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 4 << 20;
pub(crate) const MAX_LAYERS: usize = 1024;
const PARALLEL_LAYERS: usize = 3;

const ACCEPTED: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// How a pull comes along. Layers are named by the digest of what is transferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    Found { digest: String },
    LayerWaits { layer: String },
    LayerExists { layer: String },
    LayerBytes { layer: String, current: u64, total: u64 },
    LayerDone { layer: String },
    MakingRoot,
    Done { digest: String, changed: bool },
}

struct Pull<'a> {
    store: Arc<Store>,
    client: Client,
    auth: RegistryAuth,
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
        let pull = Pull {
            store: Arc::clone(self),
            client: registries.client(name.registry()),
            auth: credentials.into(),
            name,
            progress,
        };
        pull.run().await
    }
}

impl Pull<'_> {
    async fn run(&self) -> Result<Image, Error> {
        let (top, top_digest) = self.document(self.name.reference(), self.name.digest()).await?;
        (self.progress)(Progress::Found {
            digest: top_digest.clone(),
        });
        let (manifest_bytes, manifest_digest) = match index(&top) {
            Some(index) => {
                let digest = self.choose(&index)?;
                self.document(&self.name.with_digest(&digest), Some(&digest))
                    .await?
            }
            None => (top, top_digest.clone()),
        };
        let manifest: ImageManifest = serde_json::from_slice(&manifest_bytes)
            .map_err(|error| self.malformed("manifest", &error.to_string()))?;
        let id = manifest.config().digest().to_string();
        digest_hex(&id)?;
        let config_bytes = self.blob(manifest.config()).await?;
        let configuration = parse_configuration(&config_bytes, &self.name.to_string())?;
        if *configuration.os() != Os::Linux || *configuration.architecture() != Arch::Amd64 {
            return Err(Error::Platform {
                name: self.name.to_string(),
                available: format!("{}/{}", configuration.os(), configuration.architecture()),
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
        let fetched: Vec<bool> = stream::iter(pulls)
            .buffer_unordered(PARALLEL_LAYERS)
            .try_collect()
            .await?;

        let known = self.store.find(&id).is_ok();
        self.store.put_blob(&id, &config_bytes)?;
        self.store.put_blob(&manifest_digest, &manifest_bytes)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        self.store.register(
            &id,
            &manifest_digest,
            Named::pulled(self.name, &top_digest, now.cast_signed()),
        )?;
        let image = self.store.find(&id)?;
        (self.progress)(Progress::MakingRoot);
        if let Err(error) = self.store.rootfs(&image).await {
            // An image without a root is none.
            if !known {
                let _ = self.store.remove(&id, true, |_| Vec::new());
            }
            return Err(error);
        }
        let changed = !known || fetched.contains(&true);
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

    /// Fetches a manifest or index; its digest is computed here, and compared when one is expected.
    async fn document(
        &self,
        reference: &Reference,
        expected: Option<&str>,
    ) -> Result<(Vec<u8>, String), Error> {
        if let Some(expected) = expected {
            digest_hex(expected)?;
        }
        let (bytes, _) = self
            .client
            .pull_manifest_raw(reference, &self.auth, ACCEPTED)
            .await
            .map_err(|error| self.failed(error))?;
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(Error::Limit {
                what: "manifest".to_owned(),
                limit: format!("{MAX_DOCUMENT_BYTES} bytes"),
            });
        }
        let found = digest_of(&bytes);
        match expected {
            Some(expected) if expected != found => Err(Error::Digest {
                what: "manifest".to_owned(),
                expected: expected.to_owned(),
                found,
            }),
            _ => Ok((bytes.to_vec(), found)),
        }
    }

    /// The manifest for this machine among those of an index.
    fn choose(&self, index: &ImageIndex) -> Result<String, Error> {
        match for_this_machine(index) {
            Some(descriptor) => Ok(descriptor.digest().to_string()),
            None => Err(Error::Platform {
                name: self.name.to_string(),
                available: platforms(index),
            }),
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
        let mut stream = self.stream(descriptor).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.map_err(|source| self.broken(source))?);
            if bytes.len() > MAX_DOCUMENT_BYTES {
                return Err(Error::Limit {
                    what: "config".to_owned(),
                    limit: format!("{MAX_DOCUMENT_BYTES} bytes"),
                });
            }
        }
        let found = digest_of(&bytes);
        if found != expected {
            return Err(Error::Digest {
                what: "config".to_owned(),
                expected,
                found,
            });
        }
        Ok(bytes)
    }

    async fn stream(
        &self,
        descriptor: &Descriptor,
    ) -> Result<stream::BoxStream<'static, io::Result<bytes::Bytes>>, Error> {
        let wanted = OciDescriptor {
            media_type: descriptor.media_type().to_string(),
            digest: descriptor.digest().to_string(),
            size: descriptor.size().cast_signed(),
            ..OciDescriptor::default()
        };
        let sized = self
            .client
            .pull_blob_stream(self.name.reference(), &wanted)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(sized.stream.boxed())
    }

    /// Brings one layer into the store; says whether it had to be fetched.
    async fn layer(&self, descriptor: &Descriptor, diff_id: &str) -> Result<bool, Error> {
        let layer = descriptor.digest().to_string();
        digest_hex(&layer)?;
        let to = self.store.layer(diff_id)?;
        if to.exists() {
            (self.progress)(Progress::LayerExists { layer });
            return Ok(false);
        }
        let total = descriptor.size();
        if total > MAX_LAYER_BYTES {
            return Err(Error::Limit {
                what: format!("layer {layer}"),
                limit: format!("{MAX_LAYER_BYTES} bytes"),
            });
        }
        let compression = Compression::of(descriptor.media_type().as_ref())?;
        let staged = self.store.stage()?;
        let received = Arc::new(AtomicU64::new(0));
        let stream = self.stream(descriptor).await?;
        let counter = Arc::clone(&received);
        let counted = stream.map(move |chunk| {
            if let Ok(chunk) = &chunk {
                counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
            // More than was announced is refused when it comes, not at the end of an endless stream.
            match counter.load(Ordering::Relaxed) > total {
                true => Err(io::Error::other("more bytes than announced")),
                false => chunk,
            }
        });
        let announced = Announced {
            digest: layer.clone(),
            bytes: total,
            diff_id: diff_id.to_owned(),
        };
        let mut ingest = tokio::task::spawn_blocking(move || {
            let reader = SyncIoBridge::new(StreamReader::new(counted));
            layer::ingest(reader, compression, Some(&announced), &staged).map(|_| staged)
        });
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let staged = loop {
            tokio::select! {
                done = &mut ingest => break done.unwrap_or(Err(Error::Interrupted))?,
                _ = tick.tick() => {
                    let current = received.load(Ordering::Relaxed);
                    (self.progress)(Progress::LayerBytes { layer: layer.clone(), current, total });
                }
            }
        };
        self.store.put_layer(diff_id, staged)?;
        (self.progress)(Progress::LayerDone { layer });
        Ok(true)
    }

    fn broken(&self, source: io::Error) -> Error {
        Error::Registry {
            registry: self.name.registry().to_owned(),
            source: source.into(),
        }
    }

    /// What a client error means to the user.
    fn failed(&self, error: OciDistributionError) -> Error {
        match &error {
            OciDistributionError::ImageManifestNotFoundError(_) => {
                Error::UnknownManifest(self.name.to_string())
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                match envelope.errors.first().map(|error| &error.code) {
                    Some(
                        OciErrorCode::ManifestUnknown | OciErrorCode::NotFound | OciErrorCode::NameUnknown,
                    ) => Error::UnknownManifest(self.name.to_string()),
                    Some(OciErrorCode::Denied | OciErrorCode::Unauthorized) => {
                        Error::Denied(self.name.repository())
                    }
                    _ => unanswered(self.name.registry(), error),
                }
            }
            OciDistributionError::ServerError { code: 404, .. } => {
                Error::UnknownManifest(self.name.to_string())
            }
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_)
            | OciDistributionError::ServerError { code: 401 | 403, .. } => {
                Error::Denied(self.name.repository())
            }
            _ => unanswered(self.name.registry(), error),
        }
    }
}

/// The manifest for this machine among those of an index.
pub(crate) fn for_this_machine(index: &ImageIndex) -> Option<&Descriptor> {
    index.manifests().iter().find(|descriptor| {
        descriptor
            .platform()
            .as_ref()
            .is_some_and(|platform| *platform.os() == Os::Linux && *platform.architecture() == Arch::Amd64)
    })
}

/// What an index has, for an error.
pub(crate) fn platforms(index: &ImageIndex) -> String {
    let platforms = index
        .manifests()
        .iter()
        .filter_map(|descriptor| descriptor.platform().as_ref());
    let available: Vec<_> = platforms
        .take(20)
        .map(|platform| format!("{}/{}", platform.os(), platform.architecture()))
        .collect();
    available.join(", ")
}

/// The document as an index, if it is one.
pub(crate) fn index(bytes: &[u8]) -> Option<ImageIndex> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    value.get("manifests")?;
    serde_json::from_value(value).ok()
}
