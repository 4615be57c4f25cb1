//! What guests may send: from their own addresses only, and nothing that a router or a DHCP server would say.

use super::{Elements, GuestPort, NetworkRules, name};
use crate::nft::{
    ARP_HEAD, ARP_OPERATION, ARP_SENDER_IP, ARP_SENDER_MAC, Batch, ETHER_SOURCE, ETHER_TYPE, Element, Hook,
    ICMP_TYPE, IP4_DESTINATION, IP4_SOURCE, IP6_SOURCE, Meta, ND_OPTION_MAC, ND_TARGET, Rule, SOURCE_PORT,
    Set, Table, Type, octets,
};
use std::net::IpAddr;

/// Interfaces of guests.
pub const GUESTS: Set<'_> = Set {
    name: "guests",
    key: &[Type::Name],
    data: &[],
};
/// Ours.
const BRIDGES: Set<'_> = Set {
    name: "bridges",
    key: &[Type::Name],
    data: &[],
};
const MACS: Set<'_> = Set {
    name: "macs",
    key: &[Type::Name, Type::Mac],
    data: &[],
};
const IP4: Set<'_> = Set {
    name: "ip4",
    key: &[Type::Name, Type::Ip4],
    data: &[],
};
const IP6: Set<'_> = Set {
    name: "ip6",
    key: &[Type::Name, Type::Ip6],
    data: &[],
};

pub const TYPE_IP4: [u8; 2] = [0x08, 0x00];
pub const TYPE_ARP: [u8; 2] = [0x08, 0x06];
pub const TYPE_IP6: [u8; 2] = [0x86, 0xdd];
/// Ethernet, IPv4, six bytes, four bytes.
const ARP_OF_IP4: [u8; 6] = [0, 1, 0x08, 0, 6, 4];
const ARP_REQUEST: [u8; 2] = [0, 1];

const UDP: u8 = 17;
pub const ICMP6: u8 = 58;
const IGMP: u8 = 2;
/// Who hears what a router asks: RFC 3376, RFC 3810; and which routers want to hear all, RFC 4286.
const IGMP_QUERY: u8 = 0x11;
const ICMP6_LISTENER_QUERY: u8 = 130;
const ICMP6_MULTICAST_ROUTER_ADVERTISEMENT: u8 = 151;
const ICMP6_ROUTER_ADVERTISEMENT: u8 = 134;
pub const ICMP6_NEIGHBOUR_SOLICITATION: u8 = 135;
pub const ICMP6_NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const ICMP6_REDIRECT: u8 = 137;
/// Multicast listener reports, RFC 3810.
const ICMP6_LISTENER_REPORT: u8 = 143;
const DHCP_SERVER: u16 = 67;
const DHCP6_SERVER: u16 = 547;

/// `NF_BR_PRE_ROUTING`, `NF_BR_LOCAL_IN`
const RECEIVED: u32 = 0;
const HERE: u32 = 1;

fn hook(number: u32) -> Option<Hook> {
    Some(Hook {
        kind: "filter",
        number,
        // NF_BR_PRI_FILTER_BRIDGED
        priority: -200,
    })
}

/// Of an interface that has nothing to say: it has no address.
pub fn mute_element(interface: &str, elements: &mut Elements) {
    elements
        .entry((true, GUESTS.name.into()))
        .or_default()
        .insert(Element::of(&[&name(interface)]));
}

pub fn network_elements(network: &NetworkRules, elements: &mut Elements) {
    elements
        .entry((true, BRIDGES.name.into()))
        .or_default()
        .insert(Element::of(&[&name(&network.bridge)]));
}

pub fn elements(port: &GuestPort, elements: &mut Elements) {
    mute_element(&port.interface, elements);
    let interface = name(&port.interface);
    let mut put = |set: Set<'static>, element| {
        elements
            .entry((true, set.name.into()))
            .or_default()
            .insert(element)
    };
    put(MACS, Element::of(&[&interface, &port.mac.0]));
    let has_v6 = port.addresses.iter().any(IpAddr::is_ipv6);
    let link_local = has_v6.then(|| IpAddr::V6(port.mac.link_local()));
    for address in port.addresses.iter().copied().chain(link_local) {
        let set = if address.is_ipv4() { IP4 } else { IP6 };
        put(set, Element::of(&[&interface, &octets(address)]));
    }
}

