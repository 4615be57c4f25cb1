//! Ports of the host that are published: bound, so that neither another container nor another program takes them.

use crate::port::Protocol;
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A socket that listens to nobody.
#[derive(Debug)]
pub struct HeldPort {
    pub address: IpAddr,
    pub port: u16,
    pub protocol: Protocol,
    _socket: OwnedFd,
}

impl HeldPort {
    /// Port 0 takes any that is free.
    pub fn take(address: IpAddr, port: u16, protocol: Protocol) -> io::Result<Self> {
        let family = match address {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let kind = match protocol {
            Protocol::Tcp => SocketType::STREAM,
            Protocol::Udp => SocketType::DGRAM,
        };
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        bind(&socket, &SocketAddr::new(address, port))?;
        let bound = SocketAddr::try_from(getsockname(&socket)?)?;
        Ok(Self {
            address,
            port: bound.port(),
            protocol,
            _socket: socket,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_held_port_is_nobody_elses() {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let held = HeldPort::take(host, 0, protocol).unwrap();
            let again = HeldPort::take(host, held.port, protocol).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
            let port = held.port;
            drop(held);
            assert!(HeldPort::take(host, port, protocol).is_ok());
        }
    }
}
