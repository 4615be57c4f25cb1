//! A guest comes to its networks and leaves them: addresses, interfaces, ports.

use super::names::Called;
use super::rate::Rate;
use super::spec::{Attachment, DEFAULT, Endpoint, EndpointConfig, NONE, Network, Subnet};
use super::{Attached, Inner, Networks, guest_ports, paths, ports};
use crate::error::{Error, ErrorKind};
use crate::names::new_id;
use crate::spec::Config;
use crate::state::Container;
use network::{HeldPort, IpNet, Mac, Published, free_address};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses that containers are to have, whether they run or not, each with the id of its network.
pub type Fixed = BTreeSet<(String, IpAddr)>;

/// Those of a container.
pub fn fixed(config: &Config) -> impl Iterator<Item = (String, IpAddr)> {
    config.networks.values().flat_map(|config| {
        let addresses = [config.ipv4.map(IpAddr::V4), config.ipv6.map(IpAddr::V6)];
        let on = |address| (config.network_id.clone(), address);
        addresses.into_iter().flatten().map(on)
    })
}

/// The networks a container wants, the one that it was started with first.
pub fn wanted(config: &Config) -> Vec<(String, EndpointConfig)> {
    let mode = config.host.network_mode.as_str();
    if mode == NONE {
        return Vec::new();
    }
    let mut wanted: Vec<_> = config.networks.clone().into_iter().collect();
    // As records are of before there were networks.
    if wanted.is_empty() && ["", "default"].contains(&mode) {
        wanted.push((DEFAULT.to_owned(), EndpointConfig::default()));
    }
    wanted.sort_by_key(|(name, config)| (name != mode && config.network_id != mode, name.clone()));
    wanted
}

impl Inner {
    pub(super) fn network_of(&self, name: &str, config: &EndpointConfig) -> Result<Network, Error> {
        let found = match config.network_id.as_str() {
            "" => self.networks.values().find(|network| network.name == name),
            id => self.networks.get(id),
        };
        let wanted = if config.network_id.is_empty() {
            name
        } else {
            &config.network_id
        };
        found.cloned().ok_or_else(|| {
            Error::not_found(format!(
                "failed to set up container networking: network {wanted} not found"
            ))
        })
    }

    /// Addresses of a subnet that somebody has.
    fn taken(&self, network: &Network, subnet: &Subnet) -> BTreeSet<IpAddr> {
        let on = self.guests.values().flat_map(|guest| &guest.endpoints);
        on.filter(|endpoint| endpoint.network_id == network.id)
            .flat_map(|endpoint| endpoint.addresses.iter().map(|net| net.addr()))
            .chain([subnet.gateway])
            .chain(subnet.auxiliary.values().copied())
            .collect()
    }

    fn address(
        &mut self,
        network: &Network,
        subnet: &Subnet,
        wanted: Option<IpAddr>,
        own: &[IpNet],
        fixed: &Fixed,
    ) -> Result<IpNet, Error> {
        let mut taken = self.taken(network, subnet);
        taken.extend(own.iter().map(|net| net.addr()));
        let address = match wanted {
            Some(address) if taken.contains(&address) => {
                return Err(Error::failed(
                    "failed to set up container networking: Address already in use",
                ));
            }
            Some(address) => address,
            None => {
                let others = fixed.iter().filter(|(on, _)| *on == network.id);
                taken.extend(others.map(|(_, address)| address));
                let range = subnet.range.unwrap_or(subnet.subnet);
                let last = self.last.get(&subnet.subnet).copied();
                free_address(subnet.subnet, range, &taken, last).ok_or_else(|| {
                    Error::failed(format!(
                        "failed to set up container networking: no available IPv{} addresses on this network's address pools: {} ({})",
                        if range.addr().is_ipv4() { 4 } else { 6 }, network.name, network.id
                    ))
                })?
            }
        };
        if wanted.is_none() {
            self.last.insert(subnet.subnet, address);
        }
        IpNet::new(address, subnet.subnet.prefix_len()).map_err(|error| super::failed(&error))
    }

