//! Names of images as people write them: `registry/repository:tag@digest`, by the grammar of
//! <https://pkg.go.dev/github.com/distribution/reference>, completed and shown as docker does.
//!
//! Read by hand: the same grammar as one regular expression has 40,000 states, and each thread that uses it keeps
//! several MiB for them.

#![forbid(unsafe_code)]

mod grammar;

use std::fmt;
use std::str::FromStr;

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_NAMESPACE: &str = "library";
const DEFAULT_TAG: &str = "latest";
/// The longest repository, a tag and a digest together, with some of a registry.
const MAX_BYTES: usize = 512;
/// How much of what is wrong is said.
const SHOWN: usize = 80;

/// Why a text is no name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("invalid reference format: {0:?}")]
    Format(String),
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
}

impl Error {
    /// The beginning of the text will do.
    pub fn format(text: &str) -> Self {
        Self::Format(text.chars().take(SHOWN).collect())
    }
}

/// A text as a name has its parts; whether each of them is one is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// With the registry, when one was written.
    pub name: &'a str,
    pub tag: Option<&'a str>,
    pub digest: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub fn of(text: &'a str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            // A colon before the last slash is a port's.
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        Self { name, tag, digest }
    }

    /// Neither a tag nor a digest was written.
    pub fn is_bare(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }
}

/// A name. Its registry is always known; a tag or a digest only when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(Error::format(text));
        }
        let Parts { name, tag, digest } = Parts::of(text);
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if names_registry(first) => (first, path),
            _ => (DEFAULT_REGISTRY, name),
        };
        let registry = match registry {
            "index.docker.io" => DEFAULT_REGISTRY,
            registry => registry,
        };
        let repository = match registry == DEFAULT_REGISTRY && !path.contains('/') {
            true => format!("{DEFAULT_NAMESPACE}/{path}"),
            false => path.to_owned(),
        };
        if !grammar::is_repository(path) {
            return Err(match grammar::is_repository(&path.to_ascii_lowercase()) {
                true => Error::Uppercase(repository),
                false => Error::format(text),
            });
        }
        if !grammar::is_registry(registry)
            || tag.is_some_and(|tag| !grammar::is_tag(tag))
            || digest.is_some_and(|digest| !grammar::is_digest(digest))
        {
            return Err(Error::format(text));
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }
}

/// Whether the first part of a name is a registry, and not the first of a repository at docker.io.
fn names_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.contains(|c: char| c.is_ascii_uppercase())
}

impl Reference {
    /// `docker.io`
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// `library/busybox`
    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Neither a tag nor a digest was written.
    pub fn is_bare(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// One that is bare gets the tag that is meant.
    pub fn complete(mut self) -> Self {
        if self.is_bare() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// What `images/create` and `images/NAME/tag` take as `tag`: the digest, if there is one.
    pub fn tag_or_digest(&self) -> &str {
        self.digest().or(self.tag()).unwrap_or(DEFAULT_TAG)
    }

    /// `docker.io/library/busybox`
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// `busybox`, `user/image`, `host:5000/image`: without what is docker.io's default.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        match self.repository.split_once('/') {
            Some((DEFAULT_NAMESPACE, name)) if !name.contains('/') => name.to_owned(),
            // Without its registry this would be read as a registry's.
            Some((first, _)) if names_registry(first) => self.name(),
            _ => self.repository.clone(),
        }
    }

    /// `busybox:latest`
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_name())
    }

    fn suffixed(&self, name: String) -> String {
        let mark = if self.digest.is_some() { '@' } else { ':' };
        format!("{name}{mark}{}", self.tag_or_digest())
    }
}

/// `docker.io/library/busybox:latest`
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.name()))
    }
}

#[cfg(test)]
mod tests;
