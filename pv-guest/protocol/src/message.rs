//! Control messages: JSON on stream 0, each preceded by its length as a little-endian `u32`.
//!
//! JSON, because an agent lives as long as its guest and must understand an engine that was upgraded meanwhile:
//! unknown fields are ignored, missing ones have defaults.

use crate::files::{FileJob, PathStat};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Version of the link that this code speaks; the agent publishes it, the engine refuses another major.
pub const VERSION: u32 = 1;

/// A control message longer than this ends the link. Docker accepts arguments and environment up to the
/// kernel's `ARG_MAX` of 2 MiB in all; JSON may double that.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Names a process of a guest for the life of the guest; chosen by the engine, never used again.
pub type ProcessId = u32;

/// Number of a byte stream. 0 is the control stream; the engine chooses all others, and none twice in a guest's life:
/// frames of a stream that was closed may still be on their way.
pub type StreamId = u32;

/// What the engine asks of the agent. Each request gets exactly one [`Event::Reply`] with the same `id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    pub body: RequestBody,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum RequestBody {
    /// First message of every connection, also after the engine restarted. The reply is [`ReplyBody::State`].
    Hello { version: u32 },
    /// Mounts the root and prepares the namespaces of one container. Sent once per container.
    Create { container: Box<ContainerSpec> },
    /// Starts a process in a container: its first (`init`) or one more (exec).
    /// The reply is [`ReplyBody::Started`], after `execve` succeeded, or an error with its [`ErrorKind`].
    Start { process: Box<ProcessSpec> },
    /// Sends a signal to a process. Signal numbers are Linux x86-64's.
    Signal { process: ProcessId, signal: i32 },
    /// Sets the size of a process's terminal.
    Resize { process: ProcessId, size: WindowSize },
    /// The engine has recorded the exit of this process; the agent may forget it.
    Forget { process: ProcessId },
    /// The guest's interfaces as they are to be, and files of a container that follow from them. Sent before the container
    /// is created, and again whenever an interface came or went.
    Network { network: Box<NetworkSpec> },
    /// Kernel messages from now on (and those so far) go to this stream as text.
    KernelLog { stream: StreamId },
    /// Does something with a container's files. The reply is [`ReplyBody::PathStat`] or [`ReplyBody::Transferred`].
    Files { container: String, job: FileJob },
    /// Nobody wants the job of this stream any more; its reply is an error.
    CancelFiles { stream: StreamId },
    /// The processes of a container. The reply is [`ReplyBody::Processes`].
    Processes { container: String },
    /// What a container uses of its guest. The reply is [`ReplyBody::Usage`].
    Usage { container: String },
    /// The container may use so much of its guest from now on; `None` leaves a limit as it is. Memory that it has beyond
    /// is reclaimed, or its processes are killed.
    Limit {
        container: String,
        #[serde(default)]
        memory_bytes: Option<u64>,
        /// Billionths of a processor; 0 is no limit.
        #[serde(default)]
        nano_cpus: Option<u64>,
    },
    /// Kill what is left, sync, unmount, power off. The reply comes before the power goes.
    Shutdown,
}

/// What the agent tells the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// Answer to the request with this id.
    Reply {
        id: u64,
        result: Result<ReplyBody, RequestError>,
    },
    /// A process ended. Sent after its output streams were closed with end-of-stream; output that a descendant holds
    /// open is ended two seconds after the exit. Repeated in [`GuestState`] until the engine sends [`RequestBody::Forget`].
    Exited { process: ProcessId, status: ExitStatus },
    /// The kernel has killed a process of this container for want of memory.
    OutOfMemory { container: String },
    /// Of an agent that is newer: nothing that this engine knows.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ReplyBody {
    Done,
    /// Process id as seen in the container's own pid namespace is not told; this is the guest's.
    Started {
        pid: u32,
    },
    State(GuestState),
    PathStat(PathStat),
    /// So many bytes went over the job's stream, and were all there was.
    Transferred {
        bytes: u64,
    },
    Processes {
        processes: Vec<ProcessInfo>,
    },
    Usage(Usage),
}

