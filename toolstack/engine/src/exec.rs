//! Processes that run in a container beside its first.

use crate::container::Shared;
use crate::context::Context;
use crate::engine::{Exec, ExecSpec};
use crate::error::{Error, ErrorKind};
use crate::exec_records::{self, ExecRecord};
use crate::fault;
use crate::names;
use crate::plan::{self, FIRST_EXEC, FIRST_PROCESS};
use crate::session::{Session, refused};
use crate::stdio::{Attachment, Hub, Source, pump_input};
use guest_protocol::message::{
    ExitStatus, GuestState, ProcessId, ProcessSpec, RequestBody, StreamId, WindowSize,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Execs of one container that are remembered; the oldest that ended make room.
const MAX_EXECS: usize = 1000;
/// Each has a number for itself and its stdin, and two for its outputs.
const NUMBERS: u32 = 3;

/// Whether an exec outlives the daemon that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// A client's: its exit code is kept.
    Recorded,
    /// The engine's own.
    No,
}

struct Entry {
    exec: Exec,
    keep: Keep,
    started: bool,
    process: ProcessId,
    hub: Arc<Hub>,
    pumps: Vec<JoinHandle<()>>,
    order: u32,
    /// `true` once it has an exit code.
    end: watch::Sender<bool>,
}

/// All execs of one container, by id.
pub struct Execs {
    entries: Mutex<BTreeMap<String, Entry>>,
    next: AtomicU32,
}

impl Default for Execs {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            next: AtomicU32::new(FIRST_EXEC),
        }
    }
}

impl Execs {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers up to this one are taken by processes of an earlier engine.
    pub fn skip_to(&self, number: u32) {
        self.next.fetch_max(number.saturating_add(1), Ordering::Relaxed);
    }

    /// A number for a stream of something else.
    pub fn take_number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub fn ids(&self) -> Vec<String> {
        self.entries().keys().cloned().collect()
    }

    /// Of those that run or are yet to.
    pub fn live_ids(&self) -> Vec<String> {
        let entries = self.entries();
        let live = entries.iter().filter(|(_, entry)| entry.exec.exit_code.is_none());
        live.map(|(id, _)| id.clone()).collect()
    }

    pub fn get(&self, id: &str) -> Option<Exec> {
        self.entries().get(id).map(|entry| entry.exec.clone())
    }

    /// Gives its id, and that of one that made room for it.
    pub fn create(
        &self,
        container: &str,
        spec: ExecSpec,
        keep: Keep,
    ) -> Result<(String, Option<String>), Error> {
        if spec.args.first().is_none_or(String::is_empty) {
            return Err(Error::invalid("No exec command specified"));
        }
        let mut entries = self.entries();
        let mut forgotten = None;
        if entries.len() >= MAX_EXECS {
            forgotten = entries
                .iter()
                .filter(|(_, entry)| entry.exec.exit_code.is_some())
                .min_by_key(|(_, entry)| entry.order)
                .map(|(id, _)| id.clone());
            match &forgotten {
                Some(id) => drop(entries.remove(id)),
                None => {
                    return Err(Error::conflict(format!(
                        "too many execs: {MAX_EXECS} run already"
                    )));
                }
            }
        }
        let id = names::new_id();
        let process = self.next.fetch_add(NUMBERS, Ordering::Relaxed);
        let entry = Entry {
            hub: Hub::new(spec.tty, !spec.tty),
            exec: Exec {
                id: id.clone(),
                container: container.to_owned(),
                spec,
                running: false,
                pid: 0,
                exit_code: None,
            },
            keep,
            started: false,
            process,
            pumps: Vec::new(),
            order: process,
            end: watch::Sender::new(false),
        };
        entries.insert(id.clone(), entry);
        Ok((id, forgotten))
    }

    /// The number by which its guest knows it.
    pub fn process(&self, id: &str) -> Option<ProcessId> {
        self.entries().get(id).map(|entry| entry.process)
    }

    /// Waits until it runs no more.
    pub async fn ended_or_gone(&self, id: &str) {
        let end = self.entries().get(id).map(|entry| entry.end.subscribe());
        if let Some(mut end) = end {
            // The sender goes with the entry.
            let _ = end.wait_for(|ended| *ended).await;
        }
    }

    /// Forgets one, of the engine's own.
    pub fn forget(&self, id: &str) {
        self.entries().remove(id);
    }

    /// Those that an earlier engine recorded.
    pub fn restore(&self, records: Vec<(String, ExecRecord)>) {
        let mut entries = self.entries();
        for (id, record) in records {
            self.skip_to(record.process.saturating_add(NUMBERS - 1));
            let entry = Entry {
                hub: Hub::new(record.spec.tty, !record.spec.tty),
                exec: Exec {
                    id: id.clone(),
                    container: record.container,
                    spec: record.spec,
                    running: record.exit_code.is_none(),
                    pid: record.pid,
                    exit_code: record.exit_code,
                },
                keep: Keep::Recorded,
                started: true,
                process: record.process,
                pumps: Vec::new(),
                order: record.process,
                end: watch::Sender::new(record.exit_code.is_some()),
            };
            entries.insert(id, entry);
        }
    }

