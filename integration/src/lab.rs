//! A running lab: up, down, and what it is made of.

use crate::build::{Snapshot, XenRelease, build};
use crate::cache;
use crate::machine::{Folder, Process, Serial, free_port, overlay, qemu, tail};
use crate::qmp::Qmp;
use crate::ssh::{Host, Outcome};
use crate::{dist, project_root};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a fresh lab holds beside Xen and dom0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// What `scripts/build` made, with hyperd running.
    Current,
    /// Nothing.
    Bare,
}

/// What is remembered of a lab between commands.
#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    process: Process,
    port: u16,
    key: PathBuf,
    xen: String,
}

pub struct Lab {
    name: String,
    folder: Folder,
    record: Record,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Status {
    Running {
        xen: String,
        port: u16,
    },
    /// It ended by itself; the last lines of its console.
    Died(String),
    Down,
}

impl Lab {
    /// A fresh host of this name; one that runs already is replaced.
    pub fn up(name: &str, xen: XenRelease, install: Install) -> Result<Self> {
        let snapshot = build(xen)?;
        Self::down(name)?;
        let lab = Self::resume(name, xen, &snapshot)?;
        if let Err(error) = lab.prepare(install) {
            let error = lab.explain(error);
            Self::down(name)?;
            return Err(error);
        }
        Ok(lab)
    }

    /// The lab of this name, which must run.
    pub fn find(name: &str) -> Result<Self> {
        let folder = folder(name)?;
        let Some(record) = read_record(&folder)? else {
            bail!("the lab {name:?} is down: bring it up with `scripts/lab up`");
        };
        let lab = Self {
            name: name.to_owned(),
            folder,
            record,
        };
        if !lab.record.process.alive() {
            bail!(
                "the lab {name:?} has died; the last lines of its console:\n{}",
                tail(&lab.folder.console(), 30)
            );
        }
        Ok(lab)
    }

    pub fn status(name: &str) -> Result<Status> {
        let folder = folder(name)?;
        Ok(match read_record(&folder)? {
            None => Status::Down,
            Some(record) if record.process.alive() => Status::Running {
                xen: record.xen,
                port: record.port,
            },
            Some(_) => Status::Died(tail(&folder.console(), 30)),
        })
    }

    /// The names of all labs that were brought up and not down.
    pub fn names() -> Result<Vec<String>> {
        let mut names: Vec<_> = fs::read_dir(runs()?)?
            .flatten()
            .filter(|entry| entry.path().join("lab.json").exists())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Ends the QEMU of this lab, exactly that, and removes its disk. Nothing happens when it is down.
    pub fn down(name: &str) -> Result<()> {
        let folder = folder(name)?;
        if let Some(record) = read_record(&folder)? {
            host(&record, &folder).disconnect();
            record.process.kill()?;
        }
        match fs::remove_dir_all(&folder.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", folder.0.display()))
            }
            _ => Ok(()),
        }
    }

