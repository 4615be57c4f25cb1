//! Our signals become the container's.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::client::Client;
use crate::target::Target;

/// Linux on x86-64 (`signal(7)`). Missing: what cannot be caught or means a fault of our own (KILL, STOP, ILL, TRAP,
/// ABRT, BUS, FPE, SEGV, SYS), and what is ours (CHLD, PIPE, URG).
const FORWARDED: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("USR1", 10),
    ("USR2", 12),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CONT", 18),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("IO", 29),
    ("PWR", 30),
];
const WINCH: (&str, i32) = ("WINCH", 28);

/// Signals that were caught and wait to be sent on.
pub struct Proxy {
    caught: mpsc::Receiver<&'static str>,
}

impl Proxy {
    /// Catches from now on. With a terminal a change of its size is a resize, not a signal.
    pub fn catch(tty: bool) -> io::Result<Self> {
        let (sender, caught) = mpsc::channel(32);
        let window = (!tty).then_some(&WINCH);
        for &(name, number) in FORWARDED.iter().chain(window) {
            let mut stream = signal(SignalKind::from_raw(number))?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if sender.send(name).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { caught })
    }

    /// Sends on what was caught, for ever. Begun after the start: signals that came before it are sent then.
    pub async fn forward(&mut self, client: &Client, container: &str) {
        while let Some(name) = self.caught.recv().await {
            let target = Target::container(container).push("kill").query("signal", name);
            // It may have ended in this moment.
            let _ = client.post(target).await;
        }
    }
}
