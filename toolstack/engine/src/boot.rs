//! A guest's beginning and end: from a plan to a process that runs, and from there to nothing.

use crate::container::Shared;
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::hypervisor::{Ended, Guest};
use crate::log::LogWriter;
use crate::network::{Attachment, guest};
use crate::plan::{self, FIRST_PROCESS, KERNEL_LOG, Plan, STDERR, STDIN, STDOUT};
use crate::session::{Output, Session, SessionEvent, refused};
use crate::state::Container;
use crate::stdio::{Source, pump_input};
use guest_protocol::message::{ExitStatus, GuestState, NetworkSpec, ProcessId, ReplyBody, RequestBody};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What is kept of the kernel's messages of one run.
const MAX_CONSOLE_BYTES: usize = 1 << 20;
/// A guest whose process has ended has this long to write its disk and say so.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(60);

/// A guest whose process runs.
pub struct Booted {
    pub guest: Arc<dyn Guest>,
    pub session: Session,
    pub events: mpsc::UnboundedReceiver<SessionEvent>,
    pub pid: u32,
    /// Move the output; end with it.
    pub pumps: Vec<JoinHandle<()>>,
    /// Processes of execs that an earlier engine started.
    pub foreign: BTreeSet<ProcessId>,
    /// The process ended while nobody looked.
    pub exited: Option<ExitStatus>,
}

/// Builds a container's guest and starts its process in it. Nothing is left of the guest on failure.
pub async fn boot(cx: Arc<Context>, shared: Arc<Shared>, cancel: CancellationToken) -> Result<Booted, Error> {
    let attachment = cx.networks.attach(&shared.record())?;
    let result = boot_attached(&cx, &shared, cancel, attachment).await;
    if result.is_err() {
        leave_networks(&cx, &shared).await;
    }
    result
}

/// What a container had of its networks is free again.
pub async fn leave_networks(cx: &Context, shared: &Shared) {
    cx.networks.detach(&shared.id).await;
    let endpoints = shared.with(|record| record.state.endpoints.clone());
    for endpoint in &endpoints {
        cx.tell_network(
            "disconnect",
            &endpoint.network_id,
            &endpoint.network,
            Some(&shared.id),
        );
    }
    if !endpoints.is_empty() {
        shared.note(cx, |record| {
            record.state.endpoints.clear();
            record.state.published.clear();
        });
    }
}

async fn boot_attached(
    cx: &Arc<Context>,
    shared: &Arc<Shared>,
    cancel: CancellationToken,
    attachment: Attachment,
) -> Result<Booted, Error> {
    let uuid = Uuid::new_v4();
    let mut record = shared.record();
    record.state.endpoints.clone_from(&attachment.endpoints);
    let mut plan = cx.full_plan(&record, uuid).await?;
    if let Some(size) = &mut plan.process.tty {
        *size = *shared
            .size
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
    }
    // Whoever finds this record later knows what to look for.
    shared.update(cx, |record| {
        record.state.guest = Some(uuid);
        record.state.endpoints = attachment.endpoints;
        record.state.published = attachment.published;
    })?;
    let forget = || {
        shared.note(cx, |record| {
            record.state.guest = None;
            record.state.domid = None;
        });
    };
    let guest = match cx.hypervisor.build(&plan).await {
        Ok(guest) => guest,
        Err(error) => {
            forget();
            return Err(error);
        }
    };
    let domid = guest.domid();
    shared.note(cx, |record| record.state.domid = Some(domid));
    let started = async {
        let interfaces = (0..plan.nics.len() as u32).map(|index| cx.hypervisor.interface(domid, index));
        cx.networks.open_guest(&shared.id, interfaces.collect()).await?;
        for endpoint in &record.state.endpoints {
            cx.tell_network(
                "connect",
                &endpoint.network_id,
                &endpoint.network,
                Some(&shared.id),
            );
        }
        guest.unpause().await?;
        begin(cx, shared, Arc::clone(&guest), &plan).await
    };
    match watched(cx, guest.as_ref(), &cancel, started).await {
        Ok(booted) => Ok(booted),
        Err(error) => {
            tracing::debug!(container = %record.name, domid, %error, "start failed");
            report(&record.name, guest.destroy().await);
            forget();
            Err(error)
        }
    }
}

