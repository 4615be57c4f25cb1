//! Requests to rtnetlink, as few as the agent has: linux/rtnetlink.h, if_link.h, if_addr.h.

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use std::io;
use std::net::IpAddr;

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;

/// Request, acknowledge.
const ASK: u16 = 1 | 4;
const REPLACE: u16 = 0x100;
const CREATE: u16 = 0x400;

const HEADER_BYTES: usize = 16;
const ERROR: u16 = 2;

pub struct Netlink(OwnedFd);

struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, head: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(ASK | flags).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(head);
        Self(bytes)
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

fn octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (libc::AF_INET as u8, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6 as u8, address.octets().to_vec()),
    }
}

/// `struct ifinfomsg`
fn link(index: u32, up: bool, change: bool) -> [u8; 16] {
    let mut head = [0; 16];
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    let (flags, changed) = (u32::from(up), u32::from(change));
    head[8..12].copy_from_slice(&flags.to_ne_bytes());
    head[12..].copy_from_slice(&changed.to_ne_bytes());
    head
}

impl Netlink {
    pub fn open() -> io::Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok(Self(socket))
    }

    fn ask(&self, message: Message) -> io::Result<()> {
        send(&self.0, &message.finish(), SendFlags::empty())?;
        let mut answer = [0; 1024];
        let (_, length) = recv(&self.0, &mut answer, RecvFlags::empty())?;
        let answer = &answer[..length.min(1024)];
        match (answer.get(4..6), answer.get(HEADER_BYTES..HEADER_BYTES + 4)) {
            (Some(kind), Some(code)) if kind == ERROR.to_ne_bytes() => {
                match i32::from_ne_bytes([code[0], code[1], code[2], code[3]]) {
                    0 => Ok(()),
                    code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
                }
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Renames an interface, which has to be down for it.
    pub fn rename(&self, index: u32, name: &str) -> io::Result<()> {
        self.ask(Message::new(NEW_LINK, 0, &link(index, false, true)))?;
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        self.ask(Message::new(NEW_LINK, 0, &link(index, false, false)).attribute(3, &text))
    }

    /// Brings an interface up; its MTU stays when it is 0.
    pub fn up(&self, index: u32, mtu: u32) -> io::Result<()> {
        let mut message = Message::new(NEW_LINK, 0, &link(index, true, true));
        if mtu > 0 {
            message = message.attribute(4, &mtu.to_ne_bytes());
        }
        self.ask(message)
    }

    pub fn add_address(&self, index: u32, address: IpAddr, prefix_len: u8) -> io::Result<()> {
        let (family, octets) = octets(address);
        // struct ifaddrmsg
        let mut head = vec![family, prefix_len, 0, 0];
        head.extend_from_slice(&index.to_ne_bytes());
        let mut message = Message::new(NEW_ADDRESS, CREATE | REPLACE, &head)
            .attribute(1, &octets)
            .attribute(2, &octets);
        match address {
            IpAddr::V4(address) if prefix_len < 31 => {
                let hosts = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
                message = message.attribute(4, &(u32::from(address) | hosts).to_be_bytes());
            }
            IpAddr::V4(_) => {}
            IpAddr::V6(_) => {
                // Whoever gave it knows that nobody else has it; so it is there at once.
                const NO_DUPLICATE_DETECTION: u32 = 2;
                message = message.attribute(8, &NO_DUPLICATE_DETECTION.to_ne_bytes());
            }
        }
        self.ask(message)
    }

    /// The way to everywhere else, in the place of any other.
    pub fn default_route(&self, index: u32, gateway: IpAddr) -> io::Result<()> {
        let (family, octets) = octets(gateway);
        // struct rtmsg: the main table, made by an administrator, to everywhere, unicast
        let head = [family, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
        let message = Message::new(NEW_ROUTE, CREATE | REPLACE, &head)
            .attribute(5, &octets)
            .attribute(4, &index.to_ne_bytes());
        self.ask(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_length() {
        let message = Message::new(NEW_LINK, 0, &link(7, true, true))
            .attribute(3, b"eth0\0")
            .finish();
        assert_eq!(message.len(), 16 + 16 + 12);
        assert_eq!(message[..4], 44u32.to_ne_bytes());
        assert_eq!(message[32..34], 9u16.to_ne_bytes());
    }
}
