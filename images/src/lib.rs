//! OCI images: references, registry, layers, store and root devices.
