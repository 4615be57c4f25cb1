//! What is asked of libxenctrl and libxenguest, the same for every release of Xen.

use crate::DomId;
use std::io;

mod v4_17;
mod v4_20;

/// Releases there are bindings for, newest first.
pub const SUPPORTED: &[(u32, u32)] = &[(4, 20), (4, 17)];

/// Opens the libraries of a release. `None`: there are no bindings for it.
pub fn open(major: u32, minor: u32) -> Option<Result<Box<dyn Calls>, OpenError>> {
    match (major, minor) {
        (4, 17) => Some(v4_17::release::Release::open("4.17")),
        (4, 20) => Some(v4_20::release::Release::open("4.20")),
        _ => None,
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open {library}")]
    Library {
        library: String,
        #[source]
        source: xen_sys::LoadError,
    },
    #[error("cannot open Xen's control interface")]
    Interface(#[source] io::Error),
}

/// A libxenguest or libxenctrl function that failed.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed")]
pub struct CallError {
    pub call: &'static str,
    #[source]
    pub source: io::Error,
}

pub struct Physical {
    pub free_bytes: u64,
    pub total_bytes: u64,
    pub cpus: u32,
    pub pv: bool,
    pub hvm: bool,
    pub hap: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    pub domid: DomId,
    pub uuid: [u8; 16],
    pub memory_bytes: u64,
    pub vcpus: u32,
    pub cpu_time_ns: u64,
    pub paused: bool,
    pub dying: bool,
    /// Reason, when it has shut down.
    pub shutdown: Option<u32>,
}

pub struct Create {
    pub uuid: [u8; 16],
    pub vcpus: u32,
    pub pvh: bool,
    pub hap: bool,
}

pub struct Build<'a> {
    pub domid: DomId,
    pub pvh: bool,
    pub memory_mib: u64,
    pub vcpus: u32,
    pub kernel: &'a [u8],
    pub initramfs: &'a [u8],
    pub cmdline: &'a std::ffi::CStr,
    /// Tables, the RSDP first, to be placed at [`crate::acpi::ADDRESS`].
    pub acpi: &'a [u8],
    pub shadow_mib: u32,
}

/// Frames and ports of the two rings every guest is born with.
#[derive(Debug, Clone, Copy)]
pub struct Built {
    pub store_frame: u64,
    pub store_port: u32,
    pub console_frame: u64,
    pub console_port: u32,
}

/// One open control interface. Not for use by two threads at a time, which `&mut` sees to.
pub trait Calls: Send {
    fn physical(&mut self) -> Result<Physical, CallError>;
    fn list(&mut self, first: DomId) -> Result<Vec<Listed>, CallError>;
    fn create(&mut self, create: &Create) -> Result<DomId, CallError>;
    /// Memory, kernel, start info, vcpu: everything up to a domain that can be unpaused.
    fn build(&mut self, build: &Build<'_>) -> Result<Built, CallError>;
    fn pause(&mut self, domid: DomId) -> Result<(), CallError>;
    fn unpause(&mut self, domid: DomId) -> Result<(), CallError>;
    fn destroy(&mut self, domid: DomId) -> Result<(), CallError>;
}
