//! The one task that owns a container. What it does next is decided in `machine.rs`, which draws the phases; here is what
//! belongs to each phase, and how the machine's actions are done.

mod actions;
mod ending;
mod machine;
mod messages;
mod networks;
pub mod policy;
mod requests;
mod visiting;

pub use ending::erase;

use crate::boot::{self, Booted};
use crate::container::{Asked, Commands, Reply, Shared, WaitResult};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::fault;
use crate::health::{self, Check, Health};
use crate::hypervisor::{Ended, Guest};
use crate::leftovers;
use crate::plan::{FIRST_PROCESS, Plan};
use crate::session::{Session, SessionEvent};
use crate::state::Status;
use crate::visit::Lease;
use crate::watchdog;
use chrono::Utc;
use ending::{Over, Verdict};
use guest_protocol::message::{ExitStatus, ProcessId, RequestBody};
use machine::Machine;
use messages::{Happening, Next, Phase, Ticket};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

struct Up {
    guest: Arc<dyn Guest>,
    session: Session,
    events: mpsc::Receiver<SessionEvent>,
    ended: JoinHandle<Ended>,
    pumps: Vec<JoinHandle<()>>,
    /// Processes that an earlier engine started and this one knows nothing of.
    foreign: BTreeSet<ProcessId>,
    /// Its health check, and who looks whether its guest answers; they end with this.
    _watchers: [AbortOnDropHandle<()>; 2],
    deadline: Deadline,
}

/// When to do the next thing to a process that does not end by itself.
type Deadline = Option<(Instant, Next)>;

/// What a phase has.
enum Work {
    /// Nothing, or a back-off that ends then.
    Idle(Option<Instant>),
    Starting {
        work: JoinHandle<Result<Booted, Error>>,
        cancel: CancellationToken,
        /// Set when the guest runs already, with what to destroy if it cannot be taken over.
        adopting: Option<Arc<dyn Guest>>,
        deadline: Deadline,
    },
    Up(Box<Up>),
    /// It does not run, but a guest for its files does.
    Visiting {
        /// Gives the requests that came too late.
        work: JoinHandle<Vec<Reply<Lease>>>,
        requests: mpsc::UnboundedSender<Reply<Lease>>,
        cancel: CancellationToken,
    },
    Ending {
        work: JoinHandle<()>,
        over: Over,
    },
}

enum Event {
    Asked(Asked),
    Forgotten,
    Visited(Vec<Reply<Lease>>),
    Booted(Result<Booted, Error>),
    Session(Option<SessionEvent>),
    GuestEnded(Ended),
    Deadline(Next),
    BackedOff,
    Gone,
}

pub struct Task {
    shared: Arc<Shared>,
    cx: Arc<Context>,
    commands: Commands,
    machine: Machine,
    work: Work,
    /// Those who asked and have no answer yet.
    replies: BTreeMap<Ticket, Reply>,
    /// The same for those who want its files.
    leases: BTreeMap<Ticket, Reply<Lease>>,
    /// Those who asked for its files when the guest for them was on its way out.
    late: Vec<Reply<Lease>>,
    next_ticket: Ticket,
    /// Why what failed last did.
    failure: Error,
    /// How the run that is ending ended.
    verdict: Option<Verdict>,
}

/// A panic or an abort of our own work.
fn lost(error: tokio::task::JoinError) -> Error {
    Error::from_source(ErrorKind::Failed, "an internal task failed", &error)
}

/// Comes at a moment, or never.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Comes once.
async fn due(deadline: &mut Deadline) -> Event {
    at(deadline.map(|(moment, _)| moment)).await;
    Event::Deadline(deadline.take().map_or(Next::Kill, |(_, next)| next))
}

impl Work {
    /// Waits for what belongs to the phase.
    async fn next(&mut self) -> Event {
        match self {
            Self::Idle(backoff) => {
                at(*backoff).await;
                Event::BackedOff
            }
            Self::Starting { work, deadline, .. } => tokio::select! {
                biased;
                booted = work => Event::Booted(booted.unwrap_or_else(|error| Err(lost(error)))),
                event = due(deadline) => event,
            },
            Self::Up(up) => {
                let up = up.as_mut();
                tokio::select! {
                    biased;
                    event = up.events.recv() => Event::Session(event),
                    ended = &mut up.ended => Event::GuestEnded(ended.unwrap_or(Ended::Destroyed)),
                    event = due(&mut up.deadline) => event,
                }
            }
            Self::Visiting { work, .. } => Event::Visited(work.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a guest for a container's files");
                Vec::new()
            })),
            Self::Ending { work, .. } => {
                if let Err(error) = work.await {
                    tracing::error!(%error, "ending a guest");
                }
                Event::Gone
            }
        }
    }
}

