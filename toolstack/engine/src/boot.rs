//! A guest's beginning and end: from a plan to a process that runs, and from there to nothing.

use crate::console;
use crate::container::Shared;
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::fault;
use crate::hypervisor::{Ended, Guest};
use crate::leftovers;
use crate::log::{self, LogWriter, Run};
use crate::network::{Attachment, guest};
use crate::plan::{self, FIRST_PROCESS, KERNEL_LOG, Plan, STDERR, STDIN, STDOUT};
use crate::records::{Entry, Operation};
use crate::session::{Session, SessionEvent, Tap, refused};
use crate::state::{Container, Status};
use crate::stdio::{Source, pump_input};
use crate::watchdog;
use guest_protocol::message::{ExitStatus, GuestState, NetworkSpec, ProcessId, ReplyBody, RequestBody};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{SemaphorePermit, mpsc, watch};
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
    pub events: mpsc::Receiver<SessionEvent>,
    pub pid: u32,
    /// Move the output; end with it.
    pub pumps: Vec<JoinHandle<()>>,
    /// Processes of execs that an earlier engine started.
    pub foreign: BTreeSet<ProcessId>,
    /// The process ended while nobody looked.
    pub exited: Option<ExitStatus>,
    /// The start, to be ended with the record that it runs.
    pub operation: Option<Entry>,
}

/// Builds a container's guest and starts its process in it. Nothing is left of the guest on failure.
pub async fn boot(cx: Arc<Context>, shared: Arc<Shared>, cancel: CancellationToken) -> Result<Booted, Error> {
    let attachment = cx.networks.attach(&shared.record(), &cx.fixed_addresses())?;
    let result = boot_attached(&cx, &shared, &cancel, attachment).await;
    if result.is_err() {
        leave_networks(&cx, &shared).await;
    }
    result
}

/// Waits until there is room for one more guest to be built and to boot.
pub async fn turn<'a>(cx: &'a Context, cancel: &CancellationToken) -> Result<SemaphorePermit<'a>, Error> {
    tokio::select! {
        turn = cx.boots.acquire() => turn.map_err(|_| Error::failed("no more guests are started")),
        () = cancel.cancelled() => Err(interrupted()),
    }
}

fn interrupted() -> Error {
    Error::failed("the start was interrupted")
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
    cancel: &CancellationToken,
    attachment: Attachment,
) -> Result<Booted, Error> {
    let _turn = turn(cx, cancel).await?;
    let uuid = Uuid::new_v4();
    if !attachment.endpoints.is_empty() {
        // Before anything of them is seen: whoever finds this record later takes them back.
        shared.update(cx, |record| {
            record.state.endpoints = attachment.endpoints;
            record.state.published = attachment.published;
        })?;
    }
    let record = shared.record();
    let mut plan = cx.full_plan(&record, uuid).await?;
    if let Some(size) = &mut plan.process.tty {
        *size = *shared
            .size
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
    }
    let (guest, operation) = build(cx, shared, &plan).await?;
    let start = begin(cx, shared, Arc::clone(&guest), &plan);
    let booted = started(cx, shared, guest.as_ref(), operation, cancel, start).await?;
    for endpoint in &record.state.endpoints {
        cx.tell_network(
            "connect",
            &endpoint.network_id,
            &endpoint.network,
            Some(&shared.id),
        );
    }
    Ok(Booted {
        operation: Some(operation),
        ..booted
    })
}

/// The record of a container whose guest is gone, and the end of the operation that built it.
pub fn forget(cx: &Context, shared: &Shared, operation: Entry) {
    shared.note_end(cx, Some(operation), |record| {
        record.state.guest = None;
        record.state.domid = None;
    });
}

/// Builds a guest that the record knows from before it is there. Nothing is left of it on failure; else the operation is to
/// be ended by whoever asked.
pub async fn build(cx: &Context, shared: &Shared, plan: &Plan) -> Result<(Arc<dyn Guest>, Entry), Error> {
    leftovers::none_of(cx, &shared.id).await?;
    // Whoever finds this record later knows what to look for.
    let operation = shared.update_and(
        cx,
        |record| record.state.guest = Some(plan.uuid),
        |on_disk| {
            on_disk.begin(&Operation::Start {
                container: shared.id.clone(),
                guest: plan.uuid,
            })
        },
    )?;
    fault::point("start.begun");
    let guest = match cx.hypervisor.build(plan).await {
        Ok(guest) => guest,
        Err(error) => {
            leftovers::not_built(cx, &shared.id, plan.uuid).await;
            forget(cx, shared, operation);
            return Err(error);
        }
    };
    let domid = guest.domid();
    shared.note(cx, |record| record.state.domid = Some(domid));
    fault::point("start.built");
    Ok((guest, operation))
}

