//! xenstore: `xenstore-rs` for what it has, libxenstore for permissions and introducing domains.

use crate::DomId;
use futures_util::StreamExt;
use futures_util::future::join_all;
use std::ffi::CString;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use xen_sys::stable;
use xenstore_rs::tokio::XsTokio;
use xenstore_rs::{AsyncWatch as _, AsyncXs as _};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot connect to xenstore")]
    Connect(#[source] io::Error),
    #[error("cannot open libxenstore.so.4")]
    Library(#[source] xen_sys::LoadError),
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
    library: Arc<Mutex<Library>>,
    round_trips: Arc<AtomicU64>,
}

impl Store {
    pub async fn open() -> Result<Self, StoreError> {
        let connection = XsTokio::new().await.map_err(StoreError::Connect)?;
        let library = Library::open()?;
        Ok(Self {
            connection,
            library: Arc::new(Mutex::new(library)),
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
        self.count(1);
        self.send(path, value).await
    }

    async fn send(&self, path: &str, value: &str) -> Result<(), StoreError> {
        self.connection
            .write(path, value)
            .await
            .map_err(StoreError::at("write", path))
    }

    /// Writes all, in order, without waiting for one before sending the next.
    pub async fn write_all(&self, entries: &[(String, String)]) -> Result<(), StoreError> {
        self.count(1);
        let writes = entries.iter().map(|(path, value)| self.send(path, value));
        join_all(writes).await.into_iter().collect()
    }

    /// Removes a node and all below it; one that is not there is no error.
    pub async fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.count(1);
        match self
            .connection
            .rm(path)
            .await
            .map_err(StoreError::at("remove", path))
        {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(()),
        }
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

    /// Makes nodes that a guest may read (`Reader`) or owns (`Owner`); what is written below them inherits that.
    pub(crate) async fn grant(&self, nodes: Vec<(String, Access)>) -> Result<(), StoreError> {
        let empty: Vec<_> = nodes
            .iter()
            .map(|(path, _)| (path.clone(), String::new()))
            .collect();
        self.write_all(&empty).await?;
        self.count(nodes.len());
        self.blocking(move |library| {
            nodes.iter().try_for_each(|(path, access)| {
                library
                    .set_permissions(path, *access)
                    .map_err(StoreError::at("set the permissions of", path))
            })
        })
        .await
    }

    /// Several changes as one, for whoever watches: begun anew while others come between.
    pub async fn commit(&self, changes: Vec<StoreChange>) -> Result<(), StoreError> {
        self.count(2);
        self.blocking(move |library| {
            loop {
                if library.transact(&changes)? {
                    return Ok(());
                }
            }
        })
        .await
    }

    /// Tells xenstored about a domain and its ring.
    pub(crate) async fn introduce(&self, domid: DomId, frame: u64, port: u32) -> Result<(), StoreError> {
        self.count(1);
        self.blocking(move |library| {
            library
                .introduce(domid, frame, port)
                .map_err(StoreError::at("introduce", &format!("/local/domain/{domid}")))
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Library) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let library = Arc::clone(&self.library);
        tokio::task::spawn_blocking(move || call(&mut library.lock().unwrap_or_else(PoisonError::into_inner)))
            .await
            .unwrap_or_else(|error| Err(StoreError::Connect(io::Error::other(error))))
    }
}

/// A change of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChange {
    Write {
        path: String,
        value: String,
    },
    /// With all below it; one that is not there is no error.
    Remove {
        path: String,
    },
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

struct Library {
    functions: stable::Store,
    handle: *mut stable::xs_handle,
}

// SAFETY: libxenstore ties a handle to no thread, and it is used behind a mutex.
unsafe impl Send for Library {}

const XS_PERM_NONE: u32 = 0;
const XS_PERM_READ: u32 = 1;

impl Library {
    fn open() -> Result<Self, StoreError> {
        // SAFETY: a library of Xen's with a stable interface and no unsound initialisers.
        let functions = unsafe { stable::Store::new("libxenstore.so.4") }.map_err(StoreError::Library)?;
        // SAFETY: takes flags only.
        let handle = unsafe { functions.xs_open(0) };
        if handle.is_null() {
            return Err(StoreError::Connect(io::Error::last_os_error()));
        }
        Ok(Self { functions, handle })
    }

    fn set_permissions(&mut self, path: &str, access: Access) -> io::Result<()> {
        let path = CString::new(path)?;
        let entry = |id, perms| stable::xs_permissions { id, perms };
        let mut permissions = match access {
            Access::Reader(domid) => [entry(0, XS_PERM_NONE), entry(domid, XS_PERM_READ)],
            // dom0 may do everything anyway; the second entry names it for readers of the tree.
            Access::Owner(domid) => [entry(domid, XS_PERM_NONE), entry(0, XS_PERM_READ)],
        };
        // SAFETY: path and permissions outlive the call, and there are two of the latter.
        let done = unsafe {
            self.functions
                .xs_set_permissions(self.handle, 0, path.as_ptr(), permissions.as_mut_ptr(), 2)
        };
        if done {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// `false`: somebody else changed what this depends on.
    fn transact(&mut self, changes: &[StoreChange]) -> Result<bool, StoreError> {
        // SAFETY: the handle is open.
        let transaction = unsafe { self.functions.xs_transaction_start(self.handle) };
        if transaction == 0 {
            let error = io::Error::last_os_error();
            return Err(StoreError::at("change", "in a transaction")(error));
        }
        let made = changes
            .iter()
            .try_for_each(|change| self.change(transaction, change));
        // SAFETY: the transaction is open, and ends here.
        let ended = unsafe {
            self.functions
                .xs_transaction_end(self.handle, transaction, made.is_err())
        };
        made?;
        match ended {
            true => Ok(true),
            false => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EAGAIN) => Ok(false),
                error => Err(StoreError::at("change", "in a transaction")(error)),
            },
        }
    }

    fn change(&mut self, transaction: u32, change: &StoreChange) -> Result<(), StoreError> {
        let text = |text: &str| CString::new(text).map_err(io::Error::from);
        match change {
            StoreChange::Write { path, value } => {
                let at = text(path).map_err(StoreError::at("write", path))?;
                // SAFETY: path and value outlive the call, and the value has so many bytes.
                let done = unsafe {
                    self.functions.xs_write(
                        self.handle,
                        transaction,
                        at.as_ptr(),
                        value.as_ptr().cast(),
                        value.len() as u32,
                    )
                };
                done_or_error(done).map_err(StoreError::at("write", path))
            }
            StoreChange::Remove { path } => {
                let at = text(path).map_err(StoreError::at("remove", path))?;
                // SAFETY: the path outlives the call.
                let done = unsafe { self.functions.xs_rm(self.handle, transaction, at.as_ptr()) };
                match done_or_error(done) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        Err(StoreError::at("remove", path)(error))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    fn introduce(&mut self, domid: DomId, frame: u64, port: u32) -> io::Result<()> {
        // SAFETY: plain numbers.
        let done = unsafe {
            self.functions
                .xs_introduce_domain(self.handle, domid, frame, port)
        };
        if done {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

fn done_or_error(done: bool) -> io::Result<()> {
    if done {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the handle came from xs_open and is closed once.
        unsafe { self.functions.xs_close(self.handle) };
    }
}
