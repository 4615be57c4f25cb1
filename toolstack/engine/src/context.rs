//! What containers have in common.

use crate::container::Shared;
use crate::engine::{EngineConfig, Events, Settings};
use crate::error::Error;
use crate::hypervisor::Hypervisor;
use crate::leftovers::Leftovers;
use crate::network::{self, Fixed, Networks};
use crate::plan::{Defaults, Plan};
use crate::published::Publisher;
use crate::records::Records;
use crate::state::Container;
use crate::unwritten::Unwritten;
use chrono::Utc;
use images::{RootDisk, Store};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub struct Context {
    pub hypervisor: Box<dyn Hypervisor>,
    pub images: Arc<Store>,
    pub records: Records,
    pub networks: Networks,
    pub unwritten: Unwritten,
    pub leftovers: Leftovers,
    /// Says how the containers stand, for everyone on the host.
    pub publisher: Publisher,
    pub config: EngineConfig,
    pub settings: RwLock<Arc<Settings>>,
    /// The empty disk that each container's is cloned from.
    pub template: PathBuf,
    pub events: Events,
    pub containers: Mutex<BTreeMap<String, Arc<Shared>>>,
    /// Turns of guests that are built and boot, one for each processor. All at once, each would take longer than it may.
    pub boots: Semaphore,
    /// The daemon stops: guests are left as they are.
    pub closing: CancellationToken,
}

impl Context {
    pub fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Shared>>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set_settings(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Addresses that containers are to have, whether they run or not.
    pub fn fixed_addresses(&self) -> Fixed {
        let all: Vec<_> = self.containers().values().cloned().collect();
        let of =
            |shared: &Arc<Shared>| shared.with(|record| network::fixed(&record.config).collect::<Vec<_>>());
        all.iter().flat_map(of).collect()
    }

    /// Holds a container's disk and logs.
    pub fn container_folder(&self, id: &str) -> PathBuf {
        self.config.state_dir.join("containers").join(id)
    }

    /// Tells everyone of something that happened to a network.
    pub fn tell_network(&self, action: &str, id: &str, name: &str, container: Option<&str>) {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), name.to_owned()),
            ("type".to_owned(), "bridge".to_owned()),
        ]);
        attributes.extend(container.map(|id| ("container".to_owned(), id.to_owned())));
        self.events.send(crate::Event {
            kind: "network".into(),
            action: action.to_owned(),
            id: id.to_owned(),
            attributes,
            at: Utc::now(),
        });
    }

    pub fn plan(&self, record: &Container, uuid: Uuid, root: &RootDisk) -> Result<Plan, Error> {
        let defaults = Defaults {
            host: self.hypervisor.info(),
            guest_type: self.config.guest_type,
            memory_mib: self.config.default_memory_mib,
            cmdline: &self.config.kernel_cmdline,
            root_form: self.config.root_form,
        };
        let disk = self.container_folder(&record.id).join("disk.ext4");
        Plan::make(record, uuid, root, &disk, &defaults)
    }

    /// The plan with the image's root, made if it is missing.
    pub async fn full_plan(&self, record: &Container, uuid: Uuid) -> Result<Plan, Error> {
        let image = self.images.find(&record.image_id)?;
        let root = self.images.rootfs(&image).await?;
        self.plan(record, uuid, &root)
    }
}
