//! Translation between networks and the outside, and what may pass between them.

use super::connections::BEGUN;
use super::{Elements, NetworkRules, Published, bridge, fence, floating, name};
use crate::forwarding::Family;
use crate::nft::{
    Batch, DESTINATION_PORT, Element, Field, Hook, ICMP_TYPE, IP4_DESTINATION, IP4_SOURCE, IP6_DESTINATION,
    IP6_SOURCE, Meta, Meter, NFPROTO_IPV4, NFPROTO_IPV6, Rule, Set, Table, Type, octets,
};
use crate::port::PortKey;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Ours, and those of them that are closed.
pub const BRIDGES: Set<'_> = Set {
    name: "bridges",
    key: &[Type::Name],
    data: &[],
};
const INTERNAL: Set<'_> = Set {
    name: "internal",
    key: &[Type::Name],
    data: &[],
};
/// Interfaces of guests.
const PORTS: Set<'_> = Set {
    name: "ports",
    key: &[Type::Name],
    data: &[],
};
/// Each of ours twice.
const SAME: Set<'_> = Set {
    name: "same",
    key: &[Type::Name, Type::Name],
    data: &[],
};
/// Where the host answers to names: a network's bridge, and the host's address there.
const NAMES4: Set<'_> = Set {
    name: "names4",
    key: &[Type::Name, Type::Ip4],
    data: &[],
};
const NAMES6: Set<'_> = Set {
    name: "names6",
    key: &[Type::Name, Type::Ip6],
    data: &[],
};
/// Guests that ask for names. A network's name server has one queue for all, which one of them could keep full: what each
/// sends is held to a little more than the server answers (`dns/limit.rs`).
const ASKERS4: Meter = Meter {
    name: "askers4",
    key: Type::Ip4,
    // The whole burst is there again by then.
    forgotten_after: Duration::from_secs(5),
    max_elements: 65535,
    rate: 500,
    burst: 2000,
};
const ASKERS6: Meter = Meter {
    name: "askers6",
    key: Type::Ip6,
    ..ASKERS4
};
/// Ports of the host that guests may ask beside.
const SERVICES: Set<'_> = Set {
    name: "services",
    key: &[Type::Protocol, Type::Port],
    data: &[],
};
/// Published at all addresses of the host, and at one.
const ANY4: Set<'_> = Set {
    name: "any4",
    key: &[Type::Protocol, Type::Port],
    data: &[Type::Ip4, Type::Port],
};
const ONE4: Set<'_> = Set {
    name: "one4",
    key: &[Type::Ip4, Type::Protocol, Type::Port],
    data: &[Type::Ip4, Type::Port],
};
const ANY6: Set<'_> = Set {
    name: "any6",
    key: &[Type::Protocol, Type::Port],
    data: &[Type::Ip6, Type::Port],
};
const ONE6: Set<'_> = Set {
    name: "one6",
    key: &[Type::Ip6, Type::Protocol, Type::Port],
    data: &[Type::Ip6, Type::Port],
};

pub fn network_elements(network: &NetworkRules, elements: &mut Elements) {
    let name = name(&network.bridge);
    elements
        .entry((false, SAME.name.into()))
        .or_default()
        .insert(Element::of(&[&name, &name]));
    let bridge = Element::of(&[&name]);
    if network.internal {
        elements
            .entry((false, INTERNAL.name.into()))
            .or_default()
            .insert(bridge.clone());
    }
    elements
        .entry((false, BRIDGES.name.into()))
        .or_default()
        .insert(bridge);
    for host in &network.hosts {
        let set = if host.is_ipv4() { NAMES4 } else { NAMES6 };
        elements
            .entry((false, set.name.into()))
            .or_default()
            .insert(Element::of(&[&name, &octets(*host)]));
    }
}

pub fn port_element(interface: &str, elements: &mut Elements) {
    elements
        .entry((false, PORTS.name.into()))
        .or_default()
        .insert(Element::of(&[&name(interface)]));
}

pub fn service_element(service: &PortKey, elements: &mut Elements) {
    let element = Element::of(&[&[service.protocol.number()], &service.port.to_be_bytes()]);
    elements
        .entry((false, SERVICES.name.into()))
        .or_default()
        .insert(element);
}

