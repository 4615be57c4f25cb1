//! Why a request failed, as the engine is told.

use guest_protocol::message::{ErrorKind, RequestError};
use std::fmt::Display;
use std::io;

pub type Failure = RequestError;

pub fn failure(kind: ErrorKind, message: impl Into<String>) -> Failure {
    RequestError {
        kind,
        message: message.into(),
    }
}

pub fn bad_user(message: impl Into<String>) -> Failure {
    failure(ErrorKind::BadUser, message)
}

/// Names what was tried.
pub trait Context<T> {
    fn context(self, what: impl Display) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| {
            let error: io::Error = error.into();
            failure(ErrorKind::Guest, format!("{what}: {}", plain(&error)))
        })
    }
}

/// An error without Rust's `(os error 2)`, in the words of C.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}
