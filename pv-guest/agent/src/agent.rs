//! The agent's loop and its tables.

mod ends;

use crate::cgroup;
use crate::container::Container;
use crate::error::{Context, Failure, failure};
use crate::files::Jobs;
use crate::guest;
use crate::kmsg;
use crate::link::Link;
use crate::network;
use crate::oom;
use crate::process::{self, Namespaces, set_nonblocking};
use crate::processes;
use crate::streams::{Input, Output, Process};
use crate::sys;
use guest_protocol::control::{Decoder, encode};
use guest_protocol::files::FileJob;
use guest_protocol::message::{
    ContainerSpec, ErrorKind, Event, GuestState, NetworkSpec, ProcessId, ProcessSpec, ProcessState,
    ReplyBody, RequestBody, StreamId, StreamState, VERSION, WindowSize,
};
use guest_protocol::mux::{Incoming, MAX_STREAMS, Mux, Violation};
use guest_protocol::ring::{self, Consumer, Producer, Side};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// Processes of one guest that the agent remembers.
const MAX_PROCESSES: usize = MAX_STREAMS / 3;
const READ_BYTES: usize = 64 << 10;

struct Running {
    container: Container,
    namespaces: Option<Namespaces>,
    oom: Option<oom::Watch>,
}

pub struct Agent {
    link: Link,
    producer: Producer,
    consumer: Consumer,
    mux: Mux,
    decoder: Decoder,
    containers: BTreeMap<String, Running>,
    processes: BTreeMap<ProcessId, Process>,
    jobs: Jobs,
    /// Requests to start what waits until its container's processes may move again.
    held: Vec<(u64, ProcessSpec)>,
    /// The highest number that any stream has had.
    last_stream: StreamId,
    children: OwnedFd,
    kernel_log: Option<(StreamId, kmsg::Reader)>,
    oom_kills: u64,
    /// Some container's count of kills may have changed.
    memory_changed: bool,
    shutdown: bool,
}

fn violated(violation: Violation) -> Failure {
    failure(
        ErrorKind::Guest,
        format!("the engine broke the link's rules: {violation}"),
    )
}

impl Agent {
    pub fn new() -> Result<Self, Failure> {
        let children = sys::child_signals().context("signalfd")?;
        let link = Link::offer().context("offer the link")?;
        let (producer, consumer) = ring::ends(&link.memory, Side::Guest);
        Ok(Self {
            link,
            producer,
            consumer,
            mux: Mux::new(),
            decoder: Decoder::default(),
            containers: BTreeMap::new(),
            processes: BTreeMap::new(),
            jobs: Jobs::default(),
            held: Vec::new(),
            last_stream: 0,
            children,
            kernel_log: None,
            oom_kills: ends::oom_kills(),
            memory_changed: false,
            shutdown: false,
        })
    }

