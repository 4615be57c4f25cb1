//! Tars of trees, and trees of tars: what `cp` moves in and out of a container, on both of its ends.
//!
//! Neither a tar nor a tree is trusted. What is written lands below the root that was given, wherever the names and the
//! links of either may lead ([`Root`]), and a tree is walked without following a link.
#![forbid(unsafe_code)]

mod error;
pub mod field;
mod metadata;
mod pack;
pub mod path;
mod reader;
mod remove;
mod root;
mod unpack;
mod writer;

pub use error::Error;
pub use metadata::Stat;
pub use pack::{list, open_directory, pack};
pub use reader::{Member, Reader};
pub use root::Root;
pub use unpack::{Options, Owner, unpack};
pub use writer::{Writer, Xattrs, xattrs, xattrs_at};

/// How deep a tree may be: each level costs a descriptor.
pub const MAX_DEPTH: usize = 900;
