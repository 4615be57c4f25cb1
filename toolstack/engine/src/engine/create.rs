//! New containers.

use super::{Created, Engine, io_failed};
use crate::container::{Commands, Shared};
use crate::error::{Error, ErrorKind};
use crate::network::split_link;
use crate::records::Operation;
use crate::spec::{Config, CreateRequest};
use crate::state::{Container, State};
use crate::task::Task;
use crate::{disks, fault, names, plan, records};
use chrono::Utc;
use std::fs;
use std::sync::Arc;

impl Engine {
    pub async fn create(&self, name: Option<&str>, request: CreateRequest) -> Result<Created, Error> {
        let name = name
            .filter(|name| !name.is_empty())
            .map(names::check)
            .transpose()?;
        let _images = self.images_lock.lock().await;
        let image = self.cx.images.find(&request.image)?;
        let id = names::new_id();
        let mut config = Config::merge(request, &image.config, &id[..12]);
        self.cx.networks.settle(&mut config)?;
        self.cx.networks.check_groups(&config.host.security_groups)?;
        let of_networks = config
            .networks
            .values_mut()
            .flat_map(|endpoint| &mut endpoint.links);
        for link in config.host.links.iter_mut().chain(of_networks) {
            let (target, alias) = split_link(link);
            let other = self
                .shared(target)
                .map_err(|error| Error::invalid(format!("could not get container for {target}: {error}")))?;
            // The beginning of an id may come to mean more than one.
            if other.with(|record| record.name != target.trim_start_matches('/')) {
                *link = format!("{}:{alias}", other.id);
            }
        }
        config.host.log = config.host.log.or(&self.cx.settings().log);
        config.host.log.check()?;
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
            return Err(error);
        }
        Task::spawn(Arc::clone(&shared), Arc::clone(&self.cx), commands);
        shared.tell(&self.cx, "create", &[]);
        self.cx.publisher.told().await;
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
    ) -> Result<(Arc<Shared>, Commands), Error> {
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

    /// The record comes last, and with it the end of the operation: one that was cut off is undone.
    async fn make(&self, shared: &Arc<Shared>) -> Result<(), Error> {
        let operation = self.cx.records.begin(&Operation::Create {
            container: shared.id.clone(),
        })?;
        fault::point("create.begun");
        let made = self.make_disk(shared).await.and_then(|()| {
            fault::point("create.made");
            shared.update_and(&self.cx, |_| {}, |on_disk| on_disk.finish(operation))
        });
        if made.is_err() {
            let _ = fs::remove_dir_all(shared.folder(&self.cx));
            // What cannot be written is undone once more at the next start.
            let _ = self.cx.records.finish(operation);
        }
        made
    }

    async fn make_disk(&self, shared: &Shared) -> Result<(), Error> {
        let folder = shared.folder(&self.cx);
        let template = self.cx.template.clone();
        tokio::task::spawn_blocking(move || {
            fs::create_dir(&folder).map_err(io_failed(&format!("cannot make {}", folder.display())))?;
            disks::clone(&template, &folder.join("disk.ext4"))
        })
        .await
        .map_err(|error| Error::from_source(ErrorKind::Failed, "making the disk", &error))?
    }
}
