//! A container comes to a network, or leaves one, whether it runs or not.

use super::{Task, Work};
use crate::boot::{open_networks, tell_networks};
use crate::container::{NetworkChange, Reply, Shared};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::hypervisor::Guest;
use crate::network::{Endpoint, EndpointConfig};
use crate::plan::PlannedNic;
use crate::session::Session;
use crate::state::Status;
use std::sync::Arc;
use std::time::Duration;

/// A guest that runs, and its agent.
type Living = (Arc<dyn Guest>, Session);

/// How long a guest may take to connect an interface or to let go of one.
const PLUG_TIMEOUT: Duration = Duration::from_secs(20);

impl Task {
    pub(super) fn change_networks(&mut self, change: NetworkChange, reply: Reply<()>) {
        let (cx, shared) = (Arc::clone(&self.cx), Arc::clone(&self.shared));
        let living = match self.living() {
            Ok(living) => living,
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
        };
        // Beside the task: a guest may take its time, and be stopped meanwhile.
        tokio::spawn(async move {
            let changed = match change {
                NetworkChange::Connect(network, config) => join(&cx, &shared, living, network, *config).await,
                NetworkChange::Disconnect(network) => leave(&cx, &shared, living, &network).await,
            };
            let _ = reply.send(changed);
        });
    }

    /// The guest and its agent, if it runs.
    fn living(&self) -> Result<Option<Living>, Error> {
        let how = match &self.work {
            Work::Idle(_) | Work::Visiting { .. } => return Ok(None),
            Work::Up(_) if self.shared.with(|record| record.state.status == Status::Paused) => "paused",
            Work::Up(up) => return Ok(Some((Arc::clone(&up.guest), up.session.clone()))),
            Work::Starting { .. } => "starting",
            Work::Ending { .. } => "ending",
        };
        Err(Error::conflict(format!("container {} is {how}", self.shared.id)))
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

/// The record says so first, and no more when it fails: unless the container was started again meanwhile, and is there now.
async fn join(
    cx: &Context,
    shared: &Shared,
    living: Option<Living>,
    network: String,
    config: EndpointConfig,
) -> Result<(), Error> {
    shared.update(cx, |record| {
        record.config.networks.insert(network.clone(), config);
    })?;
    let Some(living) = living else { return Ok(()) };
    let plugged = plug(cx, shared, living).await;
    if plugged.is_err() && !is_on(cx, shared, &network) {
        shared.note(cx, |record| {
            record.config.networks.remove(&network);
        });
    }
    plugged
}

fn is_on(cx: &Context, shared: &Shared, network: &str) -> bool {
    let attachment = cx.networks.attachment(&shared.id).unwrap_or_default();
    let mut endpoints = attachment.endpoints.iter();
    endpoints.any(|endpoint| endpoint.network == network)
}

/// Puts an interface into a guest that runs, for the network that its record has and it has not.
async fn plug(cx: &Context, shared: &Shared, (guest, session): Living) -> Result<(), Error> {
    let endpoint = cx
        .networks
        .add_endpoint(&shared.record(), &cx.fixed_addresses())?;
    note_endpoints(cx, shared);
    let plugged = async {
        open_networks(cx, shared, guest.domid(), Some(&endpoint.id)).await?;
        in_time(
            "connect",
            guest.plug_nic(endpoint.index, &PlannedNic::from(&endpoint)),
        )
        .await?;
        in_time("set up", tell_networks(&session, &shared.record())).await
    };
    let result = plugged.await;
    if result.is_err() {
        for error in take_out(cx, shared, guest.as_ref(), &endpoint).await {
            tracing::error!(container = %shared.id, %error, "undoing an interface");
        }
    }
    result
}

/// Of this run: the next is given others.
fn note_endpoints(cx: &Context, shared: &Shared) {
    if let Some(attachment) = cx.networks.attachment(&shared.id) {
        shared.note_of_run(cx, |record| {
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
            .remove_endpoint(&shared.id, &endpoint.id, interface)
            .await
            .err(),
    );
    note_endpoints(cx, shared);
    errors
}

async fn leave(cx: &Context, shared: &Shared, living: Option<Living>, network: &str) -> Result<(), Error> {
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
