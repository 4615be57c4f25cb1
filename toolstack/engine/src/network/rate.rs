//! How much a guest may send on an interface.

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of a network, or of a container's place on one, as `xl` writes it: `10Mb/s`.
pub const RATE_OPTION: &str = "hyper.rate";

/// What a guest sends above this waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate {
    pub bytes_per_second: u64,
}

impl Rate {
    /// `5Mb/s` is bits and `5MB/s` bytes; the prefix K, M or G is of thousands.
    fn parse(text: &str) -> Option<Self> {
        let per_second = text.strip_suffix("/s")?;
        let (amount, bits_each) = match per_second.strip_suffix('b') {
            Some(amount) => (amount, 1),
            None => (per_second.strip_suffix('B')?, 8),
        };
        let prefixes = [('K', 1_000), ('M', 1_000_000), ('G', 1_000_000_000)];
        let prefixed = prefixes
            .into_iter()
            .find_map(|(prefix, factor)| Some((amount.strip_suffix(prefix)?, factor)));
        let (digits, factor) = prefixed.unwrap_or((amount, 1));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let bits = digits
            .parse::<u64>()
            .ok()?
            .checked_mul(factor)?
            .checked_mul(bits_each)?;
        Some(Self {
            bytes_per_second: bits / 8,
        })
    }

    /// What options say of it; an error when that is none.
    pub fn of(options: &BTreeMap<String, String>) -> Result<Option<Self>, Error> {
        /// Less is a guest that cannot even say that it is there; more than any interface has.
        const USABLE: std::ops::RangeInclusive<u64> = 1_000..=125_000_000_000;
        let Some(text) = options.get(RATE_OPTION) else {
            return Ok(None);
        };
        match Self::parse(text) {
            Some(rate) if USABLE.contains(&rate.bytes_per_second) => Ok(Some(rate)),
            Some(_) => Err(Error::invalid(format!(
                "invalid {RATE_OPTION}: {text} is not between 8Kb/s and 1000Gb/s"
            ))),
            None => Err(Error::invalid(format!(
                "invalid {RATE_OPTION} {text:?}: it is bits or bytes in a second, like 10Mb/s or 500KB/s"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<u64> {
        let options = BTreeMap::from([(RATE_OPTION.to_owned(), text.to_owned())]);
        Rate::of(&options).ok()?.map(|rate| rate.bytes_per_second)
    }

    #[test]
    fn rates_are_read_as_xl_writes_them() {
        assert_eq!(of("10Mb/s"), Some(1_250_000));
        assert_eq!(of("500KB/s"), Some(500_000));
        assert_eq!(of("1GB/s"), Some(1_000_000_000));
        assert_eq!(of("64000b/s"), Some(8_000));
        for bad in [
            "",
            "10",
            "10M",
            "Mb/s",
            "-1Mb/s",
            "+1Mb/s",
            "1.5Mb/s",
            "10mb/s",
            "1Mb/s ",
            "7Kb/s",
            "1001Gb/s",
            "99999999999999999999b/s",
            "18446744073709551615GB/s",
        ] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        assert_eq!(Rate::of(&BTreeMap::new()).unwrap(), None);
    }
}
