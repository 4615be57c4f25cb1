//! All rules of ours, in two tables of nf_tables: `bridge hyper`, where guests are held to what is theirs, and
//! `inet hyper`, where their packets are translated and networks kept apart.
//!
//! What changes with every guest is in sets and maps, so that a packet costs the same however many guests there are.
//! A change is one transaction; when it fails, everything is written anew from what is to be.

mod bridge;
mod connections;
mod fence;
mod floating;
mod inet;

pub use fence::{Allowed, Direction, Remote, Traffic};

use crate::conntrack::{self, Conversation};
use crate::forwarding::Family;
use crate::mac::Mac;
use crate::nft::{Batch, Element, NftError, Table};
use crate::port::{PortKey, Protocol};
use ipnet::IpNet;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// What the rules need to know of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRules {
    pub bridge: String,
    pub subnets: Vec<IpNet>,
    /// The host's own addresses there.
    pub hosts: Vec<IpAddr>,
    /// Closed: nothing goes in or out.
    pub internal: bool,
    /// The outside sees the host's address.
    pub masquerade: bool,
}

/// A guest's interface: what it may say that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestPort {
    /// In the host.
    pub interface: String,
    pub mac: Mac,
    pub addresses: Vec<IpAddr>,
    /// Security groups; without any, the guest has a fence on a closed network only.
    pub groups: Vec<String>,
    /// Nothing comes to it that it has not called for, or published, or been linked for.
    pub closed: bool,
}

impl GuestPort {
    fn is_fenced(&self) -> bool {
        self.closed || !self.groups.is_empty()
    }
}

/// A guest may call another, whatever their fences are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    pub caller: PathEnd,
    pub called: PathEnd,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathEnd {
    pub interface: String,
    pub address: IpAddr,
}

/// A port of the host that leads to a guest. An unspecified address stands for all of its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Published {
    pub protocol: Protocol,
    pub host: SocketAddr,
    pub guest: SocketAddr,
}

/// An address of the outside that is a guest's, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Floating {
    pub outside: IpAddr,
    /// None while it leads nowhere.
    pub guest: Option<IpAddr>,
}

