//! All the engine knows of what runs its guests.

use crate::error::Error;
use crate::plan::{Plan, PlannedNic};
use async_trait::async_trait;
use guest_protocol::ring::SharedMemory;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestType {
    Pv,
    Pvh,
}

impl fmt::Display for GuestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pv => "pv",
            Self::Pvh => "pvh",
        })
    }
}

impl FromStr for GuestType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "pv" => Ok(Self::Pv),
            "pvh" => Ok(Self::Pvh),
            _ => Err(Error::invalid(format!(
                "guest type {text:?} is unknown: it is pv or pvh"
            ))),
        }
    }
}

/// What the host is; does not change while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostInfo {
    /// As `4.20`.
    pub xen_version: String,
    /// As `4.20.2-pre`.
    pub xen_full_version: String,
    pub cpus: u32,
    /// What it can run, the default first.
    pub guest_types: Vec<GuestType>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryInfo {
    pub total_bytes: u64,
    pub free_bytes: u64,
}

/// How a guest ended without being asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It powered off or rebooted by itself.
    ShutDown,
    /// Its kernel crashed.
    Crashed,
    /// Somebody destroyed it.
    Destroyed,
}

#[async_trait]
pub trait Hypervisor: Send + Sync + 'static {
    fn info(&self) -> &HostInfo;
    async fn memory(&self) -> Result<MemoryInfo, Error>;
    /// Builds a guest, paused, its devices ready. Nothing is left of it on failure.
    async fn build(&self, plan: &Plan) -> Result<Arc<dyn Guest>, Error>;
    /// Guests that exist, whoever built them.
    async fn guests(&self) -> Result<Vec<(u32, Uuid)>, Error>;
    /// Takes over a guest that was built by an earlier engine.
    async fn adopt(&self, domid: u32, plan: &Plan) -> Result<Arc<dyn Guest>, Error>;
    /// What the host calls the interface of a guest that has this number.
    fn interface(&self, domid: u32, index: u32) -> String;
    /// Removes what is left of a guest that no longer exists.
    async fn sweep(&self, domid: u32, uuid: Uuid) -> Vec<Error>;
}

#[async_trait]
pub trait Guest: Send + Sync {
    fn domid(&self) -> u32;
    async fn unpause(&self) -> Result<(), Error>;
    async fn pause(&self) -> Result<(), Error>;
    /// Changes the name by which others know it.
    async fn rename(&self, name: &str) -> Result<(), Error>;
    /// Gives it one more interface, and waits until it has connected it.
    async fn plug_nic(&self, index: u32, nic: &PlannedNic) -> Result<(), Error>;
    /// Takes an interface away, in agreement with the guest or without. Goes on after an error and gives all of them.
    async fn unplug_nic(&self, index: u32) -> Vec<Error>;
    /// Waits until it no longer runs.
    async fn ended(&self) -> Ended;
    /// Waits until its agent offers a link, and takes it.
    async fn link(&self) -> Result<Box<dyn GuestLink>, Error>;
    /// Ends it and frees all it had. Goes on after an error and gives all of them.
    async fn destroy(&self) -> Vec<Error>;
}

/// Shared memory with a guest's agent, and a bell for each side.
#[async_trait]
pub trait GuestLink: Send + Sync {
    fn memory(&self) -> &(dyn SharedMemory + Send + Sync);
    fn notify(&self) -> io::Result<()>;
    /// Waits until the guest has notified since the last time.
    async fn notified(&self) -> io::Result<()>;
}
