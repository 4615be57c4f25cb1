//! How many connections a guest may begin: the host's table of them is everybody's. Those that others begin to it are not its
//! doing.

use super::BRIDGE;
use super::bridge::{TYPE_IP4, TYPE_IP6};
use crate::nft::{Batch, Counter, ETHER_TYPE, NFPROTO_IPV4, NFPROTO_IPV6, Rule, Table, Type};

/// The chain of what begins a connection.
pub const BEGUN: &str = "begun";

/// Of some thousand guests that have as many as they may.
const MAX_ELEMENTS: u32 = 1 << 20;
/// The kernel looks through one part for each new connection: if it were all of 65536, none would get on and its processor
/// would be busy with nothing else; in parts of 256 a new one takes about 130 µs.
const MAX_PARTS: u32 = 256;
/// Smaller ones chance would fill long before the others.
const MIN_PART: u32 = 64;

/// Rules of the chain, of each table that has it.
pub fn limits(batch: &mut Batch, table: Table, max: u32) {
    let parts = (max / MIN_PART).clamp(1, MAX_PARTS);
    let counter = |name, address| Counter {
        name,
        address,
        parts,
        limit: max.div_ceil(parts),
        max_elements: MAX_ELEMENTS,
    };
    for (four, counter) in [
        (true, counter("connections4", Type::Ip4)),
        (false, counter("connections6", Type::Ip6)),
    ] {
        batch.counter(table, &counter);
        let of_family = match (table == BRIDGE, four) {
            (true, true) => Rule::new().load(ETHER_TYPE).is(&TYPE_IP4),
            (true, false) => Rule::new().load(ETHER_TYPE).is(&TYPE_IP6),
            (false, true) => Rule::new().family(NFPROTO_IPV4),
            (false, false) => Rule::new().family(NFPROTO_IPV6),
        };
        batch.rule(table, BEGUN, &of_family.beyond(&counter).drop());
    }
}
