//! The one task that owns a container.
//!
//! ```text
//!            Start                  process runs               exit, kill, guest gone
//!   idle ──────────► starting ──────────────────────► up ──────────────────────────────► ending
//!    ▲                  │ fails                       ▲                                     │
//!    ├──────────────────┘                  adopting ──┘ (after a restart of the daemon)     │
//!    └──────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Requests that cannot be served in a phase are answered with an error or wait for the next one, in order.

use crate::boot::{self, Booted};
use crate::container::{Command, Reply, Shared, WaitResult};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::exec::not_running;
use crate::hypervisor::{Ended, Guest};
use crate::plan::{FIRST_PROCESS, Plan};
use crate::session::{Session, SessionEvent, refused};
use crate::state::Status;
use crate::{signal, stdio};
use chrono::{DateTime, Utc};
use guest_protocol::message::{ErrorKind as AgentError, ExitStatus, ProcessId, RequestBody};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long after SIGKILL a guest that still has not told of the end is destroyed.
const KILL_GRACE: Duration = Duration::from_secs(20);

const SIGKILL: i32 = libc::SIGKILL;
const SIGTERM: i32 = libc::SIGTERM;

struct Up {
    guest: Arc<dyn Guest>,
    session: Session,
    events: mpsc::UnboundedReceiver<SessionEvent>,
    ended: JoinHandle<Ended>,
    pumps: Vec<JoinHandle<()>>,
    /// Processes that an earlier engine started.
    foreign: BTreeSet<ProcessId>,
    /// When to do the next thing to a process that does not end by itself.
    deadline: Option<(Instant, Next)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Kill,
    Destroy,
}

/// How a run ended.
#[derive(Debug, Clone, Default)]
struct Verdict {
    code: i32,
    oom_killed: bool,
    error: String,
}

enum Phase {
    Idle,
    Starting {
        work: JoinHandle<Result<Booted, Error>>,
        cancel: CancellationToken,
        replies: Vec<Reply<bool>>,
        /// The signal that was sent before there was a process.
        interrupted: Option<i32>,
        /// Set when the guest runs already, with what to destroy if it cannot be taken over.
        adopting: Option<Arc<dyn Guest>>,
    },
    Up(Box<Up>),
    Ending {
        work: JoinHandle<()>,
        verdict: Verdict,
        pumps: Vec<JoinHandle<()>>,
    },
    Removed,
}

enum Happening {
    Command(Option<Command>),
    Booted(Result<Booted, Error>),
    Session(Option<SessionEvent>),
    GuestEnded(Ended),
    Deadline(Next),
    Gone,
}

pub struct Task {
    shared: Arc<Shared>,
    cx: Arc<Context>,
    commands: mpsc::UnboundedReceiver<Command>,
    phase: Phase,
    deferred: VecDeque<Command>,
    stops: Vec<Reply<bool>>,
    removals: Vec<Reply<()>>,
}

/// A panic or an abort of our own work.
fn lost(error: tokio::task::JoinError) -> Error {
    Error::from_source(ErrorKind::Failed, "an internal task failed", &error)
}

impl Phase {
    /// Waits for what belongs to the phase.
    async fn next(&mut self) -> Happening {
        match self {
            Self::Idle | Self::Removed => std::future::pending().await,
            Self::Starting { work, .. } => {
                Happening::Booted(work.await.unwrap_or_else(|error| Err(lost(error))))
            }
            Self::Up(up) => {
                let deadline = up.deadline;
                let passed = async {
                    match deadline {
                        Some((at, next)) => {
                            tokio::time::sleep_until(at).await;
                            next
                        }
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    event = up.events.recv() => Happening::Session(event),
                    ended = &mut up.ended => Happening::GuestEnded(ended.unwrap_or(Ended::Destroyed)),
                    next = passed => Happening::Deadline(next),
                }
            }
            Self::Ending { work, .. } => {
                if let Err(error) = work.await {
                    tracing::error!(%error, "ending a guest");
                }
                Happening::Gone
            }
        }
    }
}

impl Task {
    pub fn spawn(shared: Arc<Shared>, cx: Arc<Context>, commands: mpsc::UnboundedReceiver<Command>) {
        tokio::spawn(Self::new(shared, cx, commands).run());
    }

