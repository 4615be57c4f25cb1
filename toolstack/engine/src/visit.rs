//! A guest for the files of a container that does not run: the container's disks and no process. The agent mounts the
//! root and does the jobs; this system never mounts a disk that a guest could write.
//!
//! There is one at a time, for all who want something of the container meanwhile, and it goes when nobody does any more.
//! The record knows its domain as it knows that of a start, so whatever instant hyperd dies at, the next one removes it.

use crate::boot;
use crate::container::{Reply, Shared};
use crate::context::Context;
use crate::error::Error;
use crate::hypervisor::Guest;
use crate::records::Entry;
use crate::session::{Session, SessionEvent};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Enough for the kernel, the agent and the longest lists of names.
const MEMORY_MIB: u64 = 128;

/// The agent of a container, to be asked as long as this is kept.
pub struct Lease {
    pub session: Session,
    /// Keeps the guest of a container that does not run.
    _hold: Option<mpsc::Sender<()>>,
}

impl Lease {
    /// On a container that runs, for which nobody has to be kept waiting.
    pub fn running(session: Session) -> Self {
        Self { session, _hold: None }
    }
}

struct Visit {
    guest: Arc<dyn Guest>,
    session: Session,
    events: mpsc::Receiver<SessionEvent>,
    /// Ends with the guest.
    operation: Entry,
}

/// Serves requests until nobody has a lease any more. Gives those that came too late for it.
pub async fn run(
    cx: Arc<Context>,
    shared: Arc<Shared>,
    mut requests: mpsc::UnboundedReceiver<Reply<Lease>>,
    cancel: CancellationToken,
) -> Vec<Reply<Lease>> {
    let mut visit = match open(&cx, &shared, &cancel).await {
        Ok(visit) => visit,
        Err(error) => {
            for reply in rest(requests) {
                let _ = reply.send(Err(error.clone()));
            }
            return Vec::new();
        }
    };
    let clean = serve(&cx, &mut visit, &mut requests, &cancel).await;
    let late = rest(requests);
    let Some(clean) = clean else {
        // The next hyperd removes it.
        visit.session.end().await;
        return late;
    };
    let operation = visit.operation;
    boot::end(
        Arc::clone(&cx),
        Arc::clone(&shared),
        visit.guest,
        visit.session,
        clean,
    )
    .await;
    boot::forget(&cx, &shared, operation);
    late
}

fn rest(mut requests: mpsc::UnboundedReceiver<Reply<Lease>>) -> Vec<Reply<Lease>> {
    requests.close();
    let mut rest = Vec::new();
    while let Ok(reply) = requests.try_recv() {
        rest.push(reply);
    }
    rest
}

/// Says whether the guest is still one that can be asked to shut down; nothing when hyperd itself ends.
async fn serve(
    cx: &Context,
    visit: &mut Visit,
    requests: &mut mpsc::UnboundedReceiver<Reply<Lease>>,
    cancel: &CancellationToken,
) -> Option<bool> {
    let (hold, mut released) = mpsc::channel(1);
    let weak = hold.downgrade();
    let lease = |hold| Lease {
        session: visit.session.clone(),
        _hold: Some(hold),
    };
    // It was made for one that waits.
    if let Ok(reply) = requests.try_recv() {
        let _ = reply.send(Ok(lease(hold)));
    } else {
        drop(hold);
    }
    loop {
        tokio::select! {
            biased;
            () = cx.closing.cancelled() => return None,
            () = cancel.cancelled() => return Some(false),
            ended = visit.guest.ended() => {
                tracing::warn!(?ended, "the guest for a container's files has ended by itself");
                return Some(false);
            }
            event = visit.events.recv() => {
                if let Some(SessionEvent::Broken(why)) = event {
                    tracing::warn!(why, "the guest for a container's files is cut off");
                }
                return Some(false);
            }
            // Before new requests: one more would find nobody to share with.
            _ = released.recv() => return Some(true),
            Some(reply) = requests.recv() => match weak.upgrade() {
                Some(hold) => drop(reply.send(Ok(lease(hold)))),
                None => drop(reply.send(Err(Error::conflict("the container's files are being released")))),
            },
        }
    }
}

async fn open(cx: &Arc<Context>, shared: &Arc<Shared>, cancel: &CancellationToken) -> Result<Visit, Error> {
    let _turn = boot::turn(cx, cancel).await?;
    let mut plan = cx.full_plan(&shared.record(), Uuid::new_v4()).await?;
    plan.memory_mib = MEMORY_MIB;
    plan.vcpus = 1;
    let (guest, operation) = boot::build(cx, shared, &plan).await?;
    let connect = boot::connect(guest.as_ref(), &plan);
    let (session, events) = boot::started(cx, shared, guest.as_ref(), operation, cancel, connect).await?;
    Ok(Visit {
        guest,
        session,
        events,
        operation,
    })
}
