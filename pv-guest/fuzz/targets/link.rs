//! A link whose other side writes what it likes.
#![no_main]

use guest_protocol::{mux, ring};

#[path = "../bodies/link.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|script: &[u8]| body::run(script));