    fn resume(name: &str, xen: XenRelease, snapshot: &Snapshot) -> Result<Self> {
        let folder = folder(name)?;
        fs::create_dir_all(&folder.0)?;
        overlay(&snapshot.disk(), "qcow2", &folder.disk())?;
        let port = free_port()?;
        let output = qemu(&snapshot.dom0, &folder, port, &Serial::File)
            .stdin(Stdio::null())
            .output()
            .context("cannot start qemu-system-x86_64: run scripts/setup")?;
        if !output.status.success() {
            bail!(
                "QEMU did not start: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let pid = fs::read_to_string(folder.pid())?
            .trim()
            .parse()
            .context("QEMU wrote no pid")?;
        let process = Process::find(pid).context("QEMU ended at once")?;
        let record = Record {
            process,
            port,
            key: snapshot.dom0.join("id"),
            xen: xen.to_string(),
        };
        fs::write(folder.0.join("lab.json"), serde_json::to_vec(&record)?)?;
        let mut qmp = Qmp::connect(&folder.qmp())?;
        qmp.migrate("migrate-incoming", &snapshot.state())?;
        qmp.run("cont", json!({}))?;
        Ok(Self {
            name: name.to_owned(),
            folder,
            record,
        })
    }

    fn prepare(&self, install: Install) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let host = self.host();
        host.script(&format!("date -s @{now} > /dev/null"))?;
        match install {
            Install::Bare => Ok(()),
            Install::Current => self.install(),
        }
    }

    /// Installs what `scripts/build` made as it would be on a host, and starts hyperd.
    pub fn install(&self) -> Result<()> {
        let stage = tempfile::tempdir()?;
        let output = Command::new(project_root().join("scripts/install"))
            .arg("--destdir")
            .arg(stage.path())
            .output()
            .context("cannot run scripts/install")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        // An emulated processor is slow, the more so beside other work, and takes long to clear memory.
        let config = stage.path().join("etc/hyper/hyperd.toml");
        fs::write(
            &config,
            format!(
                "boot-timeout = \"240s\"\nmemory = \"192m\"\n\n{}",
                fs::read_to_string(&config)?
            ),
        )?;
        let tests = dist().join("tests");
        if tests.is_dir() {
            let to = stage.path().join("usr/lib/hyper-tests");
            fs::create_dir_all(&to)?;
            for entry in fs::read_dir(tests)?.flatten() {
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        let mut archive = tar::Builder::new(Vec::new());
        archive.follow_symlinks(false);
        archive.append_dir_all(".", stage.path())?;
        let host = self.host();
        host.script("systemctl stop hyperd 2>/dev/null; true")?;
        host.unpack(&archive.into_inner()?, "/")?;
        host.script("systemctl daemon-reload && networkctl reload && systemctl restart hyperd")?;
        Ok(())
    }

    /// Starts the host anew by a command that does so, and waits until it can be reached again.
    pub fn reboot(&self, command: &str) -> Result<()> {
        const BOOT: &str = "cat /proc/sys/kernel/random/boot_id";
        const PATIENCE: Duration = Duration::from_secs(600);
        let host = self.host();
        let before = self.script(BOOT)?;
        // Whether it is answered depends on how fast the connection goes.
        let _ = host.run(&["bash", "-c", command]);
        let begun = Instant::now();
        loop {
            host.disconnect();
            match host.script(BOOT) {
                Ok(now) if now != before => return Ok(()),
                _ if begun.elapsed() > PATIENCE => bail!("dom0 does not come back after {command}"),
                _ => self.check_alive()?,
            }
            // Whoever asks while it is down is refused at once, and nothing here tells when it is up.
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    pub fn host(&self) -> Host {
        host(&self.record, &self.folder)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a command in dom0 with nothing on its stdin.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Outcome> {
        let outcome = self.host().run(args)?;
        self.check_alive()?;
        Ok(outcome)
    }

    /// A shell script in dom0 that must succeed; gives what it printed.
    pub fn script(&self, script: &str) -> Result<String> {
        self.host().script(script).map_err(|error| self.explain(error))
    }

    /// Xen's and dom0's console.
    pub fn console(&self) -> PathBuf {
        self.folder.console()
    }

    /// The last lines of it.
    pub fn last_words(&self) -> String {
        tail(&self.console(), 30)
    }

    fn check_alive(&self) -> Result<()> {
        if !self.record.process.alive() {
            bail!(
                "the lab {:?} has died; the last lines of its console:\n{}",
                self.name,
                self.last_words()
            );
        }
        Ok(())
    }

    /// An error with the reason when that is the lab's own death.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        match self.check_alive() {
            Ok(()) => error,
            Err(died) => died.context(error),
        }
    }
}

fn runs() -> Result<PathBuf> {
    let runs = cache::root()?.join("run");
    fs::create_dir_all(&runs)?;
    Ok(runs)
}

fn folder(name: &str) -> Result<Folder> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > 32 || !name.chars().all(plain) {
        bail!("a lab's name is 1 to 32 letters, digits, - and _: not {name:?}");
    }
    Ok(Folder(runs()?.join(name)))
}

fn host(record: &Record, folder: &Folder) -> Host {
    Host {
        port: record.port,
        key: record.key.clone(),
        control: folder.0.join("ssh"),
    }
}

fn read_record(folder: &Folder) -> Result<Option<Record>> {
    match File::open(folder.0.join("lab.json")) {
        Ok(file) => Ok(serde_json::from_reader(file).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
