//! The parts of a name.

const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// A name of a host or an IPv4 address, and perhaps a port.
pub fn is_registry(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

pub fn is_repository(path: &str) -> bool {
    path.len() <= MAX_REPOSITORY && path.split('/').all(is_component)
}

/// Letters and digits, and between them a dot, one or two underscores, or any number of dashes.
fn is_component(part: &str) -> bool {
    let mut bytes = part.as_bytes();
    loop {
        let word = bytes.iter().take_while(|byte| is_lower(**byte)).count();
        if word == 0 {
            return false;
        }
        bytes = &bytes[word..];
        let separator = match bytes {
            [] => return true,
            [b'_', b'_', ..] => 2,
            [b'_' | b'.', ..] => 1,
            _ => bytes.iter().take_while(|byte| **byte == b'-').count(),
        };
        bytes = &bytes[separator..];
    }
}

pub fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag
            .bytes()
            .all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

/// Of an algorithm that registries use.
pub fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let bits = match algorithm {
        "sha256" => 256,
        "sha384" => 384,
        "sha512" => 512,
        _ => return false,
    };
    hex.len() == bits / 4
        && hex
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}
