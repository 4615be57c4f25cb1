//! The link between the engine (in dom0) and the agent (PID 1 of a guest): ring layout, frames, streams, messages.
//!
//! ```text
//!   message   JSON values, length-prefixed, on stream 0            (message.rs, files.rs)
//!   stream    numbered byte streams with per-stream windows        (mux.rs, stream.rs)
//!   frame     12-byte header + payload, always moved whole         (mux.rs)
//!   ring      two byte rings in granted pages, one each way        (ring.rs)
//! ```
//!
//! Each side treats everything the other writes as hostile: lengths, indices, stream numbers, UTF-8.
#![forbid(unsafe_code)]

pub mod capability;
pub mod control;
pub mod files;
pub mod message;
pub mod mux;
pub mod ring;
mod stream;

#[cfg(test)]
#[path = "control_tests.rs"]
mod control_tests;
#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod fuzz_tests;
#[cfg(test)]
#[path = "takeover_tests.rs"]
mod takeover_tests;
