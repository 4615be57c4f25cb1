//! `-t` on a real pseudo-terminal: raw mode, size, detach keys, and the terminal as it was afterwards.

mod fake;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use fake::{Daemon, Setup};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

struct Terminal {
    keyboard: File,
    side: OwnedFd,
}

impl Terminal {
    fn new() -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let side = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: 33,
            ws_col: 77,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&side, size).unwrap();
        Self {
            keyboard: File::from(keyboard),
            side,
        }
    }

    fn spawn(&self, daemon: &Daemon, line: &[&str]) -> Child {
        let stdio = || Stdio::from(self.side.try_clone().unwrap());
        daemon
            .command(line)
            .stdin(stdio())
            .stdout(stdio())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.side).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut got = vec![0; bytes];
        self.keyboard.read_exact(&mut got).unwrap();
        got
    }
}

/// A shell of one word: greets, then answers each key until `q`.
fn shell(input: &mut dyn Read, out: &mut dyn Write) -> i32 {
    out.write_all(b"ready").unwrap();
    let mut key = [0];
    while input.read(&mut key).unwrap() == 1 {
        if key == *b"q" {
            return 5;
        }
        out.write_all(&key).unwrap();
    }
    0
}

fn daemon() -> Daemon {
    Daemon::start(Setup {
        process: shell,
        tty: true,
        ..Setup::default()
    })
}

#[test]
fn keys_go_raw_and_the_size_is_told() {
    let (daemon, mut terminal) = (daemon(), Terminal::new());
    let mut child = terminal.spawn(&daemon, &["run", "-it", "--rm", "busybox", "sh"]);
    assert_eq!(terminal.read(5), b"ready");
    assert!(!terminal.is_cooked());
    // ctrl-c is a key, and one newline is one newline.
    terminal.keyboard.write_all(b"a\x03\r").unwrap();
    assert_eq!(terminal.read(3), b"a\x03\r");
    assert!(daemon.wait_for("/resize").ends_with("?h=33&w=77"));
    terminal.keyboard.write_all(b"q").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(terminal.is_cooked());
    assert_eq!(
        daemon.bodies()[0]["HostConfig"]["ConsoleSize"],
        serde_json::json!([33, 77])
    );
}

#[test]
fn a_new_size_is_sent_on() {
    let (daemon, mut terminal) = (daemon(), Terminal::new());
    let mut child = terminal.spawn(&daemon, &["exec", "-it", "web", "sh"]);
    assert_eq!(terminal.read(5), b"ready");
    daemon.wait_for("/resize?h=33");
    let size = Winsize {
        ws_row: 40,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal.side, size).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::WINCH).unwrap();
    daemon.wait_for("/exec/e1/resize?h=40&w=100");
    terminal.keyboard.write_all(b"q").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(terminal.is_cooked());
}

#[test]
fn the_detach_keys_leave() {
    for (keys, typed) in [(None, b"x\x10\x11"), (Some("a,ctrl-b"), b"xa\x02")] {
        let (daemon, mut terminal) = (daemon(), Terminal::new());
        let flag = keys.map(|keys| format!("--detach-keys={keys}"));
        let mut line = vec!["run", "-it"];
        line.extend(flag.as_deref());
        line.push("busybox");
        let mut child = terminal.spawn(&daemon, &line);
        assert_eq!(terminal.read(5), b"ready");
        terminal.keyboard.write_all(typed).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(terminal.is_cooked());
    }
}

#[test]
fn a_start_that_fails_gives_the_terminal_back() {
    let daemon = Daemon::start(Setup {
        tty: true,
        start_error: Some((500, "no")),
        ..Setup::default()
    });
    let terminal = Terminal::new();
    let mut child = terminal.spawn(&daemon, &["run", "-it", "busybox"]);
    assert_eq!(child.wait().unwrap().code(), Some(125));
    assert!(terminal.is_cooked());
}

#[test]
fn a_signal_that_ends_us_gives_the_terminal_back() {
    for line in [
        &["exec", "-it", "web", "sh"][..],
        &["run", "--sig-proxy=false", "-it", "busybox"],
    ] {
        let (daemon, mut terminal) = (daemon(), Terminal::new());
        let mut child = terminal.spawn(&daemon, line);
        // The size is sent by what also watches for signals.
        daemon.wait_for("/resize");
        assert_eq!(terminal.read(5), b"ready");
        assert!(!terminal.is_cooked());
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(143));
        assert!(terminal.is_cooked());
    }
}
