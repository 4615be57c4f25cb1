//! The command line: a client of the Docker Engine API and its extension.

fn main() {}
