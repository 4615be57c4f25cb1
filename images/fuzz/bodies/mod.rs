//! What each fuzz target does with its bytes. Nothing may panic, and nothing may take more than its limits.

pub mod archive;
pub mod auth;
pub mod config;
pub mod dockerfile;
pub mod entries;
pub mod erofs;
pub mod index;
pub mod layer;
pub mod load;
pub mod name;
mod script;
pub mod tree;
pub mod ustar;