/// Lets a guest run, and does what there is to begin with. Nothing is left of it on failure.
pub async fn started<T>(
    cx: &Context,
    shared: &Shared,
    guest: &dyn Guest,
    operation: Entry,
    cancel: &CancellationToken,
    begin: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let patience = cx.config.boot_timeout;
    let silent = |_| {
        Error::failed(format!(
            "the guest's agent was silent for {} s",
            patience.as_secs()
        ))
    };
    let start = async {
        open_networks(cx, shared, guest.domid(), None).await?;
        guest.unpause().await?;
        tokio::time::timeout(patience, begin).await.map_err(silent)?
    };
    match watched(guest, cancel, start).await {
        Ok(begun) => Ok(begun),
        Err(error) => {
            tracing::debug!(container = %shared.id, domid = guest.domid(), %error, "start failed");
            // How far its kernel came.
            last_words(cx, shared, guest).await;
            leftovers::destroy(cx, &shared.id, guest).await;
            forget(cx, shared, operation);
            Err(error)
        }
    }
}

/// Lets a guest speak on the networks that it has, if any. `endpoint`: one of them, which another guest has not.
pub async fn open_networks(
    cx: &Context,
    shared: &Shared,
    domid: u32,
    endpoint: Option<&str>,
) -> Result<(), Error> {
    let interface = |index| cx.hypervisor.interface(domid, index);
    let groups = || shared.with(|record| record.config.host.security_groups.clone());
    cx.networks
        .open_guest(&shared.id, interface, groups, endpoint)
        .await
}

/// A start that ends when the guest does, or when nobody wants it any more.
async fn watched<T>(
    guest: &dyn Guest,
    cancel: &CancellationToken,
    start: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        result = start => result,
        ended = guest.ended() => Err(Error::failed(match ended {
            Ended::Crashed => "the guest's kernel crashed while starting",
            Ended::ShutDown => "the guest stopped while starting",
            Ended::Destroyed => "the guest was destroyed while starting",
        })),
        () = cancel.cancelled() => Err(interrupted()),
    }
}

fn guest_error(error: &guest_protocol::message::RequestError) -> Error {
    let error = refused("the guest", error);
    Error::new(ErrorKind::Failed, error.to_string())
}

/// From an unpaused guest to a container whose root is there.
pub async fn connect(
    guest: &dyn Guest,
    plan: &Plan,
) -> Result<(Session, mpsc::Receiver<SessionEvent>), Error> {
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
    Ok((session, events))
}

