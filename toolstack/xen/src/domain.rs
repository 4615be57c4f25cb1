//! Building guests and taking them down.

use crate::calls::{Build, Built, CallError, Create};
use crate::device::{Disk, Nic, Nodes};
use crate::store::{Access, Store, StoreChange, StoreError};
use crate::vif::{self, VifError};
use crate::{DomId, Host, acpi, console};
use std::ffi::CString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestType {
    /// Paravirtualised: needs nothing of the processor.
    Pv,
    /// Hardware-virtualised without emulated devices.
    Pvh,
}

impl fmt::Display for GuestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pv => "pv",
            Self::Pvh => "pvh",
        })
    }
}

impl FromStr for GuestType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pv" => Ok(Self::Pv),
            "pvh" => Ok(Self::Pvh),
            _ => Err(format!("guest type {text:?} is unknown: it is pv or pvh")),
        }
    }
}

/// Kernel and initramfs, read once and used for every guest.
#[derive(Debug)]
pub struct Kernel {
    image: Vec<u8>,
    initramfs: Vec<u8>,
}

impl Kernel {
    pub fn read(kernel: &Path, initramfs: &Path) -> Result<Self, DomainError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| DomainError::Read {
                path: path.to_owned(),
                source,
            })
        };
        Ok(Self {
            image: read(kernel)?,
            initramfs: read(initramfs)?,
        })
    }
}

/// How long a guest is asked to let go of a device before it is taken.
const LET_GO: Duration = Duration::from_secs(5);
/// What netback takes at most to end an interface, by itself, on a busy host.
const NETBACK_ENDS: Duration = Duration::from_secs(60);

/// Everything a guest is.
#[derive(Debug, Clone)]
pub struct DomainConfig {
    pub uuid: Uuid,
    /// What `xl list` shows.
    pub name: String,
    pub guest_type: GuestType,
    pub memory_mib: u64,
    pub vcpus: u32,
    pub cmdline: String,
    pub kernel: Arc<Kernel>,
    /// xvda, xvdb, …
    pub disks: Vec<Disk>,
    pub nics: Vec<Nic>,
}

#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("this host cannot run {0} guests: {reason}", reason = match .0 {
        GuestType::Pvh => "its processor has no hardware virtualisation, or it is off; PV guests run everywhere",
        GuestType::Pv => "its Xen was built without them",
    })]
    Unsupported(GuestType),
    #[error("not enough memory: {needed_mib} MiB are needed, {free_mib} MiB of the host are free")]
    NoMemory { needed_mib: u64, free_mib: u64 },
    #[error("the kernel command line has a NUL byte")]
    CommandLine,
    #[error("cannot build the domain")]
    Build(#[from] CallError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot connect a network interface")]
    Vif(#[from] VifError),
}

/// How long the parts of a create took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    pub build: Duration,
    pub store: Duration,
    pub devices: Duration,
}

/// What Xen says of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainState {
    Alive,
    /// It shut down or crashed by itself and waits to be destroyed.
    Down {
        reason: u32,
    },
    Gone,
}

