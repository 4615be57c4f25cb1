//! Clients of this machine, with dom0's daemon.

use super::Dom0;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The daemon's socket, reachable here.
pub struct Forwarded {
    _folder: TempDir,
    socket: PathBuf,
}

impl Forwarded {
    pub fn new(dom0: &Dom0<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("hyperd.sock");
        dom0.lab
            .host()
            .forward(&socket, "/run/hyper/hyperd.sock")
            .expect("the socket can be forwarded");
        Self {
            _folder: folder,
            socket,
        }
    }

    /// Runs a client of it to its end, which is a good one. What it prints.
    #[track_caller]
    pub fn run(&self, client: &mut Command) -> String {
        let ran = client
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .output()
            .expect("the client runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            ran.status.success(),
            "{client:?}: {}\n{}{}",
            ran.status,
            text(&ran.stdout),
            text(&ran.stderr)
        );
        text(&ran.stdout)
    }
}
