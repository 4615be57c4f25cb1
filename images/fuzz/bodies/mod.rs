//! What each fuzz target does with its bytes. Nothing may panic, and nothing may take more than its limits.

pub mod config;
pub mod erofs;
pub mod layer;
pub mod name;
pub mod tree;