    /// For a container whose guest runs already.
    pub fn spawn_adopting(
        shared: Arc<Shared>,
        cx: Arc<Context>,
        commands: mpsc::UnboundedReceiver<Command>,
        guest: Arc<dyn Guest>,
        plan: Plan,
    ) {
        let mut task = Self::new(Arc::clone(&shared), Arc::clone(&cx), commands);
        let cancel = CancellationToken::new();
        task.phase = Phase::Starting {
            work: tokio::spawn(boot::adopt(cx, shared, Arc::clone(&guest), plan, cancel.clone())),
            cancel,
            replies: Vec::new(),
            interrupted: None,
            adopting: Some(guest),
        };
        tokio::spawn(task.run());
    }

    fn new(shared: Arc<Shared>, cx: Arc<Context>, commands: mpsc::UnboundedReceiver<Command>) -> Self {
        Self {
            shared,
            cx,
            commands,
            phase: Phase::Idle,
            deferred: VecDeque::new(),
            stops: Vec::new(),
            removals: Vec::new(),
        }
    }

    async fn run(mut self) {
        while !matches!(self.phase, Phase::Removed) {
            let happening = tokio::select! {
                biased;
                () = self.cx.closing.cancelled() => return,
                happening = self.phase.next() => happening,
                command = self.commands.recv() => Happening::Command(command),
            };
            match happening {
                Happening::Command(Some(command)) => self.command(command).await,
                Happening::Command(None) => return,
                Happening::Booted(result) => self.booted(result).await,
                Happening::Session(Some(event)) => self.session_event(event),
                Happening::Session(None) => self.end(false, Verdict::destroyed("the link is gone")),
                Happening::GuestEnded(ended) => self.guest_ended(ended),
                Happening::Deadline(next) => self.deadline(next),
                Happening::Gone => self.gone().await,
            }
            while matches!(self.phase, Phase::Idle)
                && let Some(command) = self.deferred.pop_front()
            {
                self.command(command).await;
            }
        }
    }

    async fn command(&mut self, command: Command) {
        if matches!(self.phase, Phase::Ending { .. })
            && matches!(command, Command::Start(_) | Command::Remove { force: false, .. })
        {
            self.deferred.push_back(command);
            return;
        }
        match command {
            Command::Start(reply) => self.start(reply),
            Command::Stop {
                signal,
                timeout,
                reply,
            } => self.stop(signal, timeout, reply),
            Command::Kill { signal, reply } => self.kill(signal, reply),
            Command::Pause(reply) => {
                let _ = reply.send(self.pause(true).await);
            }
            Command::Unpause(reply) => {
                let _ = reply.send(self.pause(false).await);
            }
            Command::Remove { force, reply } => self.remove(force, reply).await,
        }
    }

    fn start(&mut self, reply: Reply<bool>) {
        match &mut self.phase {
            Phase::Idle => {
                let cancel = CancellationToken::new();
                let work = boot::boot(Arc::clone(&self.cx), Arc::clone(&self.shared), cancel.clone());
                self.phase = Phase::Starting {
                    work: tokio::spawn(work),
                    cancel,
                    replies: vec![reply],
                    interrupted: None,
                    adopting: None,
                };
            }
            Phase::Starting { replies, .. } => replies.push(reply),
            _ => {
                let paused = self.shared.with(|record| record.state.status == Status::Paused);
                let _ = reply.send(if paused {
                    Err(Error::conflict(
                        "cannot start a paused container, try unpause instead",
                    ))
                } else {
                    Ok(false)
                });
            }
        }
    }

    async fn booted(&mut self, result: Result<Booted, Error>) {
        let Phase::Starting {
            replies,
            interrupted,
            adopting,
            ..
        } = std::mem::replace(&mut self.phase, Phase::Idle)
        else {
            return;
        };
        match result {
            Ok(booted) => self.up(booted, replies, interrupted, adopting.is_some()),
            Err(error) => match adopting {
                None => self.start_failed(&error, replies, interrupted).await,
                Some(guest) => {
                    // It cannot be reached and must not be left alone.
                    tracing::error!(container = %self.shared.id, %error, "a guest that runs cannot be taken over");
                    let verdict = Verdict::destroyed(&error.to_string());
                    let destroy = async move {
                        for error in guest.destroy().await {
                            tracing::error!(%error, "destroying a guest");
                        }
                    };
                    self.phase = Phase::Ending {
                        work: tokio::spawn(destroy),
                        verdict,
                        pumps: Vec::new(),
                    };
                }
            },
        }
    }

