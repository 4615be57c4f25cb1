//! What all who deal with a container share of it; the task that owns it is in `task.rs`.

use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::exec::Execs;
use crate::log::Progress;
use crate::network::EndpointConfig;
use crate::records::{Change, Entry, Until};
use crate::session::Session;
use crate::state::Container;
use crate::stdio::Hub;
use crate::visit::Lease;
use chrono::Utc;
use guest_protocol::message::WindowSize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitResult {
    pub exit_code: i32,
    /// Why it could not be started, if that is the reason.
    pub error: Option<String>,
}

/// What those who wait look at.
#[derive(Debug, Clone, Default)]
pub struct Life {
    /// Runs that ended, starts that failed among them.
    pub ended_runs: u64,
    pub last: Option<WaitResult>,
    pub removed: bool,
}

pub type Reply<T = bool> = oneshot::Sender<Result<T, Error>>;

/// What is asked of a container's task. The answer is `false` when it was so already.
#[derive(Debug)]
pub enum Command {
    Start,
    Stop {
        signal: Option<i32>,
        /// `None` inside never kills.
        timeout: Option<Option<Duration>>,
    },
    /// The host is going down.
    Halt,
    Restart {
        signal: Option<i32>,
        timeout: Option<Option<Duration>>,
    },
    Kill {
        signal: i32,
    },
    Pause,
    Unpause,
    /// Its record has a new name.
    Renamed,
    Remove {
        force: bool,
    },
}

/// Networks are named by their names.
#[derive(Debug)]
pub enum NetworkChange {
    Connect(String, Box<EndpointConfig>),
    Disconnect(String),
}

/// What comes to a container's task.
pub enum Asked {
    Change(Command, Reply),
    /// It is to be on a network, or no longer.
    Network(NetworkChange, Reply<()>),
    /// Somebody wants something of its files.
    Files(Reply<Lease>),
}

pub type Commands = mpsc::UnboundedReceiver<Asked>;

pub struct Shared {
    pub id: String,
    /// Who looks at it never waits for a disk.
    record: Mutex<Container>,
    /// Held by who changes the record, until it is on the disk.
    changing: Mutex<()>,
    /// Its record is on the disk no more, and never again.
    erased: AtomicBool,
    commands: mpsc::UnboundedSender<Asked>,
    /// Of the run that is on, or else of the next.
    hub: Mutex<Arc<Hub>>,
    session: watch::Sender<Option<Session>>,
    pub life: watch::Sender<Life>,
    log: Mutex<watch::Sender<Progress>>,
    console: Mutex<watch::Sender<Progress>>,
    /// What the terminal's size is to be when the process starts.
    pub size: Mutex<WindowSize>,
    pub execs: Execs,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A log to which nothing comes now.
fn ended() -> watch::Sender<Progress> {
    watch::Sender::new(Progress {
        writes: 0,
        ended: true,
    })
}

fn new_hub(record: &Container) -> Arc<Hub> {
    // A terminal has no end of input: who leaves it may come back.
    Hub::new(record.config.tty, record.config.stdin_once && !record.config.tty)
}

impl Shared {
    pub fn new(record: Container) -> (Arc<Self>, Commands) {
        let (commands, receiver) = mpsc::unbounded_channel();
        // How it ended is known though another daemon was told.
        let last = record.state.finished_at.map(|_| WaitResult {
            exit_code: record.state.exit_code,
            error: None,
        });
        let shared = Self {
            id: record.id.clone(),
            hub: Mutex::new(new_hub(&record)),
            record: Mutex::new(record),
            changing: Mutex::default(),
            erased: AtomicBool::new(false),
            commands,
            session: watch::Sender::new(None),
            life: watch::Sender::new(Life {
                last,
                ..Life::default()
            }),
            log: Mutex::new(ended()),
            console: Mutex::new(ended()),
            size: Mutex::default(),
            execs: Execs::default(),
        };
        (Arc::new(shared), receiver)
    }

    pub fn record(&self) -> Container {
        lock(&self.record).clone()
    }

    /// Looks at the record without copying it.
    pub fn with<T>(&self, look: impl FnOnce(&Container) -> T) -> T {
        look(&lock(&self.record))
    }

    /// Changes the record, on disk first.
    pub fn update(&self, cx: &Context, change: impl FnOnce(&mut Container)) -> Result<(), Error> {
        self.update_and(cx, change, |_| Ok(()))
    }

