//! [`Calls`](super::Calls) of Xen 4.20.

use xen_sys::v4_20 as sys;

#[allow(clippy::duplicate_mod, reason = "the same calls against other bindings")]
#[path = "release.rs"]
pub mod release;