pub fn published_elements(published: &Published, elements: &mut Elements) {
    let protocol = [published.protocol.number()];
    let port = published.host.port().to_be_bytes();
    let address = octets(published.host.ip());
    let everywhere = published.host.ip().is_unspecified();
    let set = match (published.host.is_ipv4(), everywhere) {
        (true, true) => ANY4,
        (true, false) => ONE4,
        (false, true) => ANY6,
        (false, false) => ONE6,
    };
    let element = match everywhere {
        true => Element::of(&[&protocol, &port]),
        false => Element::of(&[&address, &protocol, &port]),
    };
    let element = element.with(&[
        &octets(published.guest.ip()),
        &published.guest.port().to_be_bytes(),
    ]);
    elements
        .entry((false, set.name.into()))
        .or_default()
        .insert(element);
}

/// Chains at their hooks (linux/netfilter.h) and priorities (linux/netfilter_ipv4.h).
fn hook(kind: &'static str, number: u32, priority: i32) -> Option<Hook> {
    Some(Hook {
        kind,
        number,
        priority,
    })
}

const RECEIVED: u32 = 0;
const HERE: u32 = 1;
const FORWARDED: u32 = 2;
const SENT: u32 = 3;
const LEAVING: u32 = 4;
const BEFORE_ALL: i32 = -300;
const DESTINATION_NAT: i32 = -100;
const FILTER: i32 = 0;
const SOURCE_NAT: i32 = 100;

const ICMP_ECHO_REQUEST: u8 = 8;
const ICMP6_ECHO_REQUEST: u8 = 128;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0));
const LOOPBACK6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

pub fn chains<'a>(
    batch: &mut Batch,
    table: Table,
    networks: impl Iterator<Item = &'a NetworkRules>,
    closed: &BTreeSet<Family>,
) {
    for set in [
        BRIDGES, PORTS, SAME, INTERNAL, NAMES4, NAMES6, SERVICES, ANY4, ONE4, ANY6, ONE6,
    ] {
        batch.set(table, &set);
    }
    for meter in [ASKERS4, ASKERS6] {
        batch.meter(table, &meter);
    }
    floating::sets(batch, table);
    batch.chain(table, "published", None);
    batch.chain(table, "guard", hook("filter", RECEIVED, BEFORE_ALL));
    batch.chain(table, "received", hook("nat", RECEIVED, DESTINATION_NAT));
    batch.chain(table, "sent", hook("nat", SENT, DESTINATION_NAT));
    batch.chain(table, "of_guests", None);
    batch.chain(table, "here", hook("filter", HERE, FILTER));
    batch.chain(table, "forwarded", hook("filter", FORWARDED, FILTER));
    batch.chain(table, BEGUN, None);
    batch.chain(table, "leaving", hook("nat", LEAVING, SOURCE_NAT));
    let mut rule = |chain: &str, rule: Rule| batch.rule(table, chain, &rule);

    // A bridge has the host take frames to the link's own groups (01:80:c2:00:00:0x) as they come in at the port.
    rule("guard", Rule::new().input_in(PORTS.name).drop());
    // Bridges route to 127.0.0.0/8, so that the host reaches published ports there; nobody else is to. Packets for ::1
    // the kernel drops by itself.
    let to_loopback = Rule::new().input_in(BRIDGES.name).family(NFPROTO_IPV4);
    rule(
        "guard",
        to_loopback.starts_with(IP4_DESTINATION, LOOPBACK, 8).drop(),
    );

    for chain in ["received", "sent"] {
        rule(chain, Rule::new().for_this_host().jump("published"));
    }
    for inwards in floating::inwards() {
        rule("published", inwards);
    }
    for (family, destination, one, any) in [
        (NFPROTO_IPV4, IP4_DESTINATION, ONE4, ANY4),
        (NFPROTO_IPV6, IP6_DESTINATION, ONE6, ANY6),
    ] {
        let asked = |rule: Rule| rule.meta(Meta::Protocol).load(DESTINATION_PORT);
        let here = asked(Rule::new().family(family).load(destination));
        rule("published", here.send_to_mapped(one.name, family));
        rule(
            "published",
            asked(Rule::new().family(family)).send_to_mapped(any.name, family),
        );
    }

    here(&mut rule);
    forwarding(&mut rule, closed);

    // What the host itself sends to a guest from its loopback gets an address that the guest can answer.
    for (family, source, loopback, prefix_len) in [
        (NFPROTO_IPV4, IP4_SOURCE, LOOPBACK, 8),
        (NFPROTO_IPV6, IP6_SOURCE, LOOPBACK6, 128),
    ] {
        let from_host = Rule::new().output_in(BRIDGES.name).family(family);
        rule(
            "leaving",
            from_host.starts_with(source, loopback, prefix_len).masquerade(),
        );
    }
    for outwards in floating::outwards() {
        rule("leaving", outwards);
    }
    for network in networks {
        for subnet in &network.subnets {
            let from = || from_subnet(*subnet);
            // A guest that asks for a published port of its own network: the answer must come back this way.
            rule(
                "leaving",
                from().output_in(BRIDGES.name).translated().masquerade(),
            );
            if network.masquerade && !network.internal {
                rule("leaving", from().output_not_in(BRIDGES.name).masquerade());
            }
        }
    }
}