/// Elements of the sets, by table and set.
type Elements = BTreeMap<(bool, Cow<'static, str>), BTreeSet<Element>>;

const BRIDGE: Table = Table {
    family: 7,
    name: "hyper",
};
const INET: Table = Table {
    family: 1,
    name: "hyper",
};

/// Of the host's table of connections a guest may take one part in so many.
const SHARE: u32 = 4;

fn table(bridge: bool) -> Table {
    if bridge { BRIDGE } else { INET }
}

/// As it was before a change.
struct Before {
    elements: Elements,
    published: BTreeSet<Published>,
    floating: Vec<Floating>,
}

/// All rules as they are to be.
#[derive(Debug, Default)]
pub struct Firewall {
    networks: BTreeMap<String, NetworkRules>,
    ports: BTreeMap<String, GuestPort>,
    /// Interfaces on our bridges that are no guest's, or no longer. Not every kernel drops those that the rules do not know.
    muted: BTreeSet<String>,
    paths: BTreeSet<Path>,
    published: BTreeSet<Published>,
    floating: Vec<Floating>,
    /// Ports of the host that guests may ask, beside its name servers.
    services: BTreeSet<PortKey>,
    /// Security groups, by name.
    groups: BTreeMap<String, Vec<Allowed>>,
    /// Packets of these that are not of our networks are not forwarded: the host does so only since we are here.
    closed: BTreeSet<Family>,
    /// What the kernel has.
    written: bool,
    /// With fences, for which it tracks connections on bridges.
    fenced: bool,
    /// It does not tell which bridge a frame came by.
    hears_strangers: bool,
    /// Nor how many connections there are.
    counts_nothing: bool,
    /// Of each guest, begun by it and of one family; unknown until the kernel tracks any.
    max_connections: Option<u32>,
}

impl Firewall {
    fn needs_fences(&self) -> bool {
        self.ports.values().any(GuestPort::is_fenced)
    }

    fn elements(&self) -> Elements {
        let mut elements = Elements::new();
        for port in self.ports.values() {
            bridge::elements(port, &mut elements);
        }
        for interface in &self.muted {
            bridge::mute_element(interface, &mut elements);
        }
        for interface in self.ports.keys().chain(&self.muted) {
            inet::port_element(interface, &mut elements);
        }
        for network in self.networks.values() {
            inet::network_elements(network, &mut elements);
            if !self.hears_strangers {
                bridge::network_elements(network, &mut elements);
            }
        }
        if self.needs_fences() {
            for network in self.networks.values() {
                fence::network_elements(network, &mut elements);
            }
            for port in self.ports.values().filter(|port| port.is_fenced()) {
                fence::elements(port, &mut elements);
            }
            for path in &self.paths {
                fence::path_elements(path, &mut elements);
            }
        }
        for published in &self.published {
            inet::published_elements(published, &mut elements);
        }
        for floating in &self.floating {
            floating::elements(floating, &mut elements);
        }
        for service in &self.services {
            inet::service_element(service, &mut elements);
        }
        elements
    }

    fn now(&self) -> Before {
        Before {
            elements: self.elements(),
            published: self.published.clone(),
            floating: self.floating.clone(),
        }
    }

    /// Forgets conversations that would go on to where a port or an address led before.
    fn forget_stale(&self, before: &Before) {
        let udp = |published: &&Published| published.protocol == Protocol::Udp;
        let gone: Vec<_> = before.published.difference(&self.published).filter(udp).collect();
        let come: Vec<_> = self.published.difference(&before.published).filter(udp).collect();
        let led = self.floating.iter().filter(|new| !before.floating.contains(new));
        let led: Vec<_> = led
            .filter_map(|floating| Some((floating.outside, floating.guest?)))
            .collect();
        let is_stale = |at: &Conversation| {
            let comes_by = |published: &&&Published| {
                let host = published.host;
                let here = host.ip().is_unspecified() && host.is_ipv4() == at.called.is_ipv4();
                host.port() == at.called.port() && (here || host.ip() == at.called.ip())
            };
            gone.iter()
                .filter(comes_by)
                .any(|published| published.guest == at.answering)
                // What came before the port led anywhere nobody has answered; what others have is theirs.
                || come.iter().filter(comes_by).any(|published| {
                    published.guest != at.answering && (at.called != at.answering || !at.is_answered)
                })
                || led
                    .iter()
                    .any(|(outside, guest)| at.called.ip() == *outside && at.answering.ip() != *guest)
        };
        for v4 in [true, false] {
            let ports = gone.iter().chain(&come);
            let concerns = ports.map(|published| published.host.is_ipv4());
            let mut concerns = concerns.chain(led.iter().map(|(outside, _)| outside.is_ipv4()));
            if concerns.any(|family| family == v4)
                && let Err(error) = conntrack::forget(v4, is_stale)
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "conversations by UDP may go on to where they led before"
                );
            }
        }
    }

    /// Everything anew.
    fn rewrite(&self) -> Batch {
        let mut batch = Batch::default();
        for table in [BRIDGE, INET] {
            // One that is not there cannot be deleted.
            batch.table(table);
            batch.delete_table(table);
            batch.table(table);
        }
        bridge::chains(&mut batch, BRIDGE);
        if !self.hears_strangers {
            bridge::strangers(&mut batch, BRIDGE);
        }
        if self.needs_fences() {
            fence::chains(&mut batch, BRIDGE, &self.groups);
        }
        inet::chains(&mut batch, INET, self.networks.values(), &self.closed);
        if let Some(max) = self.max_connections
            && !self.counts_nothing
        {
            connections::limits(&mut batch, INET, max);
            if self.needs_fences() {
                connections::limits(&mut batch, BRIDGE, max);
            }
        }
        for ((of, set), elements) in self.elements() {
            let elements: Vec<_> = elements.into_iter().collect();
            batch.add(table(of), &set, &elements);
        }
        batch
    }

    /// Makes the kernel have what is to be, whatever it has. Blocks.
    pub fn write(&mut self) -> Result<(), NftError> {
        self.written = false;
        let learned = self.learn_share();
        self.write_once()?;
        // The rules ask for connections: from now on the kernel tracks them.
        if !learned && self.learn_share() {
            self.write_once()?;
        }
        self.written = true;
        self.fenced = self.needs_fences();
        Ok(())
    }

    fn learn_share(&mut self) -> bool {
        if self.max_connections.is_none() {
            self.max_connections = conntrack::max().map(|max| max / SHARE);
        }
        self.max_connections.is_some()
    }

    fn write_once(&mut self) -> Result<(), NftError> {
        let Err(error) = self.rewrite().commit() else {
            return Ok(());
        };
        if !error.is_unknown() {
            return Err(error);
        }
        // Some kernels have not all of it.
        let whole = (self.hears_strangers, self.counts_nothing);
        for (hears_strangers, counts_nothing) in [(true, whole.1), (whole.0, true), (true, true)] {
            (self.hears_strangers, self.counts_nothing) = (hears_strangers, counts_nothing);
            if (hears_strangers, counts_nothing) == whole || self.rewrite().commit().is_err() {
                continue;
            }
            let error = &error as &dyn std::error::Error;
            if hears_strangers && !whole.0 {
                tracing::warn!(
                    error,
                    "interfaces that others put on hyperd's bridges are heard: the kernel has no CONFIG_NFT_BRIDGE_META"
                );
            }
            if counts_nothing && !whole.1 {
                tracing::warn!(
                    error,
                    "a guest may fill the host's table of connections: the kernel has no nft_connlimit or nft_hash"
                );
            }
            return Ok(());
        }
        (self.hears_strangers, self.counts_nothing) = whole;
        Err(error)
    }

    fn change(&mut self, before: &Before) -> Result<(), NftError> {
        self.change_rules(&before.elements)?;
        self.forget_stale(before);
        Ok(())
    }

    fn change_rules(&mut self, before: &Elements) -> Result<(), NftError> {
        if !self.written || self.fenced != self.needs_fences() {
            return self.write();
        }
        let after = self.elements();
        let none = BTreeSet::new();
        let mut batch = Batch::default();
        let mut changed = false;
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let (of, set) = (key.0, &key.1);
            let (old, new) = (before.get(key).unwrap_or(&none), after.get(key).unwrap_or(&none));
            let gone: Vec<_> = old.difference(new).cloned().collect();
            let come: Vec<_> = new.difference(old).cloned().collect();
            changed |= !gone.is_empty() || !come.is_empty();
            batch.remove(table(of), set, &gone);
            batch.add(table(of), set, &come);
        }
        if !changed {
            return Ok(());
        }
        if let Err(error) = batch.commit() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the rules are written anew"
            );
            return self.write();
        }
        Ok(())
    }

    /// From now on nothing is forwarded but what is of our networks.
    pub fn close(&mut self, family: Family) -> Result<(), NftError> {
        match self.closed.insert(family) && self.written {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// Only at the start, before the first [`Self::write`].
    pub fn set_network(&mut self, rules: NetworkRules) {
        self.networks.insert(rules.bridge.clone(), rules);
    }

    pub fn add_network(&mut self, rules: NetworkRules) -> Result<(), NftError> {
        self.set_network(rules);
        self.write()
    }

    pub fn remove_network(&mut self, bridge: &str) -> Result<(), NftError> {
        match self.networks.remove(bridge) {
            Some(_) => self.write(),
            None => Ok(()),
        }
    }

    /// All interfaces on our bridges: who is no guest's has nothing to say. Only at the start, before the first
    /// [`Self::write`].
    pub fn mute(&mut self, interfaces: impl IntoIterator<Item = String>) {
        let unknown = interfaces.into_iter();
        self.muted = unknown.filter(|name| !self.ports.contains_key(name)).collect();
    }

    /// Only at the start, before the first [`Self::write`].
    pub fn set_guest(&mut self, ports: Vec<GuestPort>, published: &[Published]) {
        for port in ports {
            self.muted.remove(&port.interface);
            self.ports.insert(port.interface.clone(), port);
        }
        self.muted.retain(|name| is_there(name));
        for new in published {
            // A port leads to one guest: a map with two places for it could not be written at all.
            self.published
                .retain(|old| (old.protocol, old.host) != (new.protocol, new.host));
            self.published.insert(*new);
        }
    }

    /// Only at the start, before the first [`Self::write`].
    pub fn set_services(&mut self, services: impl IntoIterator<Item = PortKey>) {
        self.services = services.into_iter().collect();
    }

    /// How many connections each guest may have begun, of each family; a share of what the kernel has room for without it. Only at the start, before the first [`Self::write`].
    pub fn set_max_connections(&mut self, max: u32) {
        self.max_connections = Some(max);
    }

    /// Lets a guest's interfaces speak, and opens its ports. `paths`: all that there are then.
    pub fn add_guest(
        &mut self,
        ports: Vec<GuestPort>,
        published: &[Published],
        paths: BTreeSet<Path>,
    ) -> Result<(), NftError> {
        let before = self.now();
        self.set_guest(ports, published);
        self.paths = paths;
        self.change(&before)
    }

    pub fn change_paths(&mut self, paths: BTreeSet<Path>) -> Result<(), NftError> {
        self.add_guest(Vec::new(), &[], paths)
    }

    /// Only at the start, before the first [`Self::write`].
    pub fn set_paths(&mut self, paths: BTreeSet<Path>) {
        self.paths = paths;
    }

    /// Only at the start, before the first [`Self::write`].
    pub fn set_group(&mut self, name: String, allowed: Vec<Allowed>) {
        self.groups.insert(name, allowed);
    }

    pub fn change_group(&mut self, name: String, allowed: Vec<Allowed>) -> Result<(), NftError> {
        self.set_group(name, allowed);
        if self.needs_fences() { self.write() } else { Ok(()) }
    }

    /// No guest is in it, and no other group names it.
    pub fn remove_group(&mut self, name: &str) -> Result<(), NftError> {
        self.groups.remove(name);
        if self.needs_fences() { self.write() } else { Ok(()) }
    }

    /// All that are allocated; each guest's address once. Only at the start, before the first [`Self::write`].
    pub fn set_floating(&mut self, floating: Vec<Floating>) {
        self.floating = floating;
    }

    pub fn change_floating(&mut self, floating: Vec<Floating>) -> Result<(), NftError> {
        let before = self.now();
        self.set_floating(floating);
        self.change(&before)
    }

    pub fn remove_guest(
        &mut self,
        interfaces: &[String],
        published: &[Published],
        paths: BTreeSet<Path>,
    ) -> Result<(), NftError> {
        let before = self.now();
        self.forget_guest(interfaces, published);
        self.paths = paths;
        self.change(&before)
    }

    /// One of a guest's; the ports that led to `old` lead to `new`.
    pub fn remove_interface(
        &mut self,
        interface: &str,
        old: &[Published],
        new: &[Published],
        paths: BTreeSet<Path>,
    ) -> Result<(), NftError> {
        let before = self.now();
        self.forget_guest(&[interface], old);
        self.set_guest(Vec::new(), new);
        self.paths = paths;
        self.change(&before)
    }

    fn forget_guest(&mut self, interfaces: &[impl AsRef<str>], published: &[Published]) {
        for interface in interfaces {
            // A guest that could not be ended has it still.
            self.muted
                .extend(self.ports.remove(interface.as_ref()).map(|port| port.interface));
        }
        self.muted.retain(|name| is_there(name));
        for published in published {
            self.published.remove(published);
        }
    }

    /// Takes all our tables away. Blocks.
    pub fn remove_all() -> Result<(), NftError> {
        let mut batch = Batch::default();
        for table in [BRIDGE, INET] {
            batch.table(table);
            batch.delete_table(table);
        }
        batch.commit()
    }
}

/// Whether the host has an interface of that name; it may have when it cannot be asked.
fn is_there(interface: &str) -> bool {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    let found = socket.and_then(|socket| netdevice::name_to_index(&socket, interface));
    !matches!(found, Err(rustix::io::Errno::NODEV))
}

/// An interface's name as a key.
fn name(interface: &str) -> Vec<u8> {
    let mut bytes = interface.as_bytes().to_vec();
    // IFNAMSIZ
    bytes.resize(16, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(number: u8) -> GuestPort {
        GuestPort {
            interface: format!("vif{number}.0"),
            mac: Mac([2, 0, 0, 0, 0, number]),
            addresses: vec![IpAddr::from([10, 0, 0, number])],
            groups: Vec::new(),
            closed: false,
        }
    }

    fn published(port: u16) -> Published {
        Published {
            protocol: Protocol::Tcp,
            host: SocketAddr::from(([0, 0, 0, 0], port)),
            guest: SocketAddr::from(([10, 0, 0, 2], 80)),
        }
    }

    #[test]
    fn what_comes_goes_again() {
        let mut firewall = Firewall::default();
        firewall.set_guest(vec![guest(2)], &[published(80)]);
        let before = firewall.elements();
        firewall.set_guest(vec![guest(3)], &[published(81)]);
        let with_both = firewall.elements();
        assert_eq!(with_both[&(true, "guests".into())].len(), 2);
        assert_eq!(with_both[&(false, "any4".into())].len(), 2);
        firewall.forget_guest(&["vif3.0"], &[published(81)]);
        assert_eq!(firewall.elements(), before);
    }

    #[test]
    fn who_is_no_guests_is_mute_while_it_is_there() {
        let mut firewall = Firewall::default();
        firewall.mute(["lo".to_owned(), "vif2.0".to_owned()]);
        let muted = |firewall: &Firewall| firewall.muted.iter().cloned().collect::<Vec<_>>();
        let mut of_lo = guest(3);
        "lo".clone_into(&mut of_lo.interface);
        firewall.set_guest(vec![guest(2), of_lo], &[]);
        assert!(muted(&firewall).is_empty());
        // A host has the one, and not the other.
        firewall.forget_guest(&["lo", "vif2.0"], &[]);
        assert_eq!(muted(&firewall), ["lo"]);
        let elements = firewall.elements();
        assert_eq!(elements[&(true, "guests".into())].len(), 1);
        assert_eq!(elements[&(false, "ports".into())].len(), 1);
        assert_eq!(elements.get(&(true, "macs".into())), None);
    }

    #[test]
    fn a_guest_has_a_link_local_address_with_ipv6_only() {
        let count = |guest: GuestPort| {
            let mut firewall = Firewall::default();
            firewall.set_guest(vec![guest], &[]);
            firewall
                .elements()
                .get(&(true, "ip6".into()))
                .map_or(0, BTreeSet::len)
        };
        assert_eq!(count(guest(2)), 0);
        let mut six = guest(2);
        six.addresses.push("fd00::2".parse().expect("an address"));
        assert_eq!(count(six), 2);
    }
}
