//! Places at which a test has the daemon killed, as a power cut or the kernel's out-of-memory killer may at any instant.
//!
//! `HYPER_FAULT=NAME` in the daemon's environment names one; whoever may set that may kill the daemon anyway.

use std::sync::OnceLock;

/// Dies here if this is the place.
pub fn point(name: &str) {
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("HYPER_FAULT").ok().filter(|name| !name.is_empty()));
    if chosen.as_deref() == Some(name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal comes to this thread before it returns, or to another.
        loop {
            std::thread::park();
        }
    }
}
