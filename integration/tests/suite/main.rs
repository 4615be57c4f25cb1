//! The suite: Hyper driven from outside, through its binaries, on a real Xen in the lab.
//!
//! `scripts/test lab [NAME]` runs it. A missing lab fails every test; none is ever skipped.
#![forbid(unsafe_code)]

mod archive;
mod docker;
mod errors;
mod exec;
mod faults;
mod fidelity;
mod guest;
mod health;
mod hostile;
mod image;
mod kills;
mod lifecycle;
mod push;
mod restart;
mod run;
mod stdio;
mod storage;
mod support;
mod tty;
mod xenstore;

fn main() -> std::process::ExitCode {
    let tests = [
        run::TESTS,
        push::TESTS,
        exec::TESTS,
        stdio::TESTS,
        tty::TESTS,
        lifecycle::TESTS,
        image::TESTS,
        archive::TESTS,
        fidelity::TESTS,
        storage::TESTS,
        guest::TESTS,
        docker::TESTS,
        errors::TESTS,
        restart::TESTS,
        health::TESTS,
        xenstore::TESTS,
        faults::TESTS,
        kills::TESTS,
        hostile::TESTS,
    ]
    .concat();
    support::run(&tests)
}
