//! Rules as lists of expressions, linux/netfilter/nf_tables.h.

use super::attributes::Attributes;
use super::{Counter, LIST_ELEM, Meter, Type, data_value};
use std::net::IpAddr;

const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;

/// Registers of four bytes, `NFT_REG32_00` and on.
const FIRST_REGISTER: u32 = 8;
const VERDICT_REGISTER: u32 = 0;

const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const DATA_VERDICT: u16 = 2;

const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NFT_JUMP: u32 = -3_i32 as u32;

const CMP_EQ: u32 = 0;
const CMP_NEQ: u32 = 1;
const CMP_LTE: u32 = 3;
const CMP_GTE: u32 = 5;

/// `enum nft_nat_types`
const SOURCE: u32 = 0;
const DESTINATION: u32 = 1;

pub const NFPROTO_IPV4: u8 = 2;
pub const NFPROTO_IPV6: u8 = 10;

/// What is known of a packet besides its bytes; the number is `enum nft_meta_keys`.
#[derive(Debug, Clone, Copy)]
pub enum Meta {
    InputName = 6,
    OutputName = 7,
    Family = 15,
    Protocol = 16,
    /// The bridge of the port that a frame came by. Needs a kernel with `CONFIG_NFT_BRIDGE_META`.
    InputBridge = 17,
}

/// Addresses of a connection: of who called, whom they called, who answers and to whom, before and after translation.
#[derive(Debug, Clone, Copy)]
pub enum End {
    Calling,
    Called,
    Answering,
    Answered,
}

/// Bytes of a packet: where they are counted from, offset, length.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    base: u32,
    offset: u32,
    pub length: u32,
}

const fn field(base: u32, offset: u32, length: u32) -> Field {
    Field { base, offset, length }
}

pub const ETHER_SOURCE: Field = field(0, 6, 6);
pub const ETHER_TYPE: Field = field(0, 12, 2);
/// Hardware and protocol, their lengths: the head of an ARP packet.
pub const ARP_HEAD: Field = field(1, 0, 6);
pub const ARP_OPERATION: Field = field(1, 6, 2);
pub const ARP_SENDER_MAC: Field = field(1, 8, 6);
pub const ARP_SENDER_IP: Field = field(1, 14, 4);
pub const IP4_SOURCE: Field = field(1, 12, 4);
pub const IP4_DESTINATION: Field = field(1, 16, 4);
pub const IP6_SOURCE: Field = field(1, 8, 16);
pub const IP6_DESTINATION: Field = field(1, 24, 16);
pub const SOURCE_PORT: Field = field(2, 0, 2);
pub const DESTINATION_PORT: Field = field(2, 2, 2);
/// The first byte of both families' own, and of IGMP.
pub const ICMP_TYPE: Field = field(2, 0, 1);
/// Of a neighbour advertisement: the address it tells of, and the first option's hardware address.
pub const ND_TARGET: Field = field(2, 8, 16);
pub const ND_OPTION_MAC: Field = field(2, 26, 6);

/// One rule that is being written. Values go to registers from the first on; a lookup or a comparison uses those that
/// were loaded since the last one.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    expressions: Attributes,
    words: u32,
}

impl Rule {
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn expressions(&self) -> &Attributes {
        &self.expressions
    }

    fn expression(mut self, name: &str, data: &Attributes) -> Self {
        let expression = Attributes::new().text(EXPR_NAME, name).nested(EXPR_DATA, data);
        self.expressions = self.expressions.nested(LIST_ELEM, &expression);
        self
    }

    fn next_register(&mut self, bytes: u32) -> u32 {
        let register = FIRST_REGISTER + self.words;
        self.words += bytes.div_ceil(4);
        register
    }

