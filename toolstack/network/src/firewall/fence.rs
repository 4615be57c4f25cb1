//! What guests with security groups may send and receive: what a rule of one of their groups allows, and what answers to it.
//!
//! Every packet is looked at with the rules as they are now, the answers with those that allow what they answer to, so that
//! a change holds for connections that exist.

use super::connections::BEGUN;
use super::{Elements, GuestPort, NetworkRules, Path, bridge, name};
use crate::nft::{
    Batch, DESTINATION_PORT, ETHER_TYPE, Element, Field, Hook, ICMP_TYPE, IP4_DESTINATION, IP4_SOURCE,
    IP6_DESTINATION, IP6_SOURCE, Meta, NFPROTO_IPV4, NFPROTO_IPV6, Rule, SOURCE_PORT, Set, Table, Type,
    octets,
};
use ipnet::IpNet;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the guest.
    Ingress,
    /// From the guest.
    Egress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    All,
    /// Both families' own.
    Icmp,
    /// From the first port to the last, of the one that is called.
    Tcp(u16, u16),
    Udp(u16, u16),
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    Anyone,
    Net(IpNet),
    /// Guests of a security group.
    Group(String),
}

/// Something that a security group allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    pub direction: Direction,
    pub traffic: Traffic,
    pub remote: Remote,
}

/// Interfaces of guests with groups, or on closed networks.
const FENCED: Set<'_> = Set {
    name: "fenced",
    key: &[Type::Name],
    data: &[],
};
/// Those of the latter that have no groups.
const CLOSED: Set<'_> = Set {
    name: "closed",
    key: &[Type::Name],
    data: &[],
};
/// Who may call a guest, and whom a guest may call, whatever its groups say: its interface, and the other's address.
const CALLERS4: Set<'_> = Set {
    name: "callers4",
    key: &[Type::Name, Type::Ip4],
    data: &[],
};
const CALLERS6: Set<'_> = Set {
    name: "callers6",
    key: &[Type::Name, Type::Ip6],
    data: &[],
};
const CALLED4: Set<'_> = Set {
    name: "called4",
    key: &[Type::Name, Type::Ip4],
    data: &[],
};
const CALLED6: Set<'_> = Set {
    name: "called6",
    key: &[Type::Name, Type::Ip6],
    data: &[],
};
/// The host's own addresses in the networks, where it answers to names.
const HOST4: Set<'_> = Set {
    name: "host4",
    key: &[Type::Ip4],
    data: &[],
};
const HOST6: Set<'_> = Set {
    name: "host6",
    key: &[Type::Ip6],
    data: &[],
};

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP: u8 = 1;
pub const DNS: u16 = 53;
/// Listeners to groups are asked and answer, neighbours too: RFC 2710, RFC 4861, RFC 3810.
const LINK_TYPES: [u8; 6] = [130, 131, 132, 135, 136, 143];

fn members(group: &str) -> String {
    format!("sg_{group}")
}

fn addresses(group: &str, v4: bool) -> String {
    format!("sg{}_{group}", if v4 { 4 } else { 6 })
}

pub fn network_elements(network: &NetworkRules, elements: &mut Elements) {
    for host in &network.hosts {
        let set = if host.is_ipv4() { HOST4 } else { HOST6 };
        let element = Element::of(&[&octets(*host)]);
        elements
            .entry((true, set.name.into()))
            .or_default()
            .insert(element);
    }
}

pub fn elements(port: &GuestPort, elements: &mut Elements) {
    let interface = Element::of(&[&name(&port.interface)]);
    let mut put = |set: String, element| elements.entry((true, set.into())).or_default().insert(element);
    put(FENCED.name.to_owned(), interface.clone());
    if port.groups.is_empty() {
        put(CLOSED.name.to_owned(), interface.clone());
    }
    for group in &port.groups {
        put(members(group), interface.clone());
        for address in &port.addresses {
            let element = Element::of(&[&octets(*address)]);
            put(addresses(group, address.is_ipv4()), element);
        }
    }
}

pub fn path_elements(path: &Path, elements: &mut Elements) {
    let (caller, called) = (&path.caller, &path.called);
    let v4 = caller.address.is_ipv4();
    for (set, at, other) in [
        (if v4 { CALLED4 } else { CALLED6 }, caller, called),
        (if v4 { CALLERS4 } else { CALLERS6 }, called, caller),
    ] {
        let element = Element::of(&[&name(&at.interface), &octets(other.address)]);
        elements
            .entry((true, set.name.into()))
            .or_default()
            .insert(element);
    }
}

/// A way through a guest's port: how the other end and the ports are called there.
struct Way {
    chain: &'static str,
    interface: Meta,
    remote4: Field,
    remote6: Field,
    /// What a packet of whoever called first does.
    direction: Direction,
}

const WAYS: [Way; 2] = [
    Way {
        chain: "fence_in",
        interface: Meta::OutputName,
        remote4: IP4_SOURCE,
        remote6: IP6_SOURCE,
        direction: Direction::Ingress,
    },
    Way {
        chain: "fence_out",
        interface: Meta::InputName,
        remote4: IP4_DESTINATION,
        remote6: IP6_DESTINATION,
        direction: Direction::Egress,
    },
];

