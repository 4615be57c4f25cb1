//! The documents of a registry: configs, manifests, indexes.

use crate::ImageConfig;
use crate::layer::{Compression, digest_hex};
use crate::store::parse_configuration;
use oci_spec::image::ImageManifest;

pub fn run(bytes: &[u8]) {
    if let Ok(configuration) = parse_configuration(bytes, "fuzz") {
        let _ = ImageConfig::from(&configuration);
        let _ = (
            configuration.os().to_string(),
            configuration.architecture().to_string(),
        );
        for diff_id in configuration.rootfs().diff_ids() {
            is_safe(diff_id);
        }
    }
    if let Some(index) = crate::manifest::index(bytes) {
        for manifest in index.manifests() {
            is_safe(manifest.digest().as_ref());
        }
    }
    if let Ok(manifest) = serde_json::from_slice::<ImageManifest>(bytes) {
        for layer in manifest.layers() {
            is_safe(layer.digest().as_ref());
            let _ = Compression::of(layer.media_type().as_ref());
        }
    }
}

/// A digest that passes is a file's name.
fn is_safe(digest: &str) {
    if let Ok(hex) = digest_hex(digest) {
        assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
