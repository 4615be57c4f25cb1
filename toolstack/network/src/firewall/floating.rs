//! Floating addresses: all that comes to one goes to its guest, and what the guest sends out comes from it.

use super::inet::BRIDGES;
use super::{Elements, Floating};
use crate::nft::{
    Batch, Element, Field, IP4_DESTINATION, IP4_SOURCE, IP6_DESTINATION, IP6_SOURCE, NFPROTO_IPV4,
    NFPROTO_IPV6, Rule, Set, Table, Type, octets,
};

const INTO4: Set = Set {
    name: "floating_in4",
    key: &[Type::Ip4],
    data: &[Type::Ip4],
};
const OUT4: Set = Set {
    name: "floating_out4",
    key: &[Type::Ip4],
    data: &[Type::Ip4],
};
const INTO6: Set = Set {
    name: "floating_in6",
    key: &[Type::Ip6],
    data: &[Type::Ip6],
};
const OUT6: Set = Set {
    name: "floating_out6",
    key: &[Type::Ip6],
    data: &[Type::Ip6],
};

pub fn elements(floating: &Floating, elements: &mut Elements) {
    let (outside, guest) = (octets(floating.outside), octets(floating.guest));
    let (into, out) = if floating.outside.is_ipv4() {
        (INTO4, OUT4)
    } else {
        (INTO6, OUT6)
    };
    let mut put = |set: Set, from: &[u8], to: &[u8]| {
        let element = Element::of(&[from]).with(&[to]);
        elements.entry((false, set.name)).or_default().insert(element);
    };
    put(into, &outside, &guest);
    put(out, &guest, &outside);
}

pub fn sets(batch: &mut Batch, table: Table) {
    for set in [INTO4, OUT4, INTO6, OUT6] {
        batch.set(table, &set);
    }
}

const FAMILIES: [(u8, Field, Field, Set, Set); 2] = [
    (NFPROTO_IPV4, IP4_DESTINATION, IP4_SOURCE, INTO4, OUT4),
    (NFPROTO_IPV6, IP6_DESTINATION, IP6_SOURCE, INTO6, OUT6),
];

/// Of packets to an address of the host.
pub fn inwards() -> impl Iterator<Item = Rule> {
    FAMILIES.into_iter().map(|(family, destination, _, into, _)| {
        Rule::new()
            .family(family)
            .load(destination)
            .send_to_mapped_address(into.name, family)
    })
}

/// Of packets that leave the networks, and of those to an address of the host that leads into them again.
pub fn outwards() -> impl Iterator<Item = Rule> {
    FAMILIES.into_iter().flat_map(|(family, _, source, _, out)| {
        let leaving = [
            Rule::new().family(family).output_not_in(BRIDGES.name),
            Rule::new().family(family).output_in(BRIDGES.name).translated(),
        ];
        leaving.map(|rule| rule.load(source).send_from_mapped_address(out.name, family))
    })
}