    fn up(&mut self, booted: Booted, replies: Vec<Reply<bool>>, interrupted: Option<i32>, adopted: bool) {
        let guest = Arc::clone(&booted.guest);
        let ended = tokio::spawn(async move { guest.ended().await });
        self.shared.set_session(Some(booted.session.clone()));
        let (domid, pid) = (booted.guest.domid(), booted.pid);
        self.shared.note(&self.cx, |record| {
            let state = &mut record.state;
            state.domid = Some(domid);
            state.pid = pid;
            if !adopted {
                state.status = Status::Running;
                state.started_at = Some(Utc::now());
                state.exit_code = 0;
                state.oom_killed = false;
                state.error.clear();
                state.finished_at = None;
            }
        });
        if !adopted {
            self.shared.tell(&self.cx, "start", &[]);
        }
        self.phase = Phase::Up(Box::new(Up {
            guest: booted.guest,
            session: booted.session,
            events: booted.events,
            ended,
            pumps: booted.pumps,
            foreign: booted.foreign,
            deadline: None,
        }));
        for reply in replies {
            let _ = reply.send(Ok(true));
        }
        if let Some(status) = booted.exited {
            self.exited(&status);
        } else if let Some(signal) = interrupted {
            self.terminate(signal, Some(KILL_GRACE));
        }
    }

    async fn start_failed(&mut self, error: &Error, replies: Vec<Reply<bool>>, interrupted: Option<i32>) {
        let code = interrupted.map_or_else(|| error.exit_code(), |signal| 128 + signal);
        self.shared.note(&self.cx, |record| {
            record.state.error = error.to_string();
            record.state.exit_code = code;
        });
        self.shared.renew_hub().close();
        self.ended_run(WaitResult {
            exit_code: code,
            error: Some(error.to_string()),
        });
        for reply in replies {
            let _ = reply.send(Err(error.clone()));
        }
        self.settle().await;
    }

