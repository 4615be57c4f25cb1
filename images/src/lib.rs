//! OCI images: names, pulling from registries and pushing to them, the store, and the root file systems that guests mount.
//!
//! A registry is not trusted: sizes, digests, media types and every tar entry are checked, and what fails leaves the
//! store as it was. Layers are never unpacked into this system's tree: they stay tars, and their merged tree becomes
//! the index of an EROFS that they are a part of.
#![forbid(unsafe_code)]

mod archive;
mod compress;
mod config;
mod dockerfile;
mod entries;
mod erofs;
mod error;
mod forms;
mod import;
mod layer;
mod load;
mod local;
mod manifest;
mod name;
mod pull;
mod push;
mod registry;
mod rootfs;
mod save;
mod store;
mod tree;
mod usage;
mod verify;

pub use config::{Healthcheck, ImageConfig};
pub use dockerfile::{ChangeError, change};
pub use error::Error;
pub use import::fetch;
pub use load::{Loaded, Report, expand};
pub use local::AddedLayer;
pub use name::Name;
pub use pull::Progress;
pub use registry::{Credentials, Found, Mirror, Registries, Retry};
pub use rootfs::RootDisk;
pub use save::Export;
pub use store::{Image, Removed, Store, User};
pub(crate) use store::{Staged, StoredLayer};
pub use usage::Usage;
pub use verify::Verified;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod merge_tests;
#[cfg(test)]
mod transfer_tests;
