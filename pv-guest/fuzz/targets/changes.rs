//! A hostile agent's list of changes.
#![no_main]

use guest_protocol::files;

#[path = "../bodies/changes.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
