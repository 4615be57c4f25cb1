//! Why a tar cannot be made or taken.

use std::io;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum Error {
    #[error("cannot {what} {path:?}")]
    Io {
        what: &'static str,
        path: String,
        source: io::Error,
    },
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    #[error("{0:?} is outside of the directory")]
    Outside(String),
    #[error("{0:?} lies too deep")]
    TooDeep(String),
    #[error("extraction point is not a directory")]
    NotADirectory,
    #[error("cannot overwrite directory {0:?} with non-directory {0:?}")]
    DirectoryInTheWay(String),
    #[error("cannot overwrite non-directory {0:?} with directory {0:?}")]
    FileInTheWay(String),
    #[error("{path:?} is of the unknown kind {kind:?}")]
    Kind { path: String, kind: char },
    #[error("{0:?} is a sparse file in a form that is not understood: make the archive without those")]
    Sparse(String),
}

impl Error {
    /// What was to be read or written to is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// A path as people read it.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(1000)]).into_owned()
}

/// Names what was tried, and on what.
pub(crate) trait Context<T> {
    fn context(self, what: &'static str, path: &[u8]) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: &'static str, path: &[u8]) -> Result<T, Error> {
        self.map_err(|error| Error::Io {
            what,
            path: shown(path),
            source: error.into(),
        })
    }
}
