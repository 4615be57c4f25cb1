//! The machine's actions, done.

use super::ending::{Over, Verdict};
use super::messages::{Action, Answer, Happening, Next, Ticket};
use super::{Task, Work};
use crate::boot;
use crate::container::WaitResult;
use crate::error::Error;
use crate::exec::not_running;
use crate::plan::FIRST_PROCESS;
use crate::session::refused;
use crate::state::Status;
use guest_protocol::message::{ErrorKind as AgentError, RequestBody};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

impl Task {
    /// Does them in order. What comes of one at once goes before the others.
    pub(super) async fn perform(&mut self, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            if let Some(happening) = self.act(action).await {
                for next in self.machine.happened(happening).into_iter().rev() {
                    actions.push_front(next);
                }
            }
        }
    }

    async fn act(&mut self, action: Action) -> Option<Happening> {
        match action {
            Action::Boot => {
                let cancel = CancellationToken::new();
                let work = boot::boot(Arc::clone(&self.cx), Arc::clone(&self.shared), cancel.clone());
                self.work = Work::Starting {
                    work: tokio::spawn(work),
                    cancel,
                    adopting: None,
                    deadline: None,
                };
            }
            Action::CancelBoot => {
                if let Work::Starting { cancel, .. } = &self.work {
                    cancel.cancel();
                }
            }
            Action::Signal(signal) => self.signal(signal),
            Action::Send(ticket, signal) => self.send(ticket, signal),
            Action::Resume => {
                if let Err(error) = self.switch(false).await {
                    tracing::error!(container = %self.shared.id, %error, "a paused guest cannot go on");
                }
            }
            Action::Switch { ticket, pause } => {
                let done = match self.switch(pause).await {
                    Ok(()) => true,
                    Err(error) => {
                        self.failure = error;
                        false
                    }
                };
                if done {
                    self.shared
                        .tell(&self.cx, if pause { "pause" } else { "unpause" }, &[]);
                }
                return Some(Happening::Switched { ticket, pause, done });
            }
            Action::Rename(ticket) => {
                let answer = match self.rename().await {
                    Ok(()) => Answer::Done(true),
                    Err(error) => {
                        self.failure = error;
                        Answer::Failed
                    }
                };
                self.answer(ticket, answer);
            }
            Action::Lease(ticket) => self.lease(ticket),
            Action::CancelVisit => {
                if let Work::Visiting { cancel, .. } = &self.work {
                    cancel.cancel();
                }
            }
            Action::Hurry => {
                self.shared.hub().hurry();
                self.shared.execs.hurry();
            }
            Action::Deadline(after, next) => self.set_deadline(after, next),
            Action::End { clean } => self.take_down(clean),
            Action::Settle(settled) => self.settle(settled),
            Action::BackOff(pause) => self.work = Work::Idle(Some(Instant::now() + pause)),
            Action::StopBackOff => {
                self.work = Work::Idle(None);
                self.shared
                    .note(&self.cx, |record| record.state.status = Status::Exited);
                // Who began to wait since the last run ended waits for this.
                let exit_code = self.shared.with(|record| record.state.exit_code);
                self.ended_run(WaitResult {
                    exit_code,
                    error: None,
                });
            }
            Action::ByHand(by_hand) => self
                .shared
                .note(&self.cx, |record| record.state.stopped_by_hand = by_hand),
            Action::Killed => self.tell_signal(libc::SIGKILL),
            Action::Stopped => self.shared.tell(&self.cx, "stop", &[]),
            Action::Halted => self.shared.note(&self.cx, |record| record.state.halted = true),
            Action::Erase => return Some(self.erase().await),
            Action::Answer(ticket, answer) => self.answer(ticket, answer),
        }
        None
    }

    /// To the process, whoever waits for its end.
    fn signal(&self, signal: i32) {
        let Work::Up(up) = &self.work else { return };
        let session = up.session.clone();
        self.tell_signal(signal);
        tokio::spawn(async move {
            let process = FIRST_PROCESS;
            if let Err(error) = session.request(RequestBody::Signal { process, signal }).await {
                tracing::debug!(error = %error.message, signal, "signal");
            }
        });
    }

    /// To the process; who asked hears what comes of it.
    fn send(&mut self, ticket: Ticket, signal: i32) {
        let (Work::Up(up), Some(reply)) = (&self.work, self.replies.remove(&ticket)) else {
            return;
        };
        let session = up.session.clone();
        let gone = not_running(&self.shared);
        self.tell_signal(signal);
        tokio::spawn(async move {
            let process = FIRST_PROCESS;
            let sent = session.request(RequestBody::Signal { process, signal }).await;
            let _ = reply.send(match sent {
                Ok(_) => Ok(true),
                Err(error) if error.kind == AgentError::NotFound => Err(gone),
                Err(error) => Err(refused("cannot send the signal", &error)),
            });
        });
    }

    /// Docker's `kill`, whoever wants it.
    fn tell_signal(&self, signal: i32) {
        self.shared
            .tell(&self.cx, "kill", &[("signal", signal.to_string())]);
    }

    /// Stops or lets run the guest's processors.
    async fn switch(&mut self, pause: bool) -> Result<(), Error> {
        let Work::Up(up) = &self.work else {
            return Err(not_running(&self.shared));
        };
        match pause {
            true => up.guest.pause().await?,
            false => up.guest.unpause().await?,
        }
        let status = if pause { Status::Paused } else { Status::Running };
        self.shared.note(&self.cx, |record| record.state.status = status);
        Ok(())
    }

    /// Tells the guest's neighbours its container's new name.
    async fn rename(&mut self) -> Result<(), Error> {
        let name = self.shared.with(|record| record.name.clone());
        match &self.work {
            Work::Up(up) => up.guest.rename(&name).await,
            _ => Ok(()),
        }
    }

    /// The earlier of two counts, and one that destroys is not put off.
    fn set_deadline(&mut self, after: Option<Duration>, next: Next) {
        let Some(after) = after else { return };
        let deadline = match &mut self.work {
            Work::Up(up) => &mut up.deadline,
            Work::Starting { deadline, .. } => deadline,
            _ => return,
        };
        let moment = Instant::now() + after;
        *deadline = Some(match *deadline {
            Some((set, Next::Destroy)) => (set, Next::Destroy),
            Some((set, Next::Kill)) if next == Next::Kill => (set.min(moment), Next::Kill),
            _ => (moment, next),
        });
    }

    /// From a guest to nothing.
    fn take_down(&mut self, clean: bool) {
        let Work::Up(up) = std::mem::replace(&mut self.work, Work::Idle(None)) else {
            return;
        };
        up.ended.abort();
        self.shared.set_session(None);
        let verdict = self.verdict.take().unwrap_or_else(|| Verdict::destroyed(""));
        let end = boot::end(
            Arc::clone(&self.cx),
            Arc::clone(&self.shared),
            up.guest,
            up.session,
            clean,
        );
        self.work = Work::Ending {
            work: tokio::spawn(end),
            over: Over {
                verdict,
                pumps: up.pumps,
            },
        };
    }
}
