//! A command of dom0 on a terminal of ours.

use super::process::{PATIENCE, ends, find};
use integration::exit_code;
use rustix::fd::AsFd;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

pub struct Terminal {
    command: String,
    child: Child,
    leader: File,
    chunks: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    searched: usize,
}

impl Terminal {
    /// Runs `ssh` (which must ask for a terminal) with a new terminal as its controlling one.
    pub fn start(shown: String, ssh: &Command, rows: u16, columns: u16) -> Self {
        let leader = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a new terminal");
        grantpt(&leader).expect("grantpt");
        unlockpt(&leader).expect("unlockpt");
        resize(&leader, rows, columns);
        let name = ptsname(&leader, Vec::new()).expect("the terminal has a name");
        let follower = File::options()
            .read(true)
            .write(true)
            .open(OsStr::from_bytes(name.as_bytes()))
            .expect("the terminal opens");
        let same = || follower.try_clone().expect("a copy of the terminal");
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(ssh.get_program())
            .args(ssh.get_args())
            .env("TERM", "xterm")
            .stdin(same())
            .stdout(same())
            .stderr(same())
            .spawn()
            .expect("ssh starts");
        drop(follower);
        let leader = File::from(leader);
        let mut reader = leader.try_clone().expect("a copy of the terminal");
        let (sender, chunks) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            command: shown,
            child,
            leader,
            chunks,
            seen: Vec::new(),
            searched: 0,
        }
    }

    pub fn resize(&mut self, rows: u16, columns: u16) -> &mut Self {
        resize(&self.leader, rows, columns);
        self
    }

    /// Types.
    pub fn send(&mut self, text: &str) -> &mut Self {
        self.leader
            .write_all(text.as_bytes())
            .expect("the terminal takes input");
        self
    }

    /// Waits until `text` is shown after what was waited for before.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> &mut Self {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = find(&self.seen[self.searched..], text.as_bytes()) {
                self.searched += at + text.len();
                return self;
            }
            match self
                .chunks
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(chunk) => self.seen.extend(chunk),
                Err(error) => panic!("wanted {text:?}: {error}\n{}", self.shown()),
            }
        }
    }

    /// Waits for the end.
    #[track_caller]
    pub fn code(&mut self, code: i32) {
        let ended = ends(&self.child, Instant::now() + PATIENCE);
        assert!(ended, "it does not end\n{}", self.shown());
        let found = exit_code(self.child.wait().expect("it is our child"));
        assert_eq!(found, code, "exit code\n{}", self.shown());
    }

    pub fn shown(&mut self) -> String {
        while let Ok(chunk) = self.chunks.try_recv() {
            self.seen.extend(chunk);
        }
        format!(
            "command: {}\nshown:\n{}",
            self.command,
            String::from_utf8_lossy(&self.seen)
        )
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &(impl AsFd + ?Sized), rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("the terminal's size changes");
}