    pub(super) fn endpoint(
        &mut self,
        name: &str,
        config: &EndpointConfig,
        index: u32,
        fixed: &Fixed,
    ) -> Result<Endpoint, Error> {
        let network = self.network_of(name, config)?;
        let (mut addresses, mut gateways) = (Vec::new(), Vec::new());
        for subnet in &network.subnets {
            let v4 = subnet.subnet.addr().is_ipv4();
            // One of each family, though a network may have several.
            if addresses.iter().any(|net: &IpNet| net.addr().is_ipv4() == v4) {
                continue;
            }
            let chosen = if v4 {
                config.ipv4.map(IpAddr::V4)
            } else {
                config.ipv6.map(IpAddr::V6)
            };
            if chosen.is_some_and(|address| !subnet.subnet.contains(&address)) {
                continue;
            }
            addresses.push(self.address(&network, subnet, chosen, &addresses, fixed)?);
            gateways.push(subnet.gateway);
        }
        let mac_taken = |mac: Mac, inner: &Self| {
            let all = inner.guests.values().flat_map(|guest| &guest.endpoints);
            all.filter(|endpoint| endpoint.network_id == network.id)
                .any(|endpoint| endpoint.mac == mac)
        };
        let mac = match config.mac {
            // The bridge would send to one what is for the other.
            Some(mac) if mac_taken(mac, self) => {
                return Err(Error::failed(format!(
                    "failed to set up container networking: the MAC address {mac} is in use on network {name}"
                )));
            }
            Some(mac) => mac,
            None => std::iter::repeat_with(Mac::random)
                .find(|mac| !mac_taken(*mac, self))
                .unwrap_or_else(Mac::random),
        };
        Ok(Endpoint {
            id: new_id(),
            network: network.name.clone(),
            network_id: network.id.clone(),
            bridge: network.bridge.clone(),
            index,
            mac,
            addresses,
            gateways,
            mtu: network.mtu(),
            rate: match Rate::of(&config.driver_options)? {
                Some(rate) => Some(rate),
                None => network.rate()?,
            },
            internal: network.internal,
            closed: network.closed(),
        })
    }

    pub(super) fn published(&self) -> Vec<Published> {
        self.guests
            .values()
            .flat_map(|guest| guest.published.iter().copied())
            .collect()
    }
}

impl Attached {
    fn has(&self, endpoint: &str) -> bool {
        self.endpoints.iter().any(|known| known.id == endpoint)
    }
}

impl Inner {
    fn attach(&mut self, container: &Container, fixed: &Fixed) -> Result<Attachment, Error> {
        if container.config.host.network_mode == NONE {
            return Ok(Attachment::default());
        }
        for name in &container.config.host.security_groups {
            self.group(name)?;
        }
        // On no network too: it may come to one while it runs.
        self.guests.insert(
            container.id.clone(),
            Attached {
                name: container.name.clone(),
                called: Called::of(container),
                endpoints: Vec::new(),
                groups: container.config.host.security_groups.clone(),
                interfaces: Vec::new(),
                published: Vec::new(),
                held: Vec::new(),
            },
        );
        let result = self.give(container, fixed);
        if result.is_err() {
            self.guests.remove(&container.id);
        }
        result
    }

    fn give(&mut self, container: &Container, fixed: &Fixed) -> Result<Attachment, Error> {
        for (index, (name, config)) in wanted(&container.config).iter().enumerate() {
            let endpoint = self.endpoint(name, config, index as u32, fixed)?;
            if let Some(guest) = self.guests.get_mut(&container.id) {
                guest.endpoints.push(endpoint);
            }
        }
        self.publish(container)?;
        Ok(self.attachment(&container.id).unwrap_or_default())
    }

    /// Takes the ports that a container wants and has not.
    fn publish(&mut self, container: &Container) -> Result<(), Error> {
        let others = self.published();
        let Some(guest) = self.guests.get_mut(&container.id) else {
            return Ok(());
        };
        let shown = format!(
            "{} ({})",
            container.name,
            guest.endpoints.last().map_or("", |endpoint| &endpoint.id)
        );
        let (held, published) = ports::take(
            &shown,
            &container.config,
            &guest.endpoints,
            &guest.published,
            &others,
        )?;
        guest.held.extend(held);
        guest.published.extend(published);
        Ok(())
    }

    fn add_endpoint(&mut self, container: &Container, fixed: &Fixed) -> Result<Endpoint, Error> {
        let Some(guest) = self.guests.get(&container.id) else {
            return Err(Error::new(
                ErrorKind::Forbidden,
                "container cannot be connected to multiple networks with one of the networks in private (none) mode",
            ));
        };
        let has = |network: &str| {
            guest
                .endpoints
                .iter()
                .any(|endpoint| endpoint.network == *network)
        };
        let wanted = wanted(&container.config).into_iter().find(|(name, _)| !has(name));
        let index = (0..).find(|index| guest.endpoints.iter().all(|endpoint| endpoint.index != *index));
        let (Some((name, config)), Some(index)) = (wanted, index) else {
            return Err(Error::failed("there is no network to connect to"));
        };
        let endpoint = self.endpoint(&name, &config, index, fixed)?;
        if let Some(guest) = self.guests.get_mut(&container.id) {
            guest.called = Called::of(container);
            guest.endpoints.push(endpoint.clone());
        }
        // On the networks so far there may have been nowhere to publish to.
        let published = self.publish(container);
        if published.is_err()
            && let Some(guest) = self.guests.get_mut(&container.id)
        {
            guest.endpoints.pop();
        }
        published.map(|()| endpoint)
    }

