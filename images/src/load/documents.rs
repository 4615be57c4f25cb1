//! `manifest.json` of a docker archive, and names in the annotations of an OCI layout.

use crate::pull::MAX_LAYERS;
use crate::save::{NAME_ANNOTATION, TAG_ANNOTATION};
use crate::{Error, Name};
use serde::Deserialize;
use std::collections::HashMap;

/// Images of one archive.
pub const MAX_IMAGES: usize = 1024;
/// Names of one image.
const MAX_NAMES: usize = 256;

/// An image of `manifest.json`: paths of members.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DockerImage {
    pub config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl DockerImage {
    pub fn layers(&self) -> &[String] {
        self.layers.as_deref().unwrap_or_default()
    }

    pub fn names(&self) -> Result<Vec<Name>, Error> {
        let tags = self.repo_tags.as_deref().unwrap_or_default();
        check("names", tags.len(), MAX_NAMES)?;
        tags.iter().map(|tag| tagged(tag)).collect()
    }
}

pub fn docker_images(bytes: &[u8]) -> Result<Vec<DockerImage>, Error> {
    let images: Vec<DockerImage> = serde_json::from_slice(bytes).map_err(|error| Error::Malformed {
        what: "manifest.json",
        name: "the archive".to_owned(),
        why: error.to_string(),
    })?;
    check("images", images.len(), MAX_IMAGES)?;
    for image in &images {
        check("layers", image.layers().len(), MAX_LAYERS)?;
    }
    Ok(images)
}

pub fn check(what: &str, found: usize, most: usize) -> Result<(), Error> {
    match found > most {
        true => Err(Error::Limit {
            what: format!("number of {what}"),
            limit: most.to_string(),
        }),
        false => Ok(()),
    }
}

/// A digest is what an image has, no name that a file may give it.
fn tagged(text: &str) -> Result<Name, Error> {
    let name: Name = text.parse()?;
    match name.digest() {
        Some(_) => Err(reference::Error::format(text).into()),
        None => Ok(name),
    }
}

/// The name that a layout gives a manifest. Some writers put a whole name where the specification has a tag.
pub fn annotated(annotations: &HashMap<String, String>) -> Result<Option<Name>, Error> {
    if let Some(name) = annotations.get(NAME_ANNOTATION) {
        return tagged(name).map(Some);
    }
    let whole = annotations.get(TAG_ANNOTATION).filter(|text| text.contains(':'));
    Ok(whole.and_then(|text| tagged(text).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_layouts() {
        let of = |pairs: &[(&str, &str)]| {
            let annotations = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            annotated(&annotations).map(|name| name.map(|name| name.to_string()))
        };
        let full = "docker.io/library/busybox:1";
        assert_eq!(
            of(&[(NAME_ANNOTATION, full), (TAG_ANNOTATION, "1")])
                .unwrap()
                .unwrap(),
            "busybox:1"
        );
        assert_eq!(of(&[(TAG_ANNOTATION, full)]).unwrap().unwrap(), "busybox:1");
        assert_eq!(of(&[(TAG_ANNOTATION, "latest")]).unwrap(), None);
        assert_eq!(of(&[]).unwrap(), None);
        assert!(of(&[(NAME_ANNOTATION, "../x")]).is_err());
    }

    #[test]
    fn documents_have_limits() {
        let many = |count| {
            let image = r#"{"Config":"a","RepoTags":null,"Layers":null}"#;
            docker_images(format!("[{}]", vec![image; count].join(",")).as_bytes())
        };
        assert_eq!(many(2).unwrap()[0].names().unwrap(), []);
        assert!(matches!(many(MAX_IMAGES + 1), Err(Error::Limit { .. })));
        let deep = "[".repeat(100_000);
        assert!(matches!(
            docker_images(deep.as_bytes()),
            Err(Error::Malformed { .. })
        ));
        let digest = format!("a@sha256:{}", "0".repeat(64));
        let bad = format!(r#"[{{"Config":"a","RepoTags":["{digest}"],"Layers":[]}}]"#);
        assert!(docker_images(bad.as_bytes()).unwrap()[0].names().is_err());
    }
}