    /// The same with more that belongs to the change.
    pub fn update_and<T>(
        &self,
        cx: &Context,
        change: impl FnOnce(&mut Container),
        more: impl FnOnce(&Change<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _changing = lock(&self.changing);
        if self.is_erased() {
            return Err(self.no_such());
        }
        let mut changed = self.record();
        change(&mut changed);
        let result = cx.records.change(|on_disk| {
            on_disk.put(&changed)?;
            more(on_disk)
        })?;
        self.stands(cx, changed);
        Ok(result)
    }

    /// The same for facts: they hold though they cannot be written, and are written as soon as they can be.
    pub fn note(&self, cx: &Context, change: impl FnOnce(&mut Container)) {
        self.note_end(cx, None, change);
    }

    /// A fact that is also the end of an operation.
    pub fn note_end(&self, cx: &Context, operation: Option<Entry>, change: impl FnOnce(&mut Container)) {
        self.note_in(cx, Until::Forever, operation, change);
    }

    /// A fact of the guest that runs.
    pub fn note_of_run(&self, cx: &Context, change: impl FnOnce(&mut Container)) {
        self.note_in(cx, Until::HostEnds, None, change);
    }

    fn note_in(
        &self,
        cx: &Context,
        until: Until,
        operation: Option<Entry>,
        change: impl FnOnce(&mut Container),
    ) {
        let _changing = lock(&self.changing);
        if self.is_erased() {
            if let Some(operation) = operation {
                let _ = cx.records.finish(operation);
            }
            return;
        }
        let mut changed = self.record();
        change(&mut changed);
        let written = cx.records.change_until(until, |on_disk| {
            on_disk.put(&changed)?;
            operation.map_or(Ok(()), |operation| on_disk.finish(operation))
        });
        if let Err(error) = written {
            tracing::error!(container = %changed.name, %error, "a fact is kept in memory until it can be written");
            cx.unwritten.add(&self.id, operation);
        }
        self.stands(cx, changed);
    }

    fn stands(&self, cx: &Context, changed: Container) {
        let mut record = lock(&self.record);
        *record = changed;
        cx.publisher.stands(&record);
    }

    /// Takes the record from the disk. What would change it from now on comes too late and writes none anew.
    pub fn erase(
        &self,
        cx: &Context,
        change: impl FnOnce(&Change<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _changing = lock(&self.changing);
        cx.records.change(change)?;
        self.erased.store(true, Ordering::Release);
        Ok(())
    }

    fn is_erased(&self) -> bool {
        self.erased.load(Ordering::Acquire)
    }

    fn no_such(&self) -> Error {
        Error::not_found(format!("No such container: {}", self.id))
    }

    /// `false`: it was so already.
    pub async fn ask(&self, command: Command) -> Result<bool, Error> {
        self.answer(|reply| Asked::Change(command, reply)).await
    }

    pub async fn change_networks(&self, change: NetworkChange) -> Result<(), Error> {
        self.answer(|reply| Asked::Network(change, reply)).await
    }

    /// Access to its files.
    pub async fn lease(&self) -> Result<Lease, Error> {
        self.answer(Asked::Files).await
    }

    async fn answer<T>(&self, asked: impl FnOnce(Reply<T>) -> Asked) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        // Its task ends when it is removed, or with the daemon.
        let gone = || match self.is_erased() {
            true => self.no_such(),
            false => Error::new(ErrorKind::Unavailable, "hyperd is stopping"),
        };
        self.commands.send(asked(reply)).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    pub fn hub(&self) -> Arc<Hub> {
        Arc::clone(&lock(&self.hub))
    }

    /// A hub for the next run; gives that of the one that ended.
    pub fn renew_hub(&self) -> Arc<Hub> {
        let hub = new_hub(&lock(&self.record));
        std::mem::replace(&mut lock(&self.hub), hub)
    }

    pub fn session(&self) -> Option<Session> {
        self.session.borrow().clone()
    }

    /// The same, once a guest that runs has been taken over; `None` when it does not run.
    pub async fn session_soon(&self) -> Option<Session> {
        let mut session = self.session.subscribe();
        loop {
            let now = session.borrow_and_update().clone();
            if now.is_some() || !self.with(|record| record.state.status.is_up()) {
                return now;
            }
            session.changed().await.ok()?;
        }
    }

    /// Told anew with each end of a run, for those who wait.
    pub fn set_session(&self, session: Option<Session>) {
        self.session.send_replace(session);
    }

    pub fn log_progress(&self) -> watch::Receiver<Progress> {
        lock(&self.log).subscribe()
    }

    pub fn console_progress(&self) -> watch::Receiver<Progress> {
        lock(&self.console).subscribe()
    }

    /// Of a run that begins.
    pub fn renew_progress(&self) -> (watch::Sender<Progress>, watch::Sender<Progress>) {
        let (log, console) = (watch::Sender::default(), watch::Sender::default());
        *lock(&self.log) = log.clone();
        *lock(&self.console) = console.clone();
        (log, console)
    }

    pub fn console_sender(&self) -> watch::Sender<Progress> {
        lock(&self.console).clone()
    }

    /// Tells everyone of something that happened to it.
    pub fn tell(&self, cx: &Context, action: &str, more: &[(&str, String)]) {
        let mut attributes: BTreeMap<String, String> = BTreeMap::new();
        self.with(|record| {
            attributes.extend(record.config.labels.clone());
            attributes.insert("name".to_owned(), record.name.clone());
            attributes.insert("image".to_owned(), record.config.image.clone());
        });
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        cx.events.send(crate::Event {
            kind: "container".into(),
            action: action.to_owned(),
            id: self.id.clone(),
            attributes,
            at: Utc::now(),
        });
    }

    pub fn folder(&self, cx: &Context) -> PathBuf {
        cx.container_folder(&self.id)
    }
}
