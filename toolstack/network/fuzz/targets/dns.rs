//! Queries of a hostile guest.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| network_fuzz::body::run(bytes));
