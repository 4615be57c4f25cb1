//! What the tests are written with.

mod dom0;
mod forwarded;
mod harness;
mod process;
mod registry;
pub mod secure;
mod server;
mod terminal;

pub use dom0::{BUSYBOX, DEBIAN, Dom0};
pub use forwarded::Forwarded;
pub use harness::{Dice, Test, both, number, once, pv, pvh, run};
pub use process::{Ran, Running};
pub use registry::{LIES, Registry};
