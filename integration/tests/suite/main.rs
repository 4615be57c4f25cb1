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
mod hostile;
mod image;
mod lifecycle;
mod push;
mod run;
mod secure;
mod stdio;
mod storage;
mod support;
mod tty;

fn main() -> std::process::ExitCode {
    let tests = [
        run::TESTS,
        push::TESTS,
        secure::TESTS,
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
        faults::TESTS,
        hostile::TESTS,
    ]
    .concat();
    support::run(&tests)
}