/// A domain that exists. Dropping this value leaves it running: [`Domain::destroy`] ends it.
pub struct Domain {
    host: Arc<Host>,
    domid: DomId,
    uuid: Uuid,
    /// Held as long as the domain may use them.
    disks: Mutex<Vec<Disk>>,
    pub timings: Timings,
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain")
            .field("domid", &self.domid)
            .field("uuid", &self.uuid)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Builds a guest, paused, its devices ready. What was made is undone when a step fails.
    pub async fn create(self: &Arc<Self>, config: DomainConfig) -> Result<Domain, DomainError> {
        if !self.supports(config.guest_type) {
            return Err(DomainError::Unsupported(config.guest_type));
        }
        let pvh = config.guest_type == GuestType::Pvh;
        let started = Instant::now();
        let cmdline = CString::new(config.cmdline.clone()).map_err(|_| DomainError::CommandLine)?;
        let shadow_mib = if pvh {
            shadow_mib(config.memory_mib, config.vcpus)
        } else {
            0
        };
        let needed_mib = config.memory_mib + u64::from(shadow_mib) + 4;
        let kernel = Arc::clone(&config.kernel);
        let create = Create {
            uuid: *config.uuid.as_bytes(),
            vcpus: config.vcpus,
            pvh,
            hap: self.hap(),
        };
        let (memory_mib, vcpus) = (config.memory_mib, config.vcpus);
        let built = self
            .call(move |calls| {
                let free_mib = calls.physical()?.free_bytes >> 20;
                if free_mib < needed_mib {
                    return Ok(Err(DomainError::NoMemory { needed_mib, free_mib }));
                }
                let domid = calls.create(&create)?;
                let tables = if pvh { acpi::tables(vcpus) } else { Vec::new() };
                let built = calls.build(&Build {
                    domid,
                    pvh,
                    memory_mib,
                    vcpus,
                    kernel: &kernel.image,
                    initramfs: &kernel.initramfs,
                    cmdline: &cmdline,
                    acpi: &tables,
                    shadow_mib,
                });
                match built {
                    Ok(built) => Ok(Ok((domid, built))),
                    Err(error) => {
                        if let Err(error) = calls.destroy(domid) {
                            tracing::error!(domid, %error, "domain cannot be destroyed");
                        }
                        Err(error)
                    }
                }
            })
            .await??;
        let (domid, built) = built;
        let build_time = started.elapsed();

        let mut domain = Domain {
            host: Arc::clone(self),
            domid,
            uuid: config.uuid,
            disks: Mutex::new(config.disks.clone()),
            timings: Timings {
                build: build_time,
                ..Timings::default()
            },
        };
        match domain.introduce(&config, &built).await {
            Ok(()) => Ok(domain),
            Err(error) => {
                for error in domain.destroy().await {
                    tracing::error!(domid, %error, "undoing a create");
                }
                Err(error)
            }
        }
    }

    /// A domain of ours that exists already.
    pub fn adopt(self: &Arc<Self>, domid: DomId, uuid: Uuid, disks: Vec<Disk>) -> Domain {
        Domain {
            host: Arc::clone(self),
            domid,
            uuid,
            disks: Mutex::new(disks),
            timings: Timings::default(),
        }
    }

    /// Domain numbers and UUIDs of all guests, those that shut down included.
    pub async fn domains(self: &Arc<Self>) -> Result<Vec<(DomId, Uuid)>, CallError> {
        let listed = self.list().await?;
        Ok(listed
            .into_iter()
            .filter(|listed| listed.domid != 0 && !listed.dying)
            .map(|listed| (listed.domid, Uuid::from_bytes(listed.uuid)))
            .collect())
    }
}

/// Memory Xen keeps for a guest's page tables, as xl counts it.
fn shadow_mib(memory_mib: u64, vcpus: u32) -> u32 {
    let kib = 4 * (256 * u64::from(vcpus) + 2 * memory_mib);
    kib.div_ceil(1024) as u32
}

impl Domain {
    pub fn domid(&self) -> DomId {
        self.domid
    }

    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    pub async fn unpause(&self) -> Result<(), CallError> {
        let domid = self.domid;
        self.host.call(move |calls| calls.unpause(domid)).await
    }

    /// What `xl list` shows from now on.
    pub async fn rename(&self, name: &str) -> Result<(), StoreError> {
        let paths = [
            format!("/local/domain/{}/name", self.domid),
            format!("/vm/{}/name", self.uuid),
        ];
        let changes = paths.map(|path| StoreChange::write(&path, name));
        self.host.store().make(changes.into()).await
    }

    pub async fn pause(&self) -> Result<(), CallError> {
        let domid = self.domid;
        self.host.call(move |calls| calls.pause(domid)).await
    }

    /// Its processors stand still, as [`Domain::pause`] makes them.
    pub async fn is_paused(&self) -> Result<bool, CallError> {
        let listed = self.host.listed(self.domid).await?;
        Ok(listed.is_some_and(|listed| listed.paused))
    }