    /// Takes over what runs, or ran, in a guest that an earlier engine started; gives the processes that are none of
    /// these. `lost`: what the guest does not know of never ran.
    pub fn resume(
        &self,
        cx: &Context,
        shared: &Shared,
        session: &Session,
        state: &GuestState,
    ) -> BTreeSet<ProcessId> {
        let mut foreign = BTreeSet::new();
        let others = state
            .processes
            .iter()
            .filter(|process| process.process != FIRST_PROCESS);
        let mut ended = Vec::new();
        let mut entries = self.entries();
        for process in others {
            let runs = |entry: &&mut Entry| entry.process == process.process && entry.exec.running;
            let Some(entry) = entries.values_mut().find(runs) else {
                match &process.exited {
                    Some(_) => forget(session, process.process),
                    None => drop(foreign.insert(process.process)),
                }
                continue;
            };
            entry.exec.pid = process.pid;
            entry.pumps = pumps(&entry.hub, session, entry.process, entry.exec.spec.tty);
            // Who wrote to it is gone: that is the end of its input, unless a terminal is still there.
            if entry.exec.spec.stdin
                && !entry.exec.spec.tty
                && !received_end(state, entry.process)
                && process.exited.is_none()
            {
                drop(session.input(entry.process));
            }
            if let Some(status) = &process.exited {
                ended.push((process.process, status.clone()));
            }
        }
        let known: BTreeSet<ProcessId> = state.processes.iter().map(|process| process.process).collect();
        let lost: Vec<ProcessId> = entries
            .values()
            .filter(|entry| entry.exec.running && !known.contains(&entry.process))
            .map(|entry| entry.process)
            .collect();
        drop(entries);
        for (process, status) in ended {
            self.ended(cx, shared, session, process, &status);
        }
        self.end_where(cx, shared, |entry| lost.contains(&entry.process));
        foreign
    }

    /// A process of the guest ended. `false`: it is none of ours, or had ended before.
    pub fn ended(
        &self,
        cx: &Context,
        shared: &Shared,
        session: &Session,
        process: ProcessId,
        status: &ExitStatus,
    ) -> bool {
        let mut entries = self.entries();
        let runs = |entry: &&mut Entry| entry.process == process && entry.exec.running;
        let Some(entry) = entries.values_mut().find(runs) else {
            return false;
        };
        entry.exec.running = false;
        entry.exec.exit_code = Some(status.code.clamp(0, 255));
        // Before the agent is told that it may forget it.
        entry.record(cx);
        entry.tell_end(cx, shared);
        let (hub, pumps) = (Arc::clone(&entry.hub), std::mem::take(&mut entry.pumps));
        let session = session.clone();
        tokio::spawn(async move {
            finish(&hub, pumps).await;
            let _ = session.request(RequestBody::Forget { process }).await;
            (process..process + NUMBERS).for_each(|stream| session.close(stream));
        });
        true
    }

    /// The guest is gone, and all of them with it.
    pub fn end_all(&self, cx: &Context, shared: &Shared) {
        self.end_where(cx, shared, |_| true);
    }

    fn end_where(&self, cx: &Context, shared: &Shared, which: impl Fn(&Entry) -> bool) {
        for entry in self.entries().values_mut() {
            if entry.exec.exit_code.is_none() && entry.started && which(entry) {
                entry.exec.running = false;
                entry.exec.exit_code = Some(128 + libc::SIGKILL);
                entry.record(cx);
                entry.tell_end(cx, shared);
                let (hub, pumps) = (Arc::clone(&entry.hub), std::mem::take(&mut entry.pumps));
                tokio::spawn(async move { finish(&hub, pumps).await });
            }
        }
    }

    /// Nobody may hold up the end of any of them.
    pub fn hurry(&self) {
        self.entries().values().for_each(|entry| entry.hub.hurry());
    }
}

impl Entry {
    /// Puts on disk how it stands.
    fn record(&self, cx: &Context) {
        if self.keep == Keep::No {
            return;
        }
        let record = ExecRecord {
            container: self.exec.container.clone(),
            spec: self.exec.spec.clone(),
            process: self.process,
            pid: self.exec.pid,
            exit_code: self.exec.exit_code,
        };
        exec_records::put(cx, &self.exec.id, &record);
    }

    fn tell_end(&self, cx: &Context, shared: &Shared) {
        self.end.send_replace(true);
        if let Some(code) = self.exec.exit_code {
            let more = [("execID", self.exec.id.clone()), ("exitCode", code.to_string())];
            shared.tell(cx, "exec_die", &more);
        }
    }
}

/// As events name it.
pub fn command(spec: &ExecSpec) -> String {
    spec.args.join(" ")
}

/// The agent need not remember it.
fn forget(session: &Session, process: ProcessId) {
    let session = session.clone();
    tokio::spawn(async move { session.request(RequestBody::Forget { process }).await });
}

fn received_end(state: &GuestState, stream: StreamId) -> bool {
    let mut streams = state.streams.iter();
    streams.any(|known| known.stream == stream && known.received_eof)
}

