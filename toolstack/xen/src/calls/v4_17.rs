//! [`Calls`](super::Calls) of Xen 4.17.

use xen_sys::v4_17 as sys;

#[allow(clippy::duplicate_mod, reason = "the same calls against other bindings")]
#[path = "release.rs"]
pub mod release;