/// All the agent knows; what an engine that restarted needs to go on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuestState {
    pub version: u32,
    pub kernel_release: String,
    /// Containers that were created.
    pub containers: Vec<String>,
    pub processes: Vec<ProcessState>,
    pub streams: Vec<StreamState>,
    /// The highest number that any stream has ever had.
    pub last_stream: StreamId,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessState {
    pub process: ProcessId,
    pub pid: u32,
    /// Absent while it runs.
    pub exited: Option<ExitStatus>,
}

/// Where a stream stands, in bytes since it was opened, as the agent counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamState {
    pub stream: StreamId,
    /// Bytes the agent has sent.
    pub sent: u64,
    /// Bytes the agent has received.
    pub received: u64,
    /// The agent has sent end-of-stream.
    pub sent_eof: bool,
    /// The agent has received end-of-stream.
    pub received_eof: bool,
}

/// More processes than this are not told of.
pub const MAX_LISTED_PROCESSES: usize = 4096;
/// Of the arguments of one, together.
pub const MAX_LISTED_COMMAND_BYTES: usize = 512;

/// One process of a container, as proc(5) tells of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessInfo {
    /// As the guest counts, like [`ReplyBody::Started`]'s.
    pub pid: u32,
    pub parent: u32,
    pub group: u32,
    pub session: u32,
    pub uid: u32,
    pub gid: u32,
    /// The first letter of its state: `R`, `S`, `D`, `Z`, `T`, ….
    pub state: String,
    pub nice: i64,
    pub threads: u64,
    /// Major and minor number of its terminal, as `stat` has them; 0 without one.
    pub terminal: u32,
    pub started_ms_ago: u64,
    pub cpu_ms: u64,
    pub virtual_bytes: u64,
    pub resident_bytes: u64,
    /// Name of the program.
    pub name: String,
    /// Program and arguments in one; empty when it has none, as a zombie.
    pub command: String,
}

/// What a container uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Of the container's cgroup, its files' cache among it.
    pub memory_bytes: u64,
    /// Of that, cache that can be had back at once.
    pub inactive_file_bytes: u64,
    pub anonymous_bytes: u64,
    pub file_bytes: u64,
    pub memory_peak_bytes: u64,
    /// What the guest's kernel has to give in all.
    pub guest_memory_bytes: u64,
    pub guest_free_bytes: u64,
    pub processes: u64,
    pub user_cpu_us: u64,
    pub system_cpu_us: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// 0 to 255; 128 + signal for a process that a signal ended, as shells and docker count.
    pub code: i32,
    /// The signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// The kernel's out-of-memory killer ended it.
    #[serde(default)]
    pub oom_killed: bool,
    /// Milliseconds since the epoch by the guest's clock.
    #[serde(default)]
    pub at_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestError {
    pub kind: ErrorKind,
    /// Lower case, no full stop, as runc words it (`exec: "foo": executable file not found in $PATH`).
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The command does not exist: docker's exit code 127.
    CommandNotFound,
    /// The command cannot be executed: docker's exit code 126.
    CommandNotExecutable,
    /// The user or group is not in the container's files, or the like: docker's 126.
    BadUser,
    /// The working directory cannot be made or entered: docker's 126.
    BadWorkingDirectory,
    /// No such process, container or stream.
    NotFound,
    /// The request makes no sense in the present state, or breaks a limit.
    Invalid,
    /// The guest failed: mount, memory, clone. docker's 125.
    #[serde(other)]
    Guest,
}

