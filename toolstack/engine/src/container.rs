//! What all who deal with a container share of it; the task that owns it is in `task.rs`.

use crate::context::Context;
use crate::error::Error;
use crate::exec::Execs;
use crate::log::Progress;
use crate::network::EndpointConfig;
use crate::session::Session;
use crate::state::Container;
use crate::stdio::Hub;
use chrono::Utc;
use guest_protocol::message::WindowSize;
use std::collections::BTreeMap;
use std::path::PathBuf;
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

pub type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What is asked of a container's task.
pub enum Command {
    Start(Reply<bool>),
    Stop {
        signal: Option<i32>,
        /// `None` inside never kills.
        timeout: Option<Option<Duration>>,
        reply: Reply<bool>,
    },
    Kill {
        signal: i32,
        reply: Reply<()>,
    },
    Pause(Reply<()>),
    Unpause(Reply<()>),
    /// Its record has a new name.
    Renamed(Reply<()>),
    /// To a network by its name.
    Connect {
        network: String,
        config: Box<EndpointConfig>,
        reply: Reply<()>,
    },
    Disconnect {
        network: String,
        reply: Reply<()>,
    },
    Remove {
        force: bool,
        reply: Reply<()>,
    },
}

pub struct Shared {
    pub id: String,
    record: Mutex<Container>,
    commands: mpsc::UnboundedSender<Command>,
    /// Of the run that is on, or else of the next.
    hub: Mutex<Arc<Hub>>,
    session: Mutex<Option<Session>>,
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
    pub fn new(record: Container) -> (Arc<Self>, mpsc::UnboundedReceiver<Command>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        let shared = Self {
            id: record.id.clone(),
            hub: Mutex::new(new_hub(&record)),
            record: Mutex::new(record),
            commands,
            session: Mutex::new(None),
            life: watch::Sender::default(),
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
        let mut record = lock(&self.record);
        let mut changed = record.clone();
        change(&mut changed);
        cx.records.put(&changed)?;
        *record = changed;
        Ok(())
    }

    /// The same for facts: they hold though they cannot be written, and are written with the next change.
    pub fn note(&self, cx: &Context, change: impl FnOnce(&mut Container)) {
        let mut record = lock(&self.record);
        change(&mut record);
        if let Err(error) = cx.records.put(&record) {
            tracing::error!(container = %record.name, %error, "the record cannot be written");
        }
    }

    pub async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::not_found(format!("No such container: {}", self.id));
        self.commands.send(command(reply)).map_err(|_| gone())?;
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
        lock(&self.session).clone()
    }

    pub fn set_session(&self, session: Option<Session>) {
        *lock(&self.session) = session;
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
        // Nobody listens: fine.
        let _ = cx.events.send(crate::Event {
            kind: "container",
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
