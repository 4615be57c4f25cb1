//! The safe layer over Xen: the host, domains, devices, xenstore, event channels, grants and the link to a guest.
//!
//! [`Host`] opens the libraries of the Xen that runs and says clearly why it cannot. [`Host::create`] turns a
//! [`DomainConfig`] into a paused [`Domain`] with all its devices connected; nothing of it needs libxl, `xl`, a hotplug
//! script or any other process. Calls into Xen's libraries block and run on tokio's blocking threads.

mod acpi;
mod block_device;
mod calls;
mod console;
mod device;
mod domain;
mod event_channel;
mod grant;
mod host;
mod linear_device;
mod link;
mod loop_device;
mod store;
mod usage;
mod vif;

pub use block_device::BlockDevice;
pub use device::{Disk, DiskMode, Nic};
pub use domain::{Domain, DomainConfig, DomainError, DomainState, GuestType, Kernel, Timings};
pub use host::{Host, HostError, HostInfo, MemoryInfo};
pub use linear_device::{LinearDevice, LinearError, release_all};
pub use link::{Link, LinkError, LinkMemory};
pub use loop_device::{LoopDevice, LoopError};
pub use store::{Store, StoreChange, StoreError, Watch};
pub use usage::{DiskUsage, DomainUsage, NicUsage};
pub use vif::name as vif_name;

/// Number of a domain. 0 is dom0.
pub type DomId = u32;
