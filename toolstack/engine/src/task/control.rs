//! Stopping, signalling, pausing, renaming.

use super::{KILL_GRACE, Next, Phase, SIGKILL, SIGTERM, Task, Verdict};
use crate::container::Reply;
use crate::error::Error;
use crate::exec::not_running;
use crate::plan::FIRST_PROCESS;
use crate::session::refused;
use crate::signal;
use crate::state::Status;
use guest_protocol::message::{ErrorKind as AgentError, RequestBody};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Task {
    pub(super) fn stop(
        &mut self,
        signal: Option<i32>,
        timeout: Option<Option<Duration>>,
        reply: Reply<bool>,
    ) {
        let config = self.shared.with(|record| record.config.clone());
        let signal = signal
            .or_else(|| signal::parse(&config.stop_signal))
            .unwrap_or(SIGTERM);
        let timeout = timeout.unwrap_or_else(|| {
            // docker's -1.
            if config.stop_timeout_seconds == Some(u32::MAX) {
                return None;
            }
            let own = config
                .stop_timeout_seconds
                .map(|seconds| Duration::from_secs(seconds.into()));
            Some(own.unwrap_or(self.cx.config.stop_timeout))
        });
        match &self.phase {
            Phase::Idle | Phase::Visiting { .. } | Phase::Removed => {
                let _ = reply.send(Ok(false));
            }
            Phase::Ending { .. } => self.stops.push(reply),
            Phase::Starting { .. } => {
                self.stops.push(reply);
                self.interrupt(signal);
            }
            Phase::Up(_) => {
                self.stops.push(reply);
                self.terminate(signal, timeout);
            }
        }
    }

    /// Ends a start that is on its way.
    pub(super) fn interrupt(&mut self, signal: i32) {
        if let Phase::Starting {
            cancel,
            interrupted,
            adopting,
            ..
        } = &mut self.phase
        {
            *interrupted = Some(signal);
            // A guest that runs already is taken over first and signalled then.
            if adopting.is_none() {
                cancel.cancel();
            }
        }
    }

    /// Signals the process, and kills it when it has not ended after the timeout.
    pub(super) fn terminate(&mut self, signal: i32, timeout: Option<Duration>) {
        let Phase::Up(up) = &mut self.phase else { return };
        let next = if signal == SIGKILL {
            self.shared.hub().hurry();
            self.shared.execs.hurry();
            Some((Instant::now() + KILL_GRACE, Next::Destroy))
        } else {
            timeout.map(|timeout| (Instant::now() + timeout, Next::Kill))
        };
        up.deadline = match (up.deadline, next) {
            // The kill that is due is not put off.
            (Some((at, Next::Destroy)), _) => Some((at, Next::Destroy)),
            (_, next) => next,
        };
        let (guest, session) = (Arc::clone(&up.guest), up.session.clone());
        let paused = self.shared.with(|record| record.state.status == Status::Paused);
        if paused {
            self.shared
                .note(&self.cx, |record| record.state.status = Status::Running);
        }
        tokio::spawn(async move {
            if paused && let Err(error) = guest.unpause().await {
                tracing::error!(%error, "unpause");
            }
            let process = FIRST_PROCESS;
            if let Err(error) = session.request(RequestBody::Signal { process, signal }).await {
                tracing::debug!(error = %error.message, signal, "signal");
            }
        });
    }

    pub(super) fn deadline(&mut self, next: Next) {
        match next {
            Next::Kill => self.terminate(SIGKILL, None),
            Next::Destroy => {
                tracing::warn!(container = %self.shared.id, "the guest does not end: it is destroyed");
                self.end(false, Verdict::destroyed(""));
            }
        }
    }

    pub(super) fn kill(&mut self, signal: i32, reply: Reply<()>) {
        let fatal = matches!(
            signal,
            libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | SIGKILL | SIGTERM
        );
        match &self.phase {
            Phase::Starting { .. } if fatal => {
                self.interrupt(signal);
                let _ = reply.send(Ok(()));
            }
            Phase::Up(up) => {
                if signal == SIGKILL {
                    self.terminate(SIGKILL, None);
                    let _ = reply.send(Ok(()));
                    return;
                }
                if self.shared.with(|record| record.state.status == Status::Paused) {
                    let error = format!("container {} is paused: unpause it first", self.shared.id);
                    let _ = reply.send(Err(Error::conflict(error)));
                    return;
                }
                let session = up.session.clone();
                let gone = not_running(&self.shared);
                tokio::spawn(async move {
                    let process = FIRST_PROCESS;
                    let sent = session.request(RequestBody::Signal { process, signal }).await;
                    let _ = reply.send(match sent {
                        Ok(_) => Ok(()),
                        Err(error) if error.kind == AgentError::NotFound => Err(gone),
                        Err(error) => Err(refused("cannot send the signal", &error)),
                    });
                });
            }
            _ => {
                let _ = reply.send(Err(not_running(&self.shared)));
            }
        }
    }

    /// Tells the guest's neighbours its container's new name.
    pub(super) async fn rename(&mut self) -> Result<(), Error> {
        let name = self.shared.with(|record| record.name.clone());
        match &self.phase {
            Phase::Up(up) => up.guest.rename(&name).await,
            _ => Ok(()),
        }
    }

    pub(super) async fn pause(&mut self, pause: bool) -> Result<(), Error> {
        let Phase::Up(up) = &self.phase else {
            return Err(not_running(&self.shared));
        };
        let id = &self.shared.id;
        let paused = self.shared.with(|record| record.state.status == Status::Paused);
        match (pause, paused) {
            (true, true) => return Err(Error::conflict(format!("container {id} is already paused"))),
            (false, false) => return Err(Error::conflict(format!("container {id} is not paused"))),
            (true, false) => up.guest.pause().await?,
            (false, true) => up.guest.unpause().await?,
        }
        let status = if pause { Status::Paused } else { Status::Running };
        self.shared.note(&self.cx, |record| record.state.status = status);
        self.shared
            .tell(&self.cx, if pause { "pause" } else { "unpause" }, &[]);
        Ok(())
    }
}
