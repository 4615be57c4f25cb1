//! Ids and names of containers.

use crate::error::Error;
use rand::RngExt;

const ADJECTIVES: &[&str] = &[
    "able", "amber", "bold", "brave", "bright", "brisk", "calm", "clear", "clever", "cosmic", "crisp",
    "daring", "eager", "early", "fair", "fancy", "fast", "fine", "fluent", "frosty", "gentle", "glad",
    "golden", "grand", "happy", "hardy", "honest", "humble", "keen", "kind", "light", "lively", "loyal",
    "lucid", "lucky", "mellow", "mighty", "modest", "nimble", "noble", "patient", "plain", "polite", "proud",
    "quick", "quiet", "rapid", "ready", "sharp", "shiny", "silent", "smooth", "solid", "steady", "stoic",
    "sunny", "swift", "tidy", "vivid", "warm", "wise", "witty", "young", "zesty",
];
const ANIMALS: &[&str] = &[
    "ant", "badger", "bat", "bear", "beaver", "bee", "bison", "boar", "camel", "cat", "cobra", "crane",
    "crow", "deer", "dove", "duck", "eagle", "eel", "elk", "falcon", "finch", "fox", "frog", "gecko", "goat",
    "goose", "hare", "hawk", "heron", "horse", "ibex", "jay", "koala", "lark", "lion", "llama", "lynx",
    "mole", "moose", "moth", "newt", "otter", "owl", "panda", "pike", "puma", "quail", "raven", "robin",
    "seal", "shark", "sloth", "snail", "stork", "swan", "tapir", "tiger", "toad", "trout", "viper", "whale",
    "wolf", "wren", "yak",
];

/// 64 hexadecimal digits. Never all decimal in the first 12, so that a short id is no number.
pub fn new_id() -> String {
    loop {
        let bytes: [u8; 32] = rand::random();
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if id[..12].bytes().any(|byte| byte.is_ascii_alphabetic()) {
            return id;
        }
    }
}

/// The twelve digits by which people know a container.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// A name to be remembered by, not in use as `taken` says.
pub fn new_name(taken: impl Fn(&str) -> bool) -> String {
    let mut random = rand::rng();
    let mut pick = |words: &[&'static str]| words[random.random_range(0..words.len())];
    let mut name = format!("{}_{}", pick(ADJECTIVES), pick(ANIMALS));
    let mut number = 1;
    while taken(&name) {
        name = format!("{}_{}{number}", pick(ADJECTIVES), pick(ANIMALS));
        number += 1;
    }
    name
}

/// docker's rule for names.
pub fn check(name: &str) -> Result<&str, Error> {
    let plain = name.strip_prefix('/').unwrap_or(name);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let valid = plain.len() >= 2
        && plain.len() <= 128
        && plain.bytes().all(allowed)
        && plain.as_bytes()[0].is_ascii_alphanumeric();
    if valid {
        return Ok(plain);
    }
    Err(Error::invalid(format!(
        "Invalid container name ({}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, 2 to 128 of them",
        name.chars().take(128).collect::<String>()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids() {
        for good in ["web", "/web", "a1", "My_app-2.x"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-web", "a b", "ü1", "a/b", "..", &"x".repeat(129)] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(new_id().len(), 64);
        assert!(check(&new_name(|_| false)).is_ok());
    }
}
