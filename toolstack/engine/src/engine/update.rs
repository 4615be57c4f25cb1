//! Limits and policies of a container that is there already.

use super::Engine;
use super::observe::ask;
use crate::container::Shared;
use crate::error::Error;
use crate::plan;
use crate::spec::{Config, RestartPolicy};
use guest_protocol::message::RequestBody;

/// What is to be different; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    pub memory_bytes: Option<u64>,
    pub nano_cpus: Option<u64>,
    pub restart_policy: Option<RestartPolicy>,
}

impl Update {
    fn apply(&self, config: &mut Config) {
        let host = &mut config.host;
        host.memory_bytes = self.memory_bytes.unwrap_or(host.memory_bytes);
        host.nano_cpus = self.nano_cpus.unwrap_or(host.nano_cpus);
        if let Some(policy) = &self.restart_policy {
            host.restart_policy.clone_from(policy);
        }
    }
}

impl Engine {
    /// A container that runs is limited at once. It cannot get more than its guest was built with: memory and
    /// processors of a guest are settled with its start.
    pub async fn update(&self, text: &str, update: Update) -> Result<(), Error> {
        let shared = self.shared(text)?;
        let mut config = shared.with(|record| record.config.clone());
        update.apply(&mut config);
        plan::check(&config, self.cx.hypervisor.info().cpus)?;
        if config.host.auto_remove && !["", "no"].contains(&config.host.restart_policy.name.as_str()) {
            return Err(Error::conflict(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        if shared.with(|record| record.state.status.is_up()) {
            self.limit(&shared, &update).await?;
        }
        shared.update(&self.cx, |record| update.apply(&mut record.config))?;
        shared.tell(&self.cx, "update", &[]);
        Ok(())
    }

    async fn limit(&self, shared: &Shared, update: &Update) -> Result<(), Error> {
        if update.memory_bytes.is_none() && update.nano_cpus.is_none() {
            return Ok(());
        }
        let domid = shared.with(|record| record.state.domid);
        let built = match domid {
            Some(domid) => self.cx.hypervisor.usage(domid).await?.unwrap_or_default(),
            None => return Err(crate::exec::not_running(shared)),
        };
        let name = shared.with(|record| record.name.clone());
        let refused = |what: String| {
            Error::conflict(format!(
                "cannot give container {name} {what} while it runs: its guest was built with less; stop it, update it, and start it again"
            ))
        };
        if let Some(bytes) = update.memory_bytes {
            // What Xen counts is a little less than what the guest was built with.
            let most = built.memory_bytes.next_multiple_of(8 << 20);
            if bytes > most {
                return Err(refused(format!("{} MiB of memory", bytes >> 20)));
            }
            if bytes == 0 {
                return Err(Error::invalid("the memory of a guest cannot be without a limit"));
            }
        }
        if let Some(nano_cpus) = update.nano_cpus
            && nano_cpus > u64::from(built.vcpus) * 1_000_000_000
        {
            return Err(refused(format!("{} cpus", nano_cpus as f64 / 1e9)));
        }
        let session = shared.running_session()?;
        let request = RequestBody::Limit {
            container: shared.id.clone(),
            memory_bytes: update.memory_bytes,
            nano_cpus: update.nano_cpus,
        };
        ask(&session, "cannot change the limits", request).await.map(drop)
    }
}
