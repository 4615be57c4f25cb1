//! A process's bytes on their way between its descriptors and the link.

use guest_protocol::message::{ExitStatus, StreamId};
use guest_protocol::mux::Mux;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, OwnedFd};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the output of a process that has ended is awaited when a descendant holds it open, as in docker.
const OUTPUT_GRACE: Duration = Duration::from_secs(2);

/// Bytes from the link on their way into a process; as many as the stream's window at most.
pub struct Input {
    pub stream: StreamId,
    /// Closed when gone: the process has read its end, or has closed its own side.
    pub fd: Option<OwnedFd>,
    pub pending: VecDeque<u8>,
    pub ended: bool,
}

/// Bytes from a process on their way to the link.
pub struct Output {
    pub stream: StreamId,
    pub fd: Option<OwnedFd>,
}

pub struct Process {
    pub container: String,
    pub first: bool,
    pub pid: i32,
    pub streams: Vec<StreamId>,
    pub input: Option<Input>,
    pub outputs: Vec<Output>,
    pub terminal: Option<OwnedFd>,
    pub exited: Option<ExitStatus>,
    /// When what descendants still write is given up.
    pub output_until: Option<Instant>,
    /// The engine was told of the exit.
    pub told: bool,
}

impl Process {
    pub fn interests<'a>(&'a self, mux: &Mux, fds: &mut Vec<PollFd<'a>>) {
        if let Some(Input {
            fd: Some(fd),
            pending,
            ..
        }) = &self.input
            && !pending.is_empty()
        {
            fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::OUT));
        }
        for fd in self.readable(mux) {
            fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
        }
    }

    /// Outputs that the link has room for.
    fn readable<'a>(&'a self, mux: &Mux) -> impl Iterator<Item = &'a OwnedFd> {
        let with_room = self.outputs.iter().filter(|output| mux.room(output.stream) > 0);
        with_room.filter_map(|output| output.fd.as_ref())
    }

    /// When this process needs to be looked at, whatever happens.
    pub fn deadline(&self, mux: &Mux) -> Option<Instant> {
        self.output_until.filter(|_| self.readable(mux).next().is_some())
    }

    /// It has ended: nobody reads its input, and its output ends soon.
    pub fn end(&mut self, status: ExitStatus, mux: &mut Mux) {
        self.exited = Some(status);
        self.output_until = Some(Instant::now() + OUTPUT_GRACE);
        if let Some(input) = self.input.take() {
            mux.consumed(input.stream, input.pending.len());
        }
    }

    /// Moves what can be moved without waiting.
    pub fn pump(&mut self, mux: &mut Mux, buffer: &mut [u8]) {
        if let Some(input) = &mut self.input {
            input.pump(mux, self.terminal.is_some());
        }
        let over = self.output_until.is_some_and(|until| until <= Instant::now());
        for output in &mut self.outputs {
            output.pump(mux, buffer, over);
        }
    }
}

impl Input {
    pub fn pump(&mut self, mux: &mut Mux, terminal: bool) {
        while let Some(fd) = &self.fd
            && !self.pending.is_empty()
        {
            let (bytes, _) = self.pending.as_slices();
            match rustix::io::write(fd, bytes) {
                Ok(length) => {
                    self.pending.drain(..length);
                    mux.consumed(self.stream, length);
                }
                Err(rustix::io::Errno::AGAIN) => return,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    // Nobody reads any more: the rest goes nowhere, and the sender is not held up.
                    mux.consumed(self.stream, self.pending.len());
                    self.pending.clear();
                    self.fd = None;
                }
            }
        }
        // A terminal has no end of input; whoever typed has left.
        if self.ended && self.pending.is_empty() && !terminal {
            self.fd = None;
        }
    }
}

impl Output {
    /// Reads while the stream has room. `over`: what stands in the pipe is all that there will be.
    pub fn pump(&mut self, mux: &mut Mux, buffer: &mut [u8], over: bool) {
        while let Some(fd) = &self.fd {
            let room = mux.room(self.stream).min(buffer.len());
            if room == 0 {
                return;
            }
            match rustix::io::read(fd, &mut buffer[..room]) {
                Ok(length) if length > 0 => mux.send(self.stream, &buffer[..length]),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) if !over => return,
                // End, or a terminal whose last user is gone.
                _ => {
                    self.fd = None;
                    mux.finish(self.stream);
                }
            }
        }
    }
}
