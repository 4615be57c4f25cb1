//! Netlink attributes: a length, a type, a value, padded to four bytes.

/// `NLA_F_NESTED`, linux/netlink.h.
const NESTED: u16 = 1 << 15;

/// Attributes, one after another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A value as it is. Values longer than an attribute can be do not come up: the longest is a list of elements, which
    /// its maker splits.
    pub fn raw(mut self, kind: u16, value: &[u8]) -> Self {
        let length = value.len() + 4;
        debug_assert!(length <= usize::from(u16::MAX), "an attribute that is too long");
        self.0.extend_from_slice(&(length as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub fn nested(self, kind: u16, inner: &Self) -> Self {
        self.raw(kind | NESTED, &inner.0)
    }

    /// nf_tables has its numbers in the network's order.
    pub fn number(self, kind: u16, value: u32) -> Self {
        self.raw(kind, &value.to_be_bytes())
    }

    pub fn text(self, kind: u16, text: &str) -> Self {
        let mut value = text.as_bytes().to_vec();
        value.push(0);
        self.raw(kind, &value)
    }

    pub fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_padded() {
        let attributes = Attributes::new().text(3, "ab").number(4, 1);
        assert_eq!(
            attributes.bytes(),
            [7, 0, 3, 0, b'a', b'b', 0, 0, 8, 0, 4, 0, 0, 0, 0, 1]
        );
        let outer = Attributes::new().nested(1, &Attributes::new().raw(2, &[9]));
        assert_eq!(outer.bytes(), [12, 0, 1, 0x80, 5, 0, 2, 0, 9, 0, 0, 0]);
    }
}
