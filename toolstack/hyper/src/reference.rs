//! Names of images as people write them, checked by the grammar of github.com/distribution/reference and completed.

use std::fmt;

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_NAMESPACE: &str = "library";
const DEFAULT_TAG: &str = "latest";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

fn is_component(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes
        .iter()
        .all(|byte| plain(*byte) || matches!(byte, b'.' | b'_' | b'-'))
        && bytes.first().is_some_and(|byte| plain(*byte))
        && bytes.last().is_some_and(|byte| plain(*byte))
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
        && tag.bytes().next().is_some_and(word)
}

fn is_digest(digest: &str) -> bool {
    let hex = digest.split_once(':').map_or("", |(_, hex)| hex);
    hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Reference {
    pub fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid reference format: {text:?}");
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        // A colon before the last slash is a port.
        let name_at = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_at..].split_once(':') {
            Some((last, tag)) => (&rest[..name_at + last.len()], Some(tag.to_owned())),
            None => (rest, None),
        };
        let is_registry =
            |part: &str| part.contains(['.', ':']) || part == "localhost" || part != part.to_lowercase();
        let (registry, mut repository) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest.to_owned()),
            _ => (DEFAULT_REGISTRY, name.to_owned()),
        };
        let registry = match registry {
            "index.docker.io" => DEFAULT_REGISTRY,
            registry => registry,
        };
        if repository.is_empty() {
            return Err(invalid());
        }
        if registry == DEFAULT_REGISTRY && !repository.contains('/') {
            repository = format!("{DEFAULT_NAMESPACE}/{repository}");
        }
        let empty = |part: &Option<String>| part.as_deref() == Some("");
        if name.is_empty() || repository.ends_with('/') || empty(&tag) || empty(&digest) {
            return Err(invalid());
        }
        let valid = |part: &Option<String>, rule: fn(&str) -> bool| part.as_deref().is_none_or(rule);
        if !valid(&tag, is_tag) || !valid(&digest, is_digest) {
            return Err(invalid());
        }
        if repository != repository.to_lowercase() {
            return Err(format!(
                "invalid reference format: repository name ({repository}) must be lowercase"
            ));
        }
        if !repository.split('/').all(is_component) {
            return Err(invalid());
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag,
            digest,
        })
    }

    /// `docker.io/library/busybox`
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// `docker.io`
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// What `images/create` and `images/NAME/tag` take as `tag`: the digest, if there is one.
    pub fn tag_or_digest(&self) -> &str {
        self.digest
            .as_deref()
            .or(self.tag.as_deref())
            .unwrap_or(DEFAULT_TAG)
    }

    /// Neither a tag nor a digest was written.
    pub fn is_bare(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    pub fn has_digest(&self) -> bool {
        self.digest.is_some()
    }

    /// `busybox`, `user/image`, `host:5000/image`
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        let short = self
            .repository
            .strip_prefix(DEFAULT_NAMESPACE)
            .and_then(|rest| rest.strip_prefix('/'));
        short.unwrap_or(&self.repository).to_owned()
    }

    /// `busybox:latest`
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_name())
    }

    fn suffixed(&self, name: String) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{name}@{digest}"),
            (None, Some(tag)) => format!("{name}:{tag}"),
            (None, None) => format!("{name}:{DEFAULT_TAG}"),
        }
    }
}

/// `docker.io/library/busybox:latest`
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_completed() {
        for (text, full, familiar) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
            ("user/image", "docker.io/user/image:latest", "user/image:latest"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("host:5000/a/b:v", "host:5000/a/b:v", "host:5000/a/b:v"),
            (
                "docker.io/library/busybox",
                "docker.io/library/busybox:latest",
                "busybox:latest",
            ),
            (
                "a@sha256:00112233445566778899aabbccddeeff",
                "docker.io/library/a@sha256:00112233445566778899aabbccddeeff",
                "a@sha256:00112233445566778899aabbccddeeff",
            ),
            (
                "a:v@sha256:00112233445566778899aabbccddeeff",
                "docker.io/library/a@sha256:00112233445566778899aabbccddeeff",
                "a@sha256:00112233445566778899aabbccddeeff",
            ),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
        }
        for text in ["", ":tag", "a:", "a@", "UPPER", "host.io/"] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_full_name_is_itself(text in ".{0,20}") {
            if let Ok(reference) = Reference::parse(&text) {
                let full = reference.to_string();
                if let Ok(again) = Reference::parse(&full) {
                    prop_assert_eq!(again.to_string(), full);
                }
            }
        }
    }
}