    pub fn meta(mut self, key: Meta) -> Self {
        let bytes = match key {
            // IFNAMSIZ
            Meta::InputName | Meta::OutputName | Meta::InputBridge => 16,
            Meta::Family | Meta::Protocol => 1,
        };
        let register = self.next_register(bytes);
        self.expression(
            "meta",
            &Attributes::new().number(1, register).number(2, key as u32),
        )
    }

    pub fn load(mut self, field: Field) -> Self {
        let register = self.next_register(field.length);
        let data = Attributes::new()
            .number(1, register)
            .number(2, field.base)
            .number(3, field.offset)
            .number(4, field.length);
        self.expression("payload", &data)
    }

    fn compare(mut self, operator: u32, value: &[u8]) -> Self {
        self.words = 0;
        let data = Attributes::new()
            .number(1, FIRST_REGISTER)
            .number(2, operator)
            .nested(3, &data_value(value));
        self.expression("cmp", &data)
    }

    pub fn is(self, value: &[u8]) -> Self {
        self.compare(CMP_EQ, value)
    }

    pub fn differs_from(self, value: &[u8]) -> Self {
        self.compare(CMP_NEQ, value)
    }

    /// What was loaded last, with a mask over it.
    fn masked(self, mask: &[u8]) -> Self {
        let zero = vec![0; mask.len()];
        let data = Attributes::new()
            .number(1, FIRST_REGISTER)
            .number(2, FIRST_REGISTER)
            .number(3, mask.len() as u32)
            .nested(4, &data_value(mask))
            .nested(5, &data_value(&zero));
        self.expression("bitwise", &data)
    }

    fn lookup(mut self, set: &str, inverted: bool) -> Self {
        self.words = 0;
        let data = Attributes::new()
            .text(1, set)
            .number(2, FIRST_REGISTER)
            .number(5, u32::from(inverted));
        self.expression("lookup", &data)
    }

    pub fn within(self, set: &str) -> Self {
        self.lookup(set, false)
    }

    pub fn outside(self, set: &str) -> Self {
        self.lookup(set, true)
    }

    pub fn input_in(self, set: &str) -> Self {
        self.meta(Meta::InputName).within(set)
    }

    pub fn output_in(self, set: &str) -> Self {
        self.meta(Meta::OutputName).within(set)
    }

    pub fn output_not_in(self, set: &str) -> Self {
        self.meta(Meta::OutputName).outside(set)
    }

    pub fn family(self, family: u8) -> Self {
        self.meta(Meta::Family).is(&[family])
    }

    pub fn protocol(self, protocol: u8) -> Self {
        self.meta(Meta::Protocol).is(&[protocol])
    }

    /// Bytes of a packet that begin with these bits.
    pub fn starts_with(self, field: Field, network: IpAddr, prefix_len: u8) -> Self {
        let octets = octets(network);
        let mask: Vec<u8> = (0..octets.len())
            .map(|at| match usize::from(prefix_len).saturating_sub(8 * at).min(8) {
                0 => 0,
                bits => 0xff << (8 - bits),
            })
            .collect();
        let value: Vec<u8> = octets
            .iter()
            .zip(&mask)
            .map(|(octet, mask)| octet & mask)
            .collect();
        self.load(field).masked(&mask).is(&value)
    }

    /// Some bit of the connection's state is set.
    fn connection(mut self, key: u32, bits: u32) -> Self {
        let register = self.next_register(4);
        self.expression("ct", &Attributes::new().number(1, register).number(2, key))
            .masked(&bits.to_ne_bytes())
            .differs_from(&[0; 4])
    }

    /// What was loaded last, as numbers of the network.
    pub fn between(self, first: u16, last: u16) -> Self {
        self.compare(CMP_GTE, &first.to_be_bytes())
            .compare(CMP_LTE, &last.to_be_bytes())
    }

    /// Comes from the one who was called first, or from the one who called.
    pub fn answers(mut self, answers: bool) -> Self {
        const DIRECTION: u32 = 1;
        let register = self.next_register(1);
        self.expression("ct", &Attributes::new().number(1, register).number(2, DIRECTION))
            .is(&[u8::from(answers)])
    }

