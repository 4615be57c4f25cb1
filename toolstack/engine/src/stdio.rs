//! A process's streams, from the guest to the log and to whoever is attached.

use bytes::Bytes;
use tokio::sync::mpsc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Stdout,
    Stderr,
}

/// Output in the order in which it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub source: Source,
    pub bytes: Bytes,
}

/// A client's connection to a process. Dropping it detaches.
#[derive(Debug)]
pub struct Attachment {
    /// Ends when the process's output has ended. A client that does not read holds the process up.
    pub output: mpsc::Receiver<Chunk>,
    /// Where the client's input goes, if it is attached to stdin.
    pub input: Option<Input>,
    pub tty: bool,
}

/// A process's stdin. Dropping it ends the client's input, and so the process's where that is how it was asked for.
#[derive(Debug)]
pub struct Input {}

impl Input {
    /// Waits until there is room. `false`: the process reads no more.
    pub async fn send(&self, _bytes: Bytes) -> bool {
        todo!()
    }
}
