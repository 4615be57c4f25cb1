//! Bytes between our stdio and a hijacked connection.
//!
//! Two plain threads with blocking reads and writes: each holds one chunk, so a slow side holds up the other through
//! the kernel's own buffers, and no byte crosses from one thread to another.

pub mod detach_keys;
pub mod fd;
pub mod frames;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use self::fd::Fd;
use self::frames::{Channel, Decoder};
use crate::client::Hijacked;

/// Large enough that system calls do not show beside the copy, small enough to stay in a core's cache.
const CHUNK_BYTES: usize = 256 << 10;

/// What to do with a hijacked connection.
pub struct Plan {
    /// Send our stdin; otherwise the daemon sees its end at once.
    pub stdin: bool,
    /// The container has a terminal: its output is raw, not multiplexed.
    pub tty: bool,
    /// Typing these leaves. None: nothing does.
    pub detach_keys: Option<Vec<u8>>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The daemon closed the stream: the process is gone and all its output was written.
    Closed,
    /// The user typed the detach keys.
    Detached,
    /// A signal of this number ends us.
    Killed(i32),
}

/// The running copy.
pub struct Session {
    output: oneshot::Receiver<io::Result<()>>,
    detached: oneshot::Receiver<()>,
}

impl Session {
    pub fn start(connection: Hijacked, plan: Plan) -> Result<Self> {
        let Hijacked { stream, leftover } = connection;
        let stream = Arc::new(stream);
        let (output_done, output) = oneshot::channel();
        let (detach, detached) = oneshot::channel();

        let reader = Arc::clone(&stream);
        let tty = plan.tty;
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                let input = leftover.as_ref().chain(&*reader);
                let result = copy_output(input, tty, &mut Fd::stdout(), &mut Fd::stderr());
                // The session may have ended by detaching: nobody waits any more.
                let _ = output_done.send(result);
            })
            .context("start the output thread")?;

        if plan.stdin {
            thread::Builder::new()
                .name("stdin".to_owned())
                .spawn(move || pump_stdin(Fd::stdin(), &stream, plan.detach_keys, detach))
                .context("start the stdin thread")?;
        } else {
            shutdown_write(&stream);
        }
        Ok(Self { output, detached })
    }

    /// Waits for the end of the output or for the detach keys.
    pub async fn end(mut self) -> Result<End> {
        tokio::select! {
            result = &mut self.output => finished(result),
            detached = &mut self.detached => match detached {
                Ok(()) => Ok(End::Detached),
                // The stdin thread ended; the output goes on.
                Err(_) => finished(self.output.await),
            },
        }
    }
}

fn finished(result: Result<io::Result<()>, oneshot::error::RecvError>) -> Result<End> {
    match result {
        Ok(result) => result.context("copy the output")?,
        Err(_) => anyhow::bail!("the output thread failed"),
    }
    Ok(End::Closed)
}

/// Copies until the daemon closes.
fn copy_output(
    mut input: impl Read,
    tty: bool,
    stdout: &mut impl Write,
    stderr: &mut impl Write,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut output = Output::new(tty);
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return output.finish(),
            Ok(count) => output.write(&buffer[..count], stdout, stderr)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A daemon that is killed resets what it had not read; the container's end is learned from the wait.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return output.finish(),
            Err(error) => return Err(error),
        }
    }
}

/// Raw or multiplexed output, taken apart and written.
pub struct Output {
    decoder: Option<Decoder>,
    /// Small frames of one stream that came together go out together; never more than one chunk.
    pending: Vec<u8>,
    channel: Channel,
}

/// A frame of this size is written as it is: a copy would cost more than the call it saves.
const WRITE_DIRECTLY_BYTES: usize = 32 << 10;

impl Output {
    pub fn new(tty: bool) -> Self {
        Self {
            decoder: (!tty).then(Decoder::default),
            pending: Vec::new(),
            channel: Channel::Stdout,
        }
    }

    /// All of `chunk` is out when it returns.
    pub fn write(
        &mut self,
        chunk: &[u8],
        stdout: &mut impl Write,
        stderr: &mut impl Write,
    ) -> io::Result<()> {
        let Self {
            decoder,
            pending,
            channel: last,
        } = self;
        let Some(decoder) = decoder else {
            return stdout.write_all(chunk);
        };
        let mut put = |channel: Channel, data: &[u8]| match channel {
            Channel::Stdout => stdout.write_all(data),
            Channel::Stderr => stderr.write_all(data),
        };
        let decoded = decoder.feed(chunk, |channel, data| {
            if channel != *last {
                put(*last, pending)?;
                pending.clear();
                *last = channel;
            }
            if pending.is_empty() && data.len() >= WRITE_DIRECTLY_BYTES {
                return put(channel, data);
            }
            pending.extend_from_slice(data);
            Ok(())
        });
        put(*last, pending)?;
        pending.clear();
        decoded
    }

