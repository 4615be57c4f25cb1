//! Networks of containers: what there is of them, who is on them, and the host's side of all that.
//!
//! Records say what is to be; this owns bridges, rules and held ports and makes the host follow, and again at each start.
//! One change at a time goes to the host; who only looks does not wait for it.

mod attach;
mod create;
mod floating;
mod groups;
pub mod guest;
mod names;
pub mod ports;
mod rate;
mod records;
mod spec;
mod uplink;

use names::{Called, Directory};
use uplink::Uplink;

pub use attach::{Fixed, fixed};
pub use create::check_wanted;
pub use floating::FloatingIp;
pub use groups::{GroupProtocol, GroupRule, GroupRules, SecurityGroup};
pub use names::{names_of, split_link};
pub use rate::{RATE_OPTION, Rate};
pub use spec::{
    Attachment, BRIDGE_OPTION, DEFAULT, Endpoint, EndpointConfig, MASQUERADE_OPTION, NONE, Network,
    NetworkRequest, PortBinding, Subnet, SubnetRequest,
};

pub use ::network::{AddressRange, DEFAULT_POOLS, IpNet, Mac, Pool, PortKey, Protocol, Published};

use crate::error::{Error, ErrorKind};
use crate::records::Records;
use crate::state::Container;
use ::network::Path as GuestPath;
use ::network::dns;
use ::network::{Bridge, Family, Firewall, Forwarding, GuestPort, HeldPort, Links, NetworkRules};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OwnedMutexGuard;
use tokio_util::task::AbortOnDropHandle;

/// How networks are to be made.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// For what lives until the host is started again.
    pub run_dir: PathBuf,
    /// Where subnets are taken from.
    pub pools: Vec<Pool>,
    /// The default network has IPv6.
    pub default_ipv6: bool,
    /// The interface to the outside that has floating IPs.
    pub uplink: String,
    /// Where they are allocated from.
    pub floating_ips: Vec<AddressRange>,
    /// Ports of the host that guests may ask.
    pub host_services: Vec<PortKey>,
}

/// A container whose guest is on networks.
struct Attached {
    name: String,
    called: Called,
    endpoints: Vec<Endpoint>,
    /// Security groups.
    groups: Vec<String>,
    /// In the host; empty until the guest is built.
    interfaces: Vec<String>,
    published: Vec<Published>,
    held: Vec<HeldPort>,
}

#[derive(Default)]
struct Inner {
    /// By id.
    networks: BTreeMap<String, Network>,
    /// By container.
    guests: BTreeMap<String, Attached>,
    /// The address that was given last in a subnet.
    last: BTreeMap<IpNet, IpAddr>,
    floating: BTreeMap<IpAddr, FloatingIp>,
    /// By name.
    groups: BTreeMap<String, SecurityGroup>,
}

pub struct Networks {
    config: NetworkConfig,
    inner: Arc<Mutex<Inner>>,
    /// Of names, by network.
    servers: Mutex<BTreeMap<String, dns::Server>>,
    links: Arc<Links>,
    /// Held while floating IPs change.
    uplink: Arc<tokio::sync::Mutex<Uplink>>,
    /// Has the interface as it is to be.
    keeping: Mutex<Option<AbortOnDropHandle<()>>>,
    forwarding: Forwarding,
    firewall: Arc<Mutex<Firewall>>,
    /// Held while the host is changed.
    changing: Arc<tokio::sync::Mutex<()>>,
}

pub(crate) fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::from_source(ErrorKind::Failed, "", error)
}

fn bridge_of(network: &Network) -> Bridge {
    let addresses = network
        .subnets
        .iter()
        .filter_map(|subnet| IpNet::new(subnet.gateway, subnet.subnet.prefix_len()).ok());
    Bridge {
        name: network.bridge.clone(),
        id: network.id.clone(),
        addresses: addresses.collect(),
        mtu: network.mtu(),
    }
}

fn rules_of(network: &Network) -> NetworkRules {
    NetworkRules {
        bridge: network.bridge.clone(),
        subnets: network.subnets.iter().map(|subnet| subnet.subnet).collect(),
        hosts: network.subnets.iter().map(|subnet| subnet.gateway).collect(),
        internal: network.internal,
        masquerade: network.masquerade(),
    }
}

/// What the rules know of a guest.
fn guest_ports(guest: &Attached) -> Vec<GuestPort> {
    guest
        .open()
        .map(|(endpoint, interface)| GuestPort {
            interface: interface.clone(),
            mac: endpoint.mac,
            addresses: endpoint.addresses.iter().map(|net| net.addr()).collect(),
            groups: guest.groups.clone(),
            closed: endpoint.closed,
        })
        .collect()
}

/// From those that have a link to whom it means, now.
fn paths(inner: &Mutex<Inner>) -> BTreeSet<GuestPath> {
    inner.lock().unwrap_or_else(PoisonError::into_inner).paths()
}

