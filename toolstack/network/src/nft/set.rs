//! Sets and maps, and their elements.

use super::attributes::Attributes;
use super::data_value;
use std::time::Duration;

const MAP: u32 = 8;
const TIMEOUT: u32 = 0x10;
/// Rules put elements in.
const EVAL: u32 = 0x20;

/// A part of a key: what `nft` shows it as, and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Name,
    Mac,
    Ip4,
    Ip6,
    Protocol,
    Port,
    /// A number of four bytes.
    Number,
}

impl Type {
    /// `enum datatypes` of nftables.
    fn number(self) -> u32 {
        match self {
            Self::Name => 41,
            Self::Mac => 9,
            Self::Ip4 => 7,
            Self::Ip6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            // A mark: `nft` knows no length of integers.
            Self::Number => 19,
        }
    }

    fn bytes(self) -> u32 {
        match self {
            Self::Name | Self::Ip6 => 16,
            Self::Mac => 6,
            Self::Ip4 | Self::Number => 4,
            Self::Protocol => 1,
            Self::Port => 2,
        }
    }
}

/// Number and length of joined types: each part is padded to a register.
fn joined(types: &[Type]) -> (u32, u32) {
    match types {
        [only] => (only.number(), only.bytes()),
        many => many.iter().fold((0, 0), |(number, bytes), part| {
            (
                number << 6 | part.number(),
                bytes + part.bytes().next_multiple_of(4),
            )
        }),
    }
}

/// A value of joined parts as registers hold it.
pub fn key(parts: &[&[u8]]) -> Vec<u8> {
    if let [only] = parts {
        return only.to_vec();
    }
    let mut value = Vec::new();
    for part in parts {
        value.extend_from_slice(part);
        value.resize(value.len().next_multiple_of(4), 0);
    }
    value
}

#[derive(Debug, Clone, Copy)]
pub struct Set<'a> {
    pub name: &'a str,
    pub key: &'a [Type],
    /// Of a map.
    pub data: &'a [Type],
}

impl Set<'_> {
    pub(super) fn attributes(&self, table: &str, id: u32) -> Attributes {
        let (key_type, key_bytes) = joined(self.key);
        let flags = if self.data.is_empty() { 0 } else { MAP };
        let mut attributes = Attributes::new()
            .text(1, table)
            .text(2, self.name)
            .number(3, flags)
            .number(4, key_type)
            .number(5, key_bytes)
            .number(10, id);
        if self.key == [Type::Name] {
            // NFTNL_UDATA_SET_KEYBYTEORDER: of the host. `nft` would show names backwards.
            let [a, b, c, d] = 1u32.to_ne_bytes();
            attributes = attributes.raw(13, &[0, 4, a, b, c, d]);
        }
        if !self.data.is_empty() {
            let (data_type, data_bytes) = joined(self.data);
            attributes = attributes.number(6, data_type).number(7, data_bytes);
        }
        attributes
    }
}

/// A set that a rule fills with connections, in parts of those of each address, each part with its own limit. The kernel looks
/// through a whole part for each that is new.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    pub name: &'static str,
    pub address: Type,
    pub parts: u32,
    /// In each part.
    pub limit: u32,
    pub max_elements: u32,
}

impl Counter {
    pub(super) fn attributes(&self, table: &str, id: u32) -> Attributes {
        let (key_type, key_bytes) = joined(&[self.address, Type::Number]);
        let size = Attributes::new().number(1, self.max_elements);
        Attributes::new()
            .text(1, table)
            .text(2, self.name)
            .number(3, EVAL)
            .number(4, key_type)
            .number(5, key_bytes)
            .nested(9, &size)
            .number(10, id)
    }
}

/// A set that a rule fills with who sends, each with its own limit.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    pub name: &'static str,
    pub key: Type,
    /// One that has sent nothing for so long is forgotten.
    pub forgotten_after: Duration,
    pub max_elements: u32,
    /// Packets in a second, and at once after a pause.
    pub rate: u64,
    pub burst: u32,
}

impl Meter {
    pub(super) fn attributes(&self, table: &str, id: u32) -> Attributes {
        let size = Attributes::new().number(1, self.max_elements);
        let timeout_ms = self.forgotten_after.as_millis() as u64;
        Attributes::new()
            .text(1, table)
            .text(2, self.name)
            .number(3, EVAL | TIMEOUT)
            .number(4, self.key.number())
            .number(5, self.key.bytes())
            .nested(9, &size)
            .number(10, id)
            .raw(11, &timeout_ms.to_be_bytes())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    pub key: Vec<u8>,
    /// Of a map.
    pub data: Option<Vec<u8>>,
}

impl Element {
    pub fn of(parts: &[&[u8]]) -> Self {
        Self {
            key: key(parts),
            data: None,
        }
    }

    pub fn with(mut self, parts: &[&[u8]]) -> Self {
        self.data = Some(key(parts));
        self
    }

    pub(super) fn attributes(&self) -> Attributes {
        let attributes = Attributes::new().nested(1, &data_value(&self.key));
        match &self.data {
            Some(data) => attributes.nested(2, &data_value(data)),
            None => attributes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_keys_are_padded() {
        assert_eq!(joined(&[Type::Protocol, Type::Port]), (12 << 6 | 13, 8));
        assert_eq!(joined(&[Type::Mac]), (9, 6));
        assert_eq!(key(&[&[6], &[0, 80]]), [6, 0, 0, 0, 0, 80, 0, 0]);
        assert_eq!(key(&[&[1, 2]]), [1, 2]);
    }
}
