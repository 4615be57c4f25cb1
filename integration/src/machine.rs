//! The QEMU that is a Xen host. Flags as they were found to work: see `docs/lab.md`.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a machine keeps its things while it runs.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn qmp(&self) -> PathBuf {
        self.0.join("qmp.sock")
    }
    pub fn console(&self) -> PathBuf {
        self.0.join("console.log")
    }
    pub fn pid(&self) -> PathBuf {
        self.0.join("pid")
    }
    pub fn disk(&self) -> PathBuf {
        self.0.join("disk.qcow2")
    }
}

/// `-serial` of a machine.
pub enum Serial {
    /// The console goes to a file, and QEMU to the background.
    File,
    /// The console is QEMU's stdout.
    Stdout,
}

/// A QEMU for the host whose files (xen, vmlinuz, initrd) are in `dom0`, its ssh server on `port` of this machine.
pub fn qemu(dom0: &Path, folder: &Folder, port: u16, serial: &Serial) -> Command {
    let file = |name: &str| dom0.join(name).into_os_string();
    let initrd = join([
        file("vmlinuz"),
        " root=/dev/vda rw console=hvc0 net.ifnames=0 quiet,".into(),
        file("initrd"),
    ]);
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-machine",
            "q35",
        ])
        .args(["-accel", "tcg,thread=multi,tb-size=2048", "-smp", "2", "-m", "8G"])
        // SVM and nested paging are in `max`; QEMU gives no next-RIP for RDTSCP, which kills PVH guests; with
        // XSAVE and AVX, processes of dom0 and guests were seen to die of corrupted memory.
        .args(["-cpu", "max,-rdtscp,-xsave,-sha-ni"])
        .arg("-kernel")
        .arg(file("xen"))
        .args([
            "-append",
            "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all dom0_mem=2G,max:2G dom0_max_vcpus=1",
        ])
        .arg("-initrd")
        .arg(initrd)
        .arg("-drive")
        .arg(join([
            "if=virtio,format=qcow2,cache=unsafe,discard=unmap,file=".into(),
            folder.disk().into(),
        ]))
        .args([
            "-netdev",
            &format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"),
        ])
        .args(["-device", "virtio-net-pci,netdev=net"])
        .arg("-qmp")
        .arg(join([
            "unix:".into(),
            folder.qmp().into(),
            ",server=on,wait=off".into(),
        ]));
    match serial {
        Serial::Stdout => command.args(["-serial", "stdio"]),
        Serial::File => command
            .arg("-serial")
            .arg(join(["file:".into(), folder.console().into()]))
            .arg("-pidfile")
            .arg(folder.pid())
            .args(["-daemonize", "-incoming", "defer"]),
    };
    command
}

fn join<const N: usize>(parts: [OsString; N]) -> OsString {
    parts.into_iter().collect()
}

/// A copy-on-write disk over another.
pub fn overlay(backing: &Path, format: &str, disk: &Path) -> Result<()> {
    let output = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", format, "-b"])
        .args([backing, disk])
        .output()
        .context("cannot run qemu-img: run scripts/setup")?;
    if !output.status.success() {
        bail!(
            "cannot make the disk {}: {}",
            disk.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// A port of this machine that is free now.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A process of ours, told from a later one with the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Process {
    pid: u32,
    started_ticks: u64,
}

impl Process {
    pub fn find(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything; state is the first field after it, start time the 20th.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        Some(Self {
            pid,
            started_ticks: fields.nth(18)?.parse().ok()?,
        })
    }

    pub fn alive(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// Kills it and waits for its end.
    pub fn kill(self) -> Result<()> {
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        // The pidfd pins the process: what is compared after is what is killed.
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
            return Ok(());
        };
        if !self.alive() {
            return Ok(());
        }
        pidfd_send_signal(&pidfd, Signal::KILL)?;
        let mut wait = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut wait, None)?;
        Ok(())
    }
}

/// The last lines of a console, for a report.
pub fn tail(console: &Path, lines: usize) -> String {
    let text = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_until_it_ends() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = Process::find(child.id()).unwrap();
        assert!(process.alive());
        process.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.alive());
        process.kill().unwrap();
    }
}