pub fn chains(batch: &mut Batch, table: Table, groups: &BTreeMap<String, Vec<Allowed>>) {
    for set in [FENCED, CLOSED, CALLERS4, CALLERS6, CALLED4, CALLED6, HOST4, HOST6] {
        batch.set(table, &set);
    }
    for group in groups.keys() {
        for (name, key) in [
            (members(group), Type::Name),
            (addresses(group, true), Type::Ip4),
            (addresses(group, false), Type::Ip6),
        ] {
            let key = &[key];
            batch.set(
                table,
                &Set {
                    name: &name,
                    key,
                    data: &[],
                },
            );
        }
    }
    // Behind the bridge's tracking of connections (-200); what leaves for a guest has been through all else.
    for (chain, number, to) in [("entering", 0, "fence_out"), ("leaving", 4, "fence_in")] {
        let hook = Hook {
            kind: "filter",
            number,
            priority: 0,
        };
        batch.chain(table, chain, Some(hook));
        batch.chain(table, to, None);
    }
    batch.chain(table, BEGUN, None);
    let new = Rule::new().input_in(bridge::GUESTS.name).unknown();
    batch.rule(table, "entering", &new.jump(BEGUN));
    batch.rule(
        table,
        "entering",
        &Rule::new().input_in(FENCED.name).jump("fence_out"),
    );
    batch.rule(
        table,
        "leaving",
        &Rule::new().output_in(FENCED.name).jump("fence_in"),
    );
    for way in &WAYS {
        for rule in always(way).into_iter().chain(linked(way)).chain(closed(way)) {
            batch.rule(table, way.chain, &rule);
        }
        for (group, allowed) in groups {
            let chain = format!("{}_{group}", way.chain);
            batch.chain(table, &chain, None);
            for rule in allowed.iter().flat_map(|allowed| rules(way, allowed)) {
                batch.rule(table, &chain, &rule);
            }
            let of_group = Rule::new().meta(way.interface).within(&members(group));
            batch.rule(table, way.chain, &of_group.jump(&chain));
        }
        batch.rule(table, way.chain, &Rule::new().drop());
    }
}

/// Without these there is no network: who is where, what became of a packet, what names stand for.
fn always(way: &Way) -> Vec<Rule> {
    let mut rules = vec![
        Rule::new().load(ETHER_TYPE).is(&bridge::TYPE_ARP).accept(),
        Rule::new().related().accept(),
    ];
    for kind in LINK_TYPES {
        rules.push(
            Rule::new()
                .protocol(bridge::ICMP6)
                .load(ICMP_TYPE)
                .is(&[kind])
                .accept(),
        );
    }
    // Only guests ask.
    let (answers, port) = match way.direction {
        Direction::Egress => (false, DESTINATION_PORT),
        Direction::Ingress => (true, SOURCE_PORT),
    };
    for (ether, remote, set) in [
        (bridge::TYPE_IP4, way.remote4, HOST4),
        (bridge::TYPE_IP6, way.remote6, HOST6),
    ] {
        for protocol in [UDP, TCP] {
            let host = Rule::new()
                .load(ETHER_TYPE)
                .is(&ether)
                .load(remote)
                .within(set.name);
            let names = host.protocol(protocol).load(port).is(&DNS.to_be_bytes());
            rules.push(names.answers(answers).accept());
        }
    }
    rules
}

/// Between those that are linked: the caller's packets to the called one, and answers.
fn linked(way: &Way) -> Vec<Rule> {
    let families = [
        (bridge::TYPE_IP4, way.remote4, CALLERS4, CALLED4),
        (bridge::TYPE_IP6, way.remote6, CALLERS6, CALLED6),
    ];
    let mut rules = Vec::new();
    for (ether, remote, callers, called) in families {
        // What a caller sends comes in at the called one's port, and goes out at its own.
        let (calls, answers) = match way.direction {
            Direction::Ingress => (callers, called),
            Direction::Egress => (called, callers),
        };
        for (set, answers) in [(calls, false), (answers, true)] {
            let rule = Rule::new().load(ETHER_TYPE).is(&ether).answers(answers);
            rules.push(rule.meta(way.interface).load(remote).within(set.name).accept());
        }
    }
    rules
}

/// Guests of closed networks call whom they like; to them comes what answers, and what was sent to a port of the host.
fn closed(way: &Way) -> Vec<Rule> {
    let at = |rule: Rule| rule.meta(way.interface).within(CLOSED.name).accept();
    match way.direction {
        Direction::Egress => vec![at(Rule::new())],
        Direction::Ingress => vec![at(Rule::new().answers(true)), at(Rule::new().translated())],
    }
}

fn rules(way: &Way, allowed: &Allowed) -> Vec<Rule> {
    // Of what is allowed the other way there are answers this way.
    let answers = allowed.direction != way.direction;
    let families = [
        (NFPROTO_IPV4, bridge::TYPE_IP4, way.remote4),
        (NFPROTO_IPV6, bridge::TYPE_IP6, way.remote6),
    ];
    let mut rules = Vec::new();
    for (family, ether, field) in families {
        let rule = Rule::new().answers(answers).load(ETHER_TYPE).is(&ether);
        let v4 = family == NFPROTO_IPV4;
        let rule = match &allowed.remote {
            Remote::Anyone => rule,
            Remote::Net(net) if net.addr().is_ipv4() == v4 => {
                rule.starts_with(field, net.network(), net.prefix_len())
            }
            Remote::Net(_) => continue,
            Remote::Group(group) => rule.load(field).within(&addresses(group, v4)),
        };
        let called = if answers { SOURCE_PORT } else { DESTINATION_PORT };
        let rule = match allowed.traffic {
            Traffic::All => rule,
            Traffic::Icmp => rule.protocol(if v4 { ICMP } else { bridge::ICMP6 }),
            Traffic::Tcp(first, last) => rule.protocol(TCP).load(called).between(first, last),
            Traffic::Udp(first, last) => rule.protocol(UDP).load(called).between(first, last),
        };
        rules.push(rule.accept());
    }
    rules
}
