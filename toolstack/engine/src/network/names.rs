//! What containers are called, and who may know of whom: those that share a network.

use super::spec::{Endpoint, EndpointConfig};
use super::{Attached, Inner};
use crate::state::Container;
use ::network::dns::{Asker, Names};
use ::network::{Path, PathEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Docker's: its name, the aliases it has there, its short id, and its host name.
pub fn names_of(container: &Container, config: &EndpointConfig) -> Vec<String> {
    let mut names = vec![container.name.clone()];
    let more = config.aliases.iter().map(String::as_str);
    for name in more.chain([container.short_id(), container.config.hostname.as_str()]) {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// What others call a container beside its name, and what it calls others.
#[derive(Debug, Default)]
pub(super) struct Called {
    /// By network.
    aliases: BTreeMap<String, Vec<String>>,
    /// Names of its own for others: what it says, and whom it means.
    links: Vec<(String, String)>,
    /// It has its own name servers.
    servers: Vec<IpAddr>,
}

/// `container:alias`, where the alias may be the container's name.
pub fn split_link(link: &str) -> (&str, &str) {
    let (target, alias) = link.split_once(':').unwrap_or((link, link));
    (target, alias)
}

impl Called {
    pub fn of(container: &Container) -> Self {
        let networks = &container.config.networks;
        let of_networks = networks.values().flat_map(|config| &config.links);
        let links = container.config.host.links.iter().chain(of_networks);
        Self {
            aliases: networks
                .iter()
                .map(|(name, config)| (name.clone(), names_of(container, config)))
                .collect(),
            links: links
                .map(|link| split_link(link))
                .map(|(target, alias)| (alias.to_lowercase(), target.trim_start_matches('/').to_owned()))
                .collect(),
            servers: container
                .config
                .host
                .dns
                .iter()
                .filter_map(|server| server.parse().ok())
                .collect(),
        }
    }
}

/// `web` of `web.front` on the network `front`.
fn on_network<'a>(name: &'a str, network: &str) -> Option<&'a str> {
    name.strip_suffix(&network.to_lowercase())?.strip_suffix('.')
}

impl Attached {
    fn on(&self, network: &str) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.network_id == network)
    }

    /// With the interfaces that it has in the host.
    pub(super) fn open(&self) -> impl Iterator<Item = (&Endpoint, &String)> {
        self.endpoints.iter().zip(&self.interfaces)
    }

    /// Whether it is called so on a network: `web`, or `web.front` with the network's name behind it.
    fn is_called(&self, id: &str, endpoint: &Endpoint, name: &str) -> bool {
        let known = |name: &str| {
            let aliases = self.called.aliases.get(&endpoint.network).into_iter().flatten();
            self.name.eq_ignore_ascii_case(name)
                || aliases.into_iter().any(|alias| alias.eq_ignore_ascii_case(name))
                || id == name
        };
        known(name) || on_network(name, &endpoint.network).is_some_and(known)
    }
}

/// Of each family's addresses of two interfaces.
fn between<'a>(
    caller: (&'a Endpoint, &'a String),
    called: (&'a Endpoint, &'a String),
) -> impl Iterator<Item = Path> + 'a {
    let ends = |(endpoint, interface): (&'a Endpoint, &'a String)| {
        endpoint.addresses.iter().map(move |net| PathEnd {
            interface: interface.clone(),
            address: net.addr(),
        })
    };
    ends(caller).flat_map(move |caller| {
        let same = ends(called).filter({
            let v4 = caller.address.is_ipv4();
            move |called| called.address.is_ipv4() == v4
        });
        same.map(move |called| Path {
            caller: caller.clone(),
            called,
        })
    })
}

/// Who is who, for the networks' name servers.
pub(super) struct Directory(pub Arc<Mutex<Inner>>);

impl Directory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn at(&self, network: &str, address: IpAddr) -> Option<(&String, &Attached)> {
        self.guests.iter().find(|(_, guest)| {
            guest
                .on(network)
                .is_some_and(|endpoint| endpoint.addresses.iter().any(|net| net.addr() == address))
        })
    }

    /// Between ends that share a network and a family, one of which has a link to the other.
    pub(super) fn paths(&self) -> BTreeSet<Path> {
        let mut paths = BTreeSet::new();
        for caller in self.guests.values() {
            for (own, interface) in caller.open() {
                for (_, target) in &caller.called.links {
                    for (id, called) in &self.guests {
                        let end = called
                            .open()
                            .find(|(endpoint, _)| endpoint.network_id == own.network_id);
                        if let Some((endpoint, other)) = end
                            && called.is_called(id, endpoint, target)
                        {
                            paths.extend(between((own, interface), (endpoint, other)));
                        }
                    }
                }
            }
        }
        paths
    }

    /// Addresses of those that are called so where one is, its own names for others first.
    fn called(&self, asker: &Attached, name: &str) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for own in &asker.endpoints {
            let short = on_network(name, &own.network).unwrap_or(name);
            let mut links = asker.called.links.iter();
            let linked = links.find(|(alias, _)| alias == name || alias == short);
            let wanted = linked.map_or(name, |(_, target)| target);
            for (id, guest) in &self.guests {
                if let Some(endpoint) = guest.on(&own.network_id)
                    && guest.is_called(id, endpoint, wanted)
                {
                    found.extend(endpoint.addresses.iter().map(|net| net.addr()));
                }
            }
        }
        found
    }
}

