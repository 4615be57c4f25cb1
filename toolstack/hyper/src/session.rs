//! A process in the foreground: its streams, its terminal, its signals, together until it ends.

use std::future::pending;

use anyhow::{Context, Result};

use crate::client::{Client, Hijacked};
use crate::signals::{Ending, Proxy};
use crate::stdio::{self, End, Plan, detach_keys};
use crate::target::Target;
use crate::terminal::{self, RawMode};

/// Streams that flow and a terminal that is raw, before the process has started.
pub struct Foreground {
    streams: stdio::Session,
    tty: bool,
    /// Of a raw terminal: what must not end us before it is restored.
    ending: Option<Ending>,
    // Restores the terminal when the session is over, however that comes.
    _raw: Option<RawMode>,
}

/// What else belongs to the process once it runs.
pub struct Running<'a> {
    /// Its folder of the API, which takes `/resize`.
    pub target: Target,
    /// Signals that go to this container.
    pub signals: Option<(Proxy, &'a str)>,
}

impl Foreground {
    /// `keys` are those of `--detach-keys`; they count only where keys are typed, which is a terminal.
    pub fn start(connection: Hijacked, stdin: bool, tty: bool, keys: Option<&str>) -> Result<Self> {
        let detach_keys = match tty {
            true => Some(detach_keys::from_flag(keys)?),
            false => None,
        };
        let ending = match stdin && tty {
            true => Some(Ending::catch()?),
            false => None,
        };
        let raw = match stdin && tty {
            true => RawMode::enter().context("make the terminal raw")?,
            false => None,
        };
        let plan = Plan {
            stdin,
            tty,
            detach_keys,
        };
        Ok(Self {
            streams: stdio::Session::start(connection, plan)?,
            tty,
            ending,
            _raw: raw,
        })
    }

    /// Until the process ends or the user leaves it.
    pub async fn run(self, client: &Client, running: Running<'_>) -> Result<End> {
        let tty = self.tty;
        let mut ending = self.ending;
        let resizes = async {
            if tty && terminal::stdout_is_terminal() {
                terminal::follow_size(client, running.target).await;
            }
            pending().await
        };
        let ended = async {
            match running.signals {
                Some((mut proxy, container)) => proxy.forward(client, container).await,
                None => {
                    if let Some(ending) = &mut ending {
                        return Ok(End::Killed(ending.number().await));
                    }
                }
            }
            pending().await
        };
        tokio::select! {
            end = self.streams.end() => end,
            end = resizes => end,
            end = ended => end,
        }
    }
}

/// `POST /containers/ID/attach` for these streams.
pub async fn attach(
    client: &Client,
    container: &str,
    [stdin, stdout, stderr]: [bool; 3],
    keys: Option<&str>,
) -> Result<Hijacked> {
    let target = Target::container(container)
        .push("attach")
        .query("stream", 1)
        .flag("stdin", stdin)
        .flag("stdout", stdout)
        .flag("stderr", stderr)
        .query_opt("detachKeys", keys);
    client.hijack(target, None).await
}
