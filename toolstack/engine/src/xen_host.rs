//! The hypervisor trait over Xen.

use crate::devices::SharedDevices;
use crate::error::{Error, ErrorKind};
use crate::hypervisor::{
    Board, Change, Ended, Guest, GuestLink, GuestType, GuestUsage, HostInfo, Hypervisor, MemoryInfo,
};
use crate::plan::{Plan, PlannedNic};
use async_trait::async_trait;
use guest_protocol::ring::SharedMemory;
use std::io;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;
use xen::{
    Disk, Domain, DomainConfig, DomainError, DomainState, Host, Kernel, Link, Nic, Store, StoreChange,
};

/// `SHUTDOWN_crash` of xen/sched.h.
const SHUTDOWN_CRASH: u32 = 3;

pub struct XenHost {
    host: Arc<Host>,
    info: HostInfo,
    kernel: Arc<Kernel>,
    shared: SharedDevices,
    /// Turns of guests that are built, one for each processor of dom0: more would wait for each other all the same, in the
    /// memory map of this process, which has their pages meanwhile, and everything else here with them.
    builds: Semaphore,
    /// Counts up whenever some domain has ended.
    released: watch::Receiver<u64>,
}

fn xen_type(guest_type: GuestType) -> xen::GuestType {
    match guest_type {
        GuestType::Pv => xen::GuestType::Pv,
        GuestType::Pvh => xen::GuestType::Pvh,
    }
}

fn nic(planned: &PlannedNic) -> Nic {
    Nic {
        mac: planned.mac.0,
        bridge: planned.bridge.clone(),
        mtu: planned.mtu,
        bytes_per_second: planned.rate.map(|rate| rate.bytes_per_second),
    }
}

fn failed(what: &str) -> impl Fn(DomainError) -> Error {
    let what = what.to_owned();
    move |error| {
        let kind = match &error {
            DomainError::NoMemory { .. } => ErrorKind::Unavailable,
            DomainError::Unsupported(_) | DomainError::CommandLine => ErrorKind::Invalid,
            _ => ErrorKind::Failed,
        };
        Error::from_source(kind, &what, &error)
    }
}

fn other(what: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    Error::from_source(ErrorKind::Failed, what, error)
}

fn info_of(host: &Host) -> HostInfo {
    let info = host.info();
    let all = [(GuestType::Pvh, info.pvh), (GuestType::Pv, info.pv)];
    HostInfo {
        xen_version: info.version.clone(),
        xen_full_version: info.full_version.clone(),
        cpus: info.cpus,
        guest_types: all
            .into_iter()
            .filter_map(|(guest_type, can)| can.then_some(guest_type))
            .collect(),
    }
}

/// Looks at the host and changes nothing, beside an engine that may run.
pub async fn probe() -> Result<(HostInfo, MemoryInfo), Error> {
    let unavailable =
        |error: &(dyn std::error::Error + 'static)| Error::from_source(ErrorKind::Unavailable, "", error);
    let host = Host::open().await.map_err(|error| unavailable(&error))?;
    let memory = host.memory().await.map_err(|error| unavailable(&error))?;
    let memory = MemoryInfo {
        total_bytes: memory.total_bytes,
        free_bytes: memory.free_bytes,
    };
    Ok((info_of(&host), memory))
}

impl XenHost {
    pub async fn open(kernel: &Path, initramfs: &Path) -> Result<Arc<Self>, Error> {
        let host = Host::open()
            .await
            .map_err(|error| Error::from_source(ErrorKind::Unavailable, "", &error))?;
        let kernel = Kernel::read(kernel, initramfs).map_err(failed("the guests' kernel"))?;
        let info = info_of(&host);
        for error in xen::release_all() {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "devices of an earlier run"
            );
        }
        let mut watch = host
            .store()
            .watch("@releaseDomain")
            .await
            .map_err(|error| other("", &error))?;
        let (sender, released) = watch::channel(0);
        tokio::spawn(async move {
            while watch.changed().await && !sender.is_closed() {
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Arc::new(Self {
            host,
            info,
            kernel: Arc::new(kernel),
            shared: SharedDevices::default(),
            builds: Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)),
            released,
        }))
    }

    /// Attaches the plan's disks; read-only ones once for all guests.
    async fn attach(self: &Arc<Self>, plan: &Plan, find: bool) -> Result<Vec<Disk>, Error> {
        let host = Arc::clone(self);
        let planned = plan.disks.clone();
        let attached = tokio::task::spawn_blocking(move || {
            let attached = planned.iter().map(|disk| host.shared.attach(disk, find));
            attached.collect::<Result<Vec<_>, _>>()
        });
        attached
            .await
            .unwrap_or_else(|error| Err(other("attaching the disks", &error)))
    }

    fn guest(&self, domain: Domain) -> Arc<dyn Guest> {
        Arc::new(XenGuest {
            host: Arc::clone(&self.host),
            domain,
            released: self.released.clone(),
        })
    }
}

#[async_trait]
impl Hypervisor for Arc<XenHost> {
    fn info(&self) -> &HostInfo {
        &self.info
    }

    async fn memory(&self) -> Result<MemoryInfo, Error> {
        let memory = self.host.memory().await.map_err(|error| other("", &error))?;
        Ok(MemoryInfo {
            total_bytes: memory.total_bytes,
            free_bytes: memory.free_bytes,
        })
    }

