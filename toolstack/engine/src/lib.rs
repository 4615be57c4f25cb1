//! What a container is and may become: guests, devices, records, streams.
//!
//! ```text
//!   engine       the facade: containers by name, execs, images            (engine.rs)
//!   container    one task owns each container and its guest               (container.rs, guest.rs)
//!   session      the conversation with a guest's agent over its link      (session.rs)
//!   stdio        a process's streams: to the log and to whoever attaches  (stdio.rs, log.rs)
//!   network      networks, and the host's side of them                  (network/)
//!   records      what must survive, in SQLite                             (records.rs)
//!   hypervisor   all the engine knows of Xen, as a trait                  (hypervisor.rs, xen_host.rs)
//! ```
#![forbid(unsafe_code)]

mod boot;
mod container;
mod context;
mod devices;
mod disks;
mod engine;
mod error;
mod exec;
mod hypervisor;
mod log;
mod names;
pub mod network;
mod plan;
mod records;
mod restore;
mod session;
mod signal;
mod spec;
mod state;
mod stdio;
mod task;
mod xen_host;

pub use engine::{
    AttachOptions, Created, Engine, EngineConfig, Event, Exec, ExecSpec, HostSummary, Wait, WaitCondition,
    WaitResult,
};
pub use error::{Error, ErrorKind};
pub use guest_protocol::message::WindowSize;
pub use hypervisor::{GuestType, HostInfo, MemoryInfo};
pub use images;
pub use log::{LogEntry, LogOptions};
pub use plan::{Plan, RootForm};
pub use signal::{name as signal_name, parse as parse_signal};
pub use spec::{Config, CreateRequest, HostConfig, RestartPolicy, Ulimit};
pub use state::{Container, State, Status};
pub use stdio::{Attachment, Chunk, Input, Source};
