//! What goes into the engine and comes out of it.

use crate::container::Life;
pub use crate::container::WaitResult;
use crate::error::Error;
use crate::hypervisor::{GuestType, HostInfo, MemoryInfo};
use crate::log::LogConfig;
use crate::network::NetworkConfig;
use crate::plan::RootForm;
use images::Registries;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// What an engine is started with.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Records, images, containers' disks and logs.
    pub state_dir: PathBuf,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    /// Added to the guest's kernel command line.
    pub kernel_cmdline: String,
    /// The best the host can when absent.
    pub guest_type: Option<GuestType>,
    pub default_memory_mib: u64,
    /// Size of a container's own disk, sparse.
    pub disk_mib: u64,
    /// As long as nobody says otherwise, see [`super::Engine::reload`].
    pub settings: Settings,
    pub root_form: RootForm,
    pub network: NetworkConfig,
    /// How long `stop` waits before it kills, unless the container or the request says otherwise.
    pub stop_timeout: Duration,
    /// How long a guest may take from its start to its agent's first word.
    pub boot_timeout: Duration,
}

/// What may change while the engine runs.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub registries: Registries,
    /// Of containers that do not say it themselves.
    pub log: LogConfig,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub id: String,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// At once when it does not run.
    NotRunning,
    NextExit,
    Removed,
}

/// A wait that has begun: what happens from now on is not missed.
pub struct Wait {
    pub(super) life: watch::Receiver<Life>,
    pub(super) condition: WaitCondition,
    pub(super) ended_runs: u64,
    /// The answer is there already.
    pub(super) now: Option<WaitResult>,
}

impl Wait {
    pub async fn result(mut self) -> Result<WaitResult, Error> {
        if let Some(result) = self.now {
            return Ok(result);
        }
        let (condition, ended_runs) = (self.condition, self.ended_runs);
        let over = |life: &Life| match condition {
            WaitCondition::Removed => life.removed,
            _ => life.removed || life.ended_runs > ended_runs,
        };
        let life = self
            .life
            .wait_for(over)
            .await
            .map_err(|_| Error::failed("hyperd is stopping"))?;
        Ok(life.last.clone().unwrap_or(WaitResult {
            exit_code: 0,
            error: None,
        }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttachOptions {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// What the log has comes first.
    pub logs: bool,
    /// What comes from now on; without it only the log.
    pub stream: bool,
}

/// A process to run in a container beside its first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub working_dir: String,
    /// The container's own when empty.
    pub user: String,
    pub tty: bool,
    pub privileged: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// How an exec stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    pub id: String,
    pub container: String,
    pub spec: ExecSpec,
    pub running: bool,
    /// In its guest; 0 before it runs.
    pub pid: u32,
    /// Absent until it ended.
    pub exit_code: Option<i32>,
}

#[derive(Debug, Clone)]
pub struct HostSummary {
    pub host: HostInfo,
    pub memory: MemoryInfo,
    pub running: usize,
    pub paused: usize,
    pub stopped: usize,
    pub images: usize,
    pub state_dir: PathBuf,
}
