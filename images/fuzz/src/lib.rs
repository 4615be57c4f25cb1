//! The sources of images as they are, since what is fuzzed is not public, and the bodies of the targets.
#![allow(dead_code, unused_imports)]

#[path = "../../src/archive.rs"]
mod archive;
#[path = "../../src/compress.rs"]
mod compress;
#[path = "../../src/config.rs"]
mod config;
#[path = "../../src/dockerfile/mod.rs"]
mod dockerfile;
#[path = "../../src/entries.rs"]
mod entries;
#[path = "../../src/erofs/mod.rs"]
mod erofs;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/forms.rs"]
mod forms;
#[path = "../../src/import.rs"]
mod import;
#[path = "../../src/layer.rs"]
mod layer;
#[path = "../../src/load/mod.rs"]
mod load;
#[path = "../../src/local.rs"]
mod local;
#[path = "../../src/manifest.rs"]
mod manifest;
#[path = "../../src/name.rs"]
mod name;
#[path = "../../src/pull/mod.rs"]
mod pull;
#[path = "../../src/push/mod.rs"]
mod push;
#[path = "../../src/registry/mod.rs"]
mod registry;
#[path = "../../src/rootfs.rs"]
mod rootfs;
#[path = "../../src/save.rs"]
mod save;
#[path = "../../src/store/mod.rs"]
mod store;
#[path = "../../src/tree.rs"]
mod tree;
#[path = "../../src/usage.rs"]
mod usage;
#[path = "../../src/verify.rs"]
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
pub use store::{Image, Removed, Store};
pub(crate) use store::{Staged, StoredLayer};
pub use usage::Usage;
pub use verify::Verified;

#[path = "../bodies/mod.rs"]
pub mod bodies;
