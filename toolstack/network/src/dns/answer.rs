//! From a query's bytes to what becomes of it.

use super::Names;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::IpAddr;

/// Guests come and go with other addresses.
const TTL_SECONDS: u32 = 5;

#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Answer(Vec<u8>),
    /// Somebody else knows.
    Forward,
    /// No query: whoever sent it waits for nothing.
    Ignore,
}

pub fn answer(names: &dyn Names, network: &str, asker: IpAddr, bytes: &[u8]) -> Fate {
    let Ok(message) = Message::from_vec(bytes) else {
        return Fate::Ignore;
    };
    if message.metadata.message_type != MessageType::Query {
        return Fate::Ignore;
    }
    if message.metadata.op_code != OpCode::Query {
        return refusal(&message, ResponseCode::NotImp);
    }
    let [query] = message.queries.as_slice() else {
        return refusal(&message, ResponseCode::FormErr);
    };
    if query.query_class != DNSClass::IN {
        return Fate::Forward;
    }
    match records(names, network, asker, query) {
        Some(records) => {
            let mut response = response(&message, ResponseCode::NoError);
            response.answers = records;
            encode(&response)
        }
        None => Fate::Forward,
    }
}

/// `None`: it is nothing of ours.
fn records(names: &dyn Names, network: &str, asker: IpAddr, query: &Query) -> Option<Vec<Record>> {
    let record = |data| Record::from_rdata(query.name.clone(), TTL_SECONDS, data);
    if query.query_type == RecordType::PTR {
        let net = query.name.parse_arpa_name().ok()?;
        let whole = if net.addr().is_ipv4() { 32 } else { 128 };
        let address = (net.prefix_len() == whole).then(|| net.addr())?;
        let name = Name::from_ascii(format!("{}.", names.name(network, asker, address)?)).ok()?;
        return Some(vec![record(RData::PTR(PTR(name)))]);
    }
    let text = query.name.to_lowercase().to_ascii();
    let addresses = names.addresses(network, asker, text.trim_end_matches('.'))?;
    let of_type = addresses
        .into_iter()
        .filter_map(|address| match (query.query_type, address) {
            (RecordType::A | RecordType::ANY, IpAddr::V4(address)) => Some(record(RData::A(A(address)))),
            (RecordType::AAAA | RecordType::ANY, IpAddr::V6(address)) => {
                Some(record(RData::AAAA(AAAA(address))))
            }
            _ => None,
        });
    Some(of_type.collect())
}

fn response(query: &Message, code: ResponseCode) -> Message {
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.response_code = code;
    response.queries.clone_from(&query.queries);
    response
}

fn encode(response: &Message) -> Fate {
    response.to_vec().map_or(Fate::Ignore, Fate::Answer)
}

fn refusal(query: &Message, code: ResponseCode) -> Fate {
    encode(&response(query, code))
}

/// What is said when nobody else could be asked.
pub fn failure(bytes: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_vec(bytes).ok()?;
    match refusal(&query, ResponseCode::ServFail) {
        Fate::Answer(bytes) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Asker;
    use proptest::prelude::*;

    struct Known;

    impl Names for Known {
        fn asker(&self, _: &str, _: IpAddr) -> Option<Asker> {
            Some(Asker::default())
        }

        fn addresses(&self, _: &str, _: IpAddr, name: &str) -> Option<Vec<IpAddr>> {
            (name == "web").then(|| vec!["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()])
        }

        fn name(&self, _: &str, _: IpAddr, address: IpAddr) -> Option<String> {
            (address == "10.0.0.2".parse::<IpAddr>().unwrap()).then(|| "web.front".to_owned())
        }
    }

    fn ask(name: &str, kind: RecordType) -> Fate {
        let mut message = Message::query();
        message.metadata.id = 77;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        answer(
            &Known,
            "n",
            "10.0.0.9".parse().unwrap(),
            &message.to_vec().unwrap(),
        )
    }

    fn answers(name: &str, kind: RecordType) -> Vec<String> {
        match ask(name, kind) {
            Fate::Answer(bytes) => {
                let message = Message::from_vec(&bytes).unwrap();
                assert_eq!(message.metadata.id, 77);
                message
                    .answers
                    .iter()
                    .map(|record| record.data.to_string())
                    .collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn guests_have_names() {
        assert_eq!(answers("web.", RecordType::A), ["10.0.0.2"]);
        assert_eq!(answers("WEB.", RecordType::AAAA), ["fd00::2"]);
        assert!(answers("web.", RecordType::MX).is_empty());
        assert_eq!(answers("2.0.0.10.in-addr.arpa.", RecordType::PTR), ["web.front."]);
        assert_eq!(ask("example.org.", RecordType::A), Fate::Forward);
        assert_eq!(ask("3.0.0.10.in-addr.arpa.", RecordType::PTR), Fate::Forward);
    }

    /// Also what anybody sends: the body of a fuzz target.
    fn no_bytes_do_harm(bytes: &[u8]) {
        let _ = answer(&Known, "n", "10.0.0.9".parse().unwrap(), bytes);
        let _ = failure(bytes);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_or_ignored(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            no_bytes_do_harm(&bytes);
        }

        #[test]
        fn damaged_queries_are_answered_or_ignored(at in 0usize..40, byte: u8, cut in 0usize..40) {
            let mut message = Message::query();
            message.add_query(Query::query(Name::from_ascii("a.b.web.").unwrap(), RecordType::A));
            let mut bytes = message.to_vec().unwrap();
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
            no_bytes_do_harm(&bytes);
            bytes.truncate(cut);
            no_bytes_do_harm(&bytes);
        }
    }
}
