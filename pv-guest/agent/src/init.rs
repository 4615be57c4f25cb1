//! The init of a container that asks for one (`docker run --init`): starts the program as its child, passes every signal
//! on to it, reaps whatever else ends, and ends as the program does.

use crate::sys::{self, Forked};
use rustix::process::{WaitOptions, getpid, setpgid, wait};
use std::ffi::{CStr, CString, OsString};
use std::os::unix::ffi::OsStrExt;

/// The agent's program under this name is an init. As docker calls its own.
pub const NAME: &str = "docker-init";
pub const NAME_C: &CStr = c"docker-init";

/// `args`: the program's path, then its arguments from its name on.
pub fn run(args: &[OsString]) -> ! {
    let c = |text: &[u8]| CString::new(text).unwrap_or_default();
    let Some((program, args)) = args.split_first() else {
        std::process::exit(127);
    };
    let args: Vec<_> = args.iter().map(|arg| c(arg.as_bytes())).collect();
    let env: Vec<_> = std::env::vars_os()
        .map(|(name, value)| c(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect();
    let _ = rustix::thread::set_name(NAME_C);
    let child = sys::block_signals().and_then(|()| sys::fork(0));
    match child {
        Ok(Forked::Child) => {
            // In the foreground of its terminal, if it has one. Signals are still blocked, or this would stop it.
            let _ = setpgid(None, None);
            let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), getpid());
            sys::default_signals();
            let error = sys::execve(&c(program.as_bytes()), &args, &env);
            eprintln!("{NAME}: exec {}: {error}", program.to_string_lossy());
            std::process::exit(if error.kind() == std::io::ErrorKind::NotFound {
                127
            } else {
                126
            });
        }
        Ok(Forked::Parent(child)) => watch(child),
        Err(error) => {
            eprintln!("{NAME}: fork: {error}");
            std::process::exit(127);
        }
    }
}

fn watch(child: i32) -> ! {
    loop {
        match sys::next_signal() {
            libc::SIGCHLD => {
                while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                    if pid.as_raw_nonzero().get() == child {
                        let signal = status.terminating_signal().map(|signal| 128 + signal);
                        std::process::exit(signal.or(status.exit_status()).unwrap_or(255));
                    }
                }
            }
            // Those that a terminal sends reach the child by themselves.
            signal => drop(sys::kill(child, signal)),
        }
    }
}