fn from_subnet(subnet: IpNet) -> Rule {
    let (family, source): (u8, Field) = match subnet {
        IpNet::V4(_) => (NFPROTO_IPV4, IP4_SOURCE),
        IpNet::V6(_) => (NFPROTO_IPV6, IP6_SOURCE),
    };
    Rule::new()
        .family(family)
        .starts_with(source, subnet.network(), subnet.prefix_len())
}

/// What guests may send to the host itself: answers, questions for names, and what tells whether it is there.
fn here(rule: &mut impl FnMut(&str, Rule)) {
    rule("here", Rule::new().input_in(BRIDGES.name).jump("of_guests"));
    let mut of_guests = |it: Rule| rule("of_guests", it);
    for (family, source, askers) in [
        (NFPROTO_IPV4, IP4_SOURCE, ASKERS4),
        (NFPROTO_IPV6, IP6_SOURCE, ASKERS6),
    ] {
        let asked = Rule::new().family(family).protocol(fence::UDP);
        let asked = asked.load(DESTINATION_PORT).is(&fence::DNS.to_be_bytes());
        of_guests(asked.load(source).over(&askers).drop());
    }
    of_guests(Rule::new().unknown().jump(BEGUN));
    for (family, destination, names) in [
        (NFPROTO_IPV4, IP4_DESTINATION, NAMES4),
        (NFPROTO_IPV6, IP6_DESTINATION, NAMES6),
    ] {
        for protocol in [fence::UDP, fence::TCP] {
            let asked = Rule::new().family(family).protocol(protocol);
            let asked = asked.load(DESTINATION_PORT).is(&fence::DNS.to_be_bytes());
            let at = asked.meta(Meta::InputName).load(destination);
            of_guests(at.within(names.name).accept());
        }
    }
    of_guests(Rule::new().established().accept());
    let asked = Rule::new().meta(Meta::Protocol).load(DESTINATION_PORT);
    of_guests(asked.within(SERVICES.name).accept());
    for (protocol, kind) in [
        (fence::ICMP, ICMP_ECHO_REQUEST),
        (bridge::ICMP6, ICMP6_ECHO_REQUEST),
        // No connection has these.
        (bridge::ICMP6, bridge::ICMP6_NEIGHBOUR_SOLICITATION),
        (bridge::ICMP6, bridge::ICMP6_NEIGHBOUR_ADVERTISEMENT),
    ] {
        of_guests(
            Rule::new()
                .protocol(protocol)
                .load(ICMP_TYPE)
                .is(&[kind])
                .accept(),
        );
    }
    of_guests(Rule::new().drop());
}

fn forwarding(rule: &mut impl FnMut(&str, Rule), closed: &BTreeSet<Family>) {
    let mut forwarded = |it: Rule| rule("forwarded", it);
    forwarded(Rule::new().input_in(BRIDGES.name).unknown().jump(BEGUN));
    for stale in floating::stale() {
        forwarded(stale);
    }
    // Seen here only on hosts that show bridged packets to the rules of routed ones (br_netfilter), and when a guest asks
    // for a port that its own network publishes.
    forwarded(
        Rule::new()
            .meta(Meta::InputName)
            .meta(Meta::OutputName)
            .within(SAME.name)
            .accept(),
    );
    for (set, into) in [(INTERNAL, true), (INTERNAL, false)] {
        let at = if into {
            Rule::new().output_in(set.name)
        } else {
            Rule::new().input_in(set.name)
        };
        forwarded(at.drop());
    }
    let into = || Rule::new().output_in(BRIDGES.name);
    forwarded(into().established().accept());
    forwarded(into().translated().accept());
    // From outside, and from one network to another.
    forwarded(into().drop());
    forwarded(Rule::new().input_in(BRIDGES.name).accept());
    for family in closed {
        let family = match family {
            Family::Four => NFPROTO_IPV4,
            Family::Six => NFPROTO_IPV6,
        };
        forwarded(Rule::new().family(family).drop());
    }
}
