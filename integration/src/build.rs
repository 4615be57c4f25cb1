//! What a lab resumes from: images, dom0 and a booted machine, each made once.

use crate::cache::{Key, once};
use crate::machine::{Folder, Serial, free_port, overlay, qemu, tail};
use crate::project_root;
use crate::qmp::Qmp;
use crate::ssh::Host;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;

/// Printed on dom0's console by `hyper-lab-ready.service`.
const READY: &str = "HYPER-LAB-READY";

/// A Xen that the lab can boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum XenRelease {
    /// Debian 12, Linux 6.1. PVH guests stop at once there under emulation.
    Xen4_17,
    /// Debian 13, Linux 6.12.
    #[default]
    Xen4_20,
}

impl fmt::Display for XenRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xen4_17 => "4.17",
            Self::Xen4_20 => "4.20",
        })
    }
}

impl FromStr for XenRelease {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "4.17" => Ok(Self::Xen4_17),
            "4.20" => Ok(Self::Xen4_20),
            _ => Err(format!("no lab for Xen {text}: there are 4.20 and 4.17")),
        }
    }
}

/// A booted host that labs resume from.
pub struct Snapshot {
    pub dom0: PathBuf,
    folder: PathBuf,
}

impl Snapshot {
    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk.qcow2")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }
}

fn recipes() -> PathBuf {
    project_root().join("integration/recipes")
}

/// What a recipe makes of nothing but itself, in a folder of this name; and the key it is made under.
fn made(recipe: &str, what: &str, name: &str) -> Result<(PathBuf, String)> {
    let path = recipes().join(recipe);
    let key = Key::default().path(&path)?.finish();
    let folder = once(recipe, &key, what, |out| {
        run(Command::new(&path).arg(out.join(name)), &out.join("log"))
    })?;
    Ok((folder.join(name), key))
}

/// The images of the lab's registry as OCI layouts, and the key they are made under.
fn images() -> Result<(PathBuf, String)> {
    made("images", "images for the lab's registry", "oci")
}

/// What umoci makes of images of the lab's registry: a folder for each, as `debian-trixie`.
pub fn reference() -> Result<PathBuf> {
    let (images, images_key) = images()?;
    let recipe = recipes().join("reference");
    let key = Key::default().text(&images_key).path(&recipe)?.finish();
    let folder = once("reference", &key, "umoci's trees of the images", |out| {
        run(
            Command::new(&recipe).arg(&images).arg(out.join("trees")),
            &out.join("log"),
        )
    })?;
    Ok(folder.join("trees"))
}

/// The image that benchmarks of images use: OCI layouts `gzip` and `zstd` of the same layers.
pub fn bench_image() -> Result<PathBuf> {
    Ok(made("bench-image", "the image for benchmarks", "oci")?.0)
}

/// A folder to chroot into, with the tools that benchmarks of images compare with.
pub fn bench_tools() -> Result<PathBuf> {
    Ok(made("bench-tools", "the tools for benchmarks of images", "root")?.0)
}

/// A Python that has docker-py.
pub fn docker_py() -> Result<PathBuf> {
    const VERSION: &str = "docker==7.1.0";
    let key = Key::default().text(VERSION).text("venv").finish();
    let folder = once("docker-py", &key, "docker-py", |out| {
        let log = out.join("log");
        run(Command::new("python3").args(["-m", "venv"]).arg(out), &log)?;
        let mut install = Command::new(out.join("bin/python3"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run(install.arg(VERSION), &log)
    })?;
    Ok(folder.join("bin/python3"))
}

/// Debian's docker-compose.
pub fn docker_compose() -> Result<PathBuf> {
    Ok(made("compose", "docker-compose", "bin")?.0.join("docker-compose"))
}

/// Makes what is missing for a lab with this Xen.
pub fn build(xen: XenRelease) -> Result<Snapshot> {
    let recipes = recipes();
    let (images, images_key) = images()?;

    // The one in C takes half the processor time of the other.
    let xenstored = std::env::var("HYPER_LAB_XENSTORED").unwrap_or_else(|_| "xenstored".to_owned());
    let dom0_recipe = recipes.join("dom0");
    let dom0_key = Key::default()
        .text(&images_key)
        .text(&xen.to_string())
        .text(&xenstored)
        .path(&dom0_recipe)?
        .path(&recipes.join("dom0-files"))?
        .finish();
    let dom0 = once(
        &format!("dom0-{xen}"),
        &dom0_key,
        &format!("dom0 with Xen {xen}"),
        |out| {
            let log = out.join("log");
            run(
                Command::new(&dom0_recipe)
                    .arg(xen.to_string())
                    .arg(&images)
                    .arg(out.join("dom0"))
                    .arg(&xenstored),
                &log,
            )
        },
    )?
    .join("dom0");

    // What QEMU is told is part of the machine's state: by this program, not by the source that may be newer.
    let key = Key::default()
        .text(&dom0_key)
        .text(include_str!("machine.rs"))
        .text(&qemu_version()?)
        .finish();
    let folder = once(
        &format!("snapshot-{xen}"),
        &key,
        &format!("booting Xen {xen}, about a minute"),
        |out| boot_and_save(&dom0, out),
    )?;
    Ok(Snapshot { dom0, folder })
}

fn qemu_version() -> Result<String> {
    let output = Command::new("qemu-system-x86_64")
        .arg("--version")
        .output()
        .context("qemu-system-x86_64 is missing: run scripts/setup")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a recipe, its output to a log whose end is shown when it fails.
fn run(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log)?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !status.success() {
        bail!(
            "{} ended with {status}:\n{}",
            command.get_program().display(),
            tail(log, 30)
        );
    }
    Ok(())
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn boot_and_save(dom0: &Path, out: &Path) -> Result<()> {
    let folder = Folder(out.to_owned());
    overlay(&dom0.join("disk.raw"), "raw", &folder.disk())?;
    let port = free_port()?;
    let child = qemu(dom0, &folder, port, &Serial::Stdout)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start qemu-system-x86_64: run scripts/setup")?;
    let mut machine = Killed(child);
    let console = BufReader::new(machine.0.stdout.take().context("no console")?);
    let mut log = File::create(folder.console())?;
    let mut ready = false;
    for line in console.split(b'\n') {
        let line = line?;
        log.write_all(&line)?;
        log.write_all(b"\n")?;
        if String::from_utf8_lossy(&line).contains(READY) {
            ready = true;
            break;
        }
    }
    if !ready {
        bail!(
            "Xen ended while booting; its last lines:\n{}",
            tail(&folder.console(), 30)
        );
    }

    // Log in once, so that everything the first connection needs is in memory; then settle and flush.
    let host = Host {
        port,
        key: dom0.join("id"),
        control: out.join("ssh"),
    };
    host.script("systemctl is-system-running --wait >/dev/null; xl info >/dev/null; docker --version; sync; echo 3 > /proc/sys/vm/drop_caches")?;
    host.disconnect();
    let mut qmp = Qmp::connect(&folder.qmp())?;
    qmp.run("stop", json!({}))?;
    qmp.migrate("migrate", &out.join("state"))?;
    let _ = qmp.run("quit", json!({}));
    machine.0.wait()?;
    fs::remove_file(folder.qmp()).ok();
    Ok(())
}
