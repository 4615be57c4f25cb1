//! docker-py, the client library that most programs use, against our socket.

use super::support::{BUSYBOX, Dom0, Test, pv};
use std::path::Path;
use std::process::Command;

pub const TESTS: &[Test] = &[pv("docker_py::scenario", scenario)];

fn scenario(dom0: &Dom0<'_>) {
    dom0.pull(BUSYBOX);
    let library = integration::docker_py().expect("docker-py can be installed");
    // The library has no annotations, by which docker's client asks for a type of guest.
    dom0.with_config("guest-type = \"pv\"", || run(dom0, &library));
}

fn run(dom0: &Dom0<'_>, library: &Path) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("hyperd.sock");
    dom0.lab
        .host()
        .forward(&socket, "/run/hyper/hyperd.sock")
        .expect("the socket can be forwarded");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/docker_py.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(BUSYBOX)
        .env("PYTHONPATH", library)
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .output()
        .expect("python3 runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
