//! The end of a run, and of a container.

use super::messages::{Happening, Settled};
use super::policy::Run;
use super::{Task, Work};
use crate::boot;
use crate::container::{Shared, WaitResult};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::exec_records;
use crate::fault;
use crate::health::HealthStatus;
use crate::hypervisor::Ended;
use crate::plan::FIRST_PROCESS;
use crate::records::Operation;
use crate::session::SessionEvent;
use crate::state::{State, Status};
use crate::stdio;
use chrono::{DateTime, Utc};
use guest_protocol::message::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict {
    code: i32,
    oom_killed: bool,
    error: String,
}

/// A run whose guest is being taken down.
pub(super) struct Over {
    pub verdict: Verdict,
    pub pumps: Vec<JoinHandle<()>>,
}

impl Verdict {
    pub(super) fn destroyed(why: &str) -> Self {
        Self {
            code: 128 + libc::SIGKILL,
            oom_killed: false,
            error: why.to_owned(),
        }
    }
}

impl Task {
    pub(super) async fn exited(&mut self, status: &ExitStatus) {
        // The guest says so: only what an exit code can be.
        let code = status.code.clamp(0, 255);
        let at = i64::try_from(status.at_ms)
            .ok()
            .and_then(DateTime::from_timestamp_millis)
            .filter(|at| *at <= Utc::now())
            .unwrap_or_else(Utc::now);
        // From here on the code is known, whatever becomes of the guest or of this daemon.
        self.shared.note(&self.cx, |record| {
            record.state.exit_code = code;
            record.state.oom_killed |= status.oom_killed;
            record.state.finished_at = Some(record.state.started_at.map_or(at, |started| at.max(started)));
        });
        fault::point("exit.recorded");
        self.verdict = Some(Verdict {
            code,
            oom_killed: status.oom_killed,
            error: String::new(),
        });
        self.react(Happening::Ended { clean: true }).await;
    }

    pub(super) async fn guest_ended(&mut self, ended: Ended) {
        let mut killed = false;
        if let Work::Up(up) = &mut self.work {
            // What it said before counts more than how it went.
            while let Ok(event) = up.events.try_recv() {
                match event {
                    SessionEvent::Exited { process, status } if process == FIRST_PROCESS => {
                        return self.exited(&status).await;
                    }
                    SessionEvent::OutOfMemory => killed = true,
                    _ => {}
                }
            }
        }
        if killed {
            self.out_of_memory();
        }
        let why = match ended {
            Ended::Destroyed => "",
            Ended::Crashed => "the guest's kernel crashed",
            Ended::ShutDown => "the guest shut down by itself",
        };
        self.verdict = Some(Verdict::destroyed(why));
        self.react(Happening::Ended { clean: false }).await;
    }

    /// Nothing is left of the guest.
    pub(super) async fn gone(&mut self) {
        let run = {
            let Work::Ending { over, .. } = &self.work else {
                return;
            };
            let exit_code = over.verdict.code;
            self.shared.with(|record| Run {
                exit_code,
                lasted: lasted(&record.state),
                policy: record.config.host.restart_policy.clone(),
                auto_remove: record.config.host.auto_remove,
            })
        };
        boot::leave_networks(&self.cx, &self.shared).await;
        self.react(Happening::Gone(run)).await;
    }

