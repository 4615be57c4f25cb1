//! The lab: a real Xen host on a machine without Xen, and what tests need to drive it.
//!
//! Xen and a Debian dom0 run in QEMU, in pure emulation. Booting takes about a minute, so a booted host is kept as an
//! immutable disk plus the machine's state, and each lab resumes from that on a copy-on-write disk of its own.
#![forbid(unsafe_code)]

mod build;
mod cache;
mod lab;
mod leaks;
mod machine;
mod qmp;
mod ssh;

pub use build::{
    Snapshot, XenRelease, bench_image, bench_tools, build, docker_compose, docker_py, reference,
};
pub use cache::root as cache;
pub use lab::{Install, Lab, Status};
pub use leaks::leaks;
pub use ssh::{Host, Outcome, exit_code};

use std::path::PathBuf;

/// The top of the checkout.
pub fn project_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(PathBuf::from)
        .unwrap_or_default()
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project_root().join("target"), PathBuf::from)
}

/// What `scripts/build` made.
pub fn dist() -> PathBuf {
    target().join("dist")
}
