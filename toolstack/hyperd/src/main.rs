//! The daemon: Docker Engine API over the engine.

fn main() {}
