//! The keys that leave a container running: `ctrl-p,ctrl-q` unless told otherwise.

use anyhow::{Result, bail};

const DEFAULT: &str = "ctrl-p,ctrl-q";

/// Docker's grammar: keys separated by commas, each a single character, `DEL`, or `ctrl-` and one of `a-z@[\]^_`.
fn parse(text: &str) -> Result<Vec<u8>> {
    text.split(',').map(parse_key).collect()
}

/// As given by `--detach-keys`, where nothing and an empty text mean the default.
pub fn from_flag(flag: Option<&str>) -> Result<Vec<u8>> {
    parse(flag.filter(|keys| !keys.is_empty()).unwrap_or(DEFAULT))
}

fn parse_key(key: &str) -> Result<u8> {
    if let [byte] = key.as_bytes() {
        return Ok(*byte);
    }
    if key.eq_ignore_ascii_case("del") {
        return Ok(0x7f);
    }
    let lower = key.to_ascii_lowercase();
    match lower.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([letter @ b'a'..=b'z']) => Ok(letter - b'a' + 1),
        Some(b"@") => Ok(0),
        Some([sign @ (b'[' | b'\\' | b']' | b'^' | b'_')]) => Ok(sign - b'@'),
        _ => bail!(
            "invalid detach keys: unknown key {key:?}, expected a character or ctrl- and one of a-z @ [ \\ ] ^ _"
        ),
    }
}

/// Watches what is typed; holds back the beginning of the sequence until it is known what it is.
#[derive(Debug)]
pub struct Filter {
    keys: Vec<u8>,
    held: Vec<u8>,
}

impl Filter {
    pub fn new(keys: Vec<u8>) -> Self {
        Self {
            keys,
            held: Vec::new(),
        }
    }

    /// Appends to `out` what is to be sent on. True when the sequence is complete; the rest of `input` is dropped then.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> bool {
        for &byte in input {
            self.held.push(byte);
            while !self.keys.starts_with(&self.held) {
                out.push(self.held.remove(0));
            }
            if !self.held.is_empty() && self.held.len() == self.keys.len() {
                return true;
            }
        }
        false
    }

    /// What is still held when the input ends.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_grammar_is_dockers() {
        assert_eq!(parse(DEFAULT).unwrap(), [16, 17]);
        assert_eq!(from_flag(None).unwrap(), [16, 17]);
        assert_eq!(from_flag(Some("")).unwrap(), [16, 17]);
        assert_eq!(parse("a").unwrap(), *b"a");
        assert_eq!(
            parse("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_").unwrap(),
            [0, 27, 28, 29, 30, 31]
        );
        assert_eq!(parse("ctrl-a,x,DEL").unwrap(), [1, b'x', 127]);
        for bad in ["ctrl-", "ctrl-1", "shift-a", "ab", ""] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_half_sequence_is_given_back() {
        let mut filter = Filter::new(b"aab".to_vec());
        let mut out = Vec::new();
        assert!(!filter.feed(b"xaa", &mut out));
        assert_eq!(out, b"x");
        assert!(filter.feed(b"abz", &mut out));
        assert_eq!(out, b"xa");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_without_the_sequence(input in prop::collection::vec(0u8..4, 0..60), cut in 1usize..7) {
            let keys = [1u8, 2];
            let mut filter = Filter::new(keys.to_vec());
            let mut out = Vec::new();
            let detached = input.chunks(cut).any(|chunk| filter.feed(chunk, &mut out));
            let at = input.windows(2).position(|pair| pair == keys);
            prop_assert_eq!(detached, at.is_some());
            match at {
                Some(at) => prop_assert_eq!(&out[..], &input[..at]),
                None => {
                    out.extend(filter.finish());
                    prop_assert_eq!(out, input);
                }
            }
        }
    }
}
