//! Floating IPs: all that comes to one goes to its guest, and what the guest sends out comes from it.
//!
//! Only the first packet of a connection is translated by a rule. So that no connection outlives the lead that it was
//! translated by, the others are held against the leads as they are.

use super::inet::BRIDGES;
use super::{Elements, Floating};
use crate::nft::{
    Batch, Element, End, Field, IP4_DESTINATION, IP4_SOURCE, IP6_DESTINATION, IP6_SOURCE, NFPROTO_IPV4,
    NFPROTO_IPV6, Rule, Set, Table, Type, octets,
};

/// Of one family.
struct Sets {
    family: u8,
    destination: Field,
    source: Field,
    /// Where each leads, and from where.
    into: Set<'static>,
    out: Set<'static>,
    /// All that are allocated, and those that lead with where to.
    all: Set<'static>,
    leads: Set<'static>,
}

const FOUR: Sets = Sets {
    family: NFPROTO_IPV4,
    destination: IP4_DESTINATION,
    source: IP4_SOURCE,
    into: Set {
        name: "floating_in4",
        key: &[Type::Ip4],
        data: &[Type::Ip4],
    },
    out: Set {
        name: "floating_out4",
        key: &[Type::Ip4],
        data: &[Type::Ip4],
    },
    all: Set {
        name: "floating4",
        key: &[Type::Ip4],
        data: &[],
    },
    leads: Set {
        name: "leads4",
        key: &[Type::Ip4, Type::Ip4],
        data: &[],
    },
};

const SIX: Sets = Sets {
    family: NFPROTO_IPV6,
    destination: IP6_DESTINATION,
    source: IP6_SOURCE,
    into: Set {
        name: "floating_in6",
        key: &[Type::Ip6],
        data: &[Type::Ip6],
    },
    out: Set {
        name: "floating_out6",
        key: &[Type::Ip6],
        data: &[Type::Ip6],
    },
    all: Set {
        name: "floating6",
        key: &[Type::Ip6],
        data: &[],
    },
    leads: Set {
        name: "leads6",
        key: &[Type::Ip6, Type::Ip6],
        data: &[],
    },
};

pub fn elements(floating: &Floating, elements: &mut Elements) {
    let of = if floating.outside.is_ipv4() { FOUR } else { SIX };
    let outside = octets(floating.outside);
    let mut put = |set: Set<'static>, element| {
        let known = elements.entry((false, set.name.into())).or_default();
        known.insert(element);
    };
    put(of.all, Element::of(&[&outside]));
    if let Some(guest) = floating.guest.map(octets) {
        put(of.into, Element::of(&[&outside]).with(&[&guest]));
        put(of.out, Element::of(&[&guest]).with(&[&outside]));
        put(of.leads, Element::of(&[&outside, &guest]));
    }
}

pub fn sets(batch: &mut Batch, table: Table) {
    for of in [FOUR, SIX] {
        for set in [of.into, of.out, of.all, of.leads] {
            batch.set(table, &set);
        }
    }
}

/// Of packets to an address of the host.
pub fn inwards() -> impl Iterator<Item = Rule> {
    [FOUR, SIX].into_iter().map(|of| {
        Rule::new()
            .family(of.family)
            .load(of.destination)
            .send_to_mapped_address(of.into.name, of.family)
    })
}

/// Of packets that leave the networks, and of those to an address of the host that leads into them again.
pub fn outwards() -> impl Iterator<Item = Rule> {
    [FOUR, SIX].into_iter().flat_map(|of| {
        let leaving = [
            Rule::new().family(of.family).output_not_in(BRIDGES.name),
            Rule::new().family(of.family).output_in(BRIDGES.name).translated(),
        ];
        leaving.map(|rule| {
            rule.load(of.source)
                .send_from_mapped_address(of.out.name, of.family)
        })
    })
}

/// Of packets that are forwarded: ends those of leads that are no more.
pub fn stale() -> impl Iterator<Item = Rule> {
    // Who called it, and who was called from it.
    let ends = [(End::Called, End::Answering), (End::Answered, End::Calling)];
    [FOUR, SIX].into_iter().flat_map(move |of| {
        ends.map(|(outside, guest)| {
            Rule::new()
                .family(of.family)
                .end(outside, of.family)
                .within(of.all.name)
                .end(outside, of.family)
                .end(guest, of.family)
                .outside(of.leads.name)
                .drop()
        })
    })
}