    async fn build(&self, plan: &Plan) -> Result<Arc<dyn Guest>, Error> {
        let config = DomainConfig {
            uuid: plan.uuid,
            name: plan.name.clone(),
            guest_type: xen_type(plan.guest_type),
            memory_mib: plan.memory_mib,
            vcpus: plan.vcpus,
            cmdline: plan.cmdline.clone(),
            kernel: Arc::clone(&self.kernel),
            disks: self.attach(plan, false).await?,
            nics: plan.nics.iter().map(nic).collect(),
        };
        let domain = {
            let _turn = self.builds.acquire().await;
            self.host.create(config).await.map_err(failed(""))?
        };
        let timings = domain.timings;
        tracing::debug!(domid = domain.domid(), build = ?timings.build, store = ?timings.store, "domain built");
        Ok(self.guest(domain))
    }

    async fn guests(&self) -> Result<Vec<(u32, Uuid)>, Error> {
        self.host
            .domains()
            .await
            .map_err(|error| other("cannot list the domains", &error))
    }

    async fn adopt(&self, domid: u32, plan: &Plan) -> Result<Arc<dyn Guest>, Error> {
        let disks = self.attach(plan, true).await?;
        Ok(self.guest(self.host.adopt(domid, plan.uuid, disks)))
    }

    fn interface(&self, domid: u32, index: u32) -> String {
        xen::vif_name(domid, index)
    }

    fn board(&self) -> Arc<dyn Board> {
        Arc::new(StoreBoard(self.host.store().clone()))
    }

    async fn usage(&self, domid: u32) -> Result<Option<GuestUsage>, Error> {
        let usage = self.host.usage(domid).await;
        let usage = usage.map_err(|error| other("cannot tell what the domain uses", &error))?;
        Ok(usage.map(|usage| GuestUsage {
            cpu: usage.cpu,
            vcpus: usage.vcpus,
            memory_bytes: usage.memory_bytes,
            disks: usage.disks,
            nics: usage.nics,
        }))
    }

    async fn sweep(&self, domid: u32, uuid: Uuid) -> Vec<Error> {
        let errors = self.host.adopt(domid, uuid, Vec::new()).destroy().await;
        errors.into_iter().map(failed("")).collect()
    }
}

struct StoreBoard(Store);

#[async_trait]
impl Board for StoreBoard {
    async fn read(&self, path: &str) -> Result<Option<String>, Error> {
        self.0.read(path).await.map_err(|error| other("", &error))
    }

    async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        self.0.list(path).await.map_err(|error| other("", &error))
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), Error> {
        let changes = changes.into_iter().map(|change| match change {
            Change::Write(path, value) => StoreChange::write(&path, &value),
            Change::Remove(path) => StoreChange::remove(&path),
        });
        self.0
            .commit(changes.collect())
            .await
            .map_err(|error| other("", &error))
    }

    async fn watch(&self, path: &str) -> Result<watch::Receiver<u64>, Error> {
        let mut watch = self.0.watch(path).await.map_err(|error| other("", &error))?;
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    // Nobody looks any more.
                    () = sender.closed() => return,
                    changed = watch.changed() => match changed {
                        true => sender.send_modify(|count| *count += 1),
                        false => return,
                    },
                }
            }
        });
        Ok(receiver)
    }
}

struct XenGuest {
    host: Arc<Host>,
    domain: Domain,
    released: watch::Receiver<u64>,
}

#[async_trait]
impl Guest for XenGuest {
    fn domid(&self) -> u32 {
        self.domain.domid()
    }

    fn uuid(&self) -> Uuid {
        self.domain.uuid()
    }

    async fn unpause(&self) -> Result<(), Error> {
        self.domain.unpause().await.map_err(|error| other("", &error))
    }

    async fn pause(&self) -> Result<(), Error> {
        self.domain.pause().await.map_err(|error| other("", &error))
    }

    async fn is_paused(&self) -> Result<bool, Error> {
        self.domain.is_paused().await.map_err(|error| other("", &error))
    }

    async fn console(&self) -> Result<Vec<u8>, Error> {
        self.domain
            .console()
            .map_err(|error| other("cannot read the console", &error))
    }

    async fn rename(&self, name: &str) -> Result<(), Error> {
        self.domain
            .rename(name)
            .await
            .map_err(|error| other("cannot rename the domain", &error))
    }

    async fn plug_nic(&self, index: u32, planned: &PlannedNic) -> Result<(), Error> {
        self.domain
            .plug_nic(index, &nic(planned))
            .await
            .map_err(failed(""))
    }

    async fn unplug_nic(&self, index: u32) -> Vec<Error> {
        self.domain
            .unplug_nic(index)
            .await
            .into_iter()
            .map(failed(""))
            .collect()
    }

    async fn ended(&self) -> Ended {
        let mut released = self.released.clone();
        loop {
            released.mark_unchanged();
            match self.domain.state().await {
                Ok(DomainState::Alive) => {}
                Ok(DomainState::Gone) => return Ended::Destroyed,
                Ok(DomainState::Down {
                    reason: SHUTDOWN_CRASH,
                }) => return Ended::Crashed,
                Ok(DomainState::Down { .. }) => return Ended::ShutDown,
                Err(error) => tracing::error!(domid = self.domain.domid(), %error, "domain state unknown"),
            }
            if released.changed().await.is_err() {
                // xenstored is gone: nothing more will be told.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn link(&self) -> Result<Box<dyn GuestLink>, Error> {
        let link = Link::accept(&self.host, self.domain.domid())
            .await
            .map_err(|error| other("the link to the guest", &error))?;
        Ok(Box::new(XenLink(link)))
    }

    async fn destroy(&self) -> Vec<Error> {
        self.domain.destroy().await.into_iter().map(failed("")).collect()
    }
}

struct XenLink(Link);

#[async_trait]
impl GuestLink for XenLink {
    fn memory(&self) -> &(dyn SharedMemory + Send + Sync) {
        &self.0.memory
    }

    fn notify(&self) -> io::Result<()> {
        self.0.notify()
    }

    async fn notified(&self) -> io::Result<()> {
        self.0.notified().await
    }
}
