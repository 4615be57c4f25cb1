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

/// Another mode of the terminal for as long as it lives. Dropping restores, on every way out: return, error or panic.
struct Mode {
    before: Termios,
}

impl Mode {
    fn enter(change: impl FnOnce(&mut Termios)) -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut changed = before.clone();
        change(&mut changed);
        tcsetattr(stdin(), OptionalActions::Now, &changed)?;
        Ok(Self { before })
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        // The terminal is gone if this fails.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Every key goes to the container.
#[must_use]
pub struct RawMode {
    _mode: Mode,
}

impl RawMode {
    /// None when stdin is no terminal.
    pub fn enter() -> io::Result<Option<Self>> {
        if !stdin_is_terminal() {
            return Ok(None);
        }
        let _mode = Mode::enter(Termios::make_raw)?;
        Ok(Some(Self { _mode }))
    }
}

/// Nothing changes but what is changed meanwhile, which ends with it.
#[must_use]
pub struct Restored {
    _mode: Mode,
}

impl Restored {
    pub fn enter() -> io::Result<Self> {
        let _mode = Mode::enter(|_| ())?;
        Ok(Self { _mode })
    }
}

/// What is typed is not shown.
#[must_use]
pub struct NoEcho {
    _mode: Mode,
}

impl NoEcho {
    pub fn enter() -> io::Result<Self> {
        let _mode = Mode::enter(|mode| mode.local_modes.remove(LocalModes::ECHO))?;
        Ok(Self { _mode })
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
