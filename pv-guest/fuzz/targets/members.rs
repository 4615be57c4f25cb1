//! A tar that goes in or out of a container.
#![no_main]

use archive::{Member, Reader};

#[path = "../bodies/members.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
