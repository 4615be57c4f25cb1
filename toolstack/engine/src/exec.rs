//! Processes that run in a container beside its first.

use crate::container::Shared;
use crate::engine::{Exec, ExecSpec};
use crate::error::{Error, ErrorKind};
use crate::names;
use crate::plan::{self, FIRST_EXEC};
use crate::session::{Session, refused};
use crate::stdio::{Attachment, Hub, Source, pump_input};
use guest_protocol::message::{ExitStatus, ProcessId, ProcessSpec, RequestBody, WindowSize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinHandle;

/// Execs of one container that are remembered; the oldest that ended make room.
const MAX_EXECS: usize = 1000;
/// Each has a number for itself and its stdin, and two for its outputs.
const NUMBERS: u32 = 3;

struct Entry {
    exec: Exec,
    started: bool,
    process: ProcessId,
    hub: Arc<Hub>,
    pumps: Vec<JoinHandle<()>>,
    order: u32,
}

/// All execs of one container, by id.
pub struct Execs {
    entries: Mutex<BTreeMap<String, Entry>>,
    next: AtomicU32,
}

impl Default for Execs {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            next: AtomicU32::new(FIRST_EXEC),
        }
    }
}

impl Execs {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers up to this one are taken by processes of an earlier engine.
    pub fn skip_to(&self, number: u32) {
        self.next.fetch_max(number.saturating_add(1), Ordering::Relaxed);
    }

    /// A number for a stream of something else.
    pub fn take_number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub fn ids(&self) -> Vec<String> {
        self.entries().keys().cloned().collect()
    }

    pub fn get(&self, id: &str) -> Option<Exec> {
        self.entries().get(id).map(|entry| entry.exec.clone())
    }

    pub fn create(&self, container: &str, spec: ExecSpec) -> Result<String, Error> {
        if spec.args.first().is_none_or(String::is_empty) {
            return Err(Error::invalid("No exec command specified"));
        }
        let mut entries = self.entries();
        if entries.len() >= MAX_EXECS {
            let oldest = entries
                .iter()
                .filter(|(_, entry)| entry.exec.exit_code.is_some())
                .min_by_key(|(_, entry)| entry.order)
                .map(|(id, _)| id.clone());
            match oldest {
                Some(id) => drop(entries.remove(&id)),
                None => {
                    return Err(Error::conflict(format!(
                        "too many execs: {MAX_EXECS} run already"
                    )));
                }
            }
        }
        let id = names::new_id();
        let process = self.next.fetch_add(NUMBERS, Ordering::Relaxed);
        let entry = Entry {
            hub: Hub::new(spec.tty, !spec.tty),
            exec: Exec {
                id: id.clone(),
                container: container.to_owned(),
                spec,
                running: false,
                pid: 0,
                exit_code: None,
            },
            started: false,
            process,
            pumps: Vec::new(),
            order: process,
        };
        entries.insert(id.clone(), entry);
        Ok(id)
    }

    /// A process of the guest ended. `false`: it is none of ours, or had ended before.
    pub fn ended(&self, session: &Session, process: ProcessId, status: &ExitStatus) -> bool {
        let mut entries = self.entries();
        let runs = |entry: &&mut Entry| entry.process == process && entry.exec.running;
        let Some(entry) = entries.values_mut().find(runs) else {
            return false;
        };
        entry.exec.running = false;
        entry.exec.exit_code = Some(status.code);
        let (hub, pumps) = (Arc::clone(&entry.hub), std::mem::take(&mut entry.pumps));
        let session = session.clone();
        tokio::spawn(async move {
            finish(&hub, pumps).await;
            let _ = session.request(RequestBody::Forget { process }).await;
            (process..process + NUMBERS).for_each(|stream| session.close(stream));
        });
        true
    }

    /// The guest is gone, and all of them with it.
    pub fn end_all(&self) {
        for entry in self.entries().values_mut() {
            if entry.exec.exit_code.is_none() && entry.started {
                entry.exec.running = false;
                entry.exec.exit_code = Some(137);
                let (hub, pumps) = (Arc::clone(&entry.hub), std::mem::take(&mut entry.pumps));
                tokio::spawn(async move { finish(&hub, pumps).await });
            }
        }
    }

    /// Nobody may hold up the end of any of them.
    pub fn hurry(&self) {
        self.entries().values().for_each(|entry| entry.hub.hurry());
    }
}

/// Closes the clients' streams once they have all there is.
async fn finish(hub: &Hub, pumps: Vec<JoinHandle<()>>) {
    for pump in pumps {
        let _ = pump.await;
    }
    hub.close();
}