    /// The last it has written to its console. xenconsoled has taken it already, but the ring still has it.
    pub fn console(&self) -> io::Result<Vec<u8>> {
        console::output(&self.host.grants, self.domid)
    }

    pub async fn state(&self) -> Result<DomainState, CallError> {
        Ok(match self.host.listed(self.domid).await? {
            Some(listed) if listed.uuid != *self.uuid.as_bytes() || listed.dying => DomainState::Gone,
            Some(listed) => listed
                .shutdown
                .map_or(DomainState::Alive, |reason| DomainState::Down { reason }),
            None => DomainState::Gone,
        })
    }

    /// Writes the guest's part of xenstore and connects its backends.
    async fn introduce(&mut self, config: &DomainConfig, built: &Built) -> Result<(), DomainError> {
        let started = Instant::now();
        let store = self.host.store().clone();
        let domid = self.domid;
        let disks = config
            .disks
            .iter()
            .enumerate()
            .map(|(index, disk)| disk.nodes(domid, index));
        let nics = config
            .nics
            .iter()
            .enumerate()
            .map(|(index, nic)| nic.nodes(domid, index));
        let devices: Vec<Nodes> = disks.chain(nics).collect();

        let home = format!("/local/domain/{domid}");
        let vm = format!("/vm/{}", self.uuid);
        let owned = [
            "data",
            "control/shutdown",
            "control/sysrq",
            "control/feature-poweroff",
            "control/feature-reboot",
            "control/feature-suspend",
        ]
        .map(|key| (format!("{home}/{key}"), Access::Owner(domid)));
        // First, since all that is made below inherits it: a guest lists `device` to find its devices.
        let mut changes: Vec<_> = [&home, &vm]
            .into_iter()
            .flat_map(|path| StoreChange::grant(path, Access::Reader(domid)))
            .chain(
                owned
                    .iter()
                    .flat_map(|(path, access)| StoreChange::grant(path, *access)),
            )
            .collect();
        let entries = entries(&home, &vm, config, built, domid);
        changes.extend(
            entries
                .iter()
                .map(|(path, value)| StoreChange::write(path, value)),
        );
        changes.extend(devices.iter().flat_map(Nodes::changes));
        changes.push(StoreChange::introduce(domid, built.store_frame, built.store_port));
        store.make(changes).await?;
        self.timings.store = started.elapsed();

        let started = Instant::now();
        for (number, nic) in config.nics.iter().enumerate() {
            let backend = &devices[config.disks.len() + number].backend;
            vif::connect(&store, domid, number, nic, backend).await?;
        }
        self.timings.devices = started.elapsed();
        Ok(())
    }

    /// Gives it one more network interface; it is there once the guest has connected it.
    pub async fn plug_nic(&self, number: u32, nic: &Nic) -> Result<(), DomainError> {
        let store = self.host.store();
        let nodes = nic.nodes(self.domid, number as usize);
        // As one: of each change that it is told, dom0's kernel asks whether there is a device yet.
        store.commit(nodes.changes().collect()).await?;
        vif::connect(store, self.domid, number as usize, nic, &nodes.backend).await?;
        Ok(vif::connected(store, &nodes.backend).await?)
    }

    /// Takes a network interface away: the guest is asked to let go, and has to after some time.
    pub async fn unplug_nic(&self, number: u32) -> Vec<DomainError> {
        let store = self.host.store();
        let backend = format!("/local/domain/0/backend/vif/{}/{number}", self.domid);
        let mut errors = Vec::new();
        match tokio::time::timeout(LET_GO, vif::let_go(store, &backend)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => errors.push(error.into()),
            Err(_) => tracing::warn!(
                domid = self.domid,
                number,
                "the guest does not let go of an interface"
            ),
        }
        for path in [
            backend,
            format!("/local/domain/{}/device/vif/{number}", self.domid),
        ] {
            errors.extend(store.remove(&path).await.err().map(DomainError::Store));
        }
        let name = vif::name(self.domid, number);
        errors.extend(interfaces_gone(|other| other == name).await);
        errors
    }

