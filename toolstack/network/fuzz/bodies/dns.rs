//! Queries of a hostile guest, from any bytes: what is answered is a response to that query and to nothing else, and what
//! is passed on can be answered with a failure. The same bytes as the answer of another's server, too.

use crate::dns::answer::{Fate, answer, failure};
use crate::dns::forward::is_answer;
use crate::dns::{Asker, Names};
use hickory_proto::op::{Message, MessageType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const ASKER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
const WEB: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const MANY: u8 = 100;

/// A network with `web`, and a hundred that are called `many`.
pub struct Known;

impl Names for Known {
    fn asker(&self, _: &str, _: IpAddr) -> Option<Asker> {
        Some(Asker::default())
    }

    fn addresses(&self, _: &str, _: IpAddr, name: &str) -> Option<Vec<IpAddr>> {
        match name {
            "web" => Some(vec![WEB, IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2))]),
            "many" => Some(
                (0..MANY)
                    .map(|last| Ipv4Addr::new(10, 0, 1, last).into())
                    .collect(),
            ),
            _ => None,
        }
    }

    fn name(&self, _: &str, _: IpAddr, address: IpAddr) -> Option<String> {
        (address == WEB).then(|| "web.front".to_owned())
    }
}

pub fn run(bytes: &[u8]) {
    for tcp in [false, true] {
        match answer(&Known, "n", ASKER, bytes, tcp) {
            Fate::Answer(response) => answers(bytes, &response),
            Fate::Forward => answers(bytes, &failure(bytes).expect("a query can be failed")),
            Fate::Ignore => {}
        }
    }
    failure(bytes);
    is_answer(bytes, bytes, [0, 0]);
    if let [first, second, ..] = bytes {
        is_answer(bytes, bytes, [*first, *second]);
    }
}

fn answers(query: &[u8], response: &[u8]) {
    let query = Message::from_vec(query).expect("only a query is answered");
    let response = Message::from_vec(response).expect("what we say is DNS");
    assert_eq!(response.metadata.message_type, MessageType::Response);
    assert_eq!(response.metadata.id, query.metadata.id);
    assert_eq!(response.queries, query.queries);
}
