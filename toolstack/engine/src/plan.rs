//! Everything a guest is, as one value that can be printed and tested.

use crate::hypervisor::GuestType;
use guest_protocol::message::{ContainerSpec, ProcessSpec};
use serde::Serialize;
use std::path::PathBuf;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    pub uuid: Uuid,
    /// What `xl list` shows.
    pub name: String,
    pub guest_type: GuestType,
    pub memory_mib: u64,
    pub vcpus: u32,
    pub cmdline: String,
    /// xvda, xvdb, …
    pub disks: Vec<PlannedDisk>,
    pub container: ContainerSpec,
    pub process: ProcessSpec,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedDisk {
    pub file: PathBuf,
    pub read_only: bool,
}
