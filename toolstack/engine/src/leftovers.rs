//! Guests whose end failed: something of them may be left. They are recorded, and tried again until nothing is.

use crate::again;
use crate::context::Context;
use crate::error::Error;
use crate::hypervisor::{Guest, Hypervisor};
use crate::records::Records;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use uuid::Uuid;

const KIND: &str = "leftover";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    pub domid: u32,
    /// Whose it was: its disk is not for another guest while this one may write it.
    pub container: String,
}

pub struct Leftovers {
    guests: Mutex<BTreeMap<Uuid, Leftover>>,
    added: Notify,
}

impl Leftovers {
    /// With those that an earlier engine left.
    pub fn open(records: &Records) -> Result<Self, Error> {
        let mut guests = BTreeMap::new();
        for (id, leftover) in records.documents::<Leftover>(KIND)? {
            match Uuid::parse_str(&id) {
                Ok(uuid) => drop(guests.insert(uuid, leftover)),
                Err(error) => tracing::error!(id, %error, "a record of what is left of a guest is damaged"),
            }
        }
        let leftovers = Self {
            guests: Mutex::new(guests),
            added: Notify::new(),
        };
        leftovers.added.notify_one();
        Ok(leftovers)
    }

    fn guests(&self) -> MutexGuard<'_, BTreeMap<Uuid, Leftover>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What cannot be recorded is tried again by this engine only.
    pub fn add(&self, records: &Records, uuid: Uuid, leftover: Leftover) {
        if let Err(error) = records.change(|on_disk| on_disk.put_document(KIND, &uuid.to_string(), &leftover))
        {
            tracing::error!(%uuid, %error, "what may be left of a guest is not recorded");
        }
        self.guests().insert(uuid, leftover);
        self.added.notify_one();
    }

    /// Tries again, each once. Gives those of which something may still be left, and why.
    pub async fn sweep(
        &self,
        records: &Records,
        hypervisor: &dyn Hypervisor,
        wanted: impl Fn(&Leftover) -> bool,
    ) -> Vec<(Uuid, Error)> {
        let all = self.guests().clone();
        let mut left = Vec::new();
        for (uuid, leftover) in all.into_iter().filter(|(_, leftover)| wanted(leftover)) {
            let errors = hypervisor.sweep(leftover.domid, uuid).await;
            if !errors.is_empty() {
                left.extend(errors.into_iter().map(|error| (uuid, error)));
                continue;
            }
            self.guests().remove(&uuid);
            // A record of what is gone costs the next engine one look.
            if let Err(error) = records.change(|on_disk| on_disk.remove_document(KIND, &uuid.to_string())) {
                tracing::error!(%uuid, %error, "the record of what was left of a guest is not removed");
            }
        }
        left
    }
}

/// Ends a guest. What is left after errors, which are told, is tried again from then on.
pub async fn destroy(cx: &Context, container: &str, guest: &dyn Guest) {
    let errors = guest.destroy().await;
    left(cx, container, guest.domid(), guest.uuid(), errors);
}

/// Removes what is left of a guest that an earlier engine had, in the same way.
pub async fn sweep(cx: &Context, container: &str, domid: u32, uuid: Uuid) {
    let errors = cx.hypervisor.sweep(domid, uuid).await;
    left(cx, container, domid, uuid, errors);
}

/// A guest that could not be built was undone, unless that failed, too.
pub async fn not_built(cx: &Context, container: &str, uuid: Uuid) {
    match cx.hypervisor.guests().await {
        Ok(guests) => {
            if let Some((domid, _)) = guests.into_iter().find(|(_, other)| *other == uuid) {
                sweep(cx, container, domid, uuid).await;
            }
        }
        Err(error) => tracing::error!(container, %error, "whether a guest is left that was not built"),
    }
}

fn left(cx: &Context, container: &str, domid: u32, uuid: Uuid, errors: Vec<Error>) {
    if errors.is_empty() {
        return;
    }
    for error in errors {
        tracing::error!(container, domid, %error, "something of a guest may be left");
    }
    let leftover = Leftover {
        domid,
        container: container.to_owned(),
    };
    cx.leftovers.add(&cx.records, uuid, leftover);
}