/// From an unpaused guest to a process that runs.
async fn begin(
    cx: &Arc<Context>,
    shared: &Arc<Shared>,
    guest: Arc<dyn Guest>,
    plan: &Plan,
) -> Result<Booted, Error> {
    let (session, events) = connect(guest.as_ref(), plan).await?;
    let ending = session.end_on_drop();
    // The streams are open before there is anything to come, and the log before them.
    let pumps = pumps(cx, shared, &session, plan, Run::New(plan.uuid))?;
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
    kernel_log(cx, shared, &session, true);
    ending.keep();
    Ok(Booted {
        guest,
        session,
        events,
        pid,
        pumps,
        foreign: BTreeSet::new(),
        exited: None,
        operation: None,
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

/// Writes a stream to the log.
struct ToLog(Source, Arc<LogWriter>);

impl Tap for ToLog {
    fn bytes(&mut self, position: u64, bytes: &[u8]) {
        self.1.write(self.0, position, bytes);
    }

    fn end(&mut self) {
        self.1.end(self.0);
    }
}

/// Opens the outputs and moves them to the log and the clients.
fn pumps(
    cx: &Arc<Context>,
    shared: &Arc<Shared>,
    session: &Session,
    plan: &Plan,
    run: Run,
) -> Result<Vec<JoinHandle<()>>, Error> {
    let (progress, _) = shared.renew_progress();
    let log = match (
        log::open(&shared.record(), &shared.folder(cx), run, progress.clone()),
        run,
    ) {
        (Ok(log), _) => log,
        (Err(error), Run::New(_)) => return Err(error),
        // A guest that runs is worth more than its log.
        (Err(error), Run::TakenOver(_)) => {
            tracing::error!(container = %shared.id, %error, "a container goes on without its log");
            None
        }
    };
    let hub = shared.hub();
    let stderr = plan.process.stderr.map(|_| (Source::Stderr, STDERR));
    let pumps: Vec<_> = std::iter::once((Source::Stdout, STDOUT))
        .chain(stderr)
        .map(|(source, stream)| {
            let tap = log
                .clone()
                .map(|log| Box::new(ToLog(source, log)) as Box<dyn Tap>);
            hub.pump(source, session.tapped(stream, tap))
        })
        .collect();
    let cx = Arc::clone(cx);
    // One that waits for them, so that followers of the log get all of it and then the end.
    Ok(vec![tokio::spawn(async move {
        for pump in pumps {
            let _ = pump.await;
        }
        // The engine after this one goes on with the log.
        if cx.closing.is_cancelled() {
            return;
        }
        if let Some(log) = log {
            log.finish();
        }
        progress.send_modify(|progress| progress.ended = true);
    })])
}

/// Keeps the kernel's messages in `console.log`, behind those of earlier runs: how a kernel ended outlives the start of
/// the next.
fn kernel_log(cx: &Context, shared: &Arc<Shared>, session: &Session, anew: bool) {
    let path = shared.folder(cx).join("console.log");
    let length = || std::fs::metadata(&path).map_or(0, |file| file.len());
    if anew && length() > MAX_CONSOLE_BYTES as u64 / 2 {
        // What cannot be put aside is written behind, as far as there is room.
        let _ = std::fs::rename(&path, path.with_extension("log.1"));
    }
    let mut left = (MAX_CONSOLE_BYTES as u64).saturating_sub(length()) as usize;
    let mut file = match File::options().create(true).append(true).open(&path) {
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

/// Takes over a guest that an earlier engine has started. It runs, so it has all the time that it takes, until somebody wants
/// its end.
pub async fn adopt(
    cx: Arc<Context>,
    shared: Arc<Shared>,
    guest: Arc<dyn Guest>,
    plan: Plan,
    cancel: CancellationToken,
) -> Result<Booted, Error> {
    let taken = async {
        // One that stands still cannot say how it stands. Whether it does is Xen's word, since the last daemon may have
        // died between pausing it and writing so; and the record's, since it may have died right here.
        let stands_still = guest.is_paused().await?;
        let paused = stands_still || shared.with(|record| record.state.status == Status::Paused);
        if stands_still {
            guest.unpause().await?;
        }
        let (session, events) = Session::open(guest.link().await?);
        let state = watchdog::answer(&cx, &shared, cx.config.boot_timeout, session.hello()).await;
        let state = state.map_err(|error| guest_error(&error))?;
        if paused {
            guest.pause().await?;
        }
        let status = if paused { Status::Paused } else { Status::Running };
        shared.note(&cx, |record| record.state.status = status);
        resume(&cx, &shared, Arc::clone(&guest), &plan, session, events, &state)
    };
    watched(guest.as_ref(), &cancel, taken).await
}

fn resume(
    cx: &Arc<Context>,
    shared: &Arc<Shared>,
    guest: Arc<dyn Guest>,
    plan: &Plan,
    session: Session,
    events: mpsc::Receiver<SessionEvent>,
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
    let highest = known.chain([state.last_stream]).max();
    if let Some(highest) = highest {
        shared.execs.skip_to(highest);
    }
    let pumps = pumps(cx, shared, &session, plan, Run::TakenOver(plan.uuid))?;
    if plan.process.stdin.is_some() && process.exited.is_none() {
        let ended = state
            .streams
            .iter()
            .any(|stream| stream.stream == STDIN && stream.received_eof);
        if !ended && let Some(from) = shared.hub().take_input() {
            pump_input(from, session.input(STDIN));
        }
    }
    kernel_log(cx, shared, &session, false);
    let foreign = shared.execs.resume(cx, shared, &session, state);
    session.settled();
    Ok(Booted {
        guest,
        session,
        events,
        pid: process.pid,
        pumps,
        foreign,
        exited: process.exited.clone(),
        operation: None,
    })
}

/// Ends a guest, after it has written its disk when `clean`.
pub async fn end(
    cx: Arc<Context>,
    shared: Arc<Shared>,
    guest: Arc<dyn Guest>,
    session: Session,
    clean: bool,
) {
    let name = shared.with(|record| record.name.clone());
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
    if !clean {
        last_words(&cx, &shared, guest.as_ref()).await;
    }
    fault::point("exit.ending");
    leftovers::destroy(&cx, &shared.id, guest.as_ref()).await;
}

/// What a guest whose agent could not tell it any more has written to its console goes to `console.log`: how a kernel
/// died, for one.
async fn last_words(cx: &Context, shared: &Shared, guest: &dyn Guest) {
    let bytes = match guest.console().await {
        Ok(bytes) => bytes,
        Err(error) => return tracing::debug!(%error, "no console"),
    };
    let path = shared.folder(cx).join("console.log");
    let known = tokio::fs::read(&path).await.unwrap_or_default();
    let new = console::after(&known, &bytes);
    let written = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(&new));
    match written {
        Ok(()) => shared
            .console_sender()
            .send_modify(|progress| progress.writes += 1),
        Err(error) => tracing::error!(%error, path = %path.display(), "the guest's last words are not kept"),
    }
}