impl Task {
    pub fn spawn(shared: Arc<Shared>, cx: Arc<Context>, commands: Commands) {
        let by_hand = shared.with(|record| record.state.stopped_by_hand);
        tokio::spawn(Self::new(shared, cx, commands, Machine::idle(by_hand)).run());
    }

    /// For a container whose guest runs already.
    pub fn spawn_adopting(
        shared: Arc<Shared>,
        cx: Arc<Context>,
        commands: Commands,
        guest: Arc<dyn Guest>,
        plan: Plan,
    ) {
        let machine =
            shared.with(|record| Machine::adopting(record.state.stopped_by_hand, record.state.restart_count));
        let mut task = Self::new(Arc::clone(&shared), Arc::clone(&cx), commands, machine);
        let cancel = CancellationToken::new();
        task.work = Work::Starting {
            work: tokio::spawn(boot::adopt(cx, shared, Arc::clone(&guest), plan, cancel.clone())),
            cancel,
            adopting: Some(guest),
            deadline: None,
        };
        tokio::spawn(task.run());
    }

    fn new(shared: Arc<Shared>, cx: Arc<Context>, commands: Commands, machine: Machine) -> Self {
        Self {
            shared,
            cx,
            commands,
            machine,
            work: Work::Idle(None),
            replies: BTreeMap::new(),
            leases: BTreeMap::new(),
            late: Vec::new(),
            next_ticket: 0,
            failure: Error::failed("no reason is known"),
            verdict: None,
        }
    }

    async fn run(mut self) {
        while self.machine.phase() != Phase::Removed {
            let event = tokio::select! {
                biased;
                () = self.cx.closing.cancelled() => return,
                event = self.work.next() => event,
                command = self.commands.recv() => match command {
                    Some(asked) => Event::Asked(asked),
                    None => Event::Forgotten,
                },
            };
            match event {
                Event::Asked(Asked::Change(command, reply)) => self.command(command, reply).await,
                Event::Asked(Asked::Network(change, reply)) => self.change_networks(change, reply),
                Event::Asked(Asked::Files(reply)) => self.files(reply).await,
                Event::Visited(late) => self.visited(late).await,
                Event::Forgotten => return,
                Event::Booted(result) => self.booted(result).await,
                Event::Session(Some(event)) => self.session_event(event).await,
                Event::Session(None) => self.cut_off("the link is gone").await,
                Event::GuestEnded(ended) => self.guest_ended(ended).await,
                Event::Deadline(next) => {
                    if next == Next::Destroy {
                        tracing::warn!(container = %self.shared.id, "the guest does not end: it is destroyed");
                    }
                    self.react(Happening::Deadline(next)).await;
                }
                Event::BackedOff => {
                    self.work = Work::Idle(None);
                    self.react(Happening::BackedOff).await;
                }
                Event::Gone => self.gone().await,
            }
        }
    }

    async fn react(&mut self, happening: Happening) {
        let actions = self.machine.happened(happening);
        self.perform(actions).await;
    }

    async fn booted(&mut self, result: Result<Booted, Error>) {
        let work = std::mem::replace(&mut self.work, Work::Idle(None));
        let Work::Starting {
            adopting, deadline, ..
        } = work
        else {
            return;
        };
        match (result, adopting) {
            (Ok(mut booted), adopting) => {
                let exited = booted.exited.take();
                self.up(booted, adopting.is_some(), deadline);
                let paused = self.shared.with(|record| record.state.status == Status::Paused);
                self.react(Happening::Booted { paused }).await;
                if let Some(status) = exited
                    && matches!(self.work, Work::Up(_))
                {
                    self.exited(&status).await;
                }
            }
            (Err(error), None) => {
                self.start_failed(&error);
                self.failure = error;
                let auto_remove = self.shared.with(|record| record.config.host.auto_remove);
                self.react(Happening::BootFailed { auto_remove }).await;
            }
            (Err(error), Some(guest)) => {
                // It cannot be reached and must not be left alone.
                tracing::error!(container = %self.shared.id, %error, "a guest that runs cannot be taken over");
                let (cx, id) = (Arc::clone(&self.cx), self.shared.id.clone());
                let destroy = async move { leftovers::destroy(&cx, &id, guest.as_ref()).await };
                self.work = Work::Ending {
                    work: tokio::spawn(destroy),
                    over: Over {
                        verdict: Verdict::destroyed(&error.to_string()),
                        pumps: Vec::new(),
                    },
                };
                self.failure = error;
                self.react(Happening::BootFailed { auto_remove: false }).await;
            }
        }
    }

