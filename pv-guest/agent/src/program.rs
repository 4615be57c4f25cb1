//! The program of a process: its environment, its file, its start.

use crate::container::Container;
use crate::error::{Failure, failure, plain};
use crate::init;
use crate::sys;
use crate::user;
use guest_protocol::message::{ErrorKind, ProcessSpec};
use rustix::fd::OwnedFd;
use rustix::fs::access;
use rustix::io::{FdFlags, fcntl_setfd};
use std::ffi::CString;
use std::fs;
use std::io;

pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment with what docker adds.
pub fn environment(container: &Container, spec: &ProcessSpec, user: &user::User) -> Vec<String> {
    let mut env = spec.env.clone();
    let mut add = |name: &str, value: &str| {
        if !env.iter().any(|pair| pair.split('=').next() == Some(name)) {
            env.push(format!("{name}={value}"));
        }
    };
    add("PATH", DEFAULT_PATH);
    add("HOSTNAME", &container.spec.hostname);
    if spec.tty.is_some() {
        add("TERM", "xterm");
    }
    add("HOME", &user.home);
    env
}

/// The program's path, sought as a shell does, with docker's words when it is not there.
pub fn find_program(name: &str, path: &str) -> Result<String, Failure> {
    use rustix::fs::Access;
    let not_found = |why: &str| failure(ErrorKind::CommandNotFound, format!("exec: {name:?}: {why}"));
    let denied = || {
        failure(
            ErrorKind::CommandNotExecutable,
            format!("exec: {name:?}: permission denied"),
        )
    };
    if name.contains('/') {
        let metadata = fs::metadata(name).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => denied(),
            _ => not_found(&format!("stat {name}: {}", plain(&error))),
        })?;
        if metadata.is_dir() {
            return Err(failure(
                ErrorKind::CommandNotExecutable,
                format!("exec: {name:?}: is a directory"),
            ));
        }
        access(name, Access::EXEC_OK).map_err(|_| denied())?;
        return Ok(name.to_owned());
    }
    let mut seen = false;
    for directory in path.split(':') {
        let candidate = format!("{}/{name}", if directory.is_empty() { "." } else { directory });
        if fs::metadata(&candidate).is_ok_and(|metadata| metadata.is_file()) {
            if access(&candidate, Access::EXEC_OK).is_ok() {
                return Ok(candidate);
            }
            seen = true;
        }
    }
    Err(if seen {
        denied()
    } else {
        not_found("executable file not found in $PATH")
    })
}

/// A program ready to take the place of this process.
pub struct Exec {
    program: CString,
    args: Vec<CString>,
    env: Vec<CString>,
    /// The agent's own file, when it is to be the init that starts the program.
    init: Option<OwnedFd>,
}

impl Exec {
    pub fn new(
        program: &str,
        args: &[String],
        env: &[String],
        init: Option<OwnedFd>,
    ) -> Result<Self, Failure> {
        let c = |text: &str| {
            CString::new(text).map_err(|_| failure(ErrorKind::Invalid, "a NUL byte in the command"))
        };
        let all = |texts: &[String]| texts.iter().map(|text| c(text)).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            program: c(program)?,
            args: all(args)?,
            env: all(env)?,
            init,
        })
    }

    pub fn run(self) -> Failure {
        // Ours are all close-on-exec, and 0 to 2 are not.
        for fd in [
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ] {
            let _ = fcntl_setfd(fd, FdFlags::empty());
        }
        let error = match &self.init {
            None => sys::execve(&self.program, &self.args, &self.env),
            Some(own) => {
                let mut args = vec![init::NAME_C.to_owned(), self.program.clone()];
                args.extend_from_slice(&self.args);
                sys::execve_file(own, &args, &self.env)
            }
        };
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::CommandNotFound,
            _ => ErrorKind::CommandNotExecutable,
        };
        failure(
            kind,
            format!("exec {}: {}", self.program.to_string_lossy(), plain(&error)),
        )
    }
}
