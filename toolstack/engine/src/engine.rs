//! The facade: containers by name, execs, images.

use crate::container::{Command, Life, Shared};
use crate::context::Context;
use crate::disks;
use crate::error::{Error, ErrorKind};
use crate::exec;
use crate::hypervisor::{GuestType, HostInfo, MemoryInfo};
use crate::log::{self, LogEntry, LogOptions};
use crate::names;
use crate::plan::{self, FIRST_PROCESS, Plan};
use crate::records::{self, Records};
use crate::restore;
use crate::session::refused;
use crate::spec::{Config, CreateRequest};
use crate::state::{Container, State, Status};
use crate::stdio::{Attachment, Chunk};
use crate::task::Task;
use crate::xen_host::XenHost;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use guest_protocol::message::{RequestBody, WindowSize};
use images::{Credentials, Image, Name, Progress, Registries, Removed, Store};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use crate::container::WaitResult;

/// Events that a slow listener may be behind by.
const EVENTS: usize = 1024;

/// What an engine is started with.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Records, images, containers' disks and logs.
    pub state_dir: PathBuf,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    /// Added to the guest's kernel command line.
    pub kernel_cmdline: String,
    /// The best the host can when absent.
    pub guest_type: Option<GuestType>,
    pub default_memory_mib: u64,
    /// Size of a container's own disk, sparse.
    pub disk_mib: u64,
    pub registries: Registries,
    /// How long `stop` waits before it kills, unless the container or the request says otherwise.
    pub stop_timeout: Duration,
    /// How long a guest may take from its start to its agent's first word.
    pub boot_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub id: String,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// At once when it does not run.
    NotRunning,
    NextExit,
    Removed,
}

/// A wait that has begun: what happens from now on is not missed.
pub struct Wait {
    life: watch::Receiver<Life>,
    condition: WaitCondition,
    ended_runs: u64,
    /// The answer is there already.
    now: Option<WaitResult>,
}

