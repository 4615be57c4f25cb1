//! Our signals become the container's.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::client::Client;
use crate::target::Target;

/// Linux on x86-64 (`signal(7)`). Missing: what cannot be caught or means a fault of our own (KILL, STOP, ILL, TRAP,
/// ABRT, BUS, FPE, SEGV, SYS), and what is ours (CHLD, PIPE, URG). TTIN and TTOU stop a job of the background that wants
/// the terminal: caught, its read would be tried again and again.
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
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("IO", 29),
    ("PWR", 30),
];
const WINCH: (&str, i32) = ("WINCH", 28);

/// The signals that ask us to end. Where they are not sent on they would end us with the terminal left raw.
pub struct Ending([(i32, Signal); 4]);

impl Ending {
    /// Catches from now on.
    pub fn catch() -> io::Result<Self> {
        let caught = |number| Ok::<_, io::Error>((number, signal(SignalKind::from_raw(number))?));
        Ok(Self([caught(1)?, caught(2)?, caught(3)?, caught(15)?]))
    }

    /// The number of the first that comes.
    pub async fn number(&mut self) -> i32 {
        poll_fn(|context| {
            let came = self
                .0
                .iter_mut()
                .find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
            came.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

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