    fn session_event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Exited { process, status } if process == FIRST_PROCESS => self.exited(&status),
            SessionEvent::Exited { process, status } => {
                let Phase::Up(up) = &mut self.phase else { return };
                if self.shared.execs.ended(&up.session, process, &status) {
                    return;
                }
                if up.foreign.remove(&process) {
                    let session = up.session.clone();
                    tokio::spawn(async move { session.request(RequestBody::Forget { process }).await });
                    return;
                }
                self.cut_off(&format!(
                    "the agent told of the end of process {process}, which nobody started"
                ));
            }
            SessionEvent::Broken(why) => self.cut_off(&why),
        }
    }

    /// The guest broke the rules.
    fn cut_off(&mut self, why: &str) {
        tracing::warn!(container = %self.shared.id, why, "the guest is cut off");
        self.end(false, Verdict::destroyed(why));
    }

    fn exited(&mut self, status: &ExitStatus) {
        // The guest says so: only what an exit code can be.
        let code = status.code.clamp(0, 255);
        let at = i64::try_from(status.at_ms)
            .ok()
            .and_then(DateTime::from_timestamp_millis)
            .filter(|at| *at <= Utc::now())
            .unwrap_or_else(Utc::now);
        // From here on the code is known, whatever becomes of the guest or of this daemon.
        self.shared.note(&self.cx, |record| {
            record.state.exit_code = code;
            record.state.oom_killed = status.oom_killed;
            record.state.finished_at = Some(record.state.started_at.map_or(at, |started| at.max(started)));
        });
        self.end(
            true,
            Verdict {
                code,
                oom_killed: status.oom_killed,
                error: String::new(),
            },
        );
    }

    fn guest_ended(&mut self, ended: Ended) {
        if let Phase::Up(up) = &mut self.phase {
            // What it said before counts more than how it went.
            while let Ok(event) = up.events.try_recv() {
                if let SessionEvent::Exited { process, status } = event
                    && process == FIRST_PROCESS
                {
                    return self.exited(&status);
                }
            }
        }
        let why = match ended {
            Ended::Destroyed => "",
            Ended::Crashed => "the guest's kernel crashed",
            Ended::ShutDown => "the guest shut down by itself",
        };
        self.end(false, Verdict::destroyed(why));
    }

    /// Leaves the phase `Up`.
    fn end(&mut self, clean: bool, verdict: Verdict) {
        let Phase::Up(up) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        up.ended.abort();
        self.shared.set_session(None);
        let name = self.shared.with(|record| record.name.clone());
        self.phase = Phase::Ending {
            work: tokio::spawn(boot::end(name, up.guest, up.session, clean)),
            verdict,
            pumps: up.pumps,
        };
    }

    /// The guest is gone: the record says so, then everyone who waits is told.
    async fn gone(&mut self) {
        let Phase::Ending { verdict, pumps, .. } = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        self.shared.note(&self.cx, |record| {
            let state = &mut record.state;
            state.status = Status::Exited;
            state.guest = None;
            state.domid = None;
            state.pid = 0;
            state.exit_code = verdict.code;
            state.oom_killed = verdict.oom_killed;
            state.error.clone_from(&verdict.error);
            state.finished_at.get_or_insert_with(Utc::now);
        });
        self.shared.execs.end_all();
        let hub = self.shared.renew_hub();
        tokio::spawn(async move { close(&hub, pumps).await });
        self.shared
            .tell(&self.cx, "die", &[("exitCode", verdict.code.to_string())]);
        self.ended_run(WaitResult {
            exit_code: verdict.code,
            error: Some(verdict.error).filter(|error| !error.is_empty()),
        });
        for reply in std::mem::take(&mut self.stops) {
            let _ = reply.send(Ok(true));
        }
        self.settle().await;
    }

    fn ended_run(&self, result: WaitResult) {
        self.shared.life.send_modify(|life| {
            life.ended_runs += 1;
            life.last = Some(result);
        });
    }

    /// After a run: what was put off till now.
    async fn settle(&mut self) {
        for reply in std::mem::take(&mut self.stops) {
            let _ = reply.send(Ok(false));
        }
        if !self.removals.is_empty() || self.shared.with(|record| record.config.host.auto_remove) {
            self.erase().await;
        }
    }

    fn stop(&mut self, signal: Option<i32>, timeout: Option<Option<Duration>>, reply: Reply<bool>) {
        let config = self.shared.with(|record| record.config.clone());
        let signal = signal
            .or_else(|| signal::parse(&config.stop_signal))
            .unwrap_or(SIGTERM);
        let timeout = timeout.unwrap_or_else(|| {
            // docker's -1.
            if config.stop_timeout_seconds == Some(u32::MAX) {
                return None;
            }
            let own = config
                .stop_timeout_seconds
                .map(|seconds| Duration::from_secs(seconds.into()));
            Some(own.unwrap_or(self.cx.config.stop_timeout))
        });
        match &self.phase {
            Phase::Idle | Phase::Removed => {
                let _ = reply.send(Ok(false));
            }
            Phase::Ending { .. } => self.stops.push(reply),
            Phase::Starting { .. } => {
                self.stops.push(reply);
                self.interrupt(signal);
            }
            Phase::Up(_) => {
                self.stops.push(reply);
                self.terminate(signal, timeout);
            }
        }
    }

    /// Ends a start that is on its way.
    fn interrupt(&mut self, signal: i32) {
        if let Phase::Starting {
            cancel,
            interrupted,
            adopting,
            ..
        } = &mut self.phase
        {
            *interrupted = Some(signal);
            // A guest that runs already is taken over first and signalled then.
            if adopting.is_none() {
                cancel.cancel();
            }
        }
    }

    /// Signals the process, and kills it when it has not ended after the timeout.
    fn terminate(&mut self, signal: i32, timeout: Option<Duration>) {
        let Phase::Up(up) = &mut self.phase else { return };
        let next = if signal == SIGKILL {
            self.shared.hub().hurry();
            self.shared.execs.hurry();
            Some((Instant::now() + KILL_GRACE, Next::Destroy))
        } else {
            timeout.map(|timeout| (Instant::now() + timeout, Next::Kill))
        };
        up.deadline = match (up.deadline, next) {
            // The kill that is due is not put off.
            (Some((at, Next::Destroy)), _) => Some((at, Next::Destroy)),
            (_, next) => next,
        };
        let (guest, session) = (Arc::clone(&up.guest), up.session.clone());
        let paused = self.shared.with(|record| record.state.status == Status::Paused);
        if paused {
            self.shared
                .note(&self.cx, |record| record.state.status = Status::Running);
        }
        tokio::spawn(async move {
            if paused && let Err(error) = guest.unpause().await {
                tracing::error!(%error, "unpause");
            }
            let process = FIRST_PROCESS;
            if let Err(error) = session.request(RequestBody::Signal { process, signal }).await {
                tracing::debug!(error = %error.message, signal, "signal");
            }
        });
    }

    fn deadline(&mut self, next: Next) {
        match next {
            Next::Kill => self.terminate(SIGKILL, None),
            Next::Destroy => {
                tracing::warn!(container = %self.shared.id, "the guest does not end: it is destroyed");
                self.end(false, Verdict::destroyed(""));
            }
        }
    }

    fn kill(&mut self, signal: i32, reply: Reply<()>) {
        let fatal = matches!(
            signal,
            libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | SIGKILL | SIGTERM
        );
        match &self.phase {
            Phase::Starting { .. } if fatal => {
                self.interrupt(signal);
                let _ = reply.send(Ok(()));
            }
            Phase::Up(up) => {
                if signal == SIGKILL {
                    self.terminate(SIGKILL, None);
                    let _ = reply.send(Ok(()));
                    return;
                }
                if self.shared.with(|record| record.state.status == Status::Paused) {
                    let error = format!("container {} is paused: unpause it first", self.shared.id);
                    let _ = reply.send(Err(Error::conflict(error)));
                    return;
                }
                let session = up.session.clone();
                let gone = not_running(&self.shared);
                tokio::spawn(async move {
                    let process = FIRST_PROCESS;
                    let sent = session.request(RequestBody::Signal { process, signal }).await;
                    let _ = reply.send(match sent {
                        Ok(_) => Ok(()),
                        Err(error) if error.kind == AgentError::NotFound => Err(gone),
                        Err(error) => Err(refused("cannot send the signal", &error)),
                    });
                });
            }
            _ => {
                let _ = reply.send(Err(not_running(&self.shared)));
            }
        }
    }

    async fn pause(&mut self, pause: bool) -> Result<(), Error> {
        let Phase::Up(up) = &self.phase else {
            return Err(not_running(&self.shared));
        };
        let id = &self.shared.id;
        let paused = self.shared.with(|record| record.state.status == Status::Paused);
        match (pause, paused) {
            (true, true) => return Err(Error::conflict(format!("container {id} is already paused"))),
            (false, false) => return Err(Error::conflict(format!("container {id} is not paused"))),
            (true, false) => up.guest.pause().await?,
            (false, true) => up.guest.unpause().await?,
        }
        let status = if pause { Status::Paused } else { Status::Running };
        self.shared.note(&self.cx, |record| record.state.status = status);
        self.shared
            .tell(&self.cx, if pause { "pause" } else { "unpause" }, &[]);
        Ok(())
    }

    async fn remove(&mut self, force: bool, reply: Reply<()>) {
        if matches!(self.phase, Phase::Idle) {
            self.removals.push(reply);
            self.erase().await;
            return;
        }
        if !force {
            let (name, status) = self
                .shared
                .with(|record| (record.name.clone(), record.state.status));
            let how = if status == Status::Paused {
                "paused"
            } else {
                "running"
            };
            let _ = reply.send(Err(Error::conflict(format!(
                "cannot remove container \"/{name}\": container is {how}: stop the container before removing or force remove"
            ))));
            return;
        }
        self.removals.push(reply);
        match &self.phase {
            Phase::Starting { .. } => self.interrupt(SIGKILL),
            // What it has not written goes with its disk.
            Phase::Up(_) => {
                self.shared.hub().hurry();
                self.end(false, Verdict::destroyed(""));
            }
            _ => {}
        }
    }

    /// Removes all there is of it. What cannot be removed keeps the record, so that it can be tried again.
    async fn erase(&mut self) {
        let result = erase(&self.cx, &self.shared).await;
        if let Err(error) = &result {
            tracing::error!(container = %self.shared.id, %error, "a container cannot be removed");
            self.shared
                .note(&self.cx, |record| record.state.status = Status::Dead);
        } else {
            self.phase = Phase::Removed;
        }
        for reply in std::mem::take(&mut self.removals) {
            let _ = reply.send(result.clone());
        }
    }
}

impl Verdict {
    fn destroyed(why: &str) -> Self {
        Self {
            code: 128 + SIGKILL,
            oom_killed: false,
            error: why.to_owned(),
        }
    }
}

/// Ends the clients' streams when they have all there was.
async fn close(hub: &stdio::Hub, pumps: Vec<JoinHandle<()>>) {
    for pump in pumps {
        let _ = pump.await;
    }
    hub.close();
}

/// Removes a container's files and record, and tells of it.
pub async fn erase(cx: &Arc<Context>, shared: &Arc<Shared>) -> Result<(), Error> {
    // Not refused when it cannot be written: on a full disk removing is what helps.
    shared.note(cx, |record| record.state.status = Status::Removing);
    let folder = shared.folder(cx);
    match tokio::fs::remove_dir_all(&folder).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::from_source(
                ErrorKind::Failed,
                &format!("cannot remove {}", folder.display()),
                &error,
            ));
        }
        _ => {}
    }
    cx.records.remove(&shared.id)?;
    cx.containers().remove(&shared.id);
    shared.tell(cx, "destroy", &[]);
    shared.renew_hub().close();
    shared.life.send_modify(|life| life.removed = true);
    Ok(())
}
