//! Networks: of all, and of single containers.

use super::Engine;
use crate::container::NetworkChange;
use crate::error::{Error, ErrorKind};
use crate::names;
use crate::network::{Endpoint, EndpointConfig, NONE, Network, NetworkRequest, check_wanted, split_link};
use crate::state::Container;

impl Engine {
    pub fn networks(&self) -> Vec<Network> {
        self.cx.networks.list()
    }

    pub fn network(&self, text: &str) -> Result<Network, Error> {
        self.cx.networks.find(text)
    }

    /// Containers that are on a network now: id, name and endpoint.
    pub fn on_network(&self, id: &str) -> Vec<(String, String, Endpoint)> {
        self.cx.networks.on(id)
    }

    /// Whether a container, running or not, is to be on a network.
    pub fn is_used(&self, network: &Network) -> bool {
        let on = |container: &Container| {
            let mut networks = container.config.networks.iter();
            networks.any(|(name, config)| {
                config.network_id == network.id || (config.network_id.is_empty() && *name == network.name)
            })
        };
        self.cx.containers().values().any(|shared| shared.with(on))
    }

    pub async fn create_network(&self, request: NetworkRequest) -> Result<Network, Error> {
        let network = self.cx.networks.create(&self.cx.records, request).await?;
        self.cx.tell_network("create", &network.id, &network.name, None);
        Ok(network)
    }

    pub async fn remove_network(&self, text: &str) -> Result<Network, Error> {
        let network = self.cx.networks.remove(&self.cx.records, text).await?;
        self.cx.tell_network("destroy", &network.id, &network.name, None);
        Ok(network)
    }

    /// Puts a container, running or not, on a network.
    pub async fn connect(
        &self,
        network: &str,
        container: &str,
        mut config: EndpointConfig,
    ) -> Result<(), Error> {
        let shared = self.shared(container)?;
        let network = self.network(network)?;
        check_wanted(&network, &config)?;
        config.network_id.clone_from(&network.id);
        let (name, none, there) = shared.with(|record| {
            let there = record.config.networks.contains_key(&network.name);
            (
                record.name.clone(),
                record.config.host.network_mode == NONE,
                there,
            )
        });
        if none {
            return Err(Error::new(
                ErrorKind::Forbidden,
                "container cannot be connected to multiple networks with one of the networks in private (none) mode",
            ));
        }
        if there {
            return Err(Error::new(
                ErrorKind::Forbidden,
                format!(
                    "endpoint with name {name} already exists in network {}",
                    network.name
                ),
            ));
        }
        let change = NetworkChange::Connect(network.name.clone(), Box::new(config));
        shared.change_networks(change).await?;
        self.cx
            .tell_network("connect", &network.id, &network.name, Some(&shared.id));
        Ok(())
    }

    /// By force also from a network that is gone.
    pub async fn disconnect(&self, network: &str, container: &str, force: bool) -> Result<(), Error> {
        let shared = self.shared(container)?;
        let found = self.network(network);
        let name = match &found {
            Ok(network) => network.name.clone(),
            Err(_) if force => network.to_owned(),
            Err(error) => return Err(error.clone()),
        };
        if !shared.with(|record| record.config.networks.contains_key(&name)) {
            return Err(Error::new(
                ErrorKind::Forbidden,
                format!("container {} is not connected to network {name}", shared.id),
            ));
        }
        shared.change_networks(NetworkChange::Disconnect(name)).await?;
        if let Ok(network) = &found {
            self.cx
                .tell_network("disconnect", &network.id, &network.name, Some(&shared.id));
        }
        Ok(())
    }

    /// Gives a container its own name for another, with which it shares a network; from now on, if it runs.
    pub async fn link(&self, container: &str, target: &str, alias: &str) -> Result<(), Error> {
        let (shared, other) = (self.shared(container)?, self.shared(target)?);
        if shared.id == other.id {
            return Err(Error::invalid("a container cannot be linked to itself"));
        }
        let name = other.with(|record| record.name.clone());
        let alias = if alias.is_empty() { name.as_str() } else { alias };
        names::check(alias)?;
        let networks = other.with(|record| record.config.networks.clone());
        if !shared.with(|record| {
            record
                .config
                .networks
                .keys()
                .any(|network| networks.contains_key(network))
        }) {
            return Err(Error::conflict(format!(
                "{container} and {target} share no network: connect one to a network of the other first"
            )));
        }
        let link = format!("{name}:{alias}");
        shared.update(&self.cx, |record| {
            let links = &mut record.config.host.links;
            links.retain(|known| split_link(known).1 != alias);
            links.push(link);
        })?;
        self.cx.networks.renamed(&shared.record()).await
    }
}
