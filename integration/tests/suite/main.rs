//! The suite: Hyper driven from outside, through its binaries, on a real Xen in the lab.
//!
//! `scripts/test lab [NAME]` runs it. A missing lab fails every test; none is ever skipped.
#![forbid(unsafe_code)]

mod adversity;
mod archive;
mod compose;
mod docker;
mod docker_py;
mod errors;
mod events;
mod exec;
mod faults;
mod fidelity;
mod files;
mod guest;
mod health;
mod hostile;
mod image;
mod kills;
mod lifecycle;
mod logs;
mod many;
mod network;
mod overlay;
mod push;
mod reboot;
mod restart;
mod run;
mod secure;
mod service;
mod stdio;
mod storage;
mod support;
mod tty;
mod usage;
mod xenstore;

fn main() -> std::process::ExitCode {
    let tests = [
        run::TESTS,
        push::TESTS,
        secure::TESTS,
        exec::TESTS,
        stdio::TESTS,
        tty::TESTS,
        lifecycle::TESTS,
        network::TESTS,
        logs::TESTS,
        events::TESTS,
        usage::TESTS,
        image::TESTS,
        archive::TESTS,
        fidelity::TESTS,
        overlay::TESTS,
        files::TESTS,
        storage::TESTS,
        guest::TESTS,
        docker::TESTS,
        docker_py::TESTS,
        compose::TESTS,
        errors::TESTS,
        restart::TESTS,
        reboot::TESTS,
        health::TESTS,
        xenstore::TESTS,
        faults::TESTS,
        adversity::TESTS,
        kills::TESTS,
        many::TESTS,
        service::TESTS,
        hostile::TESTS,
    ]
    .concat();
    support::run(&tests)
}
