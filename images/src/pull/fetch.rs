//! The fetch of one layer, shared by all pulls that want it meanwhile.

use crate::layer::{self, Announced, Compression};
use crate::registry::{BlobReader, Session};
use crate::{Error, Store};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Registry, digest and diff_id of a layer. Without the registry, one that is slow would hold up what another has too;
/// without the diff_id, an image that lies about it.
pub(crate) type Key = (String, String, String);

/// The fetches under way.
#[derive(Default)]
pub(crate) struct Fetches(Mutex<BTreeMap<Key, Weak<Fetch>>>);

pub(crate) type Task = JoinHandle<Result<(), Error>>;

/// A fetch, and its task for the one who began it.
type Joined = (Arc<Fetch>, Option<Task>);

/// It is under way on a task of its own, and ends early when no pull holds it any more.
pub(crate) struct Fetch {
    received: Arc<AtomicU64>,
    /// True as soon as the layer is in the store; closed when it is over.
    done: watch::Receiver<bool>,
    _wanted: DropGuard,
}

impl Fetches {
    /// The fetch under way, or a new one and its task; none when the layer is there.
    pub fn join(
        &self,
        key: &Key,
        is_there: impl FnOnce() -> bool,
        begin: impl FnOnce() -> Result<(Fetch, Task), Error>,
    ) -> Result<Option<Joined>, Error> {
        let mut fetches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fetches.retain(|_, fetch| fetch.strong_count() > 0);
        let known = fetches.get(key).and_then(Weak::upgrade);
        if let Some(fetch) = known.filter(|fetch| fetch.is_under_way()) {
            return Ok(Some((fetch, None)));
        }
        // Looked for behind the fetch, which may just have brought it.
        if is_there() {
            return Ok(None);
        }
        let (fetch, task) = begin()?;
        let fetch = Arc::new(fetch);
        fetches.insert(key.clone(), Arc::downgrade(&fetch));
        Ok(Some((fetch, Some(task))))
    }
}

impl Fetch {
    pub fn begin(
        store: &Arc<Store>,
        session: &Arc<Session>,
        announced: Announced,
        compression: Compression,
    ) -> Result<(Self, Task), Error> {
        let staged = store.stage()?;
        let blob = BlobReader::new(session, &announced.digest, announced.bytes);
        let received = Arc::new(AtomicU64::new(0));
        let failure = Arc::new(Mutex::new(None));
        let cancelled = CancellationToken::new();
        let counted = counted(
            blob,
            Arc::clone(&received),
            Arc::clone(&failure),
            cancelled.clone(),
        );
        let diff_id = announced.diff_id.clone();
        let ingest = tokio::task::spawn_blocking(move || {
            let reader = SyncIoBridge::new(StreamReader::new(counted));
            layer::ingest(reader, compression, &announced, &staged).map(|_| staged)
        });
        let (tell, done) = watch::channel(false);
        let store = Arc::clone(store);
        let wanted = cancelled.clone().drop_guard();
        let task = tokio::spawn(async move {
            let ingested = ingest.await.unwrap_or(Err(Error::Interrupted));
            // Why there were no more bytes tells more than that there were none.
            let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            let staged = failure.map_or(ingested, Err)?;
            // Nothing pins it any more.
            if cancelled.is_cancelled() {
                return Err(Error::Interrupted);
            }
            store.put_layer(&diff_id, staged)?;
            tell.send_replace(true);
            Ok(())
        });
        let fetch = Self {
            received,
            done,
            _wanted: wanted,
        };
        Ok((fetch, task))
    }

    /// Bytes of the layer as it is transferred.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Waits for its end; gives whether the layer is in the store.
    pub async fn ended(&self) -> bool {
        self.done.clone().wait_for(|done| *done).await.is_ok()
    }

    fn is_under_way(&self) -> bool {
        self.done.has_changed().is_ok()
    }
}

/// The bytes of a blob as they come, until nobody wants them any more. What ends them before their time is left in
/// `failure`.
fn counted(
    blob: BlobReader,
    received: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<Error>>>,
    cancelled: CancellationToken,
) -> stream::BoxStream<'static, io::Result<Bytes>> {
    let state = (blob, received, failure, cancelled);
    stream::try_unfold(state, |(mut blob, received, failure, cancelled)| async move {
        let chunk = match cancelled.run_until_cancelled(blob.chunk()).await {
            Some(chunk) => chunk,
            None => Err(Error::Interrupted),
        };
        match chunk {
            Ok(Some(bytes)) => {
                received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(Some((bytes, (blob, received, failure, cancelled))))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(io::Error::other("the registry gives no more"))
            }
        }
    })
    .boxed()
}