/// Opens the outputs of a process to its clients. A terminal has one for both.
fn pumps(hub: &Arc<Hub>, session: &Session, process: ProcessId, tty: bool) -> Vec<JoinHandle<()>> {
    let mut pumps = vec![hub.pump(Source::Stdout, session.output(process + 1))];
    if !tty {
        pumps.push(hub.pump(Source::Stderr, session.output(process + 2)));
    }
    pumps
}

/// Closes the clients' streams once they have all there is.
async fn finish(hub: &Hub, pumps: Vec<JoinHandle<()>>) {
    for pump in pumps {
        let _ = pump.await;
    }
    hub.close();
}

fn unknown(id: &str) -> Error {
    Error::not_found(format!("No such exec instance: {id}"))
}

pub fn not_running(shared: &Shared) -> Error {
    Error::conflict(format!("container {} is not running", shared.id))
}

/// Starts an exec; comes back when its command runs, or cannot.
pub async fn start(
    cx: &Arc<Context>,
    shared: &Arc<Shared>,
    id: &str,
    size: Option<WindowSize>,
) -> Result<Attachment, Error> {
    let session = shared.session_soon().await.ok_or_else(|| not_running(shared))?;
    let (spec, process, hub, attachment) = {
        let mut entries = shared.execs.entries();
        let entry = entries.get_mut(id).ok_or_else(|| unknown(id))?;
        if entry.started {
            return Err(Error::conflict(format!("exec {id} has already been started")));
        }
        entry.started = true;
        entry.exec.running = true;
        // From now on there may be a process.
        entry.record(cx);
        let (spec, process, hub) = (entry.exec.spec.clone(), entry.process, Arc::clone(&entry.hub));
        let attachment = hub.attach(spec.stdin, spec.stdout, spec.stderr);
        // Before anything is asked for: it may have ended when the answer is looked at.
        entry.pumps = pumps(&hub, &session, process, spec.tty);
        (spec, process, hub, attachment)
    };
    let streams = [process, process + 1, process + 2];
    let request = request(shared, &spec, process, size);
    shared.tell(
        cx,
        &format!("exec_start: {}", command(&spec)),
        &[("execID", id.to_owned())],
    );
    fault::point("exec.recorded");
    let input = spec.stdin.then(|| session.input(streams[0]));
    let started = session
        .request(RequestBody::Start {
            process: Box::new(request),
        })
        .await;
    let pid = match started {
        Ok(guest_protocol::message::ReplyBody::Started { pid }) => pid,
        result => {
            let error = match result {
                Err(error) => refused("unable to start container process", &error),
                Ok(_) => Error::failed("the agent's reply makes no sense"),
            };
            streams.iter().for_each(|stream| session.close(*stream));
            if let Some(entry) = shared.execs.entries().get_mut(id) {
                entry.exec.running = false;
                entry.exec.exit_code = Some(error.exit_code());
                entry.record(cx);
                entry.tell_end(cx, shared);
            }
            hub.close();
            return Err(error);
        }
    };
    if let (Some(from), Some(to)) = (hub.take_input(), input) {
        pump_input(from, to);
    }
    if let Some(entry) = shared.execs.entries().get_mut(id) {
        entry.exec.pid = pid;
    }
    Ok(attachment)
}

fn request(shared: &Shared, spec: &ExecSpec, process: ProcessId, size: Option<WindowSize>) -> ProcessSpec {
    let config = shared.with(|record| record.config.clone());
    let mut env = config.env;
    for pair in &spec.env {
        let name = pair.split('=').next();
        env.retain(|known| known.split('=').next() != name);
        env.push(pair.clone());
    }
    let or = |own: &String, other: String| if own.is_empty() { other } else { own.clone() };
    let capabilities = if spec.privileged {
        Some(plan::all_capabilities())
    } else {
        // Checked when the container was created.
        plan::capabilities(&config.host.cap_add, &config.host.cap_drop).unwrap_or_default()
    };
    ProcessSpec {
        process,
        container: shared.id.clone(),
        first: false,
        args: spec.args.clone(),
        env,
        cwd: or(&spec.working_dir, config.working_dir),
        user: or(&spec.user, config.user),
        groups: config.host.group_add,
        tty: spec.tty.then(|| size.unwrap_or_default()),
        stdin: spec.stdin.then_some(process),
        stdout: Some(process + 1),
        stderr: (!spec.tty).then_some(process + 2),
        capabilities,
        no_new_privileges: plan::no_new_privileges(&config.host.security_opt),
        rlimits: Vec::new(),
    }
}

pub async fn resize(shared: &Shared, id: &str, size: WindowSize) -> Result<(), Error> {
    let session = shared.session().ok_or_else(|| not_running(shared))?;
    let (process, running) = {
        let entries = shared.execs.entries();
        let entry = entries.get(id).ok_or_else(|| unknown(id))?;
        (entry.process, entry.exec.running)
    };
    if !running {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("exec {id} is not running"),
        ));
    }
    session
        .request(RequestBody::Resize { process, size })
        .await
        .map_err(|error| refused("cannot resize the terminal", &error))?;
    Ok(())
}
