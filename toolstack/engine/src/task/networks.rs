//! A container comes to a network, or leaves one, whether it runs or not.

use super::{Phase, Task};
use crate::boot::tell_networks;
use crate::container::{Reply, Shared};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::hypervisor::Guest;
use crate::network::{Endpoint, EndpointConfig};
use crate::plan::PlannedNic;
use crate::session::Session;
use std::sync::Arc;
use std::time::Duration;

/// How long a guest may take to connect an interface or to let go of one.
const PLUG_TIMEOUT: Duration = Duration::from_secs(20);

impl Task {
    pub(super) fn connect(&mut self, network: String, config: EndpointConfig, reply: Reply<()>) {
        let (cx, shared) = (Arc::clone(&self.cx), Arc::clone(&self.shared));
        let want = move |cx: &Context, shared: &Shared| {
            shared.update(cx, |record| {
                record.config.networks.insert(network.clone(), config.clone());
            })
        };
        let living = match self.living() {
            Ok(None) => {
                let _ = reply.send(want(&cx, &shared));
                return;
            }
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
            Ok(Some(living)) => living,
        };
        tokio::spawn(async move {
            let plugged = plug(&cx, &shared, living, want).await;
            let _ = reply.send(plugged);
        });
    }

    pub(super) fn disconnect(&mut self, network: String, reply: Reply<()>) {
        let (cx, shared) = (Arc::clone(&self.cx), Arc::clone(&self.shared));
        match self.living() {
            Ok(living) => {
                tokio::spawn(async move {
                    let left = leave(&cx, &shared, living, &network).await;
                    let _ = reply.send(left);
                });
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    /// The guest and its agent, if it runs.
    fn living(&self) -> Result<Option<(Arc<dyn Guest>, Session)>, Error> {
        match &self.phase {
            Phase::Idle | Phase::Removed => Ok(None),
            Phase::Up(up) => Ok(Some((Arc::clone(&up.guest), up.session.clone()))),
            Phase::Starting { .. } | Phase::Ending { .. } => {
                let how = if matches!(self.phase, Phase::Starting { .. }) {
                    "starting"
                } else {
                    "ending"
                };
                Err(Error::conflict(format!("container {} is {how}", self.shared.id)))
            }
        }
    }
}

async fn in_time(what: &str, work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let done = tokio::time::timeout(PLUG_TIMEOUT, work).await;
    done.unwrap_or_else(|_| {
        Err(Error::new(
            ErrorKind::Failed,
            format!("the guest does not {what} the interface"),
        ))
    })
}

/// Puts an interface into a guest that runs. The record says so first, and no more when it fails.
async fn plug(
    cx: &Context,
    shared: &Shared,
    (guest, session): (Arc<dyn Guest>, Session),
    want: impl Fn(&Context, &Shared) -> Result<(), Error>,
) -> Result<(), Error> {
    let before = shared.record();
    want(cx, shared)?;
    let back = |error: Error| {
        shared.note(cx, |record| {
            record.config.networks.clone_from(&before.config.networks)
        });
        error
    };
    let endpoint = match cx.networks.add_endpoint(&shared.record()) {
        Ok(endpoint) => endpoint,
        Err(error) => return Err(back(error)),
    };
    note_endpoints(cx, shared);
    let plugged = async {
        open(cx, shared, guest.domid()).await?;
        in_time(
            "connect",
            guest.plug_nic(endpoint.index, &PlannedNic::from(&endpoint)),
        )
        .await?;
        in_time("set up", tell_networks(&session, &shared.record())).await
    };
    if let Err(error) = plugged.await {
        for error in take_out(cx, shared, guest.as_ref(), &endpoint).await {
            tracing::error!(container = %shared.id, %error, "undoing an interface");
        }
        return Err(back(error));
    }
    Ok(())
}

async fn open(cx: &Context, shared: &Shared, domid: u32) -> Result<(), Error> {
    let indexes = cx.networks.indexes(&shared.id);
    let interfaces = indexes
        .into_iter()
        .map(|index| cx.hypervisor.interface(domid, index));
    cx.networks.open_guest(&shared.id, interfaces.collect()).await
}

fn note_endpoints(cx: &Context, shared: &Shared) {
    if let Some(attachment) = cx.networks.attachment(&shared.id) {
        shared.note(cx, |record| {
            record.state.endpoints = attachment.endpoints;
            record.state.published = attachment.published;
        });
    }
}

/// Goes on after an error and gives all of them.
async fn take_out(cx: &Context, shared: &Shared, guest: &dyn Guest, endpoint: &Endpoint) -> Vec<Error> {
    let mut errors = Vec::new();
    errors.extend(guest.unplug_nic(endpoint.index).await);
    let interface = cx.hypervisor.interface(guest.domid(), endpoint.index);
    errors.extend(
        cx.networks
            .remove_endpoint(&shared.id, &endpoint.network_id, interface)
            .await
            .err(),
    );
    note_endpoints(cx, shared);
    errors
}

async fn leave(
    cx: &Context,
    shared: &Shared,
    living: Option<(Arc<dyn Guest>, Session)>,
    network: &str,
) -> Result<(), Error> {
    shared.update(cx, |record| {
        record.config.networks.remove(network);
    })?;
    let Some((guest, session)) = living else {
        return Ok(());
    };
    let record = shared.record();
    let Some(endpoint) = record
        .state
        .endpoints
        .iter()
        .find(|endpoint| endpoint.network == network)
    else {
        return Ok(());
    };
    let errors = take_out(cx, shared, guest.as_ref(), endpoint).await;
    // What is left may lead elsewhere now.
    in_time("set up", tell_networks(&session, &shared.record())).await?;
    errors.into_iter().next().map_or(Ok(()), Err)
}