    fn up(&mut self, booted: Booted, adopted: bool, deadline: Deadline) {
        let guest = Arc::clone(&booted.guest);
        let ended = tokio::spawn(async move { guest.ended().await });
        self.shared.set_session(Some(booted.session.clone()));
        let (domid, pid, restarts) = (booted.guest.domid(), booted.pid, self.machine.restarts());
        self.shared.note_end(&self.cx, booted.operation, |record| {
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
                state.halted = false;
                state.restart_count = restarts;
                let checked = record.config.healthcheck.as_ref().and_then(Check::of);
                state.health = checked.map(|_| Health::default());
            }
        });
        fault::point("start.running");
        if !adopted {
            self.shared.tell(&self.cx, "start", &[]);
        }
        let (cx, shared, session) = (&self.cx, &self.shared, &booted.session);
        let health = health::watch(Arc::clone(cx), Arc::clone(shared), session.clone());
        let watchdog = watchdog::watch(Arc::clone(cx), Arc::clone(shared), session.clone());
        self.work = Work::Up(Box::new(Up {
            _watchers: [tokio::spawn(health), tokio::spawn(watchdog)].map(AbortOnDropHandle::new),
            guest: booted.guest,
            session: booted.session,
            events: booted.events,
            ended,
            pumps: booted.pumps,
            foreign: booted.foreign,
            deadline,
        }));
    }

    /// The record of a start that came to nothing.
    fn start_failed(&mut self, error: &Error) {
        let interrupted = match self.machine.phase() {
            Phase::Starting { interrupted, .. } => interrupted,
            _ => None,
        };
        let code = interrupted.map_or_else(|| error.exit_code(), |(signal, _)| 128 + signal);
        self.shared.note(&self.cx, |record| {
            record.state.error = error.to_string();
            record.state.exit_code = code;
            if record.state.status == Status::Restarting {
                record.state.status = Status::Exited;
            }
        });
        self.shared.renew_hub().close();
        self.ended_run(WaitResult {
            exit_code: code,
            error: Some(error.to_string()),
        });
    }

    async fn session_event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Exited { process, status } if process == FIRST_PROCESS => {
                self.exited(&status).await;
            }
            SessionEvent::Exited { process, status } => {
                if let Err(why) = self.other_exited(process, &status) {
                    self.cut_off(&why).await;
                }
            }
            SessionEvent::OutOfMemory => self.out_of_memory(),
            SessionEvent::Broken(why) => self.cut_off(&why).await,
        }
    }

    /// Docker marks the container, whichever process was killed. A guest may say so as often as it likes: it is recorded
    /// and told once for each run.
    fn out_of_memory(&mut self) {
        if self.shared.with(|record| record.state.oom_killed) {
            return;
        }
        self.shared
            .note(&self.cx, |record| record.state.oom_killed = true);
        self.shared.tell(&self.cx, "oom", &[]);
    }

    /// A process that is not the container's first ended.
    fn other_exited(&mut self, process: ProcessId, status: &ExitStatus) -> Result<(), String> {
        let Work::Up(up) = &mut self.work else {
            return Ok(());
        };
        if self
            .shared
            .execs
            .ended(&self.cx, &self.shared, &up.session, process, status)
        {
            return Ok(());
        }
        if up.foreign.remove(&process) {
            let session = up.session.clone();
            tokio::spawn(async move { session.request(RequestBody::Forget { process }).await });
            return Ok(());
        }
        Err(format!(
            "the agent told of the end of process {process}, which nobody started"
        ))
    }

    /// The guest broke the rules.
    async fn cut_off(&mut self, why: &str) {
        tracing::warn!(container = %self.shared.id, why, "the guest is cut off");
        self.verdict = Some(Verdict::destroyed(why));
        self.react(Happening::Ended { clean: false }).await;
    }
}
