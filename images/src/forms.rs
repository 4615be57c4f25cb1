//! How layers are transferred: of each layer the compressed forms that are known to unpack to it, and the repositories
//! that have them. With these a push finds what is there already. The file may be lost: then more is sent than need be.

use crate::manifest::{DOCKER_GZIP, DOCKER_TAR, OCI_GZIP, OCI_TAR};
use crate::{Error, Store};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

/// Of a layer; one that is compressed in many ways is compressed once more, if need be.
const MAX_FORMS: usize = 4;
const MAX_REPOSITORIES: usize = 8;

/// A layer as it is transferred. Both digests were verified together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Form {
    pub diff_id: String,
    pub digest: String,
    /// Compressed.
    pub bytes: u64,
    pub media_type: String,
    /// As people know them, the newest last.
    pub repositories: Vec<String>,
}

impl Form {
    /// The media type in a manifest of docker's kind or of OCI's; docker's knows fewer.
    pub fn media_type_for(&self, docker: bool) -> Option<&str> {
        let kinds = [(OCI_TAR, DOCKER_TAR), (OCI_GZIP, DOCKER_GZIP)];
        let known = kinds
            .iter()
            .find(|(oci, other)| [*oci, *other].contains(&self.media_type.as_str()));
        match (known, docker) {
            (Some((_, of_docker)), true) => Some(of_docker),
            (Some((oci, _)), false) => Some(oci),
            (None, true) => None,
            (None, false) => Some(&self.media_type),
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Forms {
    forms: Vec<Form>,
}

impl Forms {
    pub fn read(path: &Path) -> Self {
        let read = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        };
        read.unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "what registries have is not known any more");
            Self::default()
        })
    }

    fn learn(&mut self, form: Form) {
        let same = |known: &Form| known.diff_id == form.diff_id && known.digest == form.digest;
        let Some(known) = self.forms.iter_mut().find(|known| same(known)) else {
            self.forms.push(form.clone());
            let of_layer = |known: &Form| known.diff_id == form.diff_id;
            if self.forms.iter().filter(|known| of_layer(known)).count() > MAX_FORMS
                && let Some(oldest) = self.forms.iter().position(of_layer)
            {
                self.forms.remove(oldest);
            }
            return;
        };
        for repository in form.repositories {
            known.repositories.retain(|other| *other != repository);
            known.repositories.push(repository);
        }
        let surplus = known.repositories.len().saturating_sub(MAX_REPOSITORIES);
        known.repositories.drain(..surplus);
    }
}

impl Store {
    /// The forms of a layer, the newest first.
    pub(crate) fn forms(&self, diff_id: &str) -> Vec<Form> {
        let known = self.known_forms();
        let forms = known.forms.iter().rev();
        forms.filter(|form| form.diff_id == diff_id).cloned().collect()
    }

    /// Keeps verified forms, and forgets those of layers that are gone.
    pub(crate) fn learn_forms(&self, forms: Vec<Form>) -> Result<(), Error> {
        let mut known = self.known_forms();
        let mut changed = known.clone();
        forms.into_iter().for_each(|form| changed.learn(form));
        changed
            .forms
            .retain(|form| self.layer(&form.diff_id).is_ok_and(|path| path.exists()));
        let path = self.forms_path();
        let bytes = serde_json::to_vec_pretty(&changed).map_err(|error| Error::write(&path)(error.into()))?;
        self.publish(&bytes, &path)?;
        *known = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(digest: &str, repository: &str) -> Form {
        Form {
            diff_id: "sha256:d".to_owned(),
            digest: digest.to_owned(),
            bytes: 1,
            media_type: OCI_GZIP.to_owned(),
            repositories: vec![repository.to_owned()],
        }
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut forms = Forms::default();
        for number in 0..100 {
            forms.learn(form("sha256:1", &format!("repository{number}")));
        }
        assert_eq!(forms.forms.len(), 1);
        assert_eq!(forms.forms[0].repositories.len(), MAX_REPOSITORIES);
        assert_eq!(
            forms.forms[0].repositories.last().map(String::as_str),
            Some("repository99")
        );
        for number in 0..100 {
            forms.learn(form(&format!("sha256:{number}"), "r"));
        }
        assert_eq!(forms.forms.len(), MAX_FORMS);
        assert_eq!(forms.forms[MAX_FORMS - 1].digest, "sha256:99");
    }

    #[test]
    fn media_types_follow_the_manifest() {
        let mut form = form("sha256:1", "r");
        assert_eq!(form.media_type_for(true), Some(DOCKER_GZIP));
        assert_eq!(form.media_type_for(false), Some(OCI_GZIP));
        form.media_type = crate::manifest::OCI_ZSTD.to_owned();
        assert_eq!(form.media_type_for(true), None);
        assert_eq!(form.media_type_for(false), Some(form.media_type.as_str()));
    }

    #[test]
    fn a_damaged_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forms.json");
        fs::write(&path, "{").unwrap();
        assert!(Forms::read(&path).forms.is_empty());
    }
}
