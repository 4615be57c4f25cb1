//! The body of the fuzz target, a fixed number of times with what proptest makes up.

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use proptest::collection::vec;
use proptest::prelude::*;

#[path = "../../fuzz/bodies/dns.rs"]
pub mod body;

/// A query with some bytes that are others, and its end cut off.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        Just("web."),
        Just("many."),
        Just("2.0.0.10.in-addr.arpa."),
        Just("2.ip6.arpa."),
        Just("a.b.org.")
    ];
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (name, any::<u16>(), changes, 0usize..80).prop_map(|(name, kind, changes, length)| {
        let mut message = Message::query();
        let name = Name::from_ascii(name).expect("a name");
        message.add_query(Query::query(name, RecordType::from(kind)));
        let mut bytes = message.to_vec().expect("a query");
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        bytes.truncate(length.max(8));
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn dns_survives_any_bytes(bytes in prop_oneof![vec(any::<u8>(), 0..600), damaged()]) {
        body::run(&bytes);
    }
}
