//! What a container is and may become: guests, devices, records, streams.
//!
//! ```text
//!   engine       the facade: containers by name, execs, images            (engine.rs)
//!   container    one task owns each container and its guest               (container.rs, guest.rs)
//!   fault        where tests have the daemon killed                        (fault.rs)
//!   health       whether a container does its work                          (health/)
//!   session      the conversation with a guest's agent over its link      (session.rs)
//!   files        what is in a container, by jobs of its agent             (files/, visit.rs)
//!   stdio        a process's streams: to the log and to whoever attaches  (stdio.rs, log/)
//!   network      networks, and the host's side of them                  (network/)
//!   records      what must survive, in SQLite                             (records/)
//!   published    how the containers stand, in xenstore; and what is asked  (published.rs, requests.rs)
//!   hypervisor   all the engine knows of Xen, as a trait                  (hypervisor.rs, xen_host.rs)
//! ```
#![forbid(unsafe_code)]

mod again;
mod boot;
mod commit;
mod console;
mod container;
mod context;
mod devices;
mod disks;
mod engine;
mod error;
mod exec;
mod exec_records;
mod fault;
mod files;
mod health;
mod hypervisor;
mod leftovers;
mod log;
mod names;
pub mod network;
mod plan;
mod published;
mod records;
mod requests;
mod restore;
mod session;
mod signal;
mod spec;
mod state;
mod stdio;
mod task;
mod unwritten;
mod visit;
mod watchdog;
mod xen_host;

pub use commit::CommitRequest;
pub use engine::{
    AttachOptions, Created, Engine, EngineConfig, Event, Exec, ExecSpec, HostSummary, Sample, Settings,
    Update, Wait, WaitCondition, WaitResult,
};
pub use error::{Error, ErrorKind};
pub use files::{Change, ChangeKind, Download, ExtractOptions, PathStat};
pub use guest_protocol::message::{ProcessInfo, Usage as ContainerUsage, WindowSize};
pub use health::{Health, HealthStatus, Probe};
pub use hypervisor::{DiskUsage, GuestType, GuestUsage, HostInfo, MemoryInfo, NicUsage};
pub use images;
pub use log::{DRIVERS as LOG_DRIVERS, LogConfig, LogEntry, LogOptions};
pub use plan::{Plan, RootForm};
pub use signal::{name as signal_name, parse as parse_signal};
pub use spec::{Config, CreateRequest, HostConfig, RestartPolicy, Ulimit};
pub use state::{Container, State, Status};
pub use stdio::{Attachment, Chunk, Input, Source};
pub use xen_host::probe;