    /// Of the packet's connection; without one, the rule is not for it.
    pub fn end(mut self, end: End, family: u8) -> Self {
        // NFT_CT_SRC_IP, NFT_CT_DST_IP, and the same of IPv6.
        let (source, destination, bytes) = if family == NFPROTO_IPV4 {
            (19, 20, 4)
        } else {
            (21, 22, 16)
        };
        let (key, answers) = match end {
            End::Calling => (source, false),
            End::Called => (destination, false),
            End::Answering => (source, true),
            End::Answered => (destination, true),
        };
        let register = self.next_register(bytes);
        let data = Attributes::new()
            .number(1, register)
            .number(2, key)
            .raw(3, &[u8::from(answers)]);
        self.expression("ct", &data)
    }

    /// Tells what became of a packet of a connection that exists.
    pub fn related(self) -> Self {
        self.connection(0, 1 << 2)
    }

    /// Of connections that exist, or belong to one.
    pub fn established(self) -> Self {
        // NF_CT_STATE_BIT of IP_CT_ESTABLISHED and IP_CT_RELATED
        self.connection(0, 1 << 1 | 1 << 2)
    }

    /// The destination was translated.
    pub fn translated(self) -> Self {
        // IPS_DST_NAT
        self.connection(2, 1 << 5)
    }

    /// Sent to an address of the host.
    pub fn for_this_host(mut self) -> Self {
        const RESULT_ADDRESS_TYPE: u32 = 3;
        const FLAG_DESTINATION: u32 = 1 << 1;
        const RTN_LOCAL: u32 = 2;
        let register = self.next_register(4);
        let data = Attributes::new()
            .number(1, register)
            .number(2, RESULT_ADDRESS_TYPE)
            .number(3, FLAG_DESTINATION);
        self.expression("fib", &data).is(&RTN_LOCAL.to_ne_bytes())
    }

    /// Looks up what was loaded in a map of addresses and ports, and sends the packet there.
    pub fn send_to_mapped(self, map: &str, family: u8) -> Self {
        let port = if family == NFPROTO_IPV4 { 1 } else { 4 };
        self.translate(DESTINATION, map, family, Some(FIRST_REGISTER + port))
    }

    /// The same with a map of addresses.
    pub fn send_to_mapped_address(self, map: &str, family: u8) -> Self {
        self.translate(DESTINATION, map, family, None)
    }

    /// Looks up what was loaded in a map of addresses, from which the packet is to come.
    pub fn send_from_mapped_address(self, map: &str, family: u8) -> Self {
        self.translate(SOURCE, map, family, None)
    }

    fn translate(mut self, which: u32, map: &str, family: u8, port: Option<u32>) -> Self {
        self.words = 0;
        let looked_up = Attributes::new()
            .text(1, map)
            .number(2, FIRST_REGISTER)
            .number(3, FIRST_REGISTER);
        let mut nat = Attributes::new()
            .number(1, which)
            .number(2, u32::from(family))
            .number(3, FIRST_REGISTER);
        if let Some(register) = port {
            nat = nat.number(5, register);
        }
        self.expression("lookup", &looked_up).expression("nat", &nat)
    }

    /// Whoever was loaded sends more than is its share.
    pub fn over(mut self, meter: &Meter) -> Self {
        const UPDATE: u32 = 1;
        const OVER: u32 = 1;
        const PER_SECOND: u64 = 1;
        self.words = 0;
        let limit = Attributes::new()
            .raw(1, &meter.rate.to_be_bytes())
            .raw(2, &PER_SECOND.to_be_bytes())
            .number(3, meter.burst)
            .number(5, OVER);
        let limit = Attributes::new()
            .text(EXPR_NAME, "limit")
            .nested(EXPR_DATA, &limit);
        let data = Attributes::new()
            .text(1, meter.name)
            .number(3, UPDATE)
            .number(4, FIRST_REGISTER)
            .nested(7, &limit);
        self.expression("dynset", &data)
    }