/// One container of a guest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    pub id: String,
    pub hostname: String,
    pub domainname: String,
    pub root: RootSpec,
    /// Mounted in this order over the root, after /proc, /sys, /dev, /dev/pts, /dev/shm, /dev/mqueue, cgroup2.
    pub mounts: Vec<MountSpec>,
    /// Files written over the root before the first process: /etc/hostname, /etc/hosts, /etc/resolv.conf.
    /// They are bind mounts from a tmpfs, so the image's own files stay as they are.
    pub files: Vec<FileSpec>,
    /// `kernel.domainname` style keys; only those in the container's namespaces.
    pub sysctls: Vec<(String, String)>,
    /// Bytes of /dev/shm; 64 MiB when 0.
    pub shm_bytes: u64,
    /// Billionths of a processor that it may use; no limit when 0.
    pub nano_cpus: u64,
    /// All capabilities, all devices, writable /sys.
    pub privileged: bool,
    /// The first process is reaped and signalled by a small init of the agent's (`docker run --init`).
    pub init: bool,
}

/// The network of a guest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSpec {
    /// The first that has a gateway of a family gives the way to everywhere else.
    pub interfaces: Vec<InterfaceSpec>,
    /// The container whose files change; none does when empty.
    pub container: String,
    /// Of those that its [`ContainerSpec::files`] name; others are left as they are.
    pub files: Vec<FileSpec>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfaceSpec {
    /// What it is found by: `02:…`, lower case.
    pub mac: String,
    /// What it is to be called.
    pub name: String,
    /// The kernel's default when 0.
    pub mtu: u32,
    pub addresses: Vec<AddressSpec>,
    /// At most one of each family.
    pub gateways: Vec<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddressSpec {
    pub address: IpAddr,
    /// Of the subnet that is on the link.
    pub prefix_len: u8,
}

/// overlayfs of a read-only EROFS disk under a writable ext4 disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootSpec {
    /// Guest block devices of the read-only root, e.g. `xvda`. More than one is a flat multi-device EROFS.
    pub lower: Vec<String>,
    /// Guest block device of the writable layer, e.g. `xvdb`: an ext4 that is grown to its device.
    /// A tmpfs in memory takes its place when absent.
    pub upper: Option<String>,
    /// The root is mounted read-only for the container.
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MountSpec {
    /// Absolute path in the container; missing directories are made.
    pub target: String,
    pub kind: MountKind,
    /// As for mount(8): `ro`, `nosuid`, `size=64m`, `mode=1777`, ….
    #[serde(default)]
    pub options: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum MountKind {
    Tmpfs,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileSpec {
    /// Absolute path in the container.
    pub path: String,
    pub content: String,
    pub mode: u32,
}

/// A process to start, as `docker run` and `docker exec` describe one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessSpec {
    pub process: ProcessId,
    pub container: String,
    /// The container's first process, PID 1 of its pid namespace. When it ends, all others are killed.
    pub first: bool,
    /// Program and arguments; never empty. A name without a slash is sought in the `PATH` of `env`.
    pub args: Vec<String>,
    /// `NAME=value`. The agent adds PATH, HOME, HOSTNAME and (tty) TERM where missing.
    pub env: Vec<String>,
    /// Absolute; made if missing for the first process, as docker does for WORKDIR. Empty is `/`.
    pub cwd: String,
    /// `user`, `uid`, `user:group`, `uid:gid`, … resolved in the container's passwd and group; empty is root.
    pub user: String,
    /// More groups, by name or number.
    pub groups: Vec<String>,
    /// A terminal of this size is the process's stdio: output comes on `stdout` only.
    pub tty: Option<WindowSize>,
    pub stdin: Option<StreamId>,
    pub stdout: Option<StreamId>,
    pub stderr: Option<StreamId>,
    /// Names as `CAP_NET_ADMIN`. `None`: docker's default set.
    pub capabilities: Option<Vec<String>>,
    pub no_new_privileges: bool,
    pub rlimits: Vec<Rlimit>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `nofile`, `nproc`, … as docker's `--ulimit`.
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}
