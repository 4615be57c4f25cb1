//! Manifests and indexes as registries give them.

use crate::Error;
use oci_spec::image::{Arch, Descriptor, ImageIndex, Os};
use serde_json::Value;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// The document as an index, if it is one.
pub(crate) fn index(bytes: &[u8]) -> Option<ImageIndex> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    value.get("manifests")?;
    serde_json::from_value(value).ok()
}

/// The digest of the manifest for this machine among those of an index.
pub(crate) fn choose(index: &ImageIndex, name: &str) -> Result<String, Error> {
    match for_this_machine(index) {
        Some(descriptor) => Ok(descriptor.digest().to_string()),
        None => Err(Error::Platform {
            name: name.to_owned(),
            available: platforms(index),
        }),
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

/// What a manifest is sent as: what it says of itself, or what its config tells.
pub(crate) fn media_type(manifest: &Value) -> &str {
    match manifest["mediaType"].as_str() {
        Some(media_type) => media_type,
        None if manifest["config"]["mediaType"] == DOCKER_CONFIG => DOCKER_MANIFEST,
        None => OCI_MANIFEST,
    }
}
