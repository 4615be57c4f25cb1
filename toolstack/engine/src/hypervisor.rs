//! All the engine knows of what runs its guests.

use crate::error::Error;
use crate::plan::{Plan, PlannedNic};
use async_trait::async_trait;
use guest_protocol::ring::SharedMemory;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;
pub use xen::{DiskUsage, NicUsage};

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

/// What a guest uses, as the host counts it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestUsage {
    pub cpu: Duration,
    pub vcpus: u32,
    pub memory_bytes: u64,
    pub disks: DiskUsage,
    /// By the number of the interface: `eth` and that is its name in the guest.
    pub nics: BTreeMap<u32, NicUsage>,
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
    /// Where the host's people and programs look.
    fn board(&self) -> Arc<dyn Board>;
    /// `None`: there is no such guest.
    async fn usage(&self, domid: u32) -> Result<Option<GuestUsage>, Error>;
    /// Removes what is left of a guest that no longer exists.
    async fn sweep(&self, domid: u32, uuid: Uuid) -> Vec<Error>;
}

/// A change of one value on a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Write(String, String),
    /// With all below it; one that is not there is no error.
    Remove(String),
}

/// A tree of values that everyone on the host can see, and only the host can write: xenstore's part of dom0.
#[async_trait]
pub trait Board: Send + Sync {
    /// `None`: there is no such value.
    async fn read(&self, path: &str) -> Result<Option<String>, Error>;
    /// Names below a path; none when there is no such path.
    async fn list(&self, path: &str) -> Result<Vec<String>, Error>;
    /// All of them at once, for whoever looks.
    async fn commit(&self, changes: Vec<Change>) -> Result<(), Error>;
    /// Counts up whenever something at or below a path has changed.
    async fn watch(&self, path: &str) -> Result<watch::Receiver<u64>, Error>;
}

#[async_trait]
pub trait Guest: Send + Sync {
    fn domid(&self) -> u32;
    fn uuid(&self) -> Uuid;
    async fn unpause(&self) -> Result<(), Error>;
    async fn pause(&self) -> Result<(), Error>;
    async fn is_paused(&self) -> Result<bool, Error>;
    /// The last it has written to its console, as it stands there: bytes of the guest.
    async fn console(&self) -> Result<Vec<u8>, Error>;
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

#[cfg(test)]
pub mod fake {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    #[derive(Default)]
    struct Tree {
        values: BTreeMap<String, String>,
        commits: Vec<Vec<Change>>,
    }

    /// A board in memory, which remembers what was done to it.
    #[derive(Default)]
    pub struct MemoryBoard(Mutex<Tree>);

    impl MemoryBoard {
        fn tree(&self) -> std::sync::MutexGuard<'_, Tree> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub fn commits(&self) -> Vec<Vec<Change>> {
            self.tree().commits.clone()
        }

        pub fn get(&self, path: &str) -> Option<String> {
            self.tree().values.get(path).cloned()
        }
    }

    #[async_trait]
    impl Board for MemoryBoard {
        async fn read(&self, path: &str) -> Result<Option<String>, Error> {
            Ok(self.get(path))
        }

        async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
            let below = format!("{path}/");
            let tree = self.tree();
            let names = tree.values.keys().filter_map(|key| key.strip_prefix(&below));
            Ok(names
                .filter_map(|rest| rest.split('/').next())
                .map(str::to_owned)
                .collect())
        }

        async fn commit(&self, changes: Vec<Change>) -> Result<(), Error> {
            let mut tree = self.tree();
            for change in &changes {
                match change {
                    Change::Write(path, value) => drop(tree.values.insert(path.clone(), value.clone())),
                    Change::Remove(path) => {
                        let below = format!("{path}/");
                        tree.values
                            .retain(|key, _| key != path && !key.starts_with(&below));
                    }
                }
            }
            tree.commits.push(changes);
            Ok(())
        }

        async fn watch(&self, _: &str) -> Result<watch::Receiver<u64>, Error> {
            Ok(watch::channel(0).1)
        }
    }
}
