//! Ranges of addresses: `192.0.2.10-192.0.2.20`, `192.0.2.0/28`, or one address.

use ipnet::{IpAddrRange, IpNet, Ipv4AddrRange, Ipv6AddrRange};
use std::net::IpAddr;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange(IpAddrRange);

impl AddressRange {
    /// In their order.
    pub fn addresses(self) -> IpAddrRange {
        self.0
    }
}

impl FromStr for AddressRange {
    type Err = String;

    /// Of a network those that stations can have.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self(net.hosts()));
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))) if first <= last => {
                Ok(Self(Ipv4AddrRange::new(first, last).into()))
            }
            (Ok(IpAddr::V6(first)), Ok(IpAddr::V6(last))) if first <= last => {
                Ok(Self(Ipv6AddrRange::new(first, last).into()))
            }
            _ => Err(format!("invalid range of addresses: {text:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        let read = |text: &str| {
            let range = text.parse::<AddressRange>()?;
            let shown: Vec<_> = range
                .addresses()
                .take(3)
                .map(|address| address.to_string())
                .collect();
            Ok::<_, String>(shown.join(" "))
        };
        assert_eq!(read("192.0.2.8/29").unwrap(), "192.0.2.9 192.0.2.10 192.0.2.11");
        assert_eq!(read("192.0.2.8-192.0.2.9").unwrap(), "192.0.2.8 192.0.2.9");
        assert_eq!(read("2001:db8::7").unwrap(), "2001:db8::7");
        for bad in [
            "",
            "192.0.2.9-192.0.2.8",
            "192.0.2.1-2001:db8::",
            "192.0.2.0/33",
            "a-b",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