    /// Not tracked so far: once for each connection.
    pub fn unknown(mut self) -> Self {
        const STATUS: u32 = 2;
        const CONFIRMED: u32 = 1 << 3;
        // NF_CT_STATE_BIT of IP_CT_NEW
        self = self.connection(0, 1 << 3);
        let register = self.next_register(4);
        self.expression("ct", &Attributes::new().number(1, register).number(2, STATUS))
            .masked(&CONFIRMED.to_ne_bytes())
            .is(&[0; 4])
    }

    /// As the packet's connection has it, which of protocols without ports is zero: some packets have not the bytes.
    fn callers_port(mut self, called: bool) -> Self {
        // NFT_CT_PROTO_SRC, NFT_CT_PROTO_DST
        let key = if called { 12 } else { 11 };
        let register = self.next_register(2);
        let data = Attributes::new().number(1, register).number(2, key).raw(3, &[0]);
        self.expression("ct", &data)
    }

    /// Whoever sends has more connections than it may have.
    pub fn beyond(mut self, counter: &Counter) -> Self {
        const ADD: u32 = 0;
        const OVER: u32 = 1;
        let (source, destination) = match counter.address {
            Type::Ip4 => (IP4_SOURCE, IP4_DESTINATION),
            _ => (IP6_SOURCE, IP6_DESTINATION),
        };
        self = self.load(source);
        let part = self.next_register(4);
        let hashed = FIRST_REGISTER + self.words;
        self = self.load(destination).callers_port(false).callers_port(true);
        let part = Attributes::new()
            .number(1, hashed)
            .number(2, part)
            .number(3, destination.length + 2 * 4)
            .number(4, counter.parts);
        self = self.expression("hash", &part);
        self.words = 0;
        let limit = Attributes::new().number(1, counter.limit).number(2, OVER);
        let limit = Attributes::new()
            .text(EXPR_NAME, "connlimit")
            .nested(EXPR_DATA, &limit);
        let data = Attributes::new()
            .text(1, counter.name)
            .number(3, ADD)
            .number(4, FIRST_REGISTER)
            .nested(7, &limit);
        self.expression("dynset", &data)
    }

    pub fn masquerade(self) -> Self {
        self.expression("masq", &Attributes::new())
    }

    fn verdict(self, code: u32, chain: Option<&str>) -> Self {
        let mut verdict = Attributes::new().number(VERDICT_CODE, code);
        if let Some(chain) = chain {
            verdict = verdict.text(VERDICT_CHAIN, chain);
        }
        let data = Attributes::new()
            .number(1, VERDICT_REGISTER)
            .nested(2, &Attributes::new().nested(DATA_VERDICT, &verdict));
        self.expression("immediate", &data)
    }

    pub fn accept(self) -> Self {
        self.verdict(NF_ACCEPT, None)
    }

    pub fn drop(self) -> Self {
        self.verdict(NF_DROP, None)
    }

    pub fn jump(self, chain: &str) -> Self {
        self.verdict(NFT_JUMP, Some(chain))
    }
}

pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_what_nft_sends() {
        // nft --debug=netlink: [ immediate reg 0 drop ]
        let rule = Rule::new().drop();
        let expected = [
            48, 0, 1, 0x80, // NFTA_LIST_ELEM
            14, 0, 1, 0, b'i', b'm', b'm', b'e', b'd', b'i', b'a', b't', b'e', 0, 0, 0, // its name
            28, 0, 2, 0x80, // its data
            8, 0, 1, 0, 0, 0, 0, 0, // register 0
            16, 0, 2, 0x80, 12, 0, 2, 0x80, 8, 0, 1, 0, 0, 0, 0, 0, // the verdict
        ];
        assert_eq!(rule.expressions().bytes(), expected);
    }
}
