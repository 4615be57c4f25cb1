//! Commands, how they ended, and messages that tell all of it when that was wrong.

use integration::exit_code;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fmt;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// In emulation a guest takes up to ten seconds and 100 MB up to two minutes; what takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A command that has ended.
#[derive(Clone)]
pub struct Ran {
    pub command: String,
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "command:   {}", self.command)?;
        writeln!(f, "exit code: {}", self.code)?;
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            writeln!(f, "{name} ({} bytes):", bytes.len())?;
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]);
            text.lines().try_for_each(|line| writeln!(f, "  | {line}"))?;
        }
        Ok(())
    }
}

impl Ran {
    #[track_caller]
    fn expect(&self, right: bool, wanted: impl fmt::Display) -> &Self {
        assert!(right, "wanted {wanted}\n{self}");
        self
    }

    #[track_caller]
    pub fn code(&self, code: i32) -> &Self {
        self.expect(self.code == code, format_args!("exit code {code}"))
    }

    #[track_caller]
    pub fn ok(&self) -> &Self {
        self.code(0)
    }

    #[track_caller]
    pub fn stdout(&self, text: &str) -> &Self {
        self.expect(
            self.stdout == text.as_bytes(),
            format_args!("{text:?} on stdout and no more"),
        )
    }

    #[track_caller]
    pub fn stderr(&self, text: &str) -> &Self {
        self.expect(
            self.stderr == text.as_bytes(),
            format_args!("{text:?} on stderr and no more"),
        )
    }

    #[track_caller]
    pub fn out_has(&self, text: &str) -> &Self {
        self.expect(self.text().contains(text), format_args!("{text:?} on stdout"))
    }

    #[track_caller]
    pub fn out_lacks(&self, text: &str) -> &Self {
        self.expect(!self.text().contains(text), format_args!("no {text:?} on stdout"))
    }

    #[track_caller]
    pub fn err_has(&self, text: &str) -> &Self {
        self.expect(
            self.error_text().to_lowercase().contains(&text.to_lowercase()),
            format_args!("{text:?} on stderr"),
        )
    }

    /// One line of an error, whatever progress or hint at help stands around it, and nothing on stdout.
    #[track_caller]
    pub fn one_error(&self, text: &str) -> &Self {
        let stderr = self.error_text();
        let lines: Vec<_> = stderr
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.contains("--help"))
            .filter(|line| !line.starts_with("Unable to find image"))
            .collect();
        self.expect(self.code != 0, "a failure");
        self.expect(lines.len() == 1, "one line of error");
        self.err_has(text);
        self.expect(self.stdout.is_empty(), "nothing on stdout")
    }

    /// Standard output without white space at its ends.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{self}"))
    }
}

/// A command that runs. Ends with this value.
pub struct Running {
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    chunks: Receiver<Vec<u8>>,
    /// What came on stdout.
    seen: Vec<u8>,
    searched: usize,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What cannot be read any more is not there; the exit code tells.
    let _ = from.read_to_end(&mut bytes);
    bytes
}

impl Running {
    #[track_caller]
    pub fn start(shown: String, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh starts");
        let (sender, chunks) = channel();
        let mut stdout = child.stdout.take().expect("stdout is piped");
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let stderr = child.stderr.take().expect("stderr is piped");
        Self {
            command: shown,
            stdin: child.stdin.take(),
            child,
            chunks,
            seen: Vec::new(),
            searched: 0,
            stderr: Some(std::thread::spawn(move || read_all(stderr))),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        if let Some(stdin) = &mut self.stdin {
            // A command that reads no more is judged by its exit code.
            let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
        }
        self
    }

    pub fn end_of_input(&mut self) -> &mut Self {
        self.stdin = None;
        self
    }

    /// Waits until `text` comes on stdout after what was waited for before.
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
                Err(error) => self.fail(&format!("wanted {text:?} on stdout: {error}")),
            }
        }
    }

    #[track_caller]
    fn fail(&mut self, why: &str) -> ! {
        let _ = self.child.kill();
        let code = self.child.wait().map_or(-1, exit_code);
        let stderr = self.stderr.take().and_then(|stderr| stderr.join().ok());
        panic!(
            "{why}\n{}",
            Ran {
                command: std::mem::take(&mut self.command),
                code,
                stdout: std::mem::take(&mut self.seen),
                stderr: stderr.unwrap_or_default(),
            }
        )
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Ran {
        self.stdin = None;
        let until = Instant::now() + PATIENCE;
        loop {
            use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
            match self
                .chunks
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(chunk) => self.seen.extend(chunk),
                Err(Disconnected) => break,
                Err(Timeout) => self.fail("it does not end"),
            }
        }
        if !ends(&self.child, until) {
            self.fail("its stdout has ended, but it does not");
        }
        let code = exit_code(self.child.wait().expect("it is our child"));
        let stderr = self.stderr.take().and_then(|stderr| stderr.join().ok());
        Ran {
            command: std::mem::take(&mut self.command),
            code,
            stdout: std::mem::take(&mut self.seen),
            stderr: stderr.unwrap_or_default(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a child's end, so long.
pub fn ends(child: &Child, until: Instant) -> bool {
    let pid = Pid::from_child(child);
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    poll(&mut fds, left.as_ref()).is_ok_and(|ready| ready > 0)
}

pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
