//! Control messages of a hostile peer.
#![no_main]

use guest_protocol::{control, message};

#[path = "../bodies/control.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
