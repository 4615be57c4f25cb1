//! Subnets for networks that ask for none, and addresses in them.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where subnets are taken from, and how large each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    pub base: Ipv4Net,
    pub prefix_len: u8,
}

const fn pool(base: [u8; 4], base_len: u8, prefix_len: u8) -> Pool {
    let base = Ipv4Addr::new(base[0], base[1], base[2], base[3]);
    Pool {
        base: Ipv4Net::new_assert(base, base_len),
        prefix_len,
    }
}

/// Docker's (libnetwork `ipamutils`).
pub const DEFAULT_POOLS: &[Pool] = &[
    pool([172, 17, 0, 0], 16, 16),
    pool([172, 18, 0, 0], 15, 16),
    pool([172, 20, 0, 0], 14, 16),
    pool([172, 24, 0, 0], 13, 16),
    pool([192, 168, 0, 0], 16, 20),
];

/// The first subnet of the pools that overlaps with none of `taken`.
pub fn free_subnet(pools: &[Pool], taken: &[IpNet]) -> Option<Ipv4Net> {
    pools
        .iter()
        .filter_map(|pool| pool.base.subnets(pool.prefix_len).ok())
        .flatten()
        .find(|subnet| !taken.iter().any(|other| overlap(IpNet::V4(*subnet), *other)))
}

/// Whether two have an address in common.
pub fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// A subnet of unique local addresses (RFC 4193) that nobody else has.
pub fn random_v6() -> Ipv6Net {
    let mut bytes = [0; 16];
    let random: [u8; 7] = rand::random();
    bytes[0] = 0xfd;
    bytes[1..8].copy_from_slice(&random);
    Ipv6Net::new_assert(Ipv6Addr::from(bytes), 64)
}

/// The address that the host has in a subnet that names none: the first.
pub fn gateway_of(subnet: IpNet) -> IpAddr {
    at(subnet, 1)
}

fn at(subnet: IpNet, offset: u128) -> IpAddr {
    match subnet.network() {
        IpAddr::V4(network) => Ipv4Addr::from(u32::from(network).wrapping_add(offset as u32)).into(),
        IpAddr::V6(network) => Ipv6Addr::from(u128::from(network).wrapping_add(offset)).into(),
    }
}

fn offset_of(subnet: IpNet, address: IpAddr) -> u128 {
    match (subnet.network(), address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            u128::from(u32::from(address).wrapping_sub(u32::from(network)))
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => u128::from(address).wrapping_sub(u128::from(network)),
        _ => 0,
    }
}

/// Whether a station may have it: not the subnet's own and not its broadcast address.
pub fn usable(subnet: IpNet, address: IpAddr) -> bool {
    subnet.contains(&address)
        && address != subnet.network()
        && (!address.is_ipv4() || subnet.prefix_len() >= 31 || address != subnet.broadcast())
}

/// The lowest free address of `range` after `after`, from the beginning when there is none: an address that was given
/// back is not at once somebody else's.
pub fn free_address(
    subnet: IpNet,
    range: IpNet,
    taken: &BTreeSet<IpAddr>,
    after: Option<IpAddr>,
) -> Option<IpAddr> {
    let (first, last) = (
        offset_of(subnet, range.network()),
        offset_of(subnet, range.broadcast()),
    );
    let from = after
        .filter(|after| range.contains(after))
        .map_or(first, |after| offset_of(subnet, after).saturating_add(1));
    // More than all that are taken need not be looked at.
    let span = taken.len() as u128 + 4;
    let free = |start: u128, end: u128| {
        (start..=end.min(start.saturating_add(span)))
            .map(|offset| at(subnet, offset))
            .find(|address| usable(subnet, *address) && !taken.contains(address))
    };
    free(from, last).or_else(|| free(first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn subnets_avoid_the_hosts() {
        let free = |taken: &[&str]| {
            let taken: Vec<_> = taken.iter().map(|text| net(text)).collect();
            free_subnet(DEFAULT_POOLS, &taken).map(|subnet| subnet.to_string())
        };
        assert_eq!(free(&[]).unwrap(), "172.17.0.0/16");
        assert_eq!(free(&["172.17.5.0/24"]).unwrap(), "172.18.0.0/16");
        assert_eq!(free(&["172.16.0.0/12"]).unwrap(), "192.168.0.0/20");
        assert_eq!(
            free(&["172.16.0.0/12", "192.168.0.7/32"]).unwrap(),
            "192.168.16.0/20"
        );
        assert_eq!(free(&["172.16.0.0/12", "192.168.0.0/16"]), None);
    }

    #[test]
    fn addresses_go_round() {
        let subnet = net("10.0.0.0/29");
        let mut taken: BTreeSet<IpAddr> = ["10.0.0.1".parse().unwrap()].into();
        let mut last = None;
        for expected in 2..=6u8 {
            last = free_address(subnet, subnet, &taken, last);
            assert_eq!(last, Some(Ipv4Addr::new(10, 0, 0, expected).into()));
            taken.insert(last.unwrap());
        }
        assert_eq!(free_address(subnet, subnet, &taken, last), None);
        taken.remove(&"10.0.0.3".parse().unwrap());
        assert_eq!(
            free_address(subnet, subnet, &taken, last),
            Some("10.0.0.3".parse().unwrap())
        );
        let range = net("10.0.0.4/30");
        assert_eq!(
            free_address(subnet, range, &BTreeSet::new(), None),
            Some("10.0.0.4".parse().unwrap())
        );
    }

    #[test]
    fn ends_of_a_subnet_are_nobodys() {
        assert!(!usable(net("10.0.0.0/24"), "10.0.0.255".parse().unwrap()));
        assert!(!usable(net("10.0.0.0/24"), "10.0.0.0".parse().unwrap()));
        assert!(usable(net("10.0.0.0/31"), "10.0.0.1".parse().unwrap()));
        assert!(usable(
            net("fd00::/64"),
            "fd00::ffff:ffff:ffff:ffff".parse().unwrap()
        ));
        assert_eq!(random_v6().to_string().get(..2), Some("fd"));
        assert_eq!(gateway_of(net("fd00::/64")), "fd00::1".parse::<IpAddr>().unwrap());
    }

    proptest! {
        #[test]
        fn an_address_is_free_and_inside(prefix in 20u8..=30, used in prop::collection::btree_set(0u32..4096, 0..40), after in 0u32..4096) {
            let subnet = IpNet::V4(Ipv4Net::new(Ipv4Addr::new(10, 9, 0, 0), prefix).unwrap());
            let taken: BTreeSet<IpAddr> = used.iter().map(|offset| at(subnet, u128::from(*offset))).collect();
            let found = free_address(subnet, subnet, &taken, Some(at(subnet, u128::from(after))));
            let any = subnet.hosts().any(|address| !taken.contains(&address));
            prop_assert_eq!(found.is_some(), any);
            if let Some(found) = found {
                prop_assert!(usable(subnet, found) && !taken.contains(&found));
            }
        }
    }
}