/// A start that ends when the guest does, when it takes too long, or when nobody wants it any more.
async fn watched(
    cx: &Context,
    guest: &dyn Guest,
    cancel: &CancellationToken,
    start: impl Future<Output = Result<Booted, Error>>,
) -> Result<Booted, Error> {
    tokio::select! {
        result = start => result,
        ended = guest.ended() => Err(Error::failed(match ended {
            Ended::Crashed => "the guest's kernel crashed while starting",
            Ended::ShutDown => "the guest stopped while starting",
            Ended::Destroyed => "the guest was destroyed while starting",
        })),
        () = cancel.cancelled() => Err(Error::failed("the start was interrupted")),
        () = tokio::time::sleep(cx.config.boot_timeout) => Err(Error::failed(format!(
            "the guest's agent was silent for {} s", cx.config.boot_timeout.as_secs()
        ))),
    }
}

fn guest_error(error: &guest_protocol::message::RequestError) -> Error {
    let error = refused("the guest", error);
    Error::new(ErrorKind::Failed, error.to_string())
}

/// From an unpaused guest to a process that runs.
async fn begin(
    cx: &Context,
    shared: &Arc<Shared>,
    guest: Arc<dyn Guest>,
    plan: &Plan,
) -> Result<Booted, Error> {
    let (session, events) = Session::open(guest.link().await?);
    session.hello().await.map_err(|error| guest_error(&error))?;
    session.settled();
    if !plan.interfaces.is_empty() {
        let network = NetworkSpec {
            interfaces: plan.interfaces.clone(),
            ..NetworkSpec::default()
        };
        tell(&session, network).await?;
    }
    session
        .request(RequestBody::Create {
            container: Box::new(plan.container.clone()),
        })
        .await
        .map_err(|error| guest_error(&error))?;
    let stdout = session.output(STDOUT);
    let stderr = plan.process.stderr.map(|_| session.output(STDERR));
    let input = plan.process.stdin.map(|_| session.input(STDIN));
    let started = session
        .request(RequestBody::Start {
            process: Box::new(plan.process.clone()),
        })
        .await
        .map_err(|error| refused("unable to start container process", &error))?;
    let ReplyBody::Started { pid } = started else {
        return Err(Error::failed("the agent's reply makes no sense"));
    };
    let hub = shared.hub();
    if let (Some(from), Some(to)) = (hub.take_input(), input) {
        pump_input(from, to);
    }
    let pumps = pumps(cx, shared, Some(stdout), stderr)?;
    kernel_log(cx, shared, &session, true);
    Ok(Booted {
        guest,
        session,
        events,
        pid,
        pumps,
        foreign: BTreeSet::new(),
        exited: None,
    })
}

async fn tell(session: &Session, network: NetworkSpec) -> Result<(), Error> {
    let network = Box::new(network);
    let told = session.request(RequestBody::Network { network }).await;
    told.map(drop).map_err(|error| guest_error(&error))
}

/// Tells a guest that runs of its networks as they are now.
pub async fn tell_networks(session: &Session, record: &Container) -> Result<(), Error> {
    let network = NetworkSpec {
        interfaces: guest::interfaces(&record.state.endpoints),
        container: record.id.clone(),
        files: plan::network_files(record),
    };
    tell(session, network).await
}

/// Moves the outputs to the log and the clients.
fn pumps(
    cx: &Context,
    shared: &Arc<Shared>,
    stdout: Option<Output>,
    stderr: Option<Output>,
) -> Result<Vec<JoinHandle<()>>, Error> {
    let (log, _) = shared.renew_progress();
    let path = shared.folder(cx).join("log.json");
    let writer = LogWriter::open(&path, log.clone()).map_err(|error| {
        Error::from_source(
            ErrorKind::Failed,
            &format!("cannot open {}", path.display()),
            &error,
        )
    })?;
    let writer = Arc::new(writer);
    let hub = shared.hub();
    let pumps: Vec<_> = [(Source::Stdout, stdout), (Source::Stderr, stderr)]
        .into_iter()
        .filter_map(|(source, output)| Some(hub.pump(source, output?, Some(Arc::clone(&writer)))))
        .collect();
    // One that waits for them, so that followers of the log get all of it and then the end.
    Ok(vec![tokio::spawn(async move {
        for pump in pumps {
            let _ = pump.await;
        }
        log.send_modify(|progress| progress.ended = true);
    })])
}

