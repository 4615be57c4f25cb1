//! Ethernet addresses of guests.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// A new one that belongs to no manufacturer.
    pub fn random() -> Self {
        let mut bytes: [u8; 6] = rand::random();
        // Locally administered, and of one station.
        bytes[0] = bytes[0] & 0xfc | 0x02;
        Self(bytes)
    }

    /// The address a Linux gives itself on a link (RFC 4291, appendix A).
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
        Ipv6Addr::new(
            0xfe80,
            0,
            0,
            0,
            pair(a ^ 2, b),
            pair(c, 0xff),
            pair(0xfe, d),
            pair(e, f),
        )
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    /// An address of one station; neither all zeros nor a group's.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("invalid MAC address: {text}");
        let parts: Vec<_> = text.split([':', '-']).collect();
        let mut bytes = [0; 6];
        if parts.len() != bytes.len() {
            return Err(bad());
        }
        for (byte, part) in bytes.iter_mut().zip(parts) {
            if part.len() != 2 {
                return Err(bad());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        match bytes == [0; 6] || bytes[0] & 1 == 1 {
            true => Err(bad()),
            false => Ok(Self(bytes)),
        }
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn link_local_addresses_are_linuxs() {
        let mac: Mac = "02:42:AC:11:00:02".parse().unwrap();
        assert_eq!(mac.link_local().to_string(), "fe80::42:acff:fe11:2");
    }

    #[test]
    fn what_is_no_station_is_refused() {
        for bad in [
            "",
            "00:00:00:00:00:00",
            "01:00:5e:00:00:01",
            "2:42:ac:11:0:2",
            "02:42:ac:11:00",
            "g2:42:ac:11:00:02",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,30}") {
            let _ = text.parse::<Mac>();
        }

        #[test]
        fn as_text_it_is_the_same(_n in 0..50u8) {
            let mac = Mac::random();
            prop_assert_eq!(mac.to_string().parse::<Mac>().unwrap(), mac);
        }
    }
}
