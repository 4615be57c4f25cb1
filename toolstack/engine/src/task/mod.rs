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

mod control;
mod ending;
mod networks;

pub use ending::erase;

use crate::boot::{self, Booted};
use crate::container::{Command, Reply, Shared, WaitResult};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::hypervisor::{Ended, Guest};
use crate::plan::{FIRST_PROCESS, Plan};
use crate::session::{Session, SessionEvent};
use crate::state::Status;
use chrono::Utc;
use ending::Verdict;
use guest_protocol::message::{ProcessId, RequestBody};
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
            Command::Renamed(reply) => {
                let _ = reply.send(self.rename().await);
            }
            Command::Connect {
                network,
                config,
                reply,
            } => self.connect(network, *config, reply),
            Command::Disconnect { network, reply } => self.disconnect(network, reply),
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
}