    /// `None`: the guest has no such endpoint, or it is another one's by now.
    fn remove_endpoint(&mut self, id: &str, endpoint: &str, interface: &str) -> Option<Removed> {
        let guest = self.guests.get_mut(id)?;
        let at = guest.endpoints.iter().position(|known| known.id == endpoint)?;
        guest.endpoints.remove(at);
        guest.interfaces.retain(|known| known != interface);
        let after = ports::lead_to(&guest.published, &guest.endpoints);
        let before = std::mem::replace(&mut guest.published, after.clone());
        let is_held = |held: &HeldPort| after.iter().any(|port| ports::is_held(port, held));
        let (held, gone) = std::mem::take(&mut guest.held).into_iter().partition(is_held);
        guest.held = held;
        Some(Removed { before, after, gone })
    }

    fn attachment(&self, id: &str) -> Option<Attachment> {
        self.guests.get(id).map(|guest| Attachment {
            endpoints: guest.endpoints.clone(),
            published: guest.published.clone(),
        })
    }
}

/// Ports that a guest published before it left a network, and after.
struct Removed {
    before: Vec<Published>,
    after: Vec<Published>,
    /// Those that lead nowhere now.
    gone: Vec<HeldPort>,
}

impl Networks {
    /// Gives a container that starts its addresses and ports. What it has is given back by [`Self::detach`]. `fixed`: what it
    /// cannot have by chance.
    pub fn attach(&self, container: &Container, fixed: &Fixed) -> Result<Attachment, Error> {
        self.inner().attach(container, fixed)
    }

    /// Gives a container that runs what it wants now and has not: one endpoint more.
    pub fn add_endpoint(&self, container: &Container, fixed: &Fixed) -> Result<Endpoint, Error> {
        self.inner().add_endpoint(container, fixed)
    }

    /// Takes one endpoint away, if the container has it still; ports that led to it lead to another, if there is one.
    pub async fn remove_endpoint(&self, id: &str, endpoint: &str, interface: String) -> Result<(), Error> {
        let Some(Removed { before, after, gone }) = self.inner().remove_endpoint(id, endpoint, &interface)
        else {
            return Ok(());
        };
        let inner = Arc::clone(&self.inner);
        let changed = self.rules_to_the_end(move |firewall| {
            firewall.remove_interface(&interface, &before, &after, paths(&inner))
        });
        changed.await?;
        // Nobody else could have them while rules led there.
        drop(gone);
        self.float(id).await
    }

    /// What a container has now.
    pub fn attachment(&self, id: &str) -> Option<Attachment> {
        self.inner().attachment(id)
    }

    /// Lets a guest that is built speak. `interface`: the host's name for the one with this number. `groups`: those that it
    /// is in now, which may be others than when it was attached. With an `endpoint`, only the guest that has this one.
    pub async fn open_guest(
        &self,
        id: &str,
        interface: impl Fn(u32) -> String,
        groups: impl FnOnce() -> Vec<String>,
        endpoint: Option<&str>,
    ) -> Result<(), Error> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let groups = groups();
        let (ports, published) = {
            let mut inner = self.inner();
            let found = inner.guests.get_mut(id);
            let Some(guest) = found.filter(|guest| endpoint.is_none_or(|endpoint| guest.has(endpoint)))
            else {
                return match endpoint {
                    Some(_) => Err(Error::conflict("the container was stopped meanwhile")),
                    None => Ok(()),
                };
            };
            let indexes = guest.endpoints.iter().map(|endpoint| endpoint.index);
            guest.interfaces = indexes.map(interface).collect();
            guest.groups = groups;
            (guest_ports(guest), guest.published.clone())
        };
        let inner = Arc::clone(&self.inner);
        self.rules_holding(changing, move |firewall| {
            firewall.add_guest(ports, &published, paths(&inner))
        })
        .await?;
        self.float(id).await
    }

    /// Takes back all that a container had.
    pub async fn detach(&self, id: &str) {
        // Rules first: what they lead to is then still nobody else's.
        let (interfaces, published) = {
            let mut inner = self.inner();
            let Some(guest) = inner.guests.get_mut(id) else {
                return;
            };
            (std::mem::take(&mut guest.interfaces), guest.published.clone())
        };
        let inner = Arc::clone(&self.inner);
        // What fails of it has been told.
        let _ = self.float(id).await;
        if !interfaces.is_empty()
            && let Err(error) = self
                .rules_to_the_end(move |firewall| {
                    firewall.remove_guest(&interfaces, &published, paths(&inner))
                })
                .await
        {
            tracing::error!(container = id, %error, "rules of a guest may be left");
        }
        self.inner().guests.remove(id);
    }
}

#[cfg(test)]
#[path = "attach_tests.rs"]
mod tests;