    /// The record says how it ended, then everyone who waits is told.
    pub(super) fn settle(&mut self, settled: Settled) {
        let Work::Ending { over, .. } = std::mem::replace(&mut self.work, Work::Idle(None)) else {
            return;
        };
        let Over { verdict, pumps } = over;
        fault::point("exit.gone");
        self.shared.note(&self.cx, |record| {
            let state = &mut record.state;
            state.status = match settled {
                Settled::Exited => Status::Exited,
                Settled::Restarting(_) => Status::Restarting,
            };
            if let Settled::Restarting(count) = settled {
                state.restart_count = count;
            }
            state.guest = None;
            state.domid = None;
            state.pid = 0;
            state.exit_code = verdict.code;
            state.oom_killed |= verdict.oom_killed;
            state.error.clone_from(&verdict.error);
            state.finished_at.get_or_insert_with(Utc::now);
            if let Some(health) = &mut state.health {
                // As in docker: what does not run does not do its work.
                health.status = HealthStatus::Unhealthy;
            }
        });
        self.shared.set_session(None);
        self.shared.execs.end_all(&self.cx, &self.shared);
        let hub = self.shared.renew_hub();
        tokio::spawn(async move { close(&hub, pumps).await });
        let lasted = self.shared.with(|record| lasted(&record.state));
        let attributes = [
            ("exitCode", verdict.code.to_string()),
            ("execDuration", lasted.as_secs().to_string()),
        ];
        self.shared.tell(&self.cx, "die", &attributes);
        self.ended_run(WaitResult {
            exit_code: verdict.code,
            // It did run: why it ended is in its state, and the code is the answer.
            error: None,
        });
    }

    pub(super) fn ended_run(&self, result: WaitResult) {
        self.shared.life.send_modify(|life| {
            life.ended_runs += 1;
            life.last = Some(result);
        });
    }

    /// Removes all there is of it. What cannot be removed keeps the record, so that it can be tried again.
    pub(super) async fn erase(&mut self) -> Happening {
        let result = erase(&self.cx, &self.shared).await;
        let done = result.is_ok();
        if let Err(error) = result {
            tracing::error!(container = %self.shared.id, %error, "a container cannot be removed");
            self.shared
                .note(&self.cx, |record| record.state.status = Status::Dead);
            self.failure = error;
        }
        Happening::Erased { done }
    }
}

/// How long its last run was, or has been until now.
fn lasted(state: &State) -> Duration {
    let finished = state.finished_at.unwrap_or_else(Utc::now);
    let lasted = finished - state.started_at.unwrap_or(finished);
    lasted.to_std().unwrap_or_default()
}

/// Ends the clients' streams when they have all there was.
async fn close(hub: &stdio::Hub, pumps: Vec<JoinHandle<()>>) {
    for pump in pumps {
        let _ = pump.await;
    }
    hub.close();
}

/// Removes a container's files and record, and tells of it.
pub async fn erase(cx: &Arc<Context>, shared: &Arc<Shared>) -> Result<(), Error> {
    // Not refused when it cannot be written: on a full disk removing is what helps.
    shared.note(cx, |record| record.state.status = Status::Removing);
    let operation = cx
        .records
        .begin(&Operation::Remove {
            container: shared.id.clone(),
        })
        .ok();
    fault::point("remove.begun");
    let erased = erase_files(cx, shared).await.and_then(|()| {
        let execs = shared.execs.ids();
        shared.erase(cx, |on_disk| {
            on_disk.remove(&shared.id)?;
            execs
                .iter()
                .try_for_each(|exec| on_disk.remove_document(exec_records::KIND, exec))?;
            operation.map_or(Ok(()), |operation| on_disk.finish(operation))
        })
    });
    if let Err(error) = erased {
        // Its state says what is left to do.
        if let Some(operation) = operation {
            let _ = cx.records.finish(operation);
        }
        return Err(error);
    }
    fault::point("remove.done");
    cx.unwritten.forget(&shared.id);
    cx.containers().remove(&shared.id);
    // One that cannot be written is let go by the next daemon.
    if let Err(error) = cx.networks.disassociate_from(&cx.records, &shared.id).await {
        tracing::error!(container = %shared.id, %error, "the floating IP of a container that is gone");
    }
    cx.publisher.gone(&shared.id);
    shared.tell(cx, "destroy", &[]);
    shared.renew_hub().close();
    shared.life.send_modify(|life| life.removed = true);
    Ok(())
}

async fn erase_files(cx: &Context, shared: &Shared) -> Result<(), Error> {
    let folder = shared.folder(cx);
    match tokio::fs::remove_dir_all(&folder).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::from_source(
            ErrorKind::Failed,
            &format!("cannot remove {}", folder.display()),
            &error,
        )),
        _ => Ok(()),
    }
}