/// Makes sure that no earlier guest of a container can write its disk any more.
pub async fn none_of(cx: &Context, container: &str) -> Result<(), Error> {
    let of_it = |leftover: &Leftover| leftover.container == container;
    let left = cx
        .leftovers
        .sweep(&cx.records, cx.hypervisor.as_ref(), of_it)
        .await;
    if left.is_empty() {
        return Ok(());
    }
    let guests = cx.hypervisor.guests().await?;
    let lives = |uuid: &Uuid| guests.iter().any(|(_, other)| other == uuid);
    match left.into_iter().find(|(uuid, _)| lives(uuid)) {
        Some((_, error)) => Err(Error::failed(format!(
            "the guest of the container's last run cannot be removed: {error}"
        ))),
        None => Ok(()),
    }
}

/// Tries again until nothing is left, until the daemon ends.
pub async fn clear(cx: Arc<Context>) {
    again::whenever(&cx.closing, &cx.leftovers.added, || is_clear(&cx)).await;
}

async fn is_clear(cx: &Context) -> bool {
    let left = cx
        .leftovers
        .sweep(&cx.records, cx.hypervisor.as_ref(), |_| true)
        .await;
    for (uuid, error) in &left {
        tracing::debug!(%uuid, %error, "something of a guest is still left");
    }
    left.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypervisor::{Board, GuestUsage, HostInfo, MemoryInfo};
    use crate::plan::Plan;
    use async_trait::async_trait;

    /// Knows only how to sweep, and that not at first.
    struct Stubborn {
        fails: Mutex<u32>,
        swept: Mutex<Vec<(u32, Uuid)>>,
    }

    #[async_trait]
    impl Hypervisor for Stubborn {
        fn info(&self) -> &HostInfo {
            unreachable!()
        }
        async fn memory(&self) -> Result<MemoryInfo, Error> {
            unreachable!()
        }
        async fn build(&self, _: &Plan) -> Result<Arc<dyn Guest>, Error> {
            unreachable!()
        }
        async fn guests(&self) -> Result<Vec<(u32, Uuid)>, Error> {
            unreachable!()
        }
        async fn adopt(&self, _: u32, _: &Plan) -> Result<Arc<dyn Guest>, Error> {
            unreachable!()
        }
        fn interface(&self, _: u32, _: u32) -> String {
            unreachable!()
        }
        fn board(&self) -> Arc<dyn Board> {
            unreachable!()
        }
        async fn usage(&self, _: u32) -> Result<Option<GuestUsage>, Error> {
            unreachable!()
        }
        async fn sweep(&self, domid: u32, uuid: Uuid) -> Vec<Error> {
            self.swept.lock().unwrap().push((domid, uuid));
            let mut fails = self.fails.lock().unwrap();
            let Some(left) = fails.checked_sub(1) else {
                return Vec::new();
            };
            *fails = left;
            vec![Error::failed("it is held")]
        }
    }

    #[tokio::test]
    async fn what_is_left_is_tried_again_by_the_next_engine_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hyper.db");
        let hypervisor = Stubborn {
            fails: Mutex::new(2),
            swept: Mutex::default(),
        };
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let of = |domid, container: &str| Leftover {
            domid,
            container: container.to_owned(),
        };
        {
            let records = Records::open(&path).unwrap();
            let leftovers = Leftovers::open(&records).unwrap();
            leftovers.add(&records, one, of(7, "a"));
            leftovers.add(&records, other, of(8, "b"));
            let left = leftovers
                .sweep(&records, &hypervisor, |leftover| leftover.container == "a")
                .await;
            assert_eq!(left[0].0, one);
        }
        let records = Records::open(&path).unwrap();
        let leftovers = Leftovers::open(&records).unwrap();
        assert_eq!(leftovers.sweep(&records, &hypervisor, |_| true).await.len(), 1);
        assert!(leftovers.sweep(&records, &hypervisor, |_| true).await.is_empty());
        let swept = [(7, one), (7, one), (8, other), (7, one)];
        assert_eq!(*hypervisor.swept.lock().unwrap(), swept);
        assert_eq!(records.documents::<Leftover>(KIND).unwrap(), []);
    }
}
