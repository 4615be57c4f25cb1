//! Jobs on the files of a container. Each has a process of its own, so that the agent goes on: it works in the
//! container's root and mounts, and has a pipe whose other end is a stream of the link.

mod overlay;
mod work;

use crate::container::Container;
use crate::error::{Context, Failure, failure};
use crate::process::{Namespaces, set_nonblocking};
use crate::streams::{Input, Output};
use crate::sys::{self, Forked};
use guest_protocol::files::{FileJob, MAX_JOBS};
use guest_protocol::message::{ErrorKind, ReplyBody, StreamId};
use guest_protocol::mux::Mux;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use work::Work;

/// The longest result: a path, written as JSON.
const MAX_RESULT_BYTES: usize = 64 << 10;
/// How long the container's processes stand still without any progress.
const STALLED: Duration = Duration::from_secs(30);
/// Of a message of failure.
const MAX_MESSAGE_CHARS: usize = 2000;

struct Job {
    /// To be answered, unless whoever asked is gone.
    request: Option<u64>,
    container: String,
    pid: i32,
    stream: Option<StreamId>,
    input: Option<Input>,
    output: Option<Output>,
    results: OwnedFd,
    frozen: Option<Frozen>,
    /// Once the process has ended.
    result: Option<Result<ReplyBody, Failure>>,
}

/// The container's processes stand still meanwhile.
struct Frozen {
    cgroup: PathBuf,
    /// How much of the job's output the engine has taken, and since when it has taken no more.
    sent: u64,
    since: Instant,
}

#[derive(Default)]
pub struct Jobs(Vec<Job>);

/// Ends of pipes, ours and the process's.
struct Pipes {
    ours: Option<OwnedFd>,
    theirs: Option<OwnedFd>,
}

impl Pipes {
    fn none() -> Self {
        Self {
            ours: None,
            theirs: None,
        }
    }

    fn new(to_process: bool) -> Result<Self, Failure> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).context("pipe")?;
        let (ours, theirs) = match to_process {
            true => (writer, reader),
            false => (reader, writer),
        };
        set_nonblocking(&ours)?;
        Ok(Self {
            ours: Some(ours),
            theirs: Some(theirs),
        })
    }
}

impl Jobs {
    /// Starts a job; the reply comes when it has ended.
    pub fn start(
        &mut self,
        request: u64,
        container: &Container,
        namespaces: Option<&Namespaces>,
        job: &FileJob,
        mux: &mut Mux,
    ) -> Result<(), Failure> {
        let invalid = |message: &str| Err(failure(ErrorKind::Invalid, message));
        if self.0.len() >= MAX_JOBS {
            return invalid("too many jobs on files at a time");
        }
        let stream = job.input().or(job.output());
        if stream.is_some_and(|stream| stream == 0 || mux.is_open(stream)) {
            return invalid("the stream is in use already");
        }
        let freezes = matches!(job, FileJob::Layer { pause: true, .. }) && namespaces.is_some();
        let input = job
            .input()
            .map_or_else(|| Ok(Pipes::none()), |_| Pipes::new(true))?;
        let output = job
            .output()
            .map_or_else(|| Ok(Pipes::none()), |_| Pipes::new(false))?;
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (results, theirs) = socketpair(AddressFamily::UNIX, kind, flags, None).context("socketpair")?;
        let pid = match sys::fork(0).context("fork")? {
            Forked::Child => {
                let kept = [input.theirs.as_ref(), output.theirs.as_ref(), Some(&theirs)];
                let kept = kept.into_iter().flatten().map(AsRawFd::as_raw_fd);
                let kept: Vec<_> = kept.chain(namespaces.map(Namespaces::mounts)).collect();
                sys::default_signals();
                // Ends of others' pipes among them, which have to close when the agent closes them.
                sys::close_all_but(&kept);
                let work = Work {
                    container,
                    namespaces,
                    input: input.theirs,
                    output: output.theirs,
                };
                let result = work.run(job).map_err(shortened);
                let _ = send(
                    &theirs,
                    &serde_json::to_vec(&result).unwrap_or_default(),
                    SendFlags::NOSIGNAL,
                );
                std::process::exit(0);
            }
            Forked::Parent(pid) => pid,
        };
        if let Some(stream) = stream {
            mux.open(stream);
        }
        self.0.push(Job {
            request: Some(request),
            container: container.spec.id.clone(),
            pid,
            stream,
            input: job.input().map(|stream| Input {
                stream,
                fd: input.ours,
                pending: VecDeque::new(),
                ended: false,
            }),
            output: job.output().map(|stream| Output {
                stream,
                fd: output.ours,
            }),
            results,
            frozen: freezes.then(|| Frozen {
                cgroup: container.cgroup(),
                sent: 0,
                since: Instant::now(),
            }),
            result: None,
        });
        Ok(())
    }

    /// The container's processes stand still for a job: a new one would not come to its start.
    pub fn freezes(&self, container: &str) -> bool {
        self.0
            .iter()
            .any(|job| job.frozen.is_some() && job.container == container)
    }

