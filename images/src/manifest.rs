//! Manifests and indexes as registries give them.

use crate::Error;
use oci_spec::image::{Arch, Descriptor, ImageIndex, Os};
use serde_json::Value;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const OCI_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const OCI_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const OCI_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub(crate) const DOCKER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";
pub(crate) const DOCKER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Layers that only their owner may distribute, as OCI calls them.
pub(crate) const FOREIGN_TAR: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
pub(crate) const FOREIGN_GZIP: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
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
        let platform = descriptor.platform().as_ref();
        platform.is_some_and(|platform| fits(platform.os(), platform.architecture()))
    })
}

/// Whether guests of this machine can run it.
pub(crate) fn fits(os: &Os, architecture: &Arch) -> bool {
    *os == Os::Linux && *architecture == Arch::Amd64
}

pub(crate) fn platform(os: &Os, architecture: &Arch) -> String {
    format!("{os}/{architecture}")
}

/// What an index has, for an error.
pub(crate) fn platforms(index: &ImageIndex) -> String {
    let platforms = index
        .manifests()
        .iter()
        .filter_map(|descriptor| descriptor.platform().as_ref());
    let available: Vec<_> = platforms
        .take(20)
        .map(|found| platform(found.os(), found.architecture()))
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
