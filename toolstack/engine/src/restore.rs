//! What a new engine makes of what an earlier one left: guests that run are taken over, the rest is cleaned up.

use crate::boot;
use crate::container::{Command, Shared};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::exec_records::{self, ExecRecord};
use crate::leftovers;
use crate::records::{Entry, Operation};
use crate::state::{Container, Status};
use crate::task::policy::{self, Run};
use crate::task::{self, Task};
use chrono::Utc;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use uuid::Uuid;

pub async fn restore(cx: &Arc<Context>) -> Result<(), Error> {
    let records = cx.records.all()?;
    let journal = cx.records.journal()?;
    let mut execs = exec_records::all(cx)?;
    let guests: BTreeMap<Uuid, u32> = cx
        .hypervisor
        .guests()
        .await?
        .into_iter()
        .map(|(domid, uuid)| (uuid, domid))
        .collect();
    remove_strays(cx, &records)?;
    let running = records.iter().filter_map(|record| match fate(record, &guests) {
        Fate::Adopt(domid) => {
            let indexes = record.state.endpoints.iter().map(|endpoint| endpoint.index);
            let interfaces = indexes.map(|index| cx.hypervisor.interface(domid, index));
            Some((record.clone(), interfaces.collect()))
        }
        _ => None,
    });
    let ids = records.iter().map(|record| record.id.clone()).collect();
    cx.networks.restore(&cx.records, running.collect(), &ids).await;
    let mut wanted = Vec::new();
    for record in records {
        let execs = execs.remove(&record.id).unwrap_or_default();
        wanted.extend(one(cx, record, execs, &guests).await);
    }
    for (id, _) in execs.into_values().flatten() {
        exec_records::forget(cx, &id);
    }
    for (entry, operation) in journal {
        conclude(cx, entry, &operation)?;
    }
    for shared in wanted {
        tokio::spawn(async move {
            if let Err(error) = shared.ask(Command::Start).await {
                tracing::error!(container = %shared.id, %error, "a container does not start with the daemon");
            }
        });
    }
    Ok(())
}

/// What is left to do of an operation that was cut off, after all containers are as they should be.
fn conclude(cx: &Arc<Context>, entry: Entry, operation: &Operation) -> Result<(), Error> {
    tracing::info!(?operation, "an operation was cut off");
    if let Operation::Restart { container } = operation
        && let Some(shared) = cx.containers().get(container).cloned()
    {
        let cx = Arc::clone(cx);
        tokio::spawn(async move {
            let again = Command::Restart {
                signal: None,
                timeout: None,
            };
            if let Err(error) = shared.ask(again).await {
                tracing::error!(container = %shared.id, %error, "a restart that was cut off");
            }
            // A daemon that ends leaves it to the next.
            if !cx.closing.is_cancelled()
                && let Err(error) = cx.records.finish(entry)
            {
                tracing::error!(%error, "the end of a restart is not recorded");
            }
        });
        return Ok(());
    }
    // Of a create and a start nothing is left by now; what is left of a removal, the container's state says.
    cx.records.finish(entry)
}

/// Folders of containers that were never recorded, or were removed but for the folder.
fn remove_strays(cx: &Context, records: &[Container]) -> Result<(), Error> {
    let known: BTreeSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
    let folder = cx.config.state_dir.join("containers");
    let entries = fs::read_dir(&folder).map_err(|error| {
        Error::from_source(
            ErrorKind::Failed,
            &format!("cannot read {}", folder.display()),
            &error,
        )
    })?;
    for entry in entries.flatten() {
        if entry
            .file_name()
            .to_str()
            .is_none_or(|name| !known.contains(name))
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::error!(path = %entry.path().display(), %error, "a stray folder cannot be removed");
        }
    }
    Ok(())
}

/// What to do with one container.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Its guest runs and is taken over.
    Adopt(u32),
    /// Its guest is there but of no more use: destroy it.
    Destroy(u32),
    /// Its guest is gone, and something of it may be left.
    Sweep(Option<u32>),
    /// There was no guest.
    Keep,
}

fn fate(record: &Container, guests: &BTreeMap<Uuid, u32>) -> Fate {
    let state = &record.state;
    let Some(uuid) = state.guest else {
        return Fate::Keep;
    };
    // The exit was recorded before the guest was taken down.
    let exit_known = state.finished_at.is_some() && state.finished_at >= state.started_at;
    match guests.get(&uuid) {
        Some(domid) if state.status.is_up() && !exit_known => Fate::Adopt(*domid),
        Some(domid) => Fate::Destroy(*domid),
        None => Fate::Sweep(state.domid),
    }
}

