use std::io;
use std::path::PathBuf;

/// Why an image cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Name(#[from] reference::Error),
    #[error("no such image: {0}")]
    NotFound(String),
    #[error("manifest for {0} not found: manifest unknown")]
    UnknownManifest(String),
    #[error("pull access denied for {0}: the repository does not exist or needs a login")]
    Denied(String),
    #[error("push access denied for {0}: it needs a login, or this login may not push there")]
    PushDenied(String),
    #[error("An image does not exist locally with the tag: {0}")]
    NotTagged(String),
    #[error("cannot push a digest reference: {0}")]
    PushByDigest(String),
    #[error("repository {0} not found: name not known to registry")]
    UnknownRepository(String),
    #[error("the registry {0} offers no search")]
    NoSearch(String),
    #[error("{0:?} is not a mirror: write https://HOST[:PORT][/PREFIX]")]
    Mirror(String),
    #[error("the certificate {path} is not understood: {why}")]
    Certificate { path: PathBuf, why: String },
    #[error("{0} refused the login: unauthorized: incorrect username or password")]
    LoginRefused(String),
    #[error("cannot reach the registry {registry}")]
    Unreachable {
        registry: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the registry {registry} failed")]
    Registry {
        registry: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{what} of {name} is not understood: {why}")]
    Malformed {
        what: &'static str,
        name: String,
        why: String,
    },
    #[error(
        "{what} has the digest {found}, not {expected}: it was damaged, or is not what it was announced as"
    )]
    Digest {
        what: String,
        expected: String,
        found: String,
    },
    #[error("{what} has {found} bytes, not {expected}")]
    Size { what: String, expected: u64, found: u64 },
    #[error("{what} exceeds the limit of {limit}")]
    Limit { what: String, limit: String },
    #[error("{name} has no image for linux/amd64: it has {available}")]
    Platform { name: String, available: String },
    #[error("media type {0} is not supported")]
    MediaType(String),
    #[error("layer {layer} is corrupt: {why}")]
    Layer { layer: String, why: String },
    #[error("{path} is damaged: {why}; pull the image again")]
    Damaged { path: PathBuf, why: String },
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the archive is not understood: {0}")]
    Archive(String),
    #[error("the archive cannot be read")]
    ArchiveRead(#[source] io::Error),
    #[error("the archive cannot be written")]
    ArchiveWrite(#[source] io::Error),
    #[error("cannot fetch {url}")]
    Fetch {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("conflict: {0}")]
    Conflict(String),
    #[error("pull was interrupted")]
    Interrupted,
}

impl Error {
    /// Whether another registry might give what this one did not.
    pub(crate) fn is_of_registry(&self) -> bool {
        matches!(
            self,
            Self::UnknownManifest(_)
                | Self::Denied(_)
                | Self::Unreachable { .. }
                | Self::Registry { .. }
                | Self::Malformed { .. }
                | Self::Digest { .. }
                | Self::Size { .. }
                | Self::Limit { .. }
                | Self::Layer { .. }
                | Self::MediaType(_)
        )
    }

    /// A file of the store that is not what its name says.
    pub(crate) fn altered(path: impl Into<PathBuf>) -> Self {
        Self::Damaged {
            path: path.into(),
            why: "it is not what its digest says".to_owned(),
        }
    }

    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }

    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }
}