pub fn chains(batch: &mut Batch, table: Table) {
    for set in [GUESTS, MACS, IP4, IP6] {
        batch.set(table, &set);
    }
    batch.chain(table, "received", hook(RECEIVED));
    for chain in ["guest", "arp", "ip4", "ip6"] {
        batch.chain(table, chain, None);
    }
    batch.rule(
        table,
        "received",
        &Rule::new().input_in(GUESTS.name).jump("guest"),
    );

    guest_chains(batch, table);
}

/// Whoever puts an interface of its own on a bridge of ours is not heard.
pub fn strangers(batch: &mut Batch, table: Table) {
    batch.set(table, &BRIDGES);
    // Frames to the link's own groups come to the host by this one only.
    batch.chain(table, "here", hook(HERE));
    let strange = || Rule::new().meta(Meta::InputName).outside(GUESTS.name);
    for chain in ["received", "here"] {
        let on_ours = strange().meta(Meta::InputBridge).within(BRIDGES.name);
        batch.rule(table, chain, &on_ours.drop());
    }
}

fn guest_chains(batch: &mut Batch, table: Table) {
    let own = |rule: Rule, set: Set<'_>| rule.outside(set.name).drop();
    let from = || Rule::new().meta(Meta::InputName);
    let mut rule = |chain: &str, rule: Rule| batch.rule(table, chain, &rule);
    rule("guest", own(from().load(ETHER_SOURCE), MACS));
    rule("guest", Rule::new().load(ETHER_TYPE).is(&TYPE_IP4).jump("ip4"));
    rule("guest", Rule::new().load(ETHER_TYPE).is(&TYPE_IP6).jump("ip6"));
    rule("guest", Rule::new().load(ETHER_TYPE).is(&TYPE_ARP).jump("arp"));
    // Tags of VLANs and whatever else there is.
    rule("guest", Rule::new().drop());

    rule("arp", Rule::new().load(ARP_HEAD).differs_from(&ARP_OF_IP4).drop());
    rule("arp", own(from().load(ARP_SENDER_MAC), MACS));
    // A question whether somebody has an address (RFC 5227) comes from none.
    let probe = Rule::new()
        .load(ARP_OPERATION)
        .is(&ARP_REQUEST)
        .load(ARP_SENDER_IP)
        .is(&[0; 4]);
    rule("arp", probe.accept());
    rule("arp", own(from().load(ARP_SENDER_IP), IP4));
    rule("arp", Rule::new().accept());

    rule("ip4", own(from().load(IP4_SOURCE), IP4));
    // The host's own programs listen there, and the host takes such packets from its bridges.
    let loopback = IpAddr::from([127, 0, 0, 0]);
    rule(
        "ip4",
        Rule::new().starts_with(IP4_DESTINATION, loopback, 8).drop(),
    );
    let port = |port: u16| {
        Rule::new()
            .protocol(UDP)
            .load(SOURCE_PORT)
            .is(&port.to_be_bytes())
    };
    rule("ip4", port(DHCP_SERVER).drop());
    let query = Rule::new().protocol(IGMP).load(ICMP_TYPE).is(&[IGMP_QUERY]);
    rule("ip4", query.drop());
    rule("ip4", Rule::new().accept());

    let icmp6 = |kind: u8| Rule::new().protocol(ICMP6).load(ICMP_TYPE).is(&[kind]);
    for kind in [
        ICMP6_ROUTER_ADVERTISEMENT,
        ICMP6_REDIRECT,
        ICMP6_LISTENER_QUERY,
        ICMP6_MULTICAST_ROUTER_ADVERTISEMENT,
    ] {
        rule("ip6", icmp6(kind).drop());
    }
    let told = || icmp6(ICMP6_NEIGHBOUR_ADVERTISEMENT).meta(Meta::InputName);
    rule("ip6", own(told().load(ND_TARGET), IP6));
    rule("ip6", own(told().load(ND_OPTION_MAC), MACS));
    rule("ip6", port(DHCP6_SERVER).drop());
    // Before it has an address a station asks whether somebody has it, and joins groups.
    for kind in [ICMP6_NEIGHBOUR_SOLICITATION, ICMP6_LISTENER_REPORT] {
        rule("ip6", icmp6(kind).load(IP6_SOURCE).is(&[0; 16]).accept());
    }
    rule("ip6", own(from().load(IP6_SOURCE), IP6));
    rule("ip6", Rule::new().accept());
}