    /// Serves until the engine asks for the end.
    pub fn run(mut self) -> Result<(), Failure> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            self.take_input()?;
            self.reap();
            for process in self.processes.values_mut() {
                process.pump(&mut self.mux, &mut buffer);
            }
            self.jobs.pump(&mut self.mux, &mut buffer);
            self.pump_kernel_log();
            self.tell_kills()?;
            self.tell_exits()?;
            for (id, result) in self.jobs.finished(&mut self.mux) {
                self.send(&Event::Reply { id, result })?;
            }
            self.start_held()?;
            if self
                .mux
                .fill(&mut self.producer, &self.link.memory)
                .map_err(violated)?
            {
                self.notify()?;
            }
            if self.shutdown && !self.mux.has_output() {
                guest::unmount_all(self.containers.into_keys());
                return Ok(());
            }
            self.wait()?;
        }
    }

    fn notify(&self) -> Result<(), Failure> {
        self.link.notify().context("notify dom0")
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self) -> Result<(), Failure> {
        let mut fds = vec![
            PollFd::new(&self.link, PollFlags::IN),
            PollFd::new(&self.children, PollFlags::IN),
        ];
        for process in self.processes.values() {
            process.interests(&self.mux, &mut fds);
        }
        for running in self.containers.values() {
            if let Some(watch) = &running.oom {
                fds.push(PollFd::new(watch, PollFlags::PRI));
            }
        }
        self.jobs.interests(&self.mux, &mut fds);
        if let Some((stream, reader)) = &self.kernel_log
            && self.mux.room(*stream) > 0
        {
            fds.push(PollFd::new(reader, PollFlags::IN));
        }
        let deadline = self
            .processes
            .values()
            .filter_map(|process| process.deadline(&self.mux))
            .chain(self.jobs.deadline())
            .min();
        let timeout = deadline
            .map(|at| at.saturating_duration_since(Instant::now()))
            .and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("poll"),
        }
        let memory_changed = fds.iter().any(|fd| fd.revents().contains(PollFlags::PRI));
        drop(fds);
        self.memory_changed |= memory_changed;
        self.link.take_notification().context("take a notification")?;
        let mut signals = [0; 1024];
        while rustix::io::read(&self.children, &mut signals).is_ok_and(|length| length > 0) {}
        Ok(())
    }

    /// Handles all that is in the ring.
    fn take_input(&mut self) -> Result<(), Failure> {
        while let Some(incoming) = self
            .mux
            .receive(&mut self.consumer, &self.link.memory)
            .map_err(violated)?
        {
            match incoming {
                Incoming::Reset => {
                    self.decoder = Decoder::default();
                    self.jobs.abandon(&mut self.mux);
                    self.held.clear();
                    self.mux.reset();
                }
                Incoming::Data(0, bytes) => {
                    self.mux.consumed(0, bytes.len());
                    self.decoder.push(&bytes);
                    while let Some(request) = self.decoder.decode::<Value>().map_err(violated)? {
                        self.answer(request)?;
                    }
                }
                Incoming::Data(stream, bytes) => match self.input(stream) {
                    Some(input) if input.fd.is_some() => input.pending.extend(bytes),
                    _ => self.mux.consumed(stream, bytes.len()),
                },
                Incoming::End(stream) => {
                    if let Some(input) = self.input(stream) {
                        input.ended = true;
                    }
                }
            }
        }
        // Also of frames that were of no interest: the engine may wait for the room.
        if self.consumer.taken() > 0 {
            self.consumer.release(&self.link.memory);
            self.notify()?;
        }
        Ok(())
    }

    fn input(&mut self, stream: StreamId) -> Option<&mut Input> {
        self.processes
            .values_mut()
            .filter_map(|process| process.input.as_mut())
            .find(|input| input.stream == stream)
            .or_else(|| self.jobs.input(stream))
    }

    fn send(&mut self, event: &Event) -> Result<(), Failure> {
        self.mux.send(0, &encode(event).map_err(violated)?);
        Ok(())
    }

    fn answer(&mut self, mut request: Value) -> Result<(), Failure> {
        let Some(id) = request["id"].as_u64() else {
            return Err(violated(Violation::Message("a request without an id".to_owned())));
        };
        // An engine that is newer may ask for what this agent does not know: that is an answer, not the end.
        let result = match serde_json::from_value(request["body"].take()) {
            Ok(RequestBody::Files { container, job }) => match self.start_job(id, &container, &job) {
                // Answered when it is done.
                Ok(()) => return Ok(()),
                Err(failure) => Err(failure),
            },
            Ok(RequestBody::Start { process }) if self.jobs.freezes(&process.container) => {
                if self.held.len() < MAX_PROCESSES {
                    self.held.push((id, *process));
                    return Ok(());
                }
                Err(failure(ErrorKind::Invalid, "too many processes"))
            }
            Ok(body) => self.perform(body),
            Err(error) => Err(failure(ErrorKind::Invalid, format!("not understood: {error}"))),
        };
        self.send(&Event::Reply { id, result })
    }

    fn start_held(&mut self) -> Result<(), Failure> {
        let free = |(_, process): &mut (u64, ProcessSpec)| !self.jobs.freezes(&process.container);
        let free: Vec<_> = self.held.extract_if(.., free).collect();
        for (id, process) in free {
            let result = self.start(process);
            self.send(&Event::Reply { id, result })?;
        }
        Ok(())
    }

    fn perform(&mut self, body: RequestBody) -> Result<ReplyBody, Failure> {
        match body {
            RequestBody::Hello { version: _ } => return Ok(ReplyBody::State(self.state())),
            RequestBody::Create { container } => self.create(*container)?,
            RequestBody::Start { process } => return self.start(*process),
            RequestBody::Signal { process, signal } => self.signal(process, signal)?,
            RequestBody::Resize { process, size } => self.resize(process, size)?,
            RequestBody::Forget { process } => self.forget(process),
            RequestBody::Network { network } => self.network(&network)?,
            RequestBody::KernelLog { stream } => {
                let known = self.kernel_log.as_ref().map(|(stream, _)| *stream);
                if stream == 0 || (self.mux.is_open(stream) && known != Some(stream)) {
                    return Err(failure(ErrorKind::Invalid, "the stream is in use already"));
                }
                let reader = kmsg::Reader::open().context("open /dev/kmsg")?;
                if let Some(known) = known
                    && known != stream
                {
                    self.mux.close(known);
                }
                self.open(stream);
                self.kernel_log = Some((stream, reader));
            }
            RequestBody::CancelFiles { stream } => self.jobs.cancel(stream),
            RequestBody::Files { .. } => return Err(failure(ErrorKind::Invalid, "answered elsewhere")),
            RequestBody::Processes { container } => {
                let first = self.first_process(&container)?;
                let processes = processes::list(first).context("list the processes")?;
                return Ok(ReplyBody::Processes { processes });
            }
            RequestBody::Usage { container } => {
                let running = self.container(&container)?;
                return Ok(ReplyBody::Usage(cgroup::usage(&running.container.cgroup())));
            }
            RequestBody::Limit {
                container,
                memory_bytes,
                nano_cpus,
            } => {
                let cgroup = self.container(&container)?.container.cgroup();
                if let Some(bytes) = memory_bytes {
                    cgroup::limit_memory(&cgroup, bytes).context("limit the memory")?;
                }
                if let Some(nano_cpus) = nano_cpus {
                    cgroup::limit_cpus(&cgroup, nano_cpus).context("limit the processors")?;
                }
            }
            RequestBody::Shutdown => {
                for process in self.processes.values().filter(|process| process.exited.is_none()) {
                    let _ = sys::kill(process.pid, libc::SIGKILL);
                }
                self.jobs.kill_all();
                // On disk before the answer: the engine destroys the domain when it has that.
                rustix::fs::sync();
                self.shutdown = true;
            }
        }
        Ok(ReplyBody::Done)
    }

    fn network(&mut self, spec: &NetworkSpec) -> Result<(), Failure> {
        network::apply(spec)?;
        match self.containers.get_mut(&spec.container) {
            Some(running) => running.container.replace_files(&spec.files),
            None => Ok(()),
        }
    }

    fn create(&mut self, spec: ContainerSpec) -> Result<(), Failure> {
        if self.containers.contains_key(&spec.id) {
            return Err(failure(ErrorKind::Invalid, "the container exists already"));
        }
        let id = spec.id.clone();
        let container = Container::create(spec)?;
        let oom = oom::Watch::open(&container.cgroup());
        self.containers.insert(
            id,
            Running {
                container,
                namespaces: None,
                oom,
            },
        );
        Ok(())
    }

    fn start(&mut self, spec: ProcessSpec) -> Result<ReplyBody, Failure> {
        let invalid = |message: &str| Err(failure(ErrorKind::Invalid, message));
        if self.processes.contains_key(&spec.process) {
            return invalid("the process exists already");
        }
        if self.processes.len() >= MAX_PROCESSES {
            return invalid("too many processes");
        }
        let Some(running) = self.containers.get_mut(&spec.container) else {
            return Err(failure(ErrorKind::NotFound, "no such container"));
        };
        if spec.first != running.namespaces.is_none() {
            return invalid("the container's first process comes first, and once");
        }
        let ended = |process: &Process| process.first && process.exited.is_some();
        let mut own = self
            .processes
            .values()
            .filter(|process| process.container == spec.container);
        if !spec.first && own.any(ended) {
            return invalid("the container is not running");
        }
        let streams: Vec<_> = [spec.stdin, spec.stdout, spec.stderr]
            .into_iter()
            .flatten()
            .collect();
        if streams.contains(&0) || streams.iter().any(|stream| self.mux.is_open(*stream)) {
            return invalid("a stream is in use already");
        }
        let started = process::start(&running.container, &spec, running.namespaces.as_ref())?;
        if spec.first {
            running.namespaces = Some(Namespaces::of(started.pid)?);
        }
        streams.iter().for_each(|stream| self.open(*stream));
        let duplicate = |fd: &Option<OwnedFd>| fd.as_ref().and_then(|fd| fd.try_clone().ok());
        if let Some(terminal) = &started.terminal {
            set_nonblocking(terminal)?;
        }
        let input_fd = started.stdin.or_else(|| duplicate(&started.terminal));
        let output_fd = started.stdout.or_else(|| duplicate(&started.terminal));
        let mut outputs = Vec::new();
        for (stream, fd) in [(spec.stdout, output_fd), (spec.stderr, started.stderr)] {
            if let Some(stream) = stream {
                outputs.push(Output { stream, fd });
            }
        }
        let input = spec.stdin.map(|stream| Input {
            stream,
            fd: input_fd,
            pending: VecDeque::new(),
            ended: false,
        });
        let process = Process {
            container: spec.container,
            first: spec.first,
            pid: started.pid,
            streams,
            input,
            outputs,
            terminal: started.terminal,
            exited: None,
            output_until: None,
            told: false,
        };
        self.processes.insert(spec.process, process);
        Ok(ReplyBody::Started {
            pid: started.pid as u32,
        })
    }

    fn open(&mut self, stream: StreamId) {
        self.mux.open(stream);
        self.last_stream = self.last_stream.max(stream);
    }

    fn start_job(&mut self, request: u64, container: &str, job: &FileJob) -> Result<(), Failure> {
        let Some(running) = self.containers.get(container) else {
            return Err(failure(ErrorKind::NotFound, "no such container"));
        };
        let namespaces = running.namespaces.as_ref();
        self.jobs
            .start(request, &running.container, namespaces, job, &mut self.mux)?;
        let stream = job.input().or(job.output());
        self.last_stream = self.last_stream.max(stream.unwrap_or(0));
        Ok(())
    }

    fn container(&self, id: &str) -> Result<&Running, Failure> {
        self.containers
            .get(id)
            .ok_or_else(|| failure(ErrorKind::NotFound, "no such container"))
    }

    fn first_process(&self, container: &str) -> Result<i32, Failure> {
        self.processes
            .values()
            .find(|process| process.first && process.container == container && process.exited.is_none())
            .map(|process| process.pid)
            .ok_or_else(|| failure(ErrorKind::NotFound, "the container is not running"))
    }

    fn process(&self, id: ProcessId) -> Result<&Process, Failure> {
        self.processes
            .get(&id)
            .ok_or_else(|| failure(ErrorKind::NotFound, "no such process"))
    }

    fn signal(&self, id: ProcessId, signal: i32) -> Result<(), Failure> {
        let process = self.process(id)?;
        if process.exited.is_some() {
            return Err(failure(ErrorKind::NotFound, "the process has ended"));
        }
        sys::kill(process.pid, signal).context("kill")
    }

    fn resize(&self, id: ProcessId, size: WindowSize) -> Result<(), Failure> {
        match &self.process(id)?.terminal {
            Some(terminal) => process::resize(terminal, size).context("resize"),
            None => Err(failure(ErrorKind::Invalid, "the process has no terminal")),
        }
    }

    fn forget(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.get(&id)
            && process.exited.is_some()
        {
            process.streams.iter().for_each(|stream| self.mux.close(*stream));
            self.processes.remove(&id);
        }
    }

    fn state(&self) -> GuestState {
        GuestState {
            version: VERSION,
            kernel_release: rustix::system::uname().release().to_string_lossy().into_owned(),
            containers: self.containers.keys().cloned().collect(),
            processes: self
                .processes
                .iter()
                .map(|(id, process)| ProcessState {
                    process: *id,
                    pid: process.pid as u32,
                    exited: process.exited.clone().filter(|_| process.told),
                })
                .collect(),
            streams: self
                .mux
                .positions()
                .map(|(stream, at)| StreamState {
                    stream,
                    sent: at.sent,
                    received: at.received,
                    sent_eof: at.sent_end,
                    received_eof: at.received_end,
                })
                .collect(),
            last_stream: self.last_stream,
        }
    }

    fn pump_kernel_log(&mut self) {
        let Some((stream, reader)) = &mut self.kernel_log else {
            return;
        };
        while self.mux.room(*stream) > 0 {
            match reader.next_line() {
                Ok(Some(line)) => self.mux.send(*stream, line.as_bytes()),
                _ => break,
            }
        }
    }
}
