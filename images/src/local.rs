//! Images that come from no registry: layers from a stream of tar, and images made of layers of the store.

use crate::layer::{self, digest_of};
use crate::load::expand;
use crate::store::{Named, Pin, parse_configuration};
use crate::{Error, Image, Name, Store};
use oci_spec::image::{DescriptorBuilder, Digest, ImageManifestBuilder, MediaType};
use std::io::Read;
use std::str::FromStr;
use std::sync::Arc;

const SCHEMA_VERSION: u32 = 2;

/// A layer of the store that no image may have yet; it is kept while this is.
pub struct AddedLayer {
    pub diff_id: String,
    /// Of its tar.
    pub bytes: u64,
    _pin: Pin,
}

impl Store {
    /// Takes a layer: a tar, plain or compressed with gzip or zstd. It is checked like one of a registry, except that
    /// nobody has said which digest it has.
    pub fn add_layer(self: &Arc<Self>, from: impl Read) -> Result<AddedLayer, Error> {
        let staged = self.stage()?;
        let added = layer::ingest_tar(expand(from)?, &staged)?;
        let pin = self.pin(&[], std::slice::from_ref(&added.diff_id))?;
        self.put_layer(&added.diff_id, staged)?;
        Ok(AddedLayer {
            diff_id: added.diff_id,
            bytes: added.bytes,
            _pin: pin,
        })
    }

    /// Makes an image of a config, whose layers are in the store, and gives it names; each is taken from whatever had
    /// it. The root file system is made, too, before any name is.
    pub async fn add_image(
        self: &Arc<Self>,
        config: &[u8],
        names: &[Name],
        now: i64,
    ) -> Result<Image, Error> {
        let id = digest_of(config);
        // Until it has its names it is not one that nobody wants.
        let _pin = self.pin(&[&id], &[])?;
        self.add_nameless(config, None, now).await?;
        let image = self.find(&id)?;
        let tags = names.iter().map(Name::to_string).collect();
        self.register(&id, &image.manifest, Named::given(tags, now))?;
        self.find(&id)
    }

    /// The same without names, with a manifest that has come with it or one of ours. Says whether the store did not
    /// have it; if it had, its manifest stays: what a registry calls it is worth more than what we do.
    pub(crate) async fn add_nameless(
        self: &Arc<Self>,
        config: &[u8],
        manifest: Option<&[u8]>,
        now: i64,
    ) -> Result<bool, Error> {
        let id = digest_of(config);
        let configuration = parse_configuration(config, &id)?;
        let diff_ids = configuration.rootfs().diff_ids();
        let manifest = match manifest {
            Some(manifest) => manifest.to_vec(),
            None => self.manifest_of(config, diff_ids)?,
        };
        let manifest_digest = digest_of(&manifest);
        let _pin = self.pin(&[&id, &manifest_digest], diff_ids)?;
        let known = self.find(&id).ok();
        self.put_blob(&id, config)?;
        if known.is_none() {
            self.put_blob(&manifest_digest, &manifest)?;
            self.register(&id, &manifest_digest, Named::given(Vec::new(), now))?;
        }
        let made = match self.find(&id) {
            Ok(image) => self.rootfs(&image).await.map(drop),
            Err(error) => Err(error),
        };
        if made.is_err() && known.is_none() {
            let _ = self.remove(&id, true, |_| Vec::new());
        }
        made.map(|()| known.is_none())
    }

    /// A manifest whose layers are the tars as the store has them.
    pub(crate) fn manifest_of(&self, config: &[u8], diff_ids: &[String]) -> Result<Vec<u8>, Error> {
        let malformed = |why: String| Error::Malformed {
            what: "config",
            name: digest_of(config),
            why,
        };
        let descriptor = |media_type, digest: &str, bytes: u64| {
            let digest = Digest::from_str(digest).map_err(|error| malformed(error.to_string()))?;
            DescriptorBuilder::default()
                .media_type(media_type)
                .digest(digest)
                .size(bytes)
                .build()
                .map_err(|error| malformed(error.to_string()))
        };
        let mut layers = Vec::new();
        for diff_id in diff_ids {
            let path = self.layer(diff_id)?;
            let bytes = path.metadata().map_err(Error::read(&path))?.len();
            layers.push(descriptor(MediaType::ImageLayer, diff_id, bytes)?);
        }
        let config = descriptor(MediaType::ImageConfig, &digest_of(config), config.len() as u64)?;
        ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers(layers)
            .build()
            .map_err(|error| malformed(error.to_string()))
            .and_then(|manifest| serde_json::to_vec(&manifest).map_err(|error| malformed(error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tests::member;

    #[tokio::test]
    async fn an_image_is_made_of_a_stream() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let tar = [member(b"etc/motd", b'0', b"hello", b""), vec![0; 1024]].concat();
        let packed = zstd::encode_all(&tar[..], 3).unwrap();
        let layer = store.add_layer(&packed[..]).unwrap();
        assert_eq!(layer.diff_id, digest_of(&tar));
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            layer.diff_id
        );
        let names = ["made:one".parse().unwrap(), "made:two".parse().unwrap()];
        let image = store.add_image(config.as_bytes(), &names, 7).await.unwrap();
        assert_eq!(image.names, ["made:one", "made:two"]);
        drop(layer);
        store.collect_garbage().unwrap();
        assert_eq!(store.find("made:two").unwrap().id, digest_of(config.as_bytes()));
    }
}
