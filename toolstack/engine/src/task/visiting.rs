//! Access to the container's files: by its guest, or by one made for that when it does not run.

use super::messages::{Happening, Request, Ticket};
use super::{Task, Work};
use crate::container::Reply;
use crate::visit::{self, Lease};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

impl Task {
    pub(super) async fn files(&mut self, reply: Reply<Lease>) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.leases.insert(ticket, reply);
        let actions = self.machine.request(ticket, Request::Files);
        self.perform(actions).await;
    }

    /// Gives access, by the guest that there is or a new one.
    pub(super) fn lease(&mut self, ticket: Ticket) {
        let Some(reply) = self.leases.remove(&ticket) else {
            return;
        };
        match &self.work {
            Work::Up(up) => drop(reply.send(Ok(Lease::running(up.session.clone())))),
            Work::Visiting { requests, .. } => {
                if let Err(mpsc::error::SendError(reply)) = requests.send(reply) {
                    self.late.push(reply);
                }
            }
            _ => {
                let (requests, receiver) = mpsc::unbounded_channel();
                let _ = requests.send(reply);
                let cancel = CancellationToken::new();
                let visit = visit::run(
                    Arc::clone(&self.cx),
                    Arc::clone(&self.shared),
                    receiver,
                    cancel.clone(),
                );
                self.work = Work::Visiting {
                    work: tokio::spawn(visit),
                    requests,
                    cancel,
                };
            }
        }
    }

    /// The guest for the files is gone.
    pub(super) async fn visited(&mut self, late: Vec<Reply<Lease>>) {
        self.work = Work::Idle(None);
        self.react(Happening::Visited).await;
        let late: Vec<_> = late.into_iter().chain(std::mem::take(&mut self.late)).collect();
        for reply in late {
            self.files(reply).await;
        }
    }
}
