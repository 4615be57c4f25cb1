//! The sources of images as they are, since what is fuzzed is not public, and the bodies of the targets.
#![allow(dead_code)]

#[path = "../../src/archive.rs"]
mod archive;
#[path = "../../src/config.rs"]
mod config;
#[path = "../../src/entries.rs"]
mod entries;
#[path = "../../src/erofs/mod.rs"]
mod erofs;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/forms.rs"]
mod forms;
#[path = "../../src/layer.rs"]
mod layer;
#[path = "../../src/manifest.rs"]
mod manifest;
#[path = "../../src/name.rs"]
mod name;
#[path = "../../src/rootfs.rs"]
mod rootfs;
#[path = "../../src/store.rs"]
mod store;
#[path = "../../src/tree.rs"]
mod tree;

use config::ImageConfig;
use error::Error;
use name::Name;
use store::{Staged, Store, StoredLayer};

#[path = "../bodies/mod.rs"]
pub mod bodies;
