//! The facade: containers by name, execs, images.

mod create;
mod events;
mod execs;
mod floating;
mod groups;
mod networks;
mod observe;
mod output;
mod registries;
mod types;
mod update;

pub use events::{Event, Events};
pub use observe::Sample;
pub use types::{
    AttachOptions, Created, EngineConfig, Exec, ExecSpec, HostSummary, Settings, Wait, WaitCondition,
    WaitResult,
};
pub use update::Update;

use crate::container::{Command, Shared};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::hypervisor::Hypervisor as _;
use crate::leftovers::{self, Leftovers};
use crate::network::Networks;
use crate::published::Publisher;
use crate::records::{Operation, Records};
use crate::state::{Container, Status};
use crate::unwritten::{self, Unwritten};
use crate::xen_host::XenHost;
use crate::{disks, log, names, records, requests, restore};
use images::{Credentials, Image, Name, Progress, Removed, Store, User, Verified};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) cx: Arc<Context>,
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
        config.settings.log.check()?;
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
        let records = Records::open(&state_dir.join("hyper.db"))?;
        let board = hypervisor.board();
        let cx = Arc::new(Context {
            networks: Networks::open(config.network.clone(), &records)?,
            boots: Semaphore::new(hypervisor.info().cpus.max(1) as usize),
            hypervisor,
            publisher: Publisher::start(Arc::clone(&board)),
            images: Store::open(&state_dir.join("images"))?,
            leftovers: Leftovers::open(&records)?,
            records,
            unwritten: Unwritten::default(),
            settings: RwLock::new(Arc::new(config.settings.clone())),
            config,
            template,
            events: Events::open(&state_dir.join("events.json")),
            containers: Mutex::default(),
            closing: CancellationToken::new(),
        });
        tokio::spawn(unwritten::write(Arc::clone(&cx)));
        restore::restore(&cx).await?;
        tokio::spawn(leftovers::clear(Arc::clone(&cx)));
        cx.publisher.only(cx.containers().keys().cloned().collect());
        // What a pull or commit that was cut off has left; what guests have in use is known now.
        let store = Arc::clone(&cx.images);
        let collected = tokio::task::spawn_blocking(move || store.collect_garbage()).await;
        if let Ok(Err(error)) = collected {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what no image has stays on the disk"
            );
        }
        let engine = Self {
            cx,
            images_lock: Arc::default(),
        };
        tokio::spawn(requests::serve(engine.clone(), board));
        Ok(engine)
    }

    /// From now on these hold, for what begins now.
    pub fn reload(&self, settings: Settings) -> Result<(), Error> {
        settings.log.check()?;
        self.cx.set_settings(settings);
        Ok(())
    }

    pub fn settings(&self) -> Arc<Settings> {
        self.cx.settings()
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
        if !unwritten::write_all(&self.cx) {
            tracing::error!("how some containers stand could not be written and is lost with this daemon");
        }
    }

    // containers; `text` is a name, an id or the beginning of one

    pub(crate) fn shared(&self, text: &str) -> Result<Arc<Shared>, Error> {
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

    /// What a container takes of the host's disk beside its image: dom0 never looks into what it wrote.
    pub fn written_bytes(&self, container: &Container) -> u64 {
        let disk = self.cx.container_folder(&container.id).join("disk.ext4");
        disks::written_bytes(&self.cx.template, &disk)
    }

    pub fn container(&self, text: &str) -> Result<Container, Error> {
        self.shared(text).map(|shared| shared.record())
    }

    /// What a container takes of the host's disk: what it wrote, and its logs.
    pub fn disk_bytes(&self, id: &str) -> u64 {
        let entries = fs::read_dir(self.cx.container_folder(id))
            .into_iter()
            .flatten()
            .flatten();
        // Sparse files: what they have, not how long they are.
        entries
            .filter_map(|entry| entry.metadata().ok())
            .map(|file| std::os::unix::fs::MetadataExt::blocks(&file) * 512)
            .sum()
    }

    /// Path of the log, if its driver is json-file.
    pub fn log_path(&self, container: &Container) -> Option<PathBuf> {
        let in_file = container.config.host.log.driver() == "json-file";
        in_file.then(|| log::path(&self.cx.container_folder(&container.id)))
    }

    /// Execs of a container that run or are yet to; what ended can be asked for by its id.
    pub fn execs(&self, id: &str) -> Vec<String> {
        self.shared(id)
            .map(|shared| shared.execs.live_ids())
            .unwrap_or_default()
    }

    /// Asks its task. What comes of it stands in xenstore before the answer is given.
    async fn ask(&self, shared: &Shared, command: Command) -> Result<bool, Error> {
        let answer = shared.ask(command).await;
        self.cx.publisher.told().await;
        answer
    }

    /// `false`: it ran already.
    pub async fn start(&self, text: &str) -> Result<bool, Error> {
        let shared = self.shared(text)?;
        self.ask(&shared, Command::Start).await
    }

    /// `false`: it did not run. `timeout`: `None` as configured; `Some(None)` never kills.
    pub async fn stop(
        &self,
        text: &str,
        signal: Option<i32>,
        timeout: Option<Option<Duration>>,
    ) -> Result<bool, Error> {
        let shared = self.shared(text)?;
        self.end(&shared, Command::Stop { signal, timeout }).await
    }

    /// Asks for the end of a run, and tells of it.
    async fn end(&self, shared: &Shared, command: Command) -> Result<bool, Error> {
        let stopped = self.ask(shared, command).await?;
        if stopped {
            shared.tell(&self.cx, "stop", &[]);
        }
        Ok(stopped)
    }

    /// Ends all containers, as their own stop signals and timeouts say, for the time that the host is down: those that a
    /// policy keeps running the next daemon starts. Gives those that ran, and what came of it.
    pub async fn halt(&self) -> Vec<(Container, Result<(), Error>)> {
        let all: Vec<_> = self.cx.containers().values().cloned().collect();
        let halts = all.iter().map(|shared| async {
            let halted = match self.end(shared, Command::Halt).await {
                Ok(true) => Ok(()),
                Ok(false) => return None,
                Err(error) if error.kind() == ErrorKind::NotFound => return None,
                Err(error) => Err(error),
            };
            Some((shared.record(), halted))
        });
        let halted = futures_util::future::join_all(halts).await;
        halted.into_iter().flatten().collect()
    }

    pub async fn restart(
        &self,
        text: &str,
        signal: Option<i32>,
        timeout: Option<Option<Duration>>,
    ) -> Result<(), Error> {
        let shared = self.shared(text)?;
        let operation = self.cx.records.begin(&Operation::Restart {
            container: shared.id.clone(),
        })?;
        let restarted = self.ask(&shared, Command::Restart { signal, timeout }).await;
        // One that cannot be written is done once more at the next start, as is one that this daemon has no time for.
        if !self.cx.closing.is_cancelled() {
            let _ = self.cx.records.finish(operation);
        }
        restarted?;
        shared.tell(&self.cx, "restart", &[]);
        Ok(())
    }

    pub async fn kill(&self, text: &str, signal: i32) -> Result<(), Error> {
        let shared = self.shared(text)?;
        self.ask(&shared, Command::Kill { signal }).await.map(drop)
    }

    pub async fn pause(&self, text: &str) -> Result<(), Error> {
        let shared = self.shared(text)?;
        self.ask(&shared, Command::Pause).await.map(drop)
    }

    pub async fn unpause(&self, text: &str) -> Result<(), Error> {
        let shared = self.shared(text)?;
        self.ask(&shared, Command::Unpause).await.map(drop)
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
        // It is renamed, whatever of this fails.
        if let Err(error) = self.cx.networks.renamed(&shared.record()).await {
            tracing::error!(container = shared.id, %error, "paths to a container may be those of its old name");
        }
        self.ask(&shared, Command::Renamed).await?;
        shared.tell(&self.cx, "rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }

    pub async fn remove(&self, text: &str, force: bool) -> Result<(), Error> {
        let shared = self.shared(text)?;
        self.ask(&shared, Command::Remove { force }).await.map(drop)
    }

    pub fn wait(&self, text: &str, condition: WaitCondition) -> Result<Wait, Error> {
        let shared = self.shared(text)?;
        let life = shared.life.subscribe();
        // Before the state: an end in between is told at once, and not missed.
        let ended_runs = life.borrow().ended_runs;
        let state = shared.with(|record| record.state.clone());
        let now =
            (condition == WaitCondition::NotRunning && !state.status.is_running()).then(|| WaitResult {
                exit_code: state.exit_code,
                // Why it could not be started; how a run ended is no error of the wait.
                error: Some(state.error).filter(|error| !error.is_empty() && state.finished_at.is_none()),
            });
        Ok(Wait {
            life,
            condition,
            ended_runs,
            now,
        })
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
        let settings = self.cx.settings();
        let image = self
            .cx
            .images
            .pull(&name, &settings.registries, credentials, progress)
            .await?;
        self.tell_image("pull", &name.to_string(), &name.repository(), Some(&image));
        Ok(image)
    }

    /// Whether a registry accepts the credentials; it is asked now, and nothing is kept.
    pub async fn login(&self, registry: &str, credentials: Credentials) -> Result<(), Error> {
        let settings = self.cx.settings();
        Ok(settings.registries.login(registry, credentials).await?)
    }

    /// Reads all images, or one, and compares their digests.
    pub async fn verify_images(&self, text: Option<String>) -> Result<Vec<Verified>, Error> {
        let store = Arc::clone(&self.cx.images);
        let verified = tokio::task::spawn_blocking(move || store.verify(text.as_deref()));
        Ok(verified
            .await
            .map_err(|error| Error::from_source(ErrorKind::Failed, "verifying the images", &error))??)
    }

    /// Removes a name of an image, or all of it; containers that use it keep it.
    pub async fn remove_image(&self, text: &str, force: bool) -> Result<Vec<Removed>, Error> {
        let _images = self.images_lock.lock().await;
        let containers = self.containers();
        let store = Arc::clone(&self.cx.images);
        let image = store.find(text).ok();
        let text = text.to_owned();
        let removed = tokio::task::spawn_blocking(move || {
            store.remove(&text, force, |image_id| {
                containers
                    .iter()
                    .filter(|container| container.image_id == image_id)
                    .map(|container| User {
                        container: container.short_id().to_owned(),
                        is_running: container.state.status.is_running(),
                    })
                    .collect()
            })
        });
        let removed = removed
            .await
            .map_err(|error| Error::from_source(ErrorKind::Failed, "removing the image", &error))??;
        self.tell_removed(image.as_ref(), &removed);
        Ok(removed)
    }

    /// Removes an image that no container uses, nobody is making and, unless `named_too`, has no name; gives nothing
    /// when it stays.
    pub async fn prune_image(&self, image: &Image, named_too: bool) -> Result<Vec<Removed>, Error> {
        let _images = self.images_lock.lock().await;
        let containers = self.containers();
        if containers.iter().any(|container| container.image_id == image.id) {
            return Ok(Vec::new());
        }
        let (store, id) = (Arc::clone(&self.cx.images), image.id.clone());
        let removed = tokio::task::spawn_blocking(move || store.prune(&id, named_too));
        let removed = removed
            .await
            .map_err(|error| Error::from_source(ErrorKind::Failed, "removing the image", &error))??;
        self.tell_removed(Some(image), &removed);
        Ok(removed)
    }

    fn tell_removed(&self, image: Option<&Image>, removed: &[Removed]) {
        let (untagged, deleted): (Vec<_>, Vec<_>) = removed
            .iter()
            .partition(|one| matches!(one, Removed::Untagged(_)));
        let id = image.map_or("", |image| &image.id);
        for _ in untagged {
            self.tell_image("untag", id, id, image);
        }
        // The first is the image, the others are what it was made of.
        if let Some(Removed::Deleted(id)) = deleted.first() {
            self.tell_image("delete", id, id, image);
        }
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
}
