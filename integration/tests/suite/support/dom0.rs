//! The lab's dom0 as a test uses it.

use super::harness::Guest;
use super::process::{Ran, Running};
use super::terminal::Terminal;
use integration::Lab;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

pub const BUSYBOX: &str = "localhost:5000/busybox";
pub const DEBIAN: &str = "localhost:5000/debian:trixie";

pub struct Dom0<'a> {
    pub lab: &'a Lab,
    /// The type of the guests of this test.
    pub guest: Guest,
    /// Its containers are on no network.
    offline: bool,
    pulled: &'a RefCell<BTreeSet<String>>,
}

fn shown(args: &[OsString]) -> String {
    let words: Vec<_> = args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    words.join(" ")
}

fn words<S: AsRef<OsStr>>(args: &[S]) -> Vec<OsString> {
    args.iter().map(|arg| arg.as_ref().to_owned()).collect()
}

impl<'a> Dom0<'a> {
    pub fn new(lab: &'a Lab, guest: Guest, offline: bool, pulled: &'a RefCell<BTreeSet<String>>) -> Self {
        Self {
            lab,
            guest,
            offline,
            pulled,
        }
    }

    fn start(&self, args: &[OsString]) -> Running {
        Running::start(shown(args), self.lab.host().command(args, false))
    }

    /// Runs a command with nothing on its stdin.
    #[track_caller]
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Ran {
        let args = words(args);
        let mut running = self.start(&args);
        running.end_of_input();
        running.finish()
    }

    /// Runs a script of bash.
    #[track_caller]
    pub fn sh(&self, script: &str) -> Ran {
        self.command(&["bash", "-c", script])
    }

    /// Does something while hyperd runs with a line more in its config. A lab in which that fails is not used again.
    pub fn with_config(&self, line: &str, run: impl FnOnce()) {
        self.sh(&format!(
            "cp /etc/hyper/hyperd.toml /tmp/hyperd.toml; echo '{line}' >> /etc/hyper/hyperd.toml; systemctl restart hyperd"
        ))
        .ok();
        run();
        self.sh("mv /tmp/hyperd.toml /etc/hyper/hyperd.toml; systemctl restart hyperd")
            .ok();
    }

    /// How a container stands, and how its last run ended: `exited 3`.
    #[track_caller]
    pub fn status(&self, name: &str) -> String {
        self.inspect(name, "{{.State.Status}} {{.State.ExitCode}}")
    }

    /// Has the host start anew.
    #[track_caller]
    pub fn reboot(&self, command: &str) {
        self.lab.reboot(command).expect("dom0 starts again");
    }

    /// How many roots of images are put together at present.
    #[track_caller]
    pub fn root_devices(&self) -> usize {
        let devices = self.sh("ls /sys/block | grep -c ^dm- || true").ok().text();
        devices.parse().expect("a number")
    }

    /// `hyper ARGS`.
    #[track_caller]
    pub fn hyper(&self, args: &[&str]) -> Ran {
        self.command(&self.hyper_words(args))
    }

    /// `hyper run` or `hyper create` get this test's type of guest and its networks, and their image is there.
    fn hyper_words(&self, args: &[&str]) -> Vec<OsString> {
        let mut all = vec!["hyper".into()];
        all.extend(args.iter().map(OsString::from));
        if matches!(args.first(), Some(&("run" | "create"))) {
            all.insert(2, format!("--type={}", self.guest).into());
            if self.offline {
                all.insert(2, "--network=none".into());
            }
            for image in args.iter().filter(|arg| arg.starts_with("localhost:5000/")) {
                self.pull(image);
            }
        }
        all
    }

    /// The same, and it runs on.
    pub fn spawn(&self, args: &[&str]) -> Running {
        self.start(&self.hyper_words(args))
    }

    /// A script of bash that runs on.
    pub fn spawn_sh(&self, script: &str) -> Running {
        self.start(&words(&["bash", "-c", script]))
    }

    /// The same on a terminal of 24 rows and 80 columns.
    pub fn terminal(&self, args: &[&str]) -> Terminal {
        self.terminal_of(&self.hyper_words(args))
    }

    /// Any command on such a terminal.
    pub fn terminal_of<S: AsRef<OsStr>>(&self, args: &[S]) -> Terminal {
        let args = words(args);
        Terminal::start(shown(&args), &self.lab.host().command(&args, true), 24, 80)
    }

    /// Makes sure that an image is there, so that no pull's progress is among what a test looks at.
    #[track_caller]
    pub fn pull(&self, image: &str) {
        if !self.pulled.borrow().contains(image) {
            self.command(&["hyper", "pull", "-q", image]).ok();
            self.pulled.borrow_mut().insert(image.to_owned());
        }
    }

    /// What a test that removes images leaves to the next.
    pub fn forget_pulled(&self) {
        self.pulled.borrow_mut().clear();
    }

    /// `hyper run -d --name NAME ARGS`; gives the container's id.
    #[track_caller]
    pub fn detached(&self, name: &str, args: &[&str]) -> String {
        let ran = self.hyper(&[&["run", "-d", "--name", name], args].concat());
        ran.ok();
        let id = ran.text();
        assert!(
            id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()),
            "wanted an id\n{ran}"
        );
        id
    }

    /// A container that does nothing until it is removed.
    #[track_caller]
    pub fn idle(&self, name: &str, image: &str) -> String {
        self.detached(name, &[image, "sleep", "1000000"])
    }

    #[track_caller]
    pub fn remove(&self, name: &str) {
        self.hyper(&["rm", "-f", name]).ok();
    }

    /// `hyper exec NAME ARGS`.
    #[track_caller]
    pub fn exec(&self, name: &str, args: &[&str]) -> Ran {
        self.hyper(&[&["exec", name], args].concat())
    }

    /// `hyper inspect -f FORMAT NAME`.
    #[track_caller]
    pub fn inspect(&self, name: &str, format: &str) -> String {
        self.hyper(&["inspect", "-f", format, name]).ok().text()
    }

    /// A file of random bytes in dom0 and its SHA-256.
    #[track_caller]
    pub fn random_file(&self, mib: u32) -> (String, String) {
        let path = format!("/var/tmp/random-{mib}");
        let sum = self.sh(&format!(
            "[ -e {path} ] || head -c {mib}M /dev/urandom > {path}; sha256sum < {path}"
        ));
        (path, sum.ok().text())
    }
}
