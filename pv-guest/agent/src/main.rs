//! PID 1 of every guest: starts what the engine asks for, moves bytes, reaps, reports.
//!
//! One thread, one loop over poll(2): what comes over the link goes to a process, what a process writes goes to the
//! link, as far as the windows of the streams allow.

#![deny(unsafe_code)]

mod agent;
mod container;
mod error;
mod kmsg;
mod link;
mod process;
#[allow(unsafe_code)]
mod sys;
mod user;

fn main() {
    // There is nobody to give an exit code to: a guest without its agent is over.
    if let Err(failure) = run() {
        kmsg::log(&format!("fatal: {}", failure.message));
    }
    rustix::fs::sync();
    let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    loop {
        std::thread::park();
    }
}

fn run() -> Result<(), error::Failure> {
    container::mount_guest()?;
    agent::Agent::new()?.run()
}