    pub fn input(&mut self, stream: StreamId) -> Option<&mut Input> {
        let inputs = self.0.iter_mut().filter_map(|job| job.input.as_mut());
        inputs.into_iter().find(|input| input.stream == stream)
    }

    pub fn interests<'a>(&'a self, mux: &Mux, fds: &mut Vec<PollFd<'a>>) {
        for job in &self.0 {
            if let Some(input) = &job.input
                && let Some(fd) = &input.fd
                && !input.pending.is_empty()
            {
                fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::OUT));
            }
            if let Some(output) = &job.output
                && let Some(fd) = &output.fd
                && mux.room(output.stream) > 0
            {
                fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
            }
        }
    }

    pub fn pump(&mut self, mux: &mut Mux, buffer: &mut [u8]) {
        for job in &mut self.0 {
            if let Some(input) = &mut job.input {
                input.pump(mux, false);
            }
            if let Some(output) = &mut job.output {
                output.pump(mux, buffer, false);
            }
            job.watch(mux);
        }
    }

    /// When one of them needs to be looked at, whatever happens.
    pub fn deadline(&self) -> Option<Instant> {
        let frozen = self.0.iter().filter_map(|job| job.frozen.as_ref());
        frozen.map(|frozen| frozen.since + STALLED).min()
    }

    /// A child has ended. `false`: it is none of these.
    pub fn ended(&mut self, pid: i32, mux: &mut Mux) -> bool {
        let Some(at) = self
            .0
            .iter()
            .position(|job| job.pid == pid && job.result.is_none())
        else {
            return false;
        };
        let frozen = self.0[at].frozen.take();
        if let Some(frozen) = frozen
            && !self.freezes(&self.0[at].container)
        {
            work::thaw(&frozen.cgroup);
        }
        let job = &mut self.0[at];
        job.result = Some(job.take_result());
        if let Some(input) = job.input.take() {
            mux.consumed(input.stream, input.pending.len());
        }
        if job.request.is_none() {
            self.0.remove(at);
        }
        true
    }

    /// Takes the jobs that are over and whose output has gone out, each with its request and what is to be said.
    pub fn finished(&mut self, mux: &mut Mux) -> Vec<(u64, Result<ReplyBody, Failure>)> {
        let mut answers = Vec::new();
        self.0.retain_mut(|job| {
            let Some(result) = &mut job.result else {
                return true;
            };
            let sent = job.output.as_ref().and_then(|output| mux.position(output.stream));
            if sent.is_some_and(|at| !at.sent_end) {
                return true;
            }
            // What is vouched for is what really went.
            if let (Some(at), Ok(ReplyBody::Transferred { bytes })) = (sent, &*result)
                && at.sent != *bytes
            {
                *result = Err(failure(ErrorKind::Guest, "the job's output was not sent whole"));
            }
            if let Some(request) = job.request {
                let gone = || failure(ErrorKind::Guest, "the job has no result");
                answers.push((request, std::mem::replace(result, Err(gone()))));
            }
            if let Some(stream) = job.stream {
                mux.close(stream);
            }
            false
        });
        answers
    }

    /// Ends a job that nobody wants any more; its answer comes all the same.
    pub fn cancel(&mut self, stream: StreamId) {
        for job in self.0.iter().filter(|job| job.stream == Some(stream)) {
            job.kill();
        }
    }

    /// Those who asked are gone: the jobs end, and are not answered.
    pub fn abandon(&mut self, mux: &mut Mux) {
        for job in &mut self.0 {
            job.kill();
            job.request = None;
            (job.input, job.output) = (None, None);
            if let Some(stream) = job.stream.take() {
                mux.close(stream);
            }
        }
        self.0.retain(|job| job.result.is_none());
    }

    pub fn kill_all(&self) {
        self.0.iter().for_each(Job::kill);
    }
}

impl Job {
    /// Gives up when nobody takes the output: the container must not stand still as long as hyperd does not run.
    fn watch(&mut self, mux: &Mux) {
        let sent = self
            .output
            .as_ref()
            .and_then(|output| mux.position(output.stream));
        let Some(frozen) = &mut self.frozen else { return };
        if let Some(at) = sent
            && at.sent != frozen.sent
        {
            (frozen.sent, frozen.since) = (at.sent, Instant::now());
        } else if frozen.since.elapsed() >= STALLED {
            frozen.since = Instant::now();
            self.kill();
        }
    }

    fn kill(&self) {
        if self.result.is_none() {
            let _ = sys::kill(self.pid, libc::SIGKILL);
        }
    }

    fn take_result(&self) -> Result<ReplyBody, Failure> {
        let mut bytes = vec![0; MAX_RESULT_BYTES];
        let length = match recv(&self.results, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((length, _)) => length,
            Err(_) => 0,
        };
        serde_json::from_slice(&bytes[..length])
            .unwrap_or_else(|_| Err(failure(ErrorKind::Guest, "the job was ended")))
    }
}

fn shortened(failed: Failure) -> Failure {
    Failure {
        message: failed.message.chars().take(MAX_MESSAGE_CHARS).collect(),
        ..failed
    }
}
