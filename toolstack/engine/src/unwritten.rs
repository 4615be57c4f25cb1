//! Facts that could not be written when they came to be, on a full disk for one: they hold, and are written as soon as
//! they can be.

use crate::again;
use crate::context::Context;
use crate::records::Entry;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Containers whose record on disk is behind, and the operations that end with it.
#[derive(Default)]
pub struct Unwritten {
    containers: Mutex<BTreeMap<String, Vec<Entry>>>,
    added: Notify,
}

impl Unwritten {
    fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Entry>>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, id: &str, operation: Option<Entry>) {
        self.containers()
            .entry(id.to_owned())
            .or_default()
            .extend(operation);
        self.added.notify_one();
    }

    pub fn forget(&self, id: &str) {
        self.containers().remove(id);
    }
}

/// Writes what is behind, until the daemon ends.
pub async fn write(cx: Arc<Context>) {
    let is_done = || std::future::ready(write_all(&cx));
    again::whenever(&cx.closing, &cx.unwritten.added, is_done).await;
}

/// Does so now; `false`: something is left.
pub fn write_all(cx: &Context) -> bool {
    let ids: Vec<String> = cx.unwritten.containers().keys().cloned().collect();
    for id in ids {
        let shared = cx.containers().get(&id).cloned();
        let operations = cx.unwritten.containers().get(&id).cloned().unwrap_or_default();
        let written = match &shared {
            Some(shared) => shared.update_and(
                cx,
                |_| {},
                |on_disk| {
                    operations
                        .iter()
                        .try_for_each(|operation| on_disk.finish(*operation))
                },
            ),
            None => Ok(()),
        };
        match written {
            Ok(()) => {
                let mut containers = cx.unwritten.containers();
                // Unless more has come to it meanwhile.
                if containers
                    .get(&id)
                    .is_some_and(|now| now.len() == operations.len())
                {
                    containers.remove(&id);
                }
            }
            Err(_) => return false,
        }
    }
    true
}
