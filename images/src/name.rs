//! Names of images, complete.

use crate::Error;
use reference::Reference;
use std::fmt;
use std::str::FromStr;

/// A full name: its registry and, unless it has a digest, its tag are always known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(Reference);

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(Self(text.parse::<Reference>()?.complete()))
    }
}

impl Name {
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// Of the repository at its registry.
    pub(crate) fn path(&self) -> &str {
        self.0.repository()
    }

    pub fn tag(&self) -> Option<&str> {
        self.0.tag()
    }

    pub fn digest(&self) -> Option<&str> {
        self.0.digest()
    }

    /// Registry and repository as docker shows them: without what is docker.io's default.
    pub fn repository(&self) -> String {
        self.0.familiar_name()
    }

    /// With the registry and all.
    pub(crate) fn whole(&self) -> String {
        self.0.to_string()
    }

    /// Another tag of the same repository, by the grammar.
    pub(crate) fn with_tag(&self, tag: &str) -> Result<Self, Error> {
        let text = format!("{}:{tag}", self.0.name());
        let name: Self = text.parse()?;
        // What stands behind an `@` would be taken for a digest.
        match name.tag() == Some(tag) && name.digest().is_none() {
            true => Ok(name),
            false => Err(reference::Error::format(&text).into()),
        }
    }
}

/// As docker shows it.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.familiar())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_and_shown_as_docker_does() {
        let show = |text: &str| {
            text.parse::<Name>()
                .map(|name| name.to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(show("debian").unwrap(), "debian:latest");
        assert_eq!(show("docker.io/library/debian:12").unwrap(), "debian:12");
        assert_eq!(show("me/app").unwrap(), "me/app:latest");
        assert_eq!(show("library/library/a/b").unwrap(), "library/library/a/b:latest");
        assert_eq!(show("docker.io/a.b/c").unwrap(), "docker.io/a.b/c:latest");
        assert_eq!(show("localhost:5000/a/b:1").unwrap(), "localhost:5000/a/b:1");
        assert_eq!("debian".parse::<Name>().unwrap().registry(), "docker.io");
        let busybox: Name = "busybox".parse().unwrap();
        assert_eq!(busybox.with_tag("1").unwrap().to_string(), "busybox:1");
        for bad in [
            "",
            "a/b",
            "-x",
            "a:b",
            "latest@sha256:00112233445566778899aabbccddeeff",
        ] {
            assert!(busybox.with_tag(bad).is_err(), "{bad}");
        }
        for bad in ["", "a:b:c", "a/../b", "a b", "-a", "a@sha256:zz"] {
            assert_eq!(
                show(bad).unwrap_err(),
                format!("invalid reference format: {bad:?}")
            );
        }
    }
}