fn unknown(id: &str) -> Error {
    Error::not_found(format!("No such exec instance: {id}"))
}

pub fn not_running(shared: &Shared) -> Error {
    Error::conflict(format!("container {} is not running", shared.id))
}

/// Starts an exec; comes back when its command runs, or cannot.
pub async fn start(shared: &Shared, id: &str, size: Option<WindowSize>) -> Result<Attachment, Error> {
    let session = shared.session().ok_or_else(|| not_running(shared))?;
    let (spec, process, hub) = {
        let mut entries = shared.execs.entries();
        let entry = entries.get_mut(id).ok_or_else(|| unknown(id))?;
        if entry.started {
            return Err(Error::conflict(format!("exec {id} has already been started")));
        }
        entry.started = true;
        entry.exec.running = true;
        (entry.exec.spec.clone(), entry.process, Arc::clone(&entry.hub))
    };
    let attachment = hub.attach(spec.stdin, spec.stdout, spec.stderr);
    let streams = [process, process + 1, process + 2];
    let request = request(shared, &spec, process, size);
    let stdout = session.output(streams[1]);
    let stderr = (!spec.tty).then(|| session.output(streams[2]));
    let input = spec.stdin.then(|| session.input(streams[0]));
    let started = session
        .request(RequestBody::Start {
            process: Box::new(request),
        })
        .await;
    let pid = match started {
        Ok(guest_protocol::message::ReplyBody::Started { pid }) => pid,
        result => {
            let error = match result {
                Err(error) => refused("unable to start container process", &error),
                Ok(_) => Error::failed("the agent's reply makes no sense"),
            };
            streams.iter().for_each(|stream| session.close(*stream));
            if let Some(entry) = shared.execs.entries().get_mut(id) {
                entry.exec.running = false;
                entry.exec.exit_code = Some(error.exit_code());
            }
            hub.close();
            return Err(error);
        }
    };
    let mut pumps = vec![hub.pump(Source::Stdout, stdout)];
    pumps.extend(stderr.map(|stderr| hub.pump(Source::Stderr, stderr)));
    if let (Some(from), Some(to)) = (hub.take_input(), input) {
        pump_input(from, to);
    }
    let mut entries = shared.execs.entries();
    if let Some(entry) = entries.get_mut(id) {
        entry.exec.pid = pid;
        if entry.exec.exit_code.is_some() {
            // It ended before we came to this.
            drop(entries);
            tokio::spawn(async move { finish(&hub, pumps).await });
        } else {
            entry.pumps = pumps;
        }
    }
    Ok(attachment)
}

fn request(shared: &Shared, spec: &ExecSpec, process: ProcessId, size: Option<WindowSize>) -> ProcessSpec {
    let config = shared.with(|record| record.config.clone());
    let mut env = config.env;
    for pair in &spec.env {
        let name = pair.split('=').next();
        env.retain(|known| known.split('=').next() != name);
        env.push(pair.clone());
    }
    let or = |own: &String, other: String| if own.is_empty() { other } else { own.clone() };
    let capabilities = if spec.privileged {
        Some(plan::all_capabilities())
    } else {
        // Checked when the container was created.
        plan::capabilities(&config.host.cap_add, &config.host.cap_drop).unwrap_or_default()
    };
    ProcessSpec {
        process,
        container: shared.id.clone(),
        first: false,
        args: spec.args.clone(),
        env,
        cwd: or(&spec.working_dir, config.working_dir),
        user: or(&spec.user, config.user),
        groups: config.host.group_add,
        tty: spec.tty.then(|| size.unwrap_or_default()),
        stdin: spec.stdin.then_some(process),
        stdout: Some(process + 1),
        stderr: (!spec.tty).then_some(process + 2),
        capabilities,
        no_new_privileges: plan::no_new_privileges(&config.host.security_opt),
        rlimits: Vec::new(),
    }
}

pub async fn resize(shared: &Shared, id: &str, size: WindowSize) -> Result<(), Error> {
    let session = shared.session().ok_or_else(|| not_running(shared))?;
    let (process, running) = {
        let entries = shared.execs.entries();
        let entry = entries.get(id).ok_or_else(|| unknown(id))?;
        (entry.process, entry.exec.running)
    };
    if !running {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("exec {id} is not running"),
        ));
    }
    session
        .request(RequestBody::Resize { process, size })
        .await
        .map_err(|error| refused("cannot resize the terminal", &error))?;
    Ok(())
}
