//! The Xen that runs here, and what it can do.

use crate::calls::{self, CallError, Calls, Listed, OpenError, SUPPORTED};
use crate::grant::Grants;
use crate::store::{Store, StoreError};
use crate::{DomId, GuestType};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use xen_sys::stable;

/// Why this machine cannot run guests. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("no Xen here: this system does not run under Xen; boot it as the dom0 of a Xen host")]
    NoXen,
    #[error("not in dom0: this is a guest of Xen; Hyper runs in the control domain")]
    NotDom0,
    #[error("root is needed to control Xen")]
    NotRoot,
    #[error("Xen {version} is not supported: there is support for {}", supported())]
    UnknownVersion { version: String },
    #[error("Xen's libraries do not work: install the xen-utils of Xen {version}")]
    Libraries {
        version: String,
        #[source]
        source: OpenError,
    },
    #[error("{library} is missing: install Xen's libraries")]
    Library {
        library: &'static str,
        #[source]
        source: xen_sys::LoadError,
    },
    #[error("xenstore does not answer: is xenstored running?")]
    Store(#[source] StoreError),
    #[error("cannot read {path}")]
    Read {
        path: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("Xen refused")]
    Call(#[from] CallError),
}

fn supported() -> String {
    let versions: Vec<_> = SUPPORTED
        .iter()
        .map(|(major, minor)| format!("{major}.{minor}"))
        .collect();
    versions.join(" and ")
}

/// What the host is; does not change while it runs.
#[derive(Debug, Clone)]
pub struct HostInfo {
    /// As `4.20`.
    pub version: String,
    /// As `4.20.5-pre`.
    pub full_version: String,
    pub cpus: u32,
    pub pv: bool,
    pub pvh: bool,
    hap: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct MemoryInfo {
    pub total_bytes: u64,
    pub free_bytes: u64,
}

/// An open Xen.
pub struct Host {
    info: HostInfo,
    version: (u32, u32),
    store: Store,
    pub(crate) grants: Grants,
    pub(crate) event_channels: Arc<stable::Evtchn>,
    /// Control interfaces that nobody uses now.
    idle: Mutex<Vec<Box<dyn Calls>>>,
}

/// `XENFEAT_dom0`, xen/features.h.
const FEATURE_DOM0: u32 = 11;

/// Also in a service, whose `/proc` may be one without xenfs: so does systemd 252 with `ProtectControlGroups=`.
fn is_dom0() -> bool {
    let reads = |path| fs::read_to_string(path).unwrap_or_default();
    let features = u32::from_str_radix(reads("/sys/hypervisor/properties/features").trim(), 16);
    reads("/proc/xen/capabilities").contains("control_d")
        || features.is_ok_and(|features| features & 1 << FEATURE_DOM0 != 0)
}

impl Host {
    /// Opens Xen, or says why that cannot be.
    pub async fn open() -> Result<Arc<Self>, HostError> {
        if !Path::new("/sys/hypervisor/type").exists() || read("/sys/hypervisor/type")? != "xen" {
            return Err(HostError::NoXen);
        }
        if !is_dom0() {
            return Err(HostError::NotDom0);
        }
        if !rustix::process::geteuid().is_root() {
            return Err(HostError::NotRoot);
        }
        let major = read("/sys/hypervisor/version/major")?;
        let minor = read("/sys/hypervisor/version/minor")?;
        let extra = read("/sys/hypervisor/version/extra")?;
        let version = format!("{major}.{minor}");
        let unknown = || HostError::UnknownVersion {
            version: version.clone(),
        };
        let numbers = (
            major.parse().map_err(|_| unknown())?,
            minor.parse().map_err(|_| unknown())?,
        );
        let mut calls = calls::open(numbers.0, numbers.1)
            .ok_or_else(unknown)?
            .map_err(|source| HostError::Libraries {
                version: version.clone(),
                source,
            })?;
        let physical = calls.physical()?;

        let library = "libxenevtchn.so.1";
        // SAFETY: a library of Xen's with a stable interface and no unsound initialisers.
        let event_channels = unsafe { stable::Evtchn::new(library) }
            .map_err(|source| HostError::Library { library, source })?;
        let library = "libxengnttab.so.1";
        let grants = Grants::open(library).map_err(|source| HostError::Library { library, source })?;
        Ok(Arc::new(Self {
            info: HostInfo {
                full_version: format!("{version}{extra}"),
                version,
                cpus: physical.cpus,
                pv: physical.pv,
                pvh: physical.hvm,
                hap: physical.hap,
            },
            version: numbers,
            store: Store::open().await.map_err(HostError::Store)?,
            grants,
            event_channels: Arc::new(event_channels),
            idle: Mutex::new(vec![calls]),
        }))
    }

    pub fn info(&self) -> &HostInfo {
        &self.info
    }

    pub(crate) fn hap(&self) -> bool {
        self.info.hap
    }

    /// Whether this host runs guests of a type.
    pub fn supports(&self, guest_type: GuestType) -> bool {
        match guest_type {
            GuestType::Pv => self.info.pv,
            GuestType::Pvh => self.info.pvh,
        }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub async fn memory(self: &Arc<Self>) -> Result<MemoryInfo, CallError> {
        self.call(|calls| calls.physical())
            .await
            .map(|physical| MemoryInfo {
                total_bytes: physical.total_bytes,
                free_bytes: physical.free_bytes,
            })
    }

    /// All domains.
    pub(crate) async fn list(self: &Arc<Self>) -> Result<Vec<Listed>, CallError> {
        self.call(|calls| calls.list(0)).await
    }

    pub(crate) async fn listed(self: &Arc<Self>, domid: DomId) -> Result<Option<Listed>, CallError> {
        Ok(self
            .call(move |calls| calls.list(domid))
            .await?
            .into_iter()
            .find(|listed| listed.domid == domid))
    }

    /// Runs a blocking call on a control interface of its own.
    pub(crate) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl FnOnce(&mut dyn Calls) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let host = Arc::clone(self);
        let joined = tokio::task::spawn_blocking(move || {
            let mut calls = host.take()?;
            let result = call(calls.as_mut());
            host.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(calls);
            result
        });
        joined.await.unwrap_or_else(|error| {
            Err(CallError {
                call: "a call into Xen",
                source: io::Error::other(error),
            })
        })
    }

    fn take(&self) -> Result<Box<dyn Calls>, CallError> {
        if let Some(calls) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(calls);
        }
        let opened = calls::open(self.version.0, self.version.1);
        opened
            .unwrap_or_else(|| Err(OpenError::Interface(io::Error::from(io::ErrorKind::Unsupported))))
            .map_err(|error| CallError {
                call: "xc_interface_open",
                source: io::Error::other(error),
            })
    }
}

fn read(path: &'static str) -> Result<String, HostError> {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|source| HostError::Read { path, source })
}
