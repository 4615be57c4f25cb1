//! How many connections the kernel can track, and conversations by UDP that it does, by ctnetlink (linux/netfilter/nfnetlink_conntrack.h).
//!
//! A packet of one that is tracked goes where the first one went. UDP has no end: a peer that goes on sending would never reach
//! whoever has the port or the address now, so those that lead elsewhere are forgotten.

use crate::nft::Attributes;
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with, sockopt,
};
use std::io;
use std::net::{IpAddr, SocketAddr};

const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
/// `NLM_F_DUMP`
const ALL: u16 = 0x300;

const ERROR: u16 = 2;
const DONE: u16 = 3;

const HEADER_BYTES: usize = 16;
/// Of the header and `struct nfgenmsg`.
const HEAD_BYTES: usize = HEADER_BYTES + 4;

const CALLED: u16 = 1;
const ANSWERING: u16 = 2;
const STATUS: u16 = 3;
const SEEN_REPLY: u32 = 1 << 1;
const UDP: u8 = 17;

/// A conversation: at which address it was called, and which answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation {
    pub called: SocketAddr,
    pub answering: SocketAddr,
    pub is_answered: bool,
}

/// How many connections the kernel has room for, once it tracks any.
pub fn max() -> Option<u32> {
    let max = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max").ok()?;
    max.trim().parse().ok()
}

/// Forgets those of the family that are stale. Blocks.
pub fn forget(v4: bool, is_stale: impl Fn(&Conversation) -> bool) -> io::Result<()> {
    let family = if v4 { 2 } else { 10 };
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::NETFILTER),
    )?;
    let _ = sockopt::set_socket_recv_buffer_size_force(&socket, 1 << 20);
    let mut stale = Vec::new();
    send(
        &socket,
        &message(GET, REQUEST | ALL, family, &[]),
        SendFlags::empty(),
    )?;
    answers(&socket, |attributes| {
        if let Some(conversation) = conversation(attributes)
            && is_stale(&conversation)
        {
            let called = find(attributes, CALLED).unwrap_or_default();
            stale.push(Attributes::new().nested(CALLED, &Attributes::from_bytes(called)));
        }
    })?;
    for called in stale {
        let forget = message(DELETE, REQUEST | ACKNOWLEDGE, family, called.bytes());
        send(&socket, &forget, SendFlags::empty())?;
        match answers(&socket, |_| {}) {
            // It has ended by itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            answered => answered?,
        }
    }
    Ok(())
}

fn message(kind: u16, flags: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
    let length = (HEAD_BYTES + attributes.len()) as u32;
    [
        length.to_ne_bytes().as_slice(),
        &kind.to_ne_bytes(),
        &flags.to_ne_bytes(),
        &[0; 8],
        &[family, 0, 0, 0],
        attributes,
    ]
    .concat()
}

/// Until the last one.
fn answers(socket: &OwnedFd, mut see: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = match recv(socket, &mut buffer, RecvFlags::empty()) {
            Ok((_, length)) => length.min(buffer.len()),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut rest = &buffer[..length];
        while let (Some(length), Some(kind)) = (number(rest), rest.get(4..6)) {
            let length = (length as usize).max(HEADER_BYTES);
            match u16::from_ne_bytes([kind[0], kind[1]]) {
                DONE => return Ok(()),
                ERROR => {
                    return match number(rest.get(HEADER_BYTES..).unwrap_or_default()) {
                        None | Some(0) => Ok(()),
                        Some(code) => Err(io::Error::from_raw_os_error(code.cast_signed().saturating_neg())),
                    };
                }
                _ => see(rest.get(HEAD_BYTES..length).unwrap_or_default()),
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// The first four bytes.
fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_ne_bytes)
}

/// An attribute's value.
fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    const KIND: u16 = 0x3fff;
    while let Some([length, more, kind, kind_more]) = attributes.first_chunk().copied() {
        let length = usize::from(u16::from_ne_bytes([length, more])).max(4);
        if u16::from_ne_bytes([kind, kind_more]) & KIND == wanted {
            return attributes.get(4..length);
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

fn conversation(attributes: &[u8]) -> Option<Conversation> {
    let status = find(attributes, STATUS)?.first_chunk().copied();
    Some(Conversation {
        called: end(find(attributes, CALLED)?, false)?,
        answering: end(find(attributes, ANSWERING)?, true)?,
        is_answered: u32::from_be_bytes(status?) & SEEN_REPLY != 0,
    })
}

/// The source or the destination of one direction, if it is of UDP.
fn end(direction: &[u8], source: bool) -> Option<SocketAddr> {
    const IP: u16 = 1;
    const PROTOCOL: u16 = 2;
    const NUMBER: u16 = 1;
    let (v4, v6, port) = if source { (1, 3, 2) } else { (2, 4, 3) };
    let (ip, protocol) = (find(direction, IP)?, find(direction, PROTOCOL)?);
    if find(protocol, NUMBER)? != [UDP] {
        return None;
    }
    let address = match (find(ip, v4), find(ip, v6)) {
        (Some(four), _) => IpAddr::from(*four.first_chunk::<4>()?),
        (_, six) => IpAddr::from(*six?.first_chunk::<16>()?),
    };
    let port = *find(protocol, port)?.first_chunk()?;
    Some(SocketAddr::new(address, u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(source: [u8; 4], destination: [u8; 4], protocol: u8, ports: [u16; 2]) -> Attributes {
        let ip = Attributes::new().raw(1, &source).raw(2, &destination);
        let protocol = Attributes::new()
            .raw(1, &[protocol])
            .raw(2, &ports[0].to_be_bytes())
            .raw(3, &ports[1].to_be_bytes());
        Attributes::new().nested(1, &ip).nested(2, &protocol)
    }

    #[test]
    fn a_conversation_is_read() {
        let (peer, host, guest) = ([192, 0, 2, 2], [192, 0, 2, 1], [10, 9, 0, 2]);
        let tracked = |protocol| {
            Attributes::new()
                .nested(1, &direction(peer, host, protocol, [5000, 7000]))
                .nested(2, &direction(guest, peer, protocol, [7, 5000]))
                .number(3, 1 << 5 | SEEN_REPLY)
        };
        let expected = Conversation {
            called: "192.0.2.1:7000".parse().unwrap(),
            answering: "10.9.0.2:7".parse().unwrap(),
            is_answered: true,
        };
        assert_eq!(conversation(tracked(UDP).bytes()), Some(expected));
        assert_eq!(conversation(tracked(6).bytes()), None);
        let tracked = tracked(UDP);
        for cut in 0..tracked.len() {
            assert_eq!(conversation(&tracked.bytes()[..cut]), None);
        }
    }
}
