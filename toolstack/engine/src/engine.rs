//! The facade: containers by name, execs, images.

use crate::error::Error;
use crate::hypervisor::{GuestType, HostInfo, MemoryInfo};
use crate::log::{LogEntry, LogOptions};
use crate::plan::Plan;
use crate::spec::CreateRequest;
use crate::state::Container;
use crate::stdio::Attachment;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use guest_protocol::message::WindowSize;
use images::{Credentials, Image, Progress, Registries, Removed, Store};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};

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
    pub registries: Registries,
    /// How long `stop` waits before it kills, unless the container or the request says otherwise.
    pub stop_timeout: Duration,
    /// How long a guest may take from its start to its agent's first word.
    pub boot_timeout: Duration,
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitResult {
    pub exit_code: i32,
    /// Why it could not be started, if that is the reason.
    pub error: Option<String>,
}

/// A wait that has begun: what happens from now on is not missed.
pub struct Wait {}

impl Wait {
    pub async fn result(self) -> Result<WaitResult, Error> {
        todo!()
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `container` or `image`.
    pub kind: &'static str,
    /// As docker names it: create, start, die, destroy, …
    pub action: String,
    /// Of the container or image.
    pub id: String,
    /// name, image, exitCode, … and the labels.
    pub attributes: BTreeMap<String, String>,
    pub at: DateTime<Utc>,
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

/// Cheap to clone.
#[derive(Clone)]
pub struct Engine {}

impl Engine {
    /// Opens Xen and the records, takes over guests that run, cleans up after those that do not.
    pub async fn open(config: EngineConfig) -> Result<Self, Error> { todo!() }

    /// Lets go of everything; guests run on.
    pub async fn close(&self) { todo!() }

    // containers; `text` is a name, an id or the beginning of one

    pub async fn create(&self, name: Option<&str>, request: CreateRequest) -> Result<Created, Error> { todo!() }
    /// All, the newest first.
    pub fn containers(&self) -> Vec<Container> { todo!() }
    pub fn container(&self, text: &str) -> Result<Container, Error> { todo!() }
    pub fn plan(&self, text: &str) -> Result<Plan, Error> { todo!() }
    /// Path of the json-file log.
    pub fn log_path(&self, id: &str) -> PathBuf { todo!() }
    /// Execs of a container that have not been forgotten.
    pub fn execs(&self, id: &str) -> Vec<String> { todo!() }
    /// `false`: it ran already.
    pub async fn start(&self, text: &str) -> Result<bool, Error> { todo!() }
    /// `false`: it did not run. `timeout`: `None` as configured; `Some(None)` never kills.
    pub async fn stop(&self, text: &str, signal: Option<i32>, timeout: Option<Option<Duration>>) -> Result<bool, Error> { todo!() }
    pub async fn restart(&self, text: &str, signal: Option<i32>, timeout: Option<Option<Duration>>) -> Result<(), Error> { todo!() }
    pub async fn kill(&self, text: &str, signal: i32) -> Result<(), Error> { todo!() }
    pub async fn pause(&self, text: &str) -> Result<(), Error> { todo!() }
    pub async fn unpause(&self, text: &str) -> Result<(), Error> { todo!() }
    pub async fn rename(&self, text: &str, name: &str) -> Result<(), Error> { todo!() }
    pub async fn remove(&self, text: &str, force: bool) -> Result<(), Error> { todo!() }
    pub fn wait(&self, text: &str, condition: WaitCondition) -> Result<Wait, Error> { todo!() }
    /// Works before the container was started, too: what comes is delivered then.
    pub async fn attach(&self, text: &str, options: AttachOptions) -> Result<Attachment, Error> { todo!() }
    pub async fn resize(&self, text: &str, size: WindowSize) -> Result<(), Error> { todo!() }
    /// Ends with the log or, when following, with the container's run.
    pub async fn logs(&self, text: &str, options: LogOptions) -> Result<mpsc::Receiver<Result<LogEntry, Error>>, Error> { todo!() }
    /// Messages of the guest's kernel: of the last run that there was.
    pub async fn console(&self, text: &str, follow: bool) -> Result<mpsc::Receiver<Bytes>, Error> { todo!() }

    // execs

    pub fn exec_create(&self, text: &str, spec: ExecSpec) -> Result<String, Error> { todo!() }
    /// Comes back when the command runs. The exit code is there before the output ends. When the command cannot be
    /// started, that is the error, and [`Exec::exit_code`] is 126 or 127.
    pub async fn exec_start(&self, id: &str, size: Option<WindowSize>) -> Result<Attachment, Error> { todo!() }
    pub async fn exec_resize(&self, id: &str, size: WindowSize) -> Result<(), Error> { todo!() }
    pub fn exec(&self, id: &str) -> Result<Exec, Error> { todo!() }

    // images

    pub fn images(&self) -> &Arc<Store> { todo!() }
    pub async fn pull(&self, name: &str, credentials: Credentials, progress: &(dyn Fn(Progress) + Sync)) -> Result<Image, Error> { todo!() }
    pub async fn remove_image(&self, text: &str, force: bool) -> Result<Vec<Removed>, Error> { todo!() }

    pub async fn summary(&self) -> Result<HostSummary, Error> { todo!() }
    pub fn subscribe(&self) -> broadcast::Receiver<Event> { todo!() }
}
