//! The errors whose kind decides what is printed and which exit code follows.

use std::fmt;
use std::io;

/// hyper or the daemon failed before the container's own code could be known.
pub const EXIT_HYPER_FAILED: i32 = 125;
/// The command exists but cannot be executed.
pub const EXIT_NOT_EXECUTABLE: i32 = 126;
/// The command does not exist.
pub const EXIT_NOT_FOUND: i32 = 127;
/// What a shell reports for a process that died of SIGINT.
pub const EXIT_INTERRUPTED: i32 = 128 + 2;
/// What a shell reports for a process that died of SIGPIPE.
pub const EXIT_BROKEN_PIPE: i32 = 128 + 13;

/// The daemon understood the request and refused it.
#[derive(Debug)]
pub struct ApiError {
    pub status: u16,
    pub message: String,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error response from daemon: {}", self.message)
    }
}

impl std::error::Error for ApiError {}

/// Nobody listens on the socket, or we may not speak to it.
#[derive(Debug)]
pub struct Unreachable {
    pub host: String,
    pub cause: io::Error,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match self.cause.kind() {
            io::ErrorKind::PermissionDenied => "are you root or in the group hyper?",
            _ => "is it running?",
        };
        write!(
            f,
            "cannot connect to hyperd at {}: {advice} ({})",
            self.host, self.cause
        )
    }
}

impl std::error::Error for Unreachable {}

pub fn is_unreachable(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Unreachable>().is_some()
}

pub fn is_not_found(error: &anyhow::Error) -> bool {
    status_of(error) == Some(404)
}

/// Of the daemon's answer, if it is what failed.
pub fn status_of(error: &anyhow::Error) -> Option<u16> {
    error.downcast_ref::<ApiError>().map(|api| api.status)
}

/// Whoever read our output has gone: nothing is wrong and nobody is there to be told.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// The exit code of `run` and `start` after a start that failed, read from the daemon's text as docker's CLI does:
/// the API has no field for it.
pub fn start_exit_code(message: &str) -> i32 {
    let has = |needle: &str| message.to_lowercase().contains(needle);
    if has("executable file not found") || has("no such file or directory") {
        EXIT_NOT_FOUND
    } else if has("permission denied") || has("is a directory") {
        EXIT_NOT_EXECUTABLE
    } else {
        EXIT_HYPER_FAILED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_errors_become_the_codes_of_docker() {
        assert_eq!(
            start_exit_code("exec: \"nope\": executable file not found in $PATH"),
            127
        );
        assert_eq!(start_exit_code("exec /nope: No such file or directory"), 127);
        assert_eq!(start_exit_code("exec: \"/etc/passwd\": permission denied"), 126);
        assert_eq!(start_exit_code("exec: \"/etc\": is a directory"), 126);
        assert_eq!(start_exit_code("not enough memory"), 125);
    }

    #[test]
    fn a_broken_pipe_is_found_below_its_context() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("out");
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow::anyhow!("broken pipe")));
    }
}