/// Gives the container if it is to be started.
async fn one(
    cx: &Arc<Context>,
    record: Container,
    execs: Vec<(String, ExecRecord)>,
    guests: &BTreeMap<Uuid, u32>,
) -> Option<Arc<Shared>> {
    let fate = fate(&record, guests);
    let (was_up, uuid) = (record.state.status.is_up(), record.state.guest);
    let ran = record.state.status.is_running() || record.state.halted;
    let (shared, commands) = Shared::new(record);
    shared.execs.restore(execs);
    cx.publisher.stands(&shared.record());
    cx.containers().insert(shared.id.clone(), Arc::clone(&shared));
    let plan = match cx.full_plan(&shared.record(), uuid.unwrap_or(Uuid::nil())).await {
        Ok(plan) => Some(plan),
        Err(error) => {
            tracing::error!(container = %shared.id, %error, "the container's image is not usable");
            None
        }
    };
    match (fate, plan) {
        (Fate::Adopt(domid), Some(plan)) => match cx.hypervisor.adopt(domid, &plan).await {
            Ok(guest) => {
                tracing::info!(container = %shared.id, domid, "taking over a guest that runs");
                Task::spawn_adopting(shared, Arc::clone(cx), commands, guest, plan);
                return None;
            }
            Err(error) => {
                tracing::error!(container = %shared.id, domid, %error, "a guest that runs cannot be taken over");
                sweep(cx, &shared, Some(domid), uuid).await;
            }
        },
        (Fate::Adopt(domid) | Fate::Destroy(domid), _) => {
            sweep(cx, &shared, Some(domid), uuid).await;
        }
        (Fate::Sweep(domid), _) => sweep(cx, &shared, domid, uuid).await,
        (Fate::Keep, _) => {}
    }
    boot::leave_networks(cx, &shared).await;
    settle(cx, &shared, was_up);
    shared.execs.end_all(cx, &shared);
    if shared.with(|record| {
        matches!(record.state.status, Status::Removing | Status::Dead)
            || (was_up && record.config.host.auto_remove)
    }) {
        if let Err(error) = task::erase(cx, &shared).await {
            tracing::error!(container = %shared.id, %error, "a container cannot be removed");
        } else {
            return None;
        }
    }
    Task::spawn(Arc::clone(&shared), Arc::clone(cx), commands);
    shared.with(|record| starts(record, ran)).then_some(shared)
}

/// Whether its policy has it started now. `ran`: it did when the last daemon, or the host, ended.
fn starts(record: &Container, ran: bool) -> bool {
    let state = &record.state;
    let run = Run {
        exit_code: state.exit_code,
        policy: record.config.host.restart_policy.clone(),
        ..Run::default()
    };
    state.started_at.is_some()
        && matches!(state.status, Status::Exited)
        && policy::starts_with_daemon(&run, state.stopped_by_hand, ran, state.restart_count)
}

async fn sweep(cx: &Context, shared: &Shared, domid: Option<u32>, uuid: Option<Uuid>) {
    if let (Some(domid), Some(uuid)) = (domid, uuid) {
        leftovers::sweep(cx, &shared.id, domid, uuid).await;
    }
}

/// The record of a container without a guest.
fn settle(cx: &Context, shared: &Shared, was_up: bool) {
    let (had_guest, restarting) = shared.with(|record| {
        (
            record.state.guest.is_some(),
            record.state.status == Status::Restarting,
        )
    });
    if !was_up && !had_guest && !restarting {
        return;
    }
    shared.note(cx, |record| {
        let state = &mut record.state;
        state.guest = None;
        state.domid = None;
        state.pid = 0;
        if restarting {
            state.status = Status::Exited;
        }
        if was_up {
            state.status = Status::Exited;
            if state.finished_at.is_none() || state.finished_at < state.started_at {
                state.finished_at = Some(Utc::now());
                state.exit_code = 137;
                "the guest ended while hyperd did not run".clone_into(&mut state.error);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Config;
    use crate::state::State;
    use chrono::TimeDelta;

    #[test]
    fn every_case_has_its_fate() {
        let uuid = Uuid::from_u128(1);
        let guests = BTreeMap::from([(uuid, 7)]);
        let started = Utc::now();
        let case = |status, guest, finished: Option<i64>| {
            let record = Container {
                id: String::new(),
                name: String::new(),
                created_at: started,
                image_id: String::new(),
                config: Config::default(),
                state: State {
                    status,
                    guest,
                    domid: Some(7),
                    started_at: Some(started),
                    finished_at: finished.map(|seconds| started + TimeDelta::seconds(seconds)),
                    ..State::default()
                },
            };
            fate(&record, &guests)
        };
        assert_eq!(case(Status::Running, Some(uuid), None), Fate::Adopt(7));
        assert_eq!(case(Status::Paused, Some(uuid), None), Fate::Adopt(7));
        // An exit of the run before this one says nothing.
        assert_eq!(case(Status::Running, Some(uuid), Some(-9)), Fate::Adopt(7));
        assert_eq!(case(Status::Running, Some(uuid), Some(9)), Fate::Destroy(7));
        assert_eq!(case(Status::Created, Some(uuid), None), Fate::Destroy(7));
        assert_eq!(
            case(Status::Running, Some(Uuid::nil()), None),
            Fate::Sweep(Some(7))
        );
        assert_eq!(case(Status::Exited, None, Some(9)), Fate::Keep);
    }
}
