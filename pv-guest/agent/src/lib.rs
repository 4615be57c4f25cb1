//! PID 1 of every guest: starts what the engine asks for, moves bytes, reaps, reports.
//!
//! One thread, one loop over poll(2): what comes over the link goes to a process, what a process writes goes to the
//! link, as far as the windows of the streams allow.
//!
//! A library for the sake of the tests' own agents, which offer the same link and then misbehave.

#![deny(unsafe_code)]

mod agent;
mod arrivals;
mod cgroup;
mod container;
pub mod error;
mod files;
pub mod guest;
pub mod init;
pub mod kmsg;
mod limits;
pub mod link;
mod mounts;
mod netlink;
mod network;
mod oom;
mod process;
mod processes;
mod program;
mod streams;
#[allow(unsafe_code)]
pub mod sys;
mod user;

/// Makes the guest a guest and serves the engine until it asks for the end.
pub fn run() -> Result<(), error::Failure> {
    guest::prepare()?;
    agent::Agent::new()?.run()
}
