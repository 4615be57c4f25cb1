//! The terminal we run on: raw mode, size, changes of size.

use std::io;

use anyhow::{Result, bail};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use crate::client::Client;
use crate::target::Target;

pub fn stdin_is_terminal() -> bool {
    isatty(stdin())
}

pub fn stdout_is_terminal() -> bool {
    isatty(stdout())
}

/// A container's terminal fed from a pipe would wait for keys that nobody can type.
pub fn check_input(tty: bool, interactive: bool) -> Result<()> {
    if tty && interactive && !stdin_is_terminal() {
        bail!("the input device is not a TTY");
    }
    Ok(())
}

/// Raw mode for as long as it lives. Dropping restores, on every way out: return, error or panic.
#[must_use]
pub struct RawMode {
    before: Termios,
}

impl RawMode {
    /// None when stdin is no terminal.
    pub fn enter() -> io::Result<Option<Self>> {
        if !stdin_is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // The terminal is gone if this fails.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// A terminal that does not show what is typed, for as long as it lives.
#[must_use]
pub struct NoEcho {
    before: Termios,
}

impl NoEcho {
    pub fn enter() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Now, &hidden)?;
        Ok(Self { before })
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        // The terminal is gone if this fails.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// None when we have no terminal or it does not know its size.
pub fn size() -> Option<Size> {
    [stdout(), stdin()]
        .into_iter()
        .find_map(|fd| tcgetwinsize(fd).ok())
        .filter(|size| size.ws_row > 0 && size.ws_col > 0)
        .map(|size| Size {
            rows: size.ws_row,
            columns: size.ws_col,
        })
}

/// Keeps the size of a container's or an exec's terminal equal to ours. `target` is its folder, without `/resize`.
pub async fn follow_size(client: &Client, target: Target) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else {
        return;
    };
    loop {
        if let Some(size) = size() {
            resize(client, &target, size).await;
        }
        if changes.recv().await.is_none() {
            return;
        }
    }
}

pub async fn resize(client: &Client, target: &Target, size: Size) {
    let target = target
        .clone()
        .push("resize")
        .query("h", size.rows)
        .query("w", size.columns);
    // The process may just have ended; a wrong size is no reason to end the session.
    let _ = client.post(target).await;
}
