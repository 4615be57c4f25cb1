//! What runs in a container and what it uses.

use super::Engine;
use crate::container::Shared;
use crate::error::Error;
use crate::exec::not_running;
use crate::hypervisor::GuestUsage;
use crate::plan::Plan;
use crate::session::{Session, refused, unexpected};
use crate::state::Status;
use chrono::{DateTime, Utc};
use guest_protocol::message::{
    MAX_LISTED_COMMAND_BYTES, MAX_LISTED_PROCESSES, ProcessInfo, ReplyBody, RequestBody, Usage,
};
use std::time::Duration;
use uuid::Uuid;

/// A guest that is busy may take a while to answer; one that hangs never does.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a container uses at one moment.
#[derive(Debug, Clone)]
pub struct Sample {
    pub at: DateTime<Utc>,
    /// `None` when there is no guest.
    pub host: Option<GuestUsage>,
    /// `None` when the guest does not tell: it is paused, or hangs.
    pub guest: Option<Usage>,
    pub memory_limit_bytes: u64,
    pub host_cpus: u32,
}

impl Shared {
    /// To ask the guest something that it answers from its own files.
    pub(super) fn running_session(&self) -> Result<Session, Error> {
        if self.with(|record| record.state.status == Status::Paused) {
            return Err(Error::conflict(format!(
                "container {} is paused: unpause it first",
                self.id
            )));
        }
        self.session().ok_or_else(|| not_running(self))
    }
}

/// Asks with patience.
pub(super) async fn ask(session: &Session, what: &str, body: RequestBody) -> Result<ReplyBody, Error> {
    match tokio::time::timeout(PATIENCE, session.request(body)).await {
        Ok(answer) => answer.map_err(|error| refused(what, &error)),
        Err(_) => Err(Error::failed(format!("{what}: the guest does not answer"))),
    }
}

impl Engine {
    pub async fn processes(&self, text: &str) -> Result<Vec<ProcessInfo>, Error> {
        let shared = self.shared(text)?;
        let session = shared.running_session()?;
        let container = shared.id.clone();
        let what = "cannot list the processes";
        let mut processes = match ask(&session, what, RequestBody::Processes { container }).await? {
            ReplyBody::Processes { processes } => processes,
            _ => return Err(refused(what, &unexpected())),
        };
        processes.truncate(MAX_LISTED_PROCESSES);
        for process in &mut processes {
            clean(&mut process.name);
            clean(&mut process.command);
            clean(&mut process.state);
        }
        shared.tell(&self.cx, "top", &[]);
        Ok(processes)
    }

    /// A container that does not run has no guest, which is no error.
    pub async fn sample(&self, text: &str) -> Result<Sample, Error> {
        let shared = self.shared(text)?;
        let (domid, limit) = shared.with(|record| (record.state.domid, record.config.host.memory_bytes));
        let host = match domid {
            Some(domid) => self.cx.hypervisor.usage(domid).await?,
            None => None,
        };
        let guest = match shared.running_session() {
            Ok(session) if host.is_some() => {
                let container = shared.id.clone();
                match ask(&session, "usage", RequestBody::Usage { container }).await {
                    Ok(ReplyBody::Usage(usage)) => Some(usage),
                    _ => None,
                }
            }
            _ => None,
        };
        let default = self.cx.config.default_memory_mib << 20;
        Ok(Sample {
            at: Utc::now(),
            host,
            guest,
            memory_limit_bytes: if limit == 0 { default } else { limit },
            host_cpus: self.cx.hypervisor.info().cpus,
        })
    }

    pub async fn plan(&self, text: &str) -> Result<Plan, Error> {
        let record = self.shared(text)?.record();
        let uuid = record.state.guest.unwrap_or(Uuid::nil());
        self.cx.full_plan(&record, uuid).await
    }
}

/// The guest words it: for somebody's terminal there are no control characters, and not more than was asked for.
fn clean(text: &mut String) {
    let clean = |c: char| if c.is_control() { '?' } else { c };
    *text = text.chars().take(MAX_LISTED_COMMAND_BYTES).map(clean).collect();
}