/// Takes all of ours from the host: rules, bridges and addresses, and that it forwards, if it did not before. `run_dir`: that
/// of [`NetworkConfig`]. Goes on after an error and gives all of them.
pub async fn remove_all(run_dir: &Path) -> Vec<Error> {
    // First: without the rules it would forward everything.
    let forwarding = Forwarding::new(run_dir).give_back();
    let mut errors: Vec<_> = forwarding.iter().map(|error| failed(error)).collect();
    match tokio::task::spawn_blocking(Firewall::remove_all).await {
        Ok(removed) => errors.extend(removed.err().map(|error| failed(&error))),
        Err(error) => errors.push(failed(&error)),
    }
    let bridges = async {
        let links = Links::open()?;
        for (name, id) in links.ours().await? {
            links.remove_bridge(&name, &id).await?;
        }
        for placed in links.placed().await? {
            links.take_back(placed.address).await?;
        }
        Ok::<_, ::network::NetworkError>(())
    };
    errors.extend(bridges.await.err().map(|error| failed(&error)));
    errors
}

impl Networks {
    /// Opens what is recorded; the host is made to follow by [`Self::restore`].
    pub fn open(config: NetworkConfig, records: &Records) -> Result<Self, Error> {
        let networks = records.networks()?;
        let floating = records.floating()?.into_iter();
        let groups = records.groups()?.into_iter();
        let forwarding = Forwarding::new(&config.run_dir);
        let links = Arc::new(Links::open().map_err(|error| failed(&error))?);
        let mut firewall = Firewall::default();
        firewall.set_services(config.host_services.iter().copied());
        let firewall = Arc::new(Mutex::new(firewall));
        let uplink = Uplink::new(config.uplink.clone(), Arc::clone(&links), Arc::clone(&firewall));
        Ok(Self {
            servers: Mutex::default(),
            inner: Arc::new(Mutex::new(Inner {
                networks: networks
                    .into_iter()
                    .map(|network| (network.id.clone(), network))
                    .collect(),
                floating: floating.map(|floating| (floating.address, floating)).collect(),
                groups: groups.map(|group| (group.name.clone(), group)).collect(),
                ..Inner::default()
            })),
            links,
            uplink: Arc::new(tokio::sync::Mutex::new(uplink)),
            keeping: Mutex::default(),
            firewall,
            forwarding,
            config,
            changing: Arc::default(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same to its end, even when nobody waits for it any more: what comes after it must find it done.
    async fn rules_to_the_end<F>(&self, change: F) -> Result<(), Error>
    where
        F: FnOnce(&mut Firewall) -> Result<(), ::network::NftError> + Send + 'static,
    {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        self.rules_holding(changing, change).await
    }

    async fn rules_holding<F>(&self, changing: OwnedMutexGuard<()>, change: F) -> Result<(), Error>
    where
        F: FnOnce(&mut Firewall) -> Result<(), ::network::NftError> + Send + 'static,
    {
        self.rules(move |firewall| {
            let changed = change(firewall);
            drop(changing);
            changed
        })
        .await
    }

    async fn rules<F>(&self, change: F) -> Result<(), Error>
    where
        F: FnOnce(&mut Firewall) -> Result<(), ::network::NftError> + Send + 'static,
    {
        let firewall = Arc::clone(&self.firewall);
        let changed = tokio::task::spawn_blocking(move || {
            change(&mut firewall.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match changed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(&error)),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Makes the host as the records say, whatever it is: bridges, rules, ports and floating IPs of guests that run on.
    /// `running`: these, with their interfaces in the host; `containers`: all that there are. What fails is told; a
    /// container that needs it will not start.
    pub async fn restore(
        &self,
        records: &Records,
        running: Vec<(Container, Vec<String>)>,
        containers: &BTreeSet<String>,
    ) {
        let _changing = self.changing.lock().await;
        for (container, interfaces) in running {
            let called = Called::of(&container);
            let (endpoints, published) = (container.state.endpoints, container.state.published);
            let attached = Attached {
                called,
                groups: container.config.host.security_groups,
                name: container.name,
                held: ports::take_again(&published),
                endpoints,
                interfaces,
                published,
            };
            self.inner().guests.insert(container.id, attached);
        }
        if let Err(error) = self.need_default(records).await {
            tracing::error!(%error, "there is no default network");
        }
        if let Err(error) = self.remove_strays().await {
            tracing::error!(%error, "bridges that nobody needs");
        }
        let networks: Vec<_> = self.inner().networks.values().cloned().collect();
        for network in &networks {
            if let Err(error) = self.make_bridge(network).await {
                tracing::error!(network = network.name, %error, "the network is not there");
            }
        }
        let has_v6 = networks.iter().any(Network::has_v6) || self.forwarding.is_claimed(Family::Six);
        let families: &[_] = if has_v6 {
            &[Family::Four, Family::Six]
        } else {
            &[Family::Four]
        };
        for family in families {
            if let Err(error) = self.claim(*family).await {
                tracing::error!(%error, "the host forwards what is of others");
            }
        }
        let (guests, leads): (Vec<_>, _) = {
            let inner = self.inner();
            let guests = inner.guests.values();
            let guests = guests.map(|guest| (guest_ports(guest), guest.published.clone()));
            (guests.collect(), inner.leads())
        };
        let (groups, paths) = (self.groups(), paths(&self.inner));
        let ports = self.links.ports().await.unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "interfaces that are no guest's may not be mute"
            );
            Vec::new()
        });
        let written = self.rules(move |firewall| {
            networks
                .iter()
                .for_each(|network| firewall.set_network(rules_of(network)));
            for group in groups {
                firewall.set_group(group.name, group.rules.allowed());
            }
            for (ports, published) in guests {
                firewall.set_guest(ports, &published);
            }
            firewall.mute(ports);
            firewall.set_paths(paths);
            firewall.set_floating(uplink::floating(&leads));
            firewall.write()
        });
        match written.await {
            Ok(()) => {
                for family in families {
                    if let Err(error) = self.forwarding.enable(*family) {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the host does not forward"
                        );
                    }
                }
            }
            Err(error) => tracing::error!(%error, "the rules of the networks are not there"),
        }
        self.restore_floating(records, containers).await;
    }

    /// Bridges of networks that are not, or no longer, recorded.
    async fn remove_strays(&self) -> Result<(), Error> {
        let known: Vec<String> = self.inner().networks.keys().cloned().collect();
        for (name, id) in self.links.ours().await.map_err(|error| failed(&error))? {
            if !known.contains(&id) {
                self.links
                    .remove_bridge(&name, &id)
                    .await
                    .map_err(|error| failed(&error))?;
            }
        }
        Ok(())
    }

    async fn make_bridge(&self, network: &Network) -> Result<(), Error> {
        self.links
            .make_bridge(&bridge_of(network))
            .await
            .map_err(|error| failed(&error))?;
        let set = self.forwarding.bridge(&network.bridge, network.has_v6());
        set.map_err(|error| failed(&error))?;
        let addresses: Vec<_> = network.subnets.iter().map(|subnet| subnet.gateway).collect();
        let names = Arc::new(Directory(Arc::clone(&self.inner)));
        match dns::Server::open(names, &network.id, &addresses).await {
            Ok(server) => drop(self.servers().insert(network.id.clone(), server)),
            // Without names a network is still one.
            Err(error) => {
                tracing::error!(network = network.name, %error, "nobody answers to names: is port 53 of all addresses in use?")
            }
        }
        Ok(())
    }

    /// If the host is to forward because of us, the rules keep it to what is ours.
    async fn claim(&self, family: Family) -> Result<(), Error> {
        match self.forwarding.claim(family) {
            Ok(true) => self.rules(move |firewall| firewall.close(family)).await,
            Ok(false) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Lets the host forward IPv6, with rules that are there.
    async fn route_v6(&self) -> Result<(), Error> {
        self.claim(Family::Six).await?;
        self.forwarding
            .enable(Family::Six)
            .map_err(|error| failed(&error))
    }

    fn servers(&self) -> MutexGuard<'_, BTreeMap<String, dns::Server>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All, the default first, then by name.
    pub fn list(&self) -> Vec<Network> {
        let mut all: Vec<_> = self.inner().networks.values().cloned().collect();
        all.sort_by_key(|network| (!network.is_default(), network.name.clone()));
        all
    }

    /// By name, id, or the beginning of one.
    pub fn find(&self, text: &str) -> Result<Network, Error> {
        let inner = self.inner();
        let not_found = || Error::not_found(format!("network {text} not found"));
        let text = if text == "default" { DEFAULT } else { text };
        let by_name = inner.networks.values().find(|network| network.name == text);
        if let Some(network) = by_name.or_else(|| inner.networks.get(text)) {
            return Ok(network.clone());
        }
        if text.is_empty() {
            return Err(not_found());
        }
        let mut matching = inner
            .networks
            .range(text.to_owned()..)
            .take_while(|(id, _)| id.starts_with(text));
        match (matching.next(), matching.next()) {
            (Some((_, network)), None) => Ok(network.clone()),
            (Some(_), Some(_)) => Err(Error::invalid(format!(
                "network {text} is ambiguous (multiple networks found with that ID prefix)"
            ))),
            _ => Err(not_found()),
        }
    }

    /// Containers that are on a network now: id, name and endpoint.
    pub fn on(&self, network_id: &str) -> Vec<(String, String, Endpoint)> {
        let inner = self.inner();
        let guests = inner.guests.iter();
        guests
            .flat_map(|(id, guest)| guest.endpoints.iter().map(move |endpoint| (id, guest, endpoint)))
            .filter(|(_, _, endpoint)| endpoint.network_id == network_id)
            .map(|(id, guest, endpoint)| (id.clone(), guest.name.clone(), endpoint.clone()))
            .collect()
    }

    /// Is called otherwise, or calls others otherwise.
    pub async fn renamed(&self, container: &Container) -> Result<(), Error> {
        if let Some(guest) = self.inner().guests.get_mut(&container.id) {
            guest.name.clone_from(&container.name);
            guest.called = Called::of(container);
        }
        let inner = Arc::clone(&self.inner);
        self.rules_to_the_end(move |firewall| firewall.change_paths(paths(&inner)))
            .await
    }
}
