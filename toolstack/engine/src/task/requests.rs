//! What is asked of a container, as the machine takes it, and the machine's answers in docker's words.

use super::Task;
use super::messages::{Answer, Refusal, Request, Ticket};
use crate::container::{Command, Reply};
use crate::error::Error;
use crate::exec::not_running;
use crate::signal;
use crate::spec::Config;
use std::time::Duration;

const SIGKILL: i32 = libc::SIGKILL;
const SIGTERM: i32 = libc::SIGTERM;

/// Without a stop signal of its own, a container is taken to be ended by these.
const ENDING: [i32; 5] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, SIGKILL, SIGTERM];

/// Whether a signal is the wish that the container ends, so that no policy starts it again.
fn ends(config: &Config, signal: i32) -> bool {
    match signal::parse(&config.stop_signal) {
        Some(own) => signal == own || signal == SIGKILL,
        None => ENDING.contains(&signal),
    }
}

impl Task {
    pub(super) async fn command(&mut self, command: Command, reply: Reply) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.replies.insert(ticket, reply);
        let request = self.request(command);
        let actions = self.machine.request(ticket, request);
        self.perform(actions).await;
    }

    fn request(&self, command: Command) -> Request {
        match command {
            Command::Start => Request::Start,
            Command::Stop { signal, timeout } => {
                let (signal, timeout) = self.how_to_stop(signal, timeout);
                Request::Stop { signal, timeout }
            }
            Command::Halt => {
                let (signal, timeout) = self.how_to_stop(None, None);
                Request::Halt { signal, timeout }
            }
            Command::Restart { signal, timeout } => {
                let (signal, timeout) = self.how_to_stop(signal, timeout);
                Request::Restart { signal, timeout }
            }
            Command::Kill { signal } => Request::Kill {
                signal,
                ends: self.shared.with(|record| ends(&record.config, signal)),
            },
            Command::Pause => Request::Pause,
            Command::Unpause => Request::Unpause,
            Command::Renamed => Request::Renamed,
            Command::Remove { force } => Request::Remove { force },
        }
    }

    /// The signal, and when to kill.
    fn how_to_stop(&self, signal: Option<i32>, timeout: Option<Option<Duration>>) -> (i32, Option<Duration>) {
        self.shared.with(|record| {
            let config = &record.config;
            let signal = signal
                .or_else(|| signal::parse(&config.stop_signal))
                .unwrap_or(SIGTERM);
            let own = || match config.stop_timeout_seconds {
                // docker's -1.
                Some(u32::MAX) => None,
                Some(seconds) => Some(Duration::from_secs(seconds.into())),
                None => Some(self.cx.config.stop_timeout),
            };
            (signal, timeout.unwrap_or_else(own))
        })
    }

    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        let result = match answer {
            Answer::Done(changed) => Ok(changed),
            Answer::Failed => Err(self.failure.clone()),
            Answer::Refused(refusal) => Err(self.refused(refusal)),
        };
        if let Some(reply) = self.leases.remove(&ticket) {
            let error = result
                .err()
                .unwrap_or_else(|| Error::failed("the files are not given"));
            let _ = reply.send(Err(error));
        } else if let Some(reply) = self.replies.remove(&ticket) {
            // Who asked may have gone.
            let _ = reply.send(result);
        }
    }

    fn refused(&self, refusal: Refusal) -> Error {
        let id = &self.shared.id;
        let status = || self.shared.with(|record| record.state.status);
        match refusal {
            Refusal::NotRunning => not_running(&self.shared),
            Refusal::Restarting => Error::conflict(format!(
                "Container {id} is restarting, wait until the container is running"
            )),
            Refusal::Paused => Error::conflict("cannot start a paused container, try unpause instead"),
            Refusal::KillPaused => Error::conflict(format!("container {id} is paused: unpause it first")),
            Refusal::FilesPaused => {
                let name = self.shared.with(|record| record.name.clone());
                Error::conflict(format!("container {name} is paused: unpause it first"))
            }
            Refusal::AlreadyPaused => Error::conflict(format!("container {id} is already paused")),
            Refusal::NotPaused => Error::conflict(format!("container {id} is not paused")),
            Refusal::Running => {
                let how = match status() {
                    how @ (crate::state::Status::Paused | crate::state::Status::Restarting) => {
                        how.to_string()
                    }
                    _ => "running".to_owned(),
                };
                let name = self.shared.with(|record| record.name.clone());
                Error::conflict(format!(
                    "cannot remove container \"/{name}\": container is {how}: stop the container before removing or force remove"
                ))
            }
            Refusal::Overtaken => Error::conflict(format!(
                "container {id} was stopped by somebody else while it was to be restarted"
            )),
            Refusal::Removed => Error::not_found(format!("No such container: {id}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_end_are_told_from_those_that_do_not() {
        let mut config = Config::default();
        assert!(ends(&config, SIGTERM) && ends(&config, libc::SIGHUP) && ends(&config, SIGKILL));
        assert!(!ends(&config, libc::SIGUSR1) && !ends(&config, libc::SIGWINCH));
        config.stop_signal = "SIGQUIT".to_owned();
        assert!(ends(&config, libc::SIGQUIT) && ends(&config, SIGKILL));
        assert!(!ends(&config, libc::SIGHUP) && !ends(&config, SIGTERM));
    }
}