/// Keeps the kernel's messages in `console.log`.
fn kernel_log(cx: &Context, shared: &Arc<Shared>, session: &Session, anew: bool) {
    let path = shared.folder(cx).join("console.log");
    let file = File::options()
        .create(true)
        .append(!anew)
        .write(true)
        .truncate(anew)
        .open(&path);
    let mut file = match file {
        Ok(file) => file,
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "the kernel's messages are not kept");
            return;
        }
    };
    let progress: watch::Sender<_> = shared.console_sender();
    let mut output = session.output(KERNEL_LOG);
    let session = session.clone();
    tokio::spawn(async move {
        if anew {
            let asked = session
                .request(RequestBody::KernelLog { stream: KERNEL_LOG })
                .await;
            if let Err(error) = asked {
                tracing::debug!(error = %error.message, "no messages of the kernel");
            }
        }
        drop(session);
        let mut left = MAX_CONSOLE_BYTES;
        while let Some(bytes) = output.next().await {
            let kept = &bytes[..bytes.len().min(left)];
            left -= kept.len();
            if !kept.is_empty() && file.write_all(kept).is_ok() {
                progress.send_modify(|progress| progress.writes += 1);
            }
            output.consumed(bytes.len());
        }
        progress.send_modify(|progress| progress.ended = true);
    });
}

/// Takes over a guest that an earlier engine has started.
pub async fn adopt(
    cx: Arc<Context>,
    shared: Arc<Shared>,
    guest: Arc<dyn Guest>,
    plan: Plan,
    cancel: CancellationToken,
) -> Result<Booted, Error> {
    let taken = async {
        let (session, events) = Session::open(guest.link().await?);
        let state = session.hello().await.map_err(|error| guest_error(&error))?;
        resume(&cx, &shared, Arc::clone(&guest), &plan, session, events, &state)
    };
    watched(&cx, guest.as_ref(), &cancel, taken).await
}

fn resume(
    cx: &Context,
    shared: &Arc<Shared>,
    guest: Arc<dyn Guest>,
    plan: &Plan,
    session: Session,
    events: mpsc::UnboundedReceiver<SessionEvent>,
    state: &GuestState,
) -> Result<Booted, Error> {
    let process = state
        .processes
        .iter()
        .find(|process| process.process == FIRST_PROCESS)
        .ok_or_else(|| Error::failed("the guest has no process"))?;
    let known = state
        .processes
        .iter()
        .map(|process| process.process.saturating_add(2));
    if let Some(highest) = known.max() {
        shared.execs.skip_to(highest);
    }
    let stdout = session.output(STDOUT);
    let stderr = plan.process.stderr.map(|_| session.output(STDERR));
    if plan.process.stdin.is_some() && process.exited.is_none() {
        let ended = state
            .streams
            .iter()
            .any(|stream| stream.stream == STDIN && stream.received_eof);
        if !ended && let Some(from) = shared.hub().take_input() {
            pump_input(from, session.input(STDIN));
        }
    }
    let pumps = pumps(cx, shared, Some(stdout), stderr)?;
    kernel_log(cx, shared, &session, false);
    session.settled();
    let others = state
        .processes
        .iter()
        .filter(|process| process.process != FIRST_PROCESS);
    for process in others.clone().filter(|process| process.exited.is_some()) {
        let (session, process) = (session.clone(), process.process);
        tokio::spawn(async move { session.request(RequestBody::Forget { process }).await });
    }
    Ok(Booted {
        guest,
        session,
        events,
        pid: process.pid,
        pumps,
        foreign: others
            .filter(|process| process.exited.is_none())
            .map(|process| process.process)
            .collect(),
        exited: process.exited.clone(),
    })
}

/// Ends a guest, after it has written its disk when `clean`.
pub async fn end(name: String, guest: Arc<dyn Guest>, session: Session, clean: bool) {
    if clean {
        let asked = tokio::time::timeout(SHUTDOWN_TIMEOUT, session.request(RequestBody::Shutdown)).await;
        match asked {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(container = %name, error = %error.message, "the guest did not shut down cleanly");
            }
            Err(_) => tracing::warn!(container = %name, "the guest did not shut down in time"),
        }
    }
    // Before the domain goes: one whose pages are mapped would stay behind, dying.
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, session.end())
        .await
        .is_err()
    {
        tracing::error!(container = %name, "the guest's link does not end");
    }
    report(&name, guest.destroy().await);
}

fn report(name: &str, errors: Vec<Error>) {
    for error in errors {
        tracing::error!(container = %name, %error, "something of the guest may be left");
    }
}
