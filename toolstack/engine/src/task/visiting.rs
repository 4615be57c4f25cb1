//! Access to the container's files: by its guest, or by one made for that when it does not run.

use super::{Phase, Task};
use crate::container::{Command, Reply};
use crate::error::Error;
use crate::state::Status;
use crate::visit::{self, Lease};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

impl Task {
    pub(super) fn files(&mut self, reply: Reply<Lease>) {
        match &self.phase {
            Phase::Idle => {
                let (requests, receiver) = mpsc::unbounded_channel();
                let _ = requests.send(reply);
                let cancel = CancellationToken::new();
                let visit = visit::run(
                    Arc::clone(&self.cx),
                    Arc::clone(&self.shared),
                    receiver,
                    cancel.clone(),
                );
                self.phase = Phase::Visiting {
                    work: tokio::spawn(visit),
                    requests,
                    cancel,
                };
            }
            Phase::Visiting { requests, .. } => {
                if let Err(mpsc::error::SendError(reply)) = requests.send(reply) {
                    self.deferred.push_back(Command::Files(reply));
                }
            }
            Phase::Up(up) => {
                let (paused, name) = self.shared.with(|record| {
                    let paused = record.state.status == Status::Paused;
                    (paused, record.name.clone())
                });
                let _ = reply.send(match paused {
                    // Its agent does not run either.
                    true => Err(Error::conflict(format!(
                        "container {name} is paused: unpause it first"
                    ))),
                    false => Ok(Lease::running(up.session.clone())),
                });
            }
            Phase::Starting { .. } | Phase::Ending { .. } => self.deferred.push_back(Command::Files(reply)),
            Phase::Removed => {}
        }
    }

    /// Whether a request has to wait for the present phase to end.
    pub(super) fn waits(&self, command: &Command) -> bool {
        match (&self.phase, command) {
            (Phase::Ending { .. }, Command::Start(_) | Command::Remove { force: false, .. }) => true,
            (Phase::Visiting { cancel, .. }, Command::Start(_) | Command::Remove { .. }) => {
                if let Command::Remove { force: true, .. } = command {
                    cancel.cancel();
                }
                true
            }
            _ => false,
        }
    }

    /// The guest for the files is gone.
    pub(super) fn visited(&mut self, late: Vec<Reply<Lease>>) {
        self.phase = Phase::Idle;
        self.deferred.extend(late.into_iter().map(Command::Files));
    }
}