impl Wait {
    pub async fn result(mut self) -> Result<WaitResult, Error> {
        if let Some(result) = self.now {
            return Ok(result);
        }
        let (condition, ended_runs) = (self.condition, self.ended_runs);
        let over = |life: &Life| match condition {
            WaitCondition::Removed => life.removed,
            _ => life.removed || life.ended_runs > ended_runs,
        };
        let life = self
            .life
            .wait_for(over)
            .await
            .map_err(|_| Error::failed("hyperd is stopping"))?;
        Ok(life.last.clone().unwrap_or(WaitResult {
            exit_code: 0,
            error: None,
        }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttachOptions {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// What the log has comes first.
    pub logs: bool,
    /// What comes from now on; without it only the log.
    pub stream: bool,
}

/// A process to run in a container beside its first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecSpec {
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub working_dir: String,
    /// The container's own when empty.
    pub user: String,
    pub tty: bool,
    pub privileged: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// How an exec stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    pub id: String,
    pub container: String,
    pub spec: ExecSpec,
    pub running: bool,
    /// In its guest; 0 before it runs.
    pub pid: u32,
    /// Absent until it ended.
    pub exit_code: Option<i32>,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `container` or `image`.
    pub kind: &'static str,
    /// As docker names it: create, start, die, destroy, …
    pub action: String,
    /// Of the container or image.
    pub id: String,
    /// name, image, exitCode, … and the labels.
    pub attributes: BTreeMap<String, String>,
    pub at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub struct HostSummary {
    pub host: HostInfo,
    pub memory: MemoryInfo,
    pub running: usize,
    pub paused: usize,
    pub stopped: usize,
    pub images: usize,
    pub state_dir: PathBuf,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    cx: Arc<Context>,
    /// Held while an image is looked up for a new container, so that it is not removed meanwhile.
    images_lock: Arc<tokio::sync::Mutex<()>>,
}

fn io_failed(what: &str) -> impl Fn(std::io::Error) -> Error + '_ {
    move |error| {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull => ErrorKind::Unavailable,
            _ => ErrorKind::Failed,
        };
        Error::from_source(kind, what, &error)
    }
}

impl Engine {
    /// Opens Xen and the records, takes over guests that run, cleans up after those that do not.
    pub async fn open(config: EngineConfig) -> Result<Self, Error> {
        let state_dir = config.state_dir.clone();
        fs::create_dir_all(state_dir.join("containers"))
            .map_err(io_failed(&format!("cannot make {}", state_dir.display())))?;
        let hypervisor = Box::new(XenHost::open(&config.kernel, &config.initramfs).await?);
        let disk_mib = config.disk_mib;
        let template = {
            let state_dir = state_dir.clone();
            tokio::task::spawn_blocking(move || disks::template(&state_dir, disk_mib))
                .await
                .map_err(|error| {
                    Error::from_source(ErrorKind::Failed, "making the disk template", &error)
                })??
        };
        let cx = Arc::new(Context {
            hypervisor,
            images: Store::open(&state_dir.join("images"))?,
            records: Records::open(&state_dir.join("hyper.db"))?,
            config,
            template,
            events: broadcast::Sender::new(EVENTS),
            containers: Mutex::default(),
            closing: CancellationToken::new(),
        });
        restore::restore(&cx).await?;
        Ok(Self {
            cx,
            images_lock: Arc::default(),
        })
    }

    /// Lets go of the guests, which run on.
    pub async fn close(&self) {
        // The tasks first: one that lives on would take the end of its link for the end of its guest.
        self.cx.closing.cancel();
        let all: Vec<_> = self.cx.containers().values().cloned().collect();
        for shared in all {
            if let Some(session) = shared.session() {
                session.end().await;
            }
        }
    }

    // containers; `text` is a name, an id or the beginning of one

    fn shared(&self, text: &str) -> Result<Arc<Shared>, Error> {
        let shown: String = text.chars().take(200).collect();
        let not_found = || Error::not_found(format!("No such container: {shown}"));
        let containers = self.cx.containers();
        if let Some(shared) = containers.get(text) {
            return Ok(Arc::clone(shared));
        }
        let name = text.strip_prefix('/').unwrap_or(text);
        if let Some(shared) = containers
            .values()
            .find(|shared| shared.with(|record| record.name == name))
        {
            return Ok(Arc::clone(shared));
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(not_found());
        }
        let mut matching = containers
            .range(text.to_owned()..)
            .take_while(|(id, _)| id.starts_with(text));
        match (matching.next(), matching.next()) {
            (Some((_, shared)), None) => Ok(Arc::clone(shared)),
            (Some(_), Some(_)) => Err(Error::invalid(format!(
                "multiple IDs found with provided prefix: {shown}"
            ))),
            _ => Err(not_found()),
        }
    }

    pub async fn create(&self, name: Option<&str>, request: CreateRequest) -> Result<Created, Error> {
        let name = name
            .filter(|name| !name.is_empty())
            .map(names::check)
            .transpose()?;
        let _images = self.images_lock.lock().await;
        let image = self.cx.images.find(&request.image)?;
        let id = names::new_id();
        let config = Config::merge(request, &image.config, &id[..12]);
        plan::check(&config, self.cx.hypervisor.info().cpus)?;
        if let Some(guest_type) = config.host.guest_type
            && !self.cx.hypervisor.info().guest_types.contains(&guest_type)
        {
            return Err(Error::invalid(format!(
                "this host cannot run {guest_type} guests"
            )));
        }
        let (shared, commands) = self.claim(id, name, image.id, config)?;
        let id = shared.id.clone();
        if let Err(error) = self.make(&shared).await {
            self.cx.containers().remove(&id);
            let _ = fs::remove_dir_all(shared.folder(&self.cx));
            return Err(error);
        }
        Task::spawn(Arc::clone(&shared), Arc::clone(&self.cx), commands);
        shared.tell(&self.cx, "create", &[]);
        Ok(Created {
            id,
            warnings: Vec::new(),
        })
    }

    /// A new container under its name, which nobody else can take from now on.
    fn claim(
        &self,
        id: String,
        name: Option<&str>,
        image_id: String,
        config: Config,
    ) -> Result<(Arc<Shared>, mpsc::UnboundedReceiver<Command>), Error> {
        let mut containers = self.cx.containers();
        let holder = |name: &str| {
            containers
                .values()
                .find(|shared| shared.with(|record| record.name == name))
                .map(|shared| shared.id.clone())
        };
        let name = match name {
            Some(name) => match holder(name) {
                Some(id) => return Err(records::name_taken(name, &id)),
                None => name.to_owned(),
            },
            None => names::new_name(|name| holder(name).is_some()),
        };
        let (shared, commands) = Shared::new(Container {
            id: id.clone(),
            name,
            created_at: Utc::now(),
            image_id,
            config,
            state: State::default(),
        });
        containers.insert(id, Arc::clone(&shared));
        Ok((shared, commands))
    }

    /// Disk first, record last: a folder without a record is removed at the next start.
    async fn make(&self, shared: &Arc<Shared>) -> Result<(), Error> {
        let folder = shared.folder(&self.cx);
        let template = self.cx.template.clone();
        tokio::task::spawn_blocking(move || {
            fs::create_dir(&folder).map_err(io_failed(&format!("cannot make {}", folder.display())))?;
            disks::clone(&template, &folder.join("disk.ext4"))
        })
        .await
        .map_err(|error| Error::from_source(ErrorKind::Failed, "making the disk", &error))??;
        shared.update(&self.cx, |_| {})
    }

    /// All, the newest first.
    pub fn containers(&self) -> Vec<Container> {
        let mut all: Vec<_> = self
            .cx
            .containers()
            .values()
            .map(|shared| shared.record())
            .collect();
        all.sort_by_key(|container| std::cmp::Reverse(container.created_at));
        all
    }

    pub fn container(&self, text: &str) -> Result<Container, Error> {
        self.shared(text).map(|shared| shared.record())
    }

    pub async fn plan(&self, text: &str) -> Result<Plan, Error> {
        let record = self.shared(text)?.record();
        let uuid = record.state.guest.unwrap_or(Uuid::nil());
        self.cx.full_plan(&record, uuid).await
    }

    /// Path of the json-file log.
    pub fn log_path(&self, id: &str) -> PathBuf {
        self.cx.container_folder(id).join("log.json")
    }

    /// Execs of a container that have not been forgotten.
    pub fn execs(&self, id: &str) -> Vec<String> {
        self.shared(id)
            .map(|shared| shared.execs.ids())
            .unwrap_or_default()
    }

    /// `false`: it ran already.
    pub async fn start(&self, text: &str) -> Result<bool, Error> {
        self.shared(text)?.ask(Command::Start).await
    }

    /// `false`: it did not run. `timeout`: `None` as configured; `Some(None)` never kills.
    pub async fn stop(
        &self,
        text: &str,
        signal: Option<i32>,
        timeout: Option<Option<Duration>>,
    ) -> Result<bool, Error> {
        let shared = self.shared(text)?;
        let stopped = shared
            .ask(|reply| Command::Stop {
                signal,
                timeout,
                reply,
            })
            .await?;
        if stopped {
            shared.tell(&self.cx, "stop", &[]);
        }
        Ok(stopped)
    }

    pub async fn restart(
        &self,
        text: &str,
        signal: Option<i32>,
        timeout: Option<Option<Duration>>,
    ) -> Result<(), Error> {
        self.stop(text, signal, timeout).await?;
        self.start(text).await?;
        self.shared(text)?.tell(&self.cx, "restart", &[]);
        Ok(())
    }

    pub async fn kill(&self, text: &str, signal: i32) -> Result<(), Error> {
        let shared = self.shared(text)?;
        shared.ask(|reply| Command::Kill { signal, reply }).await?;
        shared.tell(&self.cx, "kill", &[("signal", signal.to_string())]);
        Ok(())
    }

    pub async fn pause(&self, text: &str) -> Result<(), Error> {
        self.shared(text)?.ask(Command::Pause).await
    }

    pub async fn unpause(&self, text: &str) -> Result<(), Error> {
        self.shared(text)?.ask(Command::Unpause).await
    }

    pub async fn rename(&self, text: &str, name: &str) -> Result<(), Error> {
        let shared = self.shared(text)?;
        let name = names::check(name)?;
        let old = shared.with(|record| record.name.clone());
        if old == name {
            return Err(Error::invalid(
                "Renaming a container with the same name as its current name",
            ));
        }
        {
            let containers = self.cx.containers();
            let holder = containers
                .values()
                .find(|other| other.id != shared.id && other.with(|record| record.name == name));
            if let Some(holder) = holder {
                return Err(records::name_taken(name, &holder.id));
            }
            shared.update(&self.cx, |record| name.clone_into(&mut record.name))?;
        }
        shared.tell(&self.cx, "rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }

    pub async fn remove(&self, text: &str, force: bool) -> Result<(), Error> {
        self.shared(text)?
            .ask(|reply| Command::Remove { force, reply })
            .await
    }

    pub fn wait(&self, text: &str, condition: WaitCondition) -> Result<Wait, Error> {
        let shared = self.shared(text)?;
        let life = shared.life.subscribe();
        let state = shared.with(|record| record.state.clone());
        let now = (condition == WaitCondition::NotRunning && !state.status.is_up()).then(|| WaitResult {
            exit_code: state.exit_code,
            error: Some(state.error).filter(|error| !error.is_empty()),
        });
        let ended_runs = life.borrow().ended_runs;
        Ok(Wait {
            life,
            condition,
            ended_runs,
            now,
        })
    }

    /// Works before the container was started, too: what comes is delivered then.
    pub async fn attach(&self, text: &str, options: AttachOptions) -> Result<Attachment, Error> {
        let shared = self.shared(text)?;
        if shared.with(|record| record.state.status == Status::Paused) {
            return Err(Error::conflict(format!(
                "container {} is paused, unpause the container before attach",
                shared.id
            )));
        }
        let mut attachment = if options.stream {
            shared.hub().attach(options.stdin, options.stdout, options.stderr)
        } else {
            let (_, output) = mpsc::channel(1);
            Attachment {
                output,
                input: None,
                tty: shared.with(|record| record.config.tty),
            }
        };
        shared.tell(&self.cx, "attach", &[]);
        if options.logs {
            let entries = self
                .logs(
                    text,
                    LogOptions {
                        stdout: options.stdout,
                        stderr: options.stderr,
                        follow: false,
                        tail: None,
                        since: None,
                        until: None,
                    },
                )
                .await?;
            attachment.output = chain(entries, attachment.output);
        }
        Ok(attachment)
    }

    pub async fn resize(&self, text: &str, size: WindowSize) -> Result<(), Error> {
        let shared = self.shared(text)?;
        *shared.size.lock().unwrap_or_else(PoisonError::into_inner) = size;
        // Before there is a process this is the size it starts with.
        let Some(session) = shared.session() else {
            return Ok(());
        };
        let process = FIRST_PROCESS;
        session
            .request(RequestBody::Resize { process, size })
            .await
            .map_err(|error| refused("cannot resize the terminal", &error))?;
        Ok(())
    }

    /// Ends with the log or, when following, with the container's run.
    pub async fn logs(
        &self,
        text: &str,
        options: LogOptions,
    ) -> Result<mpsc::Receiver<Result<LogEntry, Error>>, Error> {
        let shared = self.shared(text)?;
        let path = shared.folder(&self.cx).join("log.json");
        log::read(&path, options, shared.log_progress())
    }

    /// Messages of the guest's kernel: of the last run that there was.
    pub async fn console(&self, text: &str, follow: bool) -> Result<mpsc::Receiver<Bytes>, Error> {
        let shared = self.shared(text)?;
        let (sender, receiver) = mpsc::channel(4);
        let path = shared.folder(&self.cx).join("console.log");
        let mut progress = shared.console_progress();
        tokio::spawn(async move {
            let mut offset = 0;
            loop {
                let at = *progress.borrow_and_update();
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_from(&path, offset)).await;
                let Ok(Ok(bytes)) = read else { return };
                offset += bytes.len() as u64;
                if !bytes.is_empty() && sender.send(bytes).await.is_err() {
                    return;
                }
                if !follow || at.ended || progress.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    // execs

    pub fn exec_create(&self, text: &str, spec: ExecSpec) -> Result<String, Error> {
        let shared = self.shared(text)?;
        match shared.with(|record| record.state.status) {
            Status::Running => {}
            Status::Paused => {
                return Err(Error::conflict(format!(
                    "container {} is paused, unpause the container before exec",
                    shared.id
                )));
            }
            _ => return Err(exec::not_running(&shared)),
        }
        shared.execs.create(&shared.id, spec)
    }

    fn exec_owner(&self, id: &str) -> Result<Arc<Shared>, Error> {
        self.cx
            .containers()
            .values()
            .find(|shared| shared.execs.get(id).is_some())
            .cloned()
            .ok_or_else(|| Error::not_found(format!("No such exec instance: {id}")))
    }

    /// Comes back when the command runs. The exit code is there before the output ends. When the command cannot be
    /// started, that is the error, and [`Exec::exit_code`] is 126 or 127.
    pub async fn exec_start(&self, id: &str, size: Option<WindowSize>) -> Result<Attachment, Error> {
        exec::start(&*self.exec_owner(id)?, id, size).await
    }

    pub async fn exec_resize(&self, id: &str, size: WindowSize) -> Result<(), Error> {
        exec::resize(&*self.exec_owner(id)?, id, size).await
    }

    pub fn exec(&self, id: &str) -> Result<Exec, Error> {
        let owner = self.exec_owner(id)?;
        owner
            .execs
            .get(id)
            .ok_or_else(|| Error::not_found(format!("No such exec instance: {id}")))
    }

    // images

    pub fn images(&self) -> &Arc<Store> {
        &self.cx.images
    }

    pub async fn pull(
        &self,
        name: &str,
        credentials: Credentials,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Image, Error> {
        let name: Name = name.parse()?;
        let registries = &self.cx.config.registries;
        Ok(self
            .cx
            .images
            .pull(&name, registries, credentials, progress)
            .await?)
    }

    pub async fn remove_image(&self, text: &str, force: bool) -> Result<Vec<Removed>, Error> {
        let _images = self.images_lock.lock().await;
        let containers = self.containers();
        let store = Arc::clone(&self.cx.images);
        let text = text.to_owned();
        let removed = tokio::task::spawn_blocking(move || {
            store.remove(&text, force, |image_id| {
                containers
                    .iter()
                    .filter(|container| container.image_id == image_id)
                    .filter(|container| !force || container.state.status.is_up())
                    .map(|container| container.short_id().to_owned())
                    .collect()
            })
        });
        Ok(removed
            .await
            .map_err(|error| Error::from_source(ErrorKind::Failed, "removing the image", &error))??)
    }

    pub async fn summary(&self) -> Result<HostSummary, Error> {
        let containers = self.containers();
        let count = |wanted: fn(Status) -> bool| {
            containers
                .iter()
                .filter(|container| wanted(container.state.status))
                .count()
        };
        Ok(HostSummary {
            host: self.cx.hypervisor.info().clone(),
            memory: self.cx.hypervisor.memory().await?,
            running: count(|status| status == Status::Running),
            paused: count(|status| status == Status::Paused),
            stopped: count(|status| !status.is_up()),
            images: self.cx.images.list()?.len(),
            state_dir: self.cx.config.state_dir.clone(),
        })
    }

    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.cx.events.subscribe()
    }
}

/// The log first, then what comes.
fn chain(
    mut entries: mpsc::Receiver<Result<LogEntry, Error>>,
    mut output: mpsc::Receiver<Chunk>,
) -> mpsc::Receiver<Chunk> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Some(Ok(entry)) = entries.recv().await {
            let chunk = Chunk {
                source: entry.source,
                bytes: entry.bytes,
            };
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
        while let Some(chunk) = output.recv().await {
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    receiver
}

fn read_from(path: &std::path::Path, offset: u64) -> std::io::Result<Bytes> {
    let mut bytes = Vec::new();
    match fs::File::open(path) {
        Ok(mut file) => {
            file.seek(SeekFrom::Start(offset))?;
            file.read_to_end(&mut bytes)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(bytes.into())
}