    pub fn finish(&self) -> io::Result<()> {
        match &self.decoder {
            Some(decoder) if !decoder.at_boundary() => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the stream ended within a frame",
            )),
            _ => Ok(()),
        }
    }
}

/// Sends `input` on, then closes our side only: output goes on until the daemon closes its own.
fn pump_stdin(mut input: impl Read, stream: &UnixStream, keys: Option<Vec<u8>>, detach: oneshot::Sender<()>) {
    let mut filter = keys.map(detach_keys::Filter::new);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut typed = Vec::new();
    let mut writer = stream;
    // A failed read is the end of the input: a background job reads EIO from its terminal.
    while let Ok(count @ 1..) = input.read(&mut buffer) {
        let chunk = match &mut filter {
            None => &buffer[..count],
            Some(filter) => {
                typed.clear();
                if filter.feed(&buffer[..count], &mut typed) {
                    // The keys typed before the sequence are the container's.
                    let _ = writer.write_all(&typed);
                    let _ = detach.send(());
                    return;
                }
                &typed
            }
        };
        // The process no longer reads, which is its business: its exit code tells the rest.
        if writer.write_all(chunk).is_err() {
            return;
        }
    }
    if let Some(filter) = &mut filter {
        let _ = writer.write_all(&filter.finish());
    }
    shutdown_write(stream);
}

fn shutdown_write(stream: &UnixStream) {
    // Fails only when the daemon has closed already.
    let _ = stream.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_reach_their_own_stream() {
        let wire = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err\x01\0\0\0\0\0\0\x01!";
        let (mut out, mut err) = (Vec::new(), Vec::new());
        copy_output(&wire[..], false, &mut out, &mut err).unwrap();
        assert_eq!((out.as_slice(), err.as_slice()), (&b"out!"[..], &b"err"[..]));
    }

    #[test]
    fn small_frames_go_out_together_and_in_order() {
        /// Both streams in one list, a piece for each write.
        struct Writes(std::rc::Rc<std::cell::RefCell<Vec<String>>>, &'static str);
        impl Write for Writes {
            fn write(&mut self, data: &[u8]) -> io::Result<usize> {
                let text = format!("{}{}", self.1, String::from_utf8_lossy(data));
                self.0.borrow_mut().push(text);
                Ok(data.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let writes = std::rc::Rc::default();
        let wire = [(1, "a"), (1, "b"), (2, "c"), (1, "d"), (1, "e")]
            .map(|(channel, text)| [&[channel, 0, 0, 0, 0, 0, 0, 1], text.as_bytes()].concat())
            .concat();
        let (mut out, mut err) = (
            Writes(std::rc::Rc::clone(&writes), "out:"),
            Writes(std::rc::Rc::clone(&writes), "err:"),
        );
        copy_output(&wire[..], false, &mut out, &mut err).unwrap();
        assert_eq!(*writes.borrow(), ["out:ab", "err:c", "out:de"]);
    }

    #[test]
    fn a_terminal_is_raw() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        copy_output(&b"\x01\0\0raw"[..], true, &mut out, &mut err).unwrap();
        assert_eq!(out, b"\x01\0\0raw");
        assert!(err.is_empty());
    }

    #[test]
    fn a_frame_cut_short_is_an_error() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let error = copy_output(&b"\x01\0\0\0\0\0\0\x09half"[..], false, &mut out, &mut err).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(out, b"half");
    }

    #[test]
    fn the_end_of_stdin_closes_one_side_only() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (detach, _detached) = oneshot::channel();
        pump_stdin(&b"hello"[..], &ours, None, detach);
        let mut got = String::new();
        theirs.read_to_string(&mut got).unwrap();
        assert_eq!(got, "hello");
        theirs.write_all(b"still open").unwrap();
        let mut back = [0; 10];
        (&ours).read_exact(&mut back).unwrap();
        assert_eq!(&back, b"still open");
    }

    #[test]
    fn the_keys_detach_and_leave_the_connection_open() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (detach, mut detached) = oneshot::channel();
        pump_stdin(&b"ab\x10\x11cd"[..], &ours, Some(vec![16, 17]), detach);
        assert!(detached.try_recv().is_ok());
        drop(ours);
        let mut got = Vec::new();
        (&theirs).read_to_end(&mut got).unwrap();
        assert_eq!(got, b"ab");
    }
}
