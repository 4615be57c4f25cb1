//! Floating IPs of containers.

use super::Engine;
use crate::error::Error;
use crate::network::FloatingIp;
use std::collections::BTreeMap;
use std::net::IpAddr;

impl Engine {
    /// By address, each with the name of the container that has it.
    pub fn floating_ips(&self) -> Vec<(FloatingIp, Option<String>)> {
        let all = self.cx.networks.floating_ips().into_iter();
        all.map(|floating| {
            let holder = floating.container.as_deref().and_then(|id| self.name_of(id));
            (floating, holder)
        })
        .collect()
    }

    fn name_of(&self, id: &str) -> Option<String> {
        let containers = self.cx.containers();
        containers
            .get(id)
            .map(|shared| shared.with(|record| record.name.clone()))
    }

    fn tell_floating(&self, action: &str, address: IpAddr, container: Option<&str>) {
        let mut attributes = BTreeMap::new();
        attributes.extend(container.map(|id| ("container".to_owned(), id.to_owned())));
        self.tell("fip", action, &address.to_string(), attributes);
    }

    pub async fn allocate_floating(&self, count: usize) -> Result<Vec<IpAddr>, Error> {
        let allocated = self.cx.networks.allocate(&self.cx.records, count).await?;
        for address in &allocated {
            self.tell_floating("allocate", *address, None);
        }
        Ok(allocated)
    }

    pub async fn release_floating(&self, text: &str) -> Result<(), Error> {
        let address = self.cx.networks.release(&self.cx.records, text).await?;
        self.tell_floating("release", address, None);
        Ok(())
    }

    /// An empty name takes the one it has.
    pub async fn name_floating(&self, text: &str, name: &str) -> Result<(), Error> {
        let address = self
            .cx
            .networks
            .name_floating(&self.cx.records, text, name)
            .await?;
        self.tell_floating("rename", address, None);
        Ok(())
    }

    /// `force` takes it from the container that has it.
    pub async fn associate(&self, text: &str, container: &str, force: bool) -> Result<(), Error> {
        let shared = self.shared(container)?;
        let networks = &self.cx.networks;
        let before = networks
            .associate(&self.cx.records, text, &shared.record(), force)
            .await?;
        // Who removes a container takes it from the list first, and then its address.
        if !self.cx.containers().contains_key(&shared.id) {
            networks.disassociate_from(&self.cx.records, &shared.id).await?;
            return Err(Error::not_found(format!("No such container: {container}")));
        }
        if before.container.is_some() {
            self.tell_floating("disassociate", before.address, before.container.as_deref());
        }
        self.tell_floating("associate", before.address, Some(&shared.id));
        Ok(())
    }

    /// By the address, its name, or the container that has it. Gives the address.
    pub async fn disassociate(&self, text: &str) -> Result<IpAddr, Error> {
        let networks = &self.cx.networks;
        let before = match (networks.find_floating(text), self.shared(text)) {
            (Err(_), Ok(shared)) => networks
                .disassociate_from(&self.cx.records, &shared.id)
                .await?
                .ok_or_else(|| Error::conflict(format!("container {text} has no floating IP")))?,
            _ => networks.disassociate(&self.cx.records, text).await?,
        };
        self.tell_floating("disassociate", before.address, before.container.as_deref());
        Ok(before.address)
    }
}
