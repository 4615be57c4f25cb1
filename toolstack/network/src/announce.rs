//! Tells the stations of a link who has an address now: gratuitous ARP (RFC 5227), unsolicited neighbour advertisements
//! (RFC 4861, 7.2.6).

use crate::error::NetworkError;
use crate::mac::Mac;
use pnet_datalink::{Channel, Config, DataLinkSender, MacAddr, NetworkInterface};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ETHER_BROADCAST: [u8; 6] = [0xff; 6];
/// Of the group of all nodes of a link, ff02::1.
const ETHER_ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ICMP6: u8 = 58;

/// An interface of the host that frames are sent from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Station {
    pub name: String,
    pub index: u32,
    pub mac: Mac,
    /// Frames go out.
    pub is_up: bool,
}

/// Sends what there is to say of each address. Blocks, but for no answer.
pub fn announce(station: &Station, addresses: &[IpAddr]) -> Result<(), NetworkError> {
    let failed = |source| NetworkError::Announce {
        interface: station.name.clone(),
        source,
    };
    let mut sender = sender(station).map_err(failed)?;
    for address in addresses {
        for frame in frames(station.mac, *address) {
            sender.send_to(&frame, None).unwrap_or(Ok(())).map_err(failed)?;
        }
    }
    Ok(())
}

fn sender(station: &Station) -> io::Result<Box<dyn DataLinkSender>> {
    let interface = NetworkInterface {
        name: station.name.clone(),
        description: String::new(),
        index: station.index,
        mac: Some(MacAddr::from(station.mac.0)),
        ips: Vec::new(),
        flags: 0,
    };
    match pnet_datalink::channel(&interface, Config::default())? {
        Channel::Ethernet(sender, _) => Ok(sender),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Some stations believe questions only, and some answers only.
fn frames(mac: Mac, address: IpAddr) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(address) => vec![arp(1, mac, address), arp(2, mac, address)],
        IpAddr::V6(address) => vec![neighbour_advertisement(mac, address)],
    }
}

fn arp(operation: u8, mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    let (ether, ip) = (mac.0.as_slice(), address.octets());
    // Ethernet and IPv4, with their lengths.
    let head = [0, 1, 0x08, 0, 6, 4, 0, operation];
    [
        &ETHER_BROADCAST,
        ether,
        &[0x08, 0x06],
        &head,
        ether,
        &ip,
        &ETHER_BROADCAST,
        &ip,
    ]
    .concat()
}

fn neighbour_advertisement(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    const OVERRIDE: u8 = 0x20;
    const TARGET_LINK_ADDRESS: [u8; 2] = [2, 1];
    let source = address.octets();
    let mut message = [
        &[136, 0, 0, 0, OVERRIDE, 0, 0, 0],
        source.as_slice(),
        &TARGET_LINK_ADDRESS,
        &mac.0,
    ]
    .concat();
    let sum = checksum(address, ALL_NODES, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let length = (message.len() as u16).to_be_bytes();
    [
        &ETHER_ALL_NODES,
        mac.0.as_slice(),
        &[0x86, 0xdd],
        &[0x60, 0, 0, 0],
        &length,
        // Neighbours believe only what no router has passed on.
        &[ICMP6, 255],
        &source,
        &ALL_NODES.octets(),
        &message,
    ]
    .concat()
}

/// RFC 4443, 2.3
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let length = (message.len() as u32).to_be_bytes();
    let whole = [
        source.octets().as_slice(),
        &destination.octets(),
        &length,
        &[0, 0, 0, ICMP6],
        message,
    ]
    .concat();
    let mut sum: u32 = whole
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn arp_tells_of_the_sender() {
        let frame = arp(1, MAC, Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(frame.len(), 42);
        assert_eq!(frame[12..22], [8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        // RFC 5227: sender and target are the same address.
        assert_eq!(frame[28..32], frame[38..42]);
        assert_eq!(frame[22..28], MAC.0);
    }

    #[test]
    fn an_advertisement_has_a_right_checksum() {
        let address: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let frame = neighbour_advertisement(MAC, address);
        let message = &frame[54..];
        // The sum over a message with its checksum in it is all ones, whose complement is 0.
        assert_eq!(checksum(address, ALL_NODES, message), 0);
        assert_eq!(message[0], 136);
        assert_eq!(message[message.len() - 6..], MAC.0);
    }
}
