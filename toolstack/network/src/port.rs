//! Ports of guests: `80/tcp`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// RFC 5237.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    #[error("invalid proto: {0}")]
    Protocol(String),
    #[error("invalid port specification: {0:?}")]
    Number(String),
}

impl FromStr for Protocol {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(PortError::Protocol(text.to_owned())),
        }
    }
}

/// A port of a guest, written `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortKey {
    pub port: u16,
    pub protocol: Protocol,
}

impl fmt::Display for PortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

impl PortKey {
    /// `80`, `80/udp` or `8000-8010/tcp`: each port of it.
    pub fn parse_range(text: &str) -> Result<Vec<Self>, PortError> {
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = protocol.parse()?;
        let (first, last) = range(numbers)
            .filter(|(first, _)| *first > 0)
            .ok_or_else(|| PortError::Number(text.to_owned()))?;
        Ok((first..=last).map(|port| Self { port, protocol }).collect())
    }
}

impl FromStr for PortKey {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        match Self::parse_range(text)?.as_slice() {
            [only] => Ok(*only),
            _ => Err(PortError::Number(text.to_owned())),
        }
    }
}

/// `80` or `80-90`; 0 stands for any.
pub fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ports_and_ranges() {
        let shown = |text: &str| {
            PortKey::parse_range(text).map(|ports| ports.iter().map(PortKey::to_string).collect::<Vec<_>>())
        };
        assert_eq!(shown("80").unwrap(), ["80/tcp"]);
        assert_eq!(shown("53/UDP").unwrap(), ["53/udp"]);
        assert_eq!(
            shown("8000-8002/tcp").unwrap(),
            ["8000/tcp", "8001/tcp", "8002/tcp"]
        );
        for bad in ["", "0", "65536", "9-8", "80/sctp", "80/", "-1", "+1", "1-", "a"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
        assert_eq!(range("0"), Some((0, 0)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,20}") {
            let _ = PortKey::parse_range(&text);
        }
    }
}
