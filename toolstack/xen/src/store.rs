//! xenstore: `xenstore-rs` to look and to watch, and what changes it in bursts.

mod changes;

use crate::DomId;
use changes::Changes;
use futures_util::StreamExt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use xenstore_rs::tokio::XsTokio;
use xenstore_rs::{AsyncWatch as _, AsyncXs as _};

pub use changes::Request as StoreChange;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot connect to xenstore")]
    Connect(#[source] io::Error),
    #[error("xenstore: cannot {what} {path}")]
    Request {
        what: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    fn at<'a>(what: &'static str, path: &'a str) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Request {
            what,
            path: path.to_owned(),
            source,
        }
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::Request { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// A connection to xenstored.
#[derive(Clone)]
pub struct Store {
    connection: XsTokio,
    changes: Changes,
    round_trips: Arc<AtomicU64>,
}

impl Store {
    pub async fn open() -> Result<Self, StoreError> {
        let connection = XsTokio::new().await.map_err(StoreError::Connect)?;
        let changes = Changes::open()?;
        Ok(Self {
            connection,
            changes,
            round_trips: Arc::default(),
        })
    }

    /// How often an answer was waited for; requests that went out together count as one.
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    fn count(&self, waits: usize) {
        self.round_trips.fetch_add(waits as u64, Ordering::Relaxed);
    }

    /// `None` when there is no such node.
    pub async fn read(&self, path: &str) -> Result<Option<String>, StoreError> {
        self.count(1);
        match self
            .connection
            .read(path)
            .await
            .map_err(StoreError::at("read", path))
        {
            Ok(value) => Ok(Some(value.into())),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Names of the nodes below; none when there is no such node.
    pub async fn list(&self, path: &str) -> Result<Vec<String>, StoreError> {
        self.count(1);
        match self
            .connection
            .directory(path)
            .await
            .map_err(StoreError::at("list", path))
        {
            Ok(names) => Ok(names
                .into_iter()
                .map(String::from)
                .filter(|name| !name.is_empty())
                .collect()),
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub async fn write(&self, path: &str, value: &str) -> Result<(), StoreError> {
        self.make(vec![StoreChange::write(path, value)]).await
    }

    /// Removes a node and all below it; one that is not there is no error.
    pub async fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.make(vec![StoreChange::remove(path)]).await
    }

    /// Makes changes in their order. Goes on after an error, and gives the first.
    pub async fn make(&self, changes: Vec<StoreChange>) -> Result<(), StoreError> {
        self.count(1);
        self.changes.make(changes).await
    }

    /// Several changes as one, for whoever watches: begun anew while others come between.
    pub async fn commit(&self, changes: Vec<StoreChange>) -> Result<(), StoreError> {
        self.count(3);
        self.changes.make_as_one(changes).await
    }

    /// Watches a node and all below it, or `@introduceDomain` and `@releaseDomain`.
    pub async fn watch(&self, path: &str) -> Result<Watch, StoreError> {
        self.count(1);
        let mut events = self
            .connection
            .watch(path)
            .await
            .map_err(StoreError::at("watch", path))?;
        let (sender, receiver) = watch::channel(());
        // A task of its own, since xenstore-rs serves nobody while a watcher is behind.
        let forward = tokio::spawn(async move {
            while events.next().await.is_some() {
                if sender.send(()).is_err() {
                    break;
                }
            }
        });
        Ok(Watch { receiver, forward })
    }
}

/// Changes of one node. Several changes may be told as one.
pub struct Watch {
    receiver: watch::Receiver<()>,
    forward: tokio::task::JoinHandle<()>,
}

impl Watch {
    /// Waits for the next change. The first comes at once, as xenstore does it. `false`: xenstored is gone.
    pub async fn changed(&mut self) -> bool {
        self.receiver.changed().await.is_ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.forward.abort();
    }
}

/// What a guest may do with a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access {
    /// Read, dom0 owns it.
    Reader(DomId),
    /// Read and write; dom0 may read.
    Owner(DomId),
}
