//! Why a request failed, in docker's words where docker has some.

use std::fmt;

/// What kind of failure it is; an API gives each its own status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such container, exec or image.
    NotFound,
    /// The request contradicts itself or what is possible.
    Invalid,
    /// It is not to be done, whoever asks.
    Forbidden,
    /// A registry does not take the credentials.
    Unauthorized,
    /// It contradicts the present state or a name that is taken.
    Conflict,
    /// The command does not exist: exit code 127.
    CommandNotFound,
    /// The command cannot be executed, or its user or folder does not fit: exit code 126.
    CommandNotExecutable,
    /// The host lacks what it takes: memory, virtualisation, disk.
    Unavailable,
    /// It is not made for this.
    NotImplemented,
    /// Anything else.
    Failed,
}

/// A failed request. [`fmt::Display`] gives the whole chain of reasons on one line.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// An error of a lower layer, with what was being done.
    pub fn from_source(kind: ErrorKind, what: &str, source: &(dyn std::error::Error + 'static)) -> Self {
        let mut message = what.to_owned();
        let mut cause = Some(source);
        while let Some(error) = cause {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self { kind, message }
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The exit code that `docker run` gives a container that could not start for this reason.
    pub fn exit_code(&self) -> i32 {
        match self.kind {
            ErrorKind::CommandNotFound => 127,
            ErrorKind::CommandNotExecutable => 126,
            _ => 128,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<images::Error> for Error {
    fn from(error: images::Error) -> Self {
        use images::Error as Image;
        let kind = match &error {
            Image::NotFound(_)
            | Image::UnknownManifest(_)
            | Image::UnknownRepository(_)
            | Image::NotTagged(_)
            | Image::Denied(_)
            | Image::Platform { .. } => ErrorKind::NotFound,
            Image::Name(_) | Image::PushByDigest(_) | Image::NoSearch(_) => ErrorKind::Invalid,
            Image::LoginRefused(_) => ErrorKind::Unauthorized,
            Image::Conflict(_) => ErrorKind::Conflict,
            _ => ErrorKind::Failed,
        };
        Self::from_source(kind, "", &error)
    }
}
