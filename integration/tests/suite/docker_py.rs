//! docker-py, the client library that most programs use, against our socket.

use super::support::{BUSYBOX, Dom0, Forwarded, Test, pv};
use std::process::Command;

pub const TESTS: &[Test] = &[pv("docker_py::scenario", scenario)];

fn scenario(dom0: &Dom0<'_>) {
    dom0.pull(BUSYBOX);
    let python = integration::docker_py().expect("docker-py can be installed");
    // The library has no annotations, by which docker's client asks for a type of guest.
    dom0.with_config("guest-type = \"pv\"", || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/docker_py.py");
        Forwarded::new(dom0).run(Command::new(python).args([script, BUSYBOX]));
    });
}
