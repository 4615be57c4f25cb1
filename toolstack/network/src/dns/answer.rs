//! From a query's bytes to what becomes of it.

use super::Names;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::IpAddr;

/// Guests come and go with other addresses.
const TTL_SECONDS: u32 = 5;
/// An answer by UDP, whatever who asks would take: so long it comes in one piece everywhere.
const MAX_UDP_BYTES: usize = 1232;

#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Answer(Vec<u8>),
    /// Somebody else knows.
    Forward,
    /// No query: whoever sent it waits for nothing.
    Ignore,
}

/// What does not go into an answer by UDP is asked for again by TCP.
pub fn answer(names: &dyn Names, network: &str, asker: IpAddr, bytes: &[u8], tcp: bool) -> Fate {
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
            match encode(&response) {
                Fate::Answer(bytes) if !tcp && bytes.len() > room(&message) => encode(&response.truncate()),
                encoded => encoded,
            }
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

/// For an answer by UDP.
fn room(query: &Message) -> usize {
    usize::from(query.max_payload()).min(MAX_UDP_BYTES)
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
    use crate::dns::fuzz_tests::body::{ASKER, Known};

    fn query(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.id = 77;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn ask(name: &str, kind: RecordType, tcp: bool) -> Fate {
        answer(&Known, "n", ASKER, &query(name, kind), tcp)
    }

    fn message(fate: &Fate) -> Message {
        match fate {
            Fate::Answer(bytes) => Message::from_vec(bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn answers(name: &str, kind: RecordType) -> Vec<String> {
        let message = message(&ask(name, kind, false));
        assert_eq!(message.metadata.id, 77);
        let records = message.answers.iter();
        records.map(|record| record.data.to_string()).collect()
    }

    #[test]
    fn guests_have_names() {
        assert_eq!(answers("web.", RecordType::A), ["10.0.0.2"]);
        assert_eq!(answers("WEB.", RecordType::AAAA), ["fd00::2"]);
        assert!(answers("web.", RecordType::MX).is_empty());
        assert_eq!(answers("2.0.0.10.in-addr.arpa.", RecordType::PTR), ["web.front."]);
        for (name, kind) in [
            ("example.org.", RecordType::A),
            ("3.0.0.10.in-addr.arpa.", RecordType::PTR),
        ] {
            assert_eq!(ask(name, kind, false), Fate::Forward);
        }
    }

    #[test]
    fn what_is_too_long_for_udp_is_to_be_asked_by_tcp() {
        let fate = ask("many.", RecordType::A, false);
        let short = message(&fate);
        assert!(short.metadata.truncation && short.answers.is_empty() && short.queries.len() == 1);
        let long = message(&ask("many.", RecordType::A, true));
        assert!(!long.metadata.truncation);
        assert_eq!(long.answers.len(), 100);
    }
}