impl Names for Directory {
    fn asker(&self, network: &str, address: IpAddr) -> Option<Asker> {
        let inner = self.inner();
        let (_, guest) = inner.at(network, address)?;
        Some(Asker {
            forward: guest.endpoints.iter().any(|endpoint| !endpoint.internal),
            servers: guest.called.servers.clone(),
        })
    }

    fn addresses(&self, network: &str, asker: IpAddr, name: &str) -> Option<Vec<IpAddr>> {
        let inner = self.inner();
        let (_, guest) = inner.at(network, asker)?;
        let mut found = inner.called(guest, name);
        found.sort();
        found.dedup();
        // Which is tried first is chance, so that each of several gets its part.
        if let Some(middle) = found.len().checked_sub(1).filter(|last| *last > 0) {
            found.rotate_left(rand::random_range(0..=middle));
        }
        (!found.is_empty()).then_some(found)
    }

    fn name(&self, network: &str, asker: IpAddr, address: IpAddr) -> Option<String> {
        let inner = self.inner();
        let (_, guest) = inner.at(network, asker)?;
        let mut own = guest.endpoints.iter();
        own.find_map(|own| {
            let (_, other) = inner.at(&own.network_id, address)?;
            Some(format!("{}.{}", other.name, own.network))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(name: &str, endpoints: Vec<Endpoint>, links: &[&str]) -> (String, Attached) {
        let aliases = endpoints
            .iter()
            .map(|endpoint| (endpoint.network.clone(), vec![format!("{name}-alias")]));
        let called = Called {
            aliases: aliases.collect(),
            links: links
                .iter()
                .map(|link| split_link(link))
                .map(|(target, alias)| (alias.to_owned(), target.to_owned()))
                .collect(),
            servers: Vec::new(),
        };
        let attached = Attached {
            name: name.to_owned(),
            called,
            endpoints,
            groups: Vec::new(),
            interfaces: Vec::new(),
            published: Vec::new(),
            held: Vec::new(),
        };
        (format!("{name}0000"), attached)
    }

    fn directory() -> Directory {
        let inner = Inner {
            guests: [
                guest(
                    "web",
                    vec![
                        Endpoint::sample("front", "10.0.0.2/24", false),
                        Endpoint::sample("back", "10.0.1.2/24", true),
                    ],
                    &["db:store"],
                ),
                guest("db", vec![Endpoint::sample("back", "10.0.1.3/24", true)], &[]),
                guest(
                    "other",
                    vec![Endpoint::sample("front", "10.0.0.4/24", false)],
                    &[],
                ),
            ]
            .into(),
            ..Inner::default()
        };
        Directory(Arc::new(Mutex::new(inner)))
    }

    #[test]
    fn those_on_a_network_know_each_other() {
        let directory = directory();
        let ask = |network: &str, asker: &str, name: &str| {
            let found = directory.addresses(&format!("id-{network}"), asker.parse().unwrap(), name);
            found.map(|found| {
                found
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(ask("front", "10.0.0.2", "db").unwrap(), "10.0.1.3");
        assert_eq!(ask("front", "10.0.0.2", "db.back").unwrap(), "10.0.1.3");
        assert_eq!(ask("front", "10.0.0.2", "store").unwrap(), "10.0.1.3");
        assert_eq!(ask("front", "10.0.0.2", "store.back").unwrap(), "10.0.1.3");
        assert_eq!(ask("back", "10.0.1.3", "web-alias").unwrap(), "10.0.1.2");
        assert_eq!(ask("front", "10.0.0.4", "db"), None, "they share no network");
        assert_eq!(ask("front", "10.0.0.4", "store"), None, "the link is another's");
        assert_eq!(ask("front", "10.0.0.9", "web"), None, "it is nobody's address");
        let name = directory.name(
            "id-back",
            "10.0.1.3".parse().unwrap(),
            "10.0.1.2".parse().unwrap(),
        );
        assert_eq!(name.unwrap(), "web.back");
    }

    #[test]
    fn a_link_opens_a_path_to_whom_it_names() {
        let mut caller = guest(
            "web",
            vec![Endpoint::sample("front", "10.0.0.2/24", false)],
            &["db:store"],
        );
        caller.1.interfaces.push("vif1.0".to_owned());
        // Its id is db20000, which is nothing that a link can mean.
        let mut stranger = guest("db2", vec![Endpoint::sample("front", "10.0.0.3/24", false)], &[]);
        stranger.1.interfaces.push("vif2.0".to_owned());
        let mut inner = Inner {
            guests: [caller, stranger].into(),
            ..Inner::default()
        };
        assert_eq!(inner.paths(), BTreeSet::new());
        let mut target = guest("db", vec![Endpoint::sample("front", "10.0.0.4/24", false)], &[]);
        target.1.interfaces.push("vif3.0".to_owned());
        inner.guests.extend([target]);
        let end = |interface: &str, address: &str| PathEnd {
            interface: interface.to_owned(),
            address: address.parse().unwrap(),
        };
        let path = Path {
            caller: end("vif1.0", "10.0.0.2"),
            called: end("vif3.0", "10.0.0.4"),
        };
        assert_eq!(inner.paths(), BTreeSet::from([path]));
    }

    #[test]
    fn closed_networks_do_not_ask_outside() {
        let directory = directory();
        assert!(
            directory
                .asker("id-back", "10.0.1.2".parse().unwrap())
                .unwrap()
                .forward
        );
        assert!(
            !directory
                .asker("id-back", "10.0.1.3".parse().unwrap())
                .unwrap()
                .forward
        );
        assert_eq!(directory.asker("id-back", "10.0.1.9".parse().unwrap()), None);
    }
}