    /// Ends the domain and removes all of it. Goes on after an error and gives all of them.
    pub async fn destroy(&self) -> Vec<DomainError> {
        let mut errors = Vec::new();
        let domid = self.domid;
        match self.host.listed(domid).await {
            // Numbers come again, at the latest when the host starts anew: what has it now is none of ours.
            Ok(Some(listed)) if listed.uuid != *self.uuid.as_bytes() => {
                let vm = format!("/vm/{}", self.uuid);
                errors.extend(self.host.store().remove(&vm).await.err().map(DomainError::Store));
                self.disks.lock().unwrap_or_else(PoisonError::into_inner).clear();
                return errors;
            }
            Ok(Some(listed)) if !listed.dying => {
                if let Err(error) = self.host.call(move |calls| calls.destroy(domid)).await {
                    errors.push(error.into());
                }
            }
            Ok(_) => {}
            // Without its word nothing else is touched.
            Err(error) => return vec![error.into()],
        }
        errors.extend(
            remove_nodes(self.host.store(), domid, self.uuid)
                .await
                .into_iter()
                .map(DomainError::Store),
        );
        let prefix = vif::name_prefix(domid);
        errors.extend(interfaces_gone(|name| name.starts_with(&prefix)).await);
        self.disks.lock().unwrap_or_else(PoisonError::into_inner).clear();
        errors
    }
}

/// Netback lets go by itself once its nodes are gone, unless something is wrong with it.
async fn interfaces_gone(is_it: impl Fn(&str) -> bool) -> Option<DomainError> {
    match tokio::time::timeout(NETBACK_ENDS, vif::gone(is_it)).await {
        Ok(gone) => gone.err().map(DomainError::from),
        Err(_) => Some(VifError::Left.into()),
    }
}

/// What every guest has, where `xl`, xenconsoled and the guest look for it.
fn entries(
    home: &str,
    vm: &str,
    config: &DomainConfig,
    built: &Built,
    domid: DomId,
) -> Vec<(String, String)> {
    let memory_kib = (config.memory_mib << 10).to_string();
    let mut entries = Vec::new();
    let mut put = |key: &str, value: &str| entries.push((format!("{home}/{key}"), value.to_owned()));
    put("vm", vm);
    put("name", &config.name);
    put("domid", &domid.to_string());
    put("memory/static-max", &memory_kib);
    put("memory/target", &memory_kib);
    put("memory/videoram", "0");
    for vcpu in 0..config.vcpus {
        put(&format!("cpu/{vcpu}/availability"), "online");
    }
    put("store/ring-ref", &built.store_frame.to_string());
    put("store/port", &built.store_port.to_string());
    put("console/ring-ref", &built.console_frame.to_string());
    put("console/port", &built.console_port.to_string());
    put("console/type", "xenconsoled");
    put("console/output", "pty");
    put("console/limit", "1048576");
    put("console/tty", "");
    entries.push((format!("{vm}/uuid"), config.uuid.to_string()));
    entries.push((format!("{vm}/name"), config.name.clone()));
    // What `xl console` asks to know which console is the guest's.
    entries.push((format!("/libxl/{domid}/type"), config.guest_type.to_string()));
    entries
}

/// Removes everything of a domain from xenstore; its backends let go of their devices then.
async fn remove_nodes(store: &Store, domid: DomId, uuid: Uuid) -> Vec<StoreError> {
    let mut errors = Vec::new();
    let mut paths = Vec::new();
    for kind in ["vbd", "vif"] {
        paths.push(format!("/local/domain/0/backend/{kind}/{domid}"));
    }
    paths.extend([
        format!("/local/domain/{domid}"),
        format!("/libxl/{domid}"),
        format!("/vm/{uuid}"),
    ]);
    for removed in futures_util::future::join_all(paths.iter().map(|path| store.remove(path))).await {
        errors.extend(removed.err());
    }
    errors
}
