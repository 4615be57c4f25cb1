//! The end of a run, and of a container.

use super::{Phase, SIGKILL, Task};
use crate::boot;
use crate::container::{Reply, Shared, WaitResult};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::hypervisor::Ended;
use crate::plan::FIRST_PROCESS;
use crate::session::SessionEvent;
use crate::state::Status;
use crate::stdio;
use chrono::{DateTime, Utc};
use guest_protocol::message::ExitStatus;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict {
    code: i32,
    oom_killed: bool,
    error: String,
}

impl Verdict {
    pub(super) fn destroyed(why: &str) -> Self {
        Self {
            code: 128 + SIGKILL,
            oom_killed: false,
            error: why.to_owned(),
        }
    }
}

impl Task {
    pub(super) fn exited(&mut self, status: &ExitStatus) {
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
            record.state.oom_killed = status.oom_killed;
            record.state.finished_at = Some(record.state.started_at.map_or(at, |started| at.max(started)));
        });
        self.end(
            true,
            Verdict {
                code,
                oom_killed: status.oom_killed,
                error: String::new(),
            },
        );
    }

    pub(super) fn guest_ended(&mut self, ended: Ended) {
        if let Phase::Up(up) = &mut self.phase {
            // What it said before counts more than how it went.
            while let Ok(event) = up.events.try_recv() {
                if let SessionEvent::Exited { process, status } = event
                    && process == FIRST_PROCESS
                {
                    return self.exited(&status);
                }
            }
        }
        let why = match ended {
            Ended::Destroyed => "",
            Ended::Crashed => "the guest's kernel crashed",
            Ended::ShutDown => "the guest shut down by itself",
        };
        self.end(false, Verdict::destroyed(why));
    }

    /// Leaves the phase `Up`.
    pub(super) fn end(&mut self, clean: bool, verdict: Verdict) {
        let Phase::Up(up) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        up.ended.abort();
        self.shared.set_session(None);
        let name = self.shared.with(|record| record.name.clone());
        self.phase = Phase::Ending {
            work: tokio::spawn(boot::end(name, up.guest, up.session, clean)),
            verdict,
            pumps: up.pumps,
        };
    }

    /// The guest is gone: the record says so, then everyone who waits is told.
    pub(super) async fn gone(&mut self) {
        let Phase::Ending { verdict, pumps, .. } = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        boot::leave_networks(&self.cx, &self.shared).await;
        self.shared.note(&self.cx, |record| {
            let state = &mut record.state;
            state.status = Status::Exited;
            state.guest = None;
            state.domid = None;
            state.pid = 0;
            state.exit_code = verdict.code;
            state.oom_killed = verdict.oom_killed;
            state.error.clone_from(&verdict.error);
            state.finished_at.get_or_insert_with(Utc::now);
        });
        self.shared.execs.end_all();
        let hub = self.shared.renew_hub();
        tokio::spawn(async move { close(&hub, pumps).await });
        self.shared
            .tell(&self.cx, "die", &[("exitCode", verdict.code.to_string())]);
        self.ended_run(WaitResult {
            exit_code: verdict.code,
            error: Some(verdict.error).filter(|error| !error.is_empty()),
        });
        for reply in std::mem::take(&mut self.stops) {
            let _ = reply.send(Ok(true));
        }
        self.settle().await;
    }

    pub(super) fn ended_run(&self, result: WaitResult) {
        self.shared.life.send_modify(|life| {
            life.ended_runs += 1;
            life.last = Some(result);
        });
    }

    /// After a run: what was put off till now.
    pub(super) async fn settle(&mut self) {
        for reply in std::mem::take(&mut self.stops) {
            let _ = reply.send(Ok(false));
        }
        if !self.removals.is_empty() || self.shared.with(|record| record.config.host.auto_remove) {
            self.erase().await;
        }
    }

    pub(super) async fn remove(&mut self, force: bool, reply: Reply<()>) {
        if matches!(self.phase, Phase::Idle) {
            self.removals.push(reply);
            self.erase().await;
            return;
        }
        if !force {
            let (name, status) = self
                .shared
                .with(|record| (record.name.clone(), record.state.status));
            let how = if status == Status::Paused {
                "paused"
            } else {
                "running"
            };
            let _ = reply.send(Err(Error::conflict(format!(
                "cannot remove container \"/{name}\": container is {how}: stop the container before removing or force remove"
            ))));
            return;
        }
        self.removals.push(reply);
        match &self.phase {
            Phase::Starting { .. } => self.interrupt(SIGKILL),
            // What it has not written goes with its disk.
            Phase::Up(_) => {
                self.shared.hub().hurry();
                self.end(false, Verdict::destroyed(""));
            }
            _ => {}
        }
    }

    /// Removes all there is of it. What cannot be removed keeps the record, so that it can be tried again.
    pub(super) async fn erase(&mut self) {
        let result = erase(&self.cx, &self.shared).await;
        if let Err(error) = &result {
            tracing::error!(container = %self.shared.id, %error, "a container cannot be removed");
            self.shared
                .note(&self.cx, |record| record.state.status = Status::Dead);
        } else {
            self.phase = Phase::Removed;
        }
        for reply in std::mem::take(&mut self.removals) {
            let _ = reply.send(result.clone());
        }
    }
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
    let folder = shared.folder(cx);
    match tokio::fs::remove_dir_all(&folder).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::from_source(
                ErrorKind::Failed,
                &format!("cannot remove {}", folder.display()),
                &error,
            ));
        }
        _ => {}
    }
    cx.records.remove(&shared.id)?;
    cx.containers().remove(&shared.id);
    shared.tell(cx, "destroy", &[]);
    shared.renew_hub().close();
    shared.life.send_modify(|life| life.removed = true);
    Ok(())
}
