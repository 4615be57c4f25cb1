//! The name server's sources as they are, since what is fuzzed is not public, and the body of the target.
#![allow(dead_code, unused_imports)]

#[path = "../../src/dns/mod.rs"]
mod dns;

#[path = "../bodies/dns.rs"]
pub mod body;
