//! A process's streams, from the guest to whoever is attached.
//!
//! A [`Hub`] stands for one run of one process. Clients may come before the process does: what they send waits, and
//! what the process writes goes to all that are attached. A client that does not read holds the process up, as a full
//! pipe would, and nobody else; one that still does not read when the process is being killed is left behind.

use crate::session::Output;
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Chunks on their way to one client.
const CLIENT_CHUNKS: usize = 16;
/// Chunks of input on their way from all clients of a process.
const INPUT_CHUNKS: usize = 8;
/// What a client that holds up the end of a killed process has left to read.
const LAST_CHANCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Stdout,
    Stderr,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
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
pub struct Input(mpsc::Sender<Bytes>);

impl Input {
    /// Waits until there is room. `false`: the process reads no more.
    pub async fn send(&self, bytes: Bytes) -> bool {
        self.0.send(bytes).await.is_ok()
    }
}

struct Client {
    number: u64,
    stdout: bool,
    stderr: bool,
    sender: mpsc::Sender<Chunk>,
}

struct Clients {
    list: Vec<Client>,
    next_number: u64,
    /// The run is over: who attaches now gets the end at once.
    closed: bool,
    /// Kept here unless the process's input ends with the first client's.
    input: Option<mpsc::Sender<Bytes>>,
    input_later: mpsc::WeakSender<Bytes>,
    /// Taken when the process starts.
    input_receiver: Option<mpsc::Receiver<Bytes>>,
}

/// The clients of one run of one process.
pub struct Hub {
    clients: Mutex<Clients>,
    /// `true` once nobody may hold up the end.
    hurry: watch::Sender<bool>,
    stdin_once: bool,
    tty: bool,
}

impl Hub {
    pub fn new(tty: bool, stdin_once: bool) -> Arc<Self> {
        let (sender, receiver) = mpsc::channel(INPUT_CHUNKS);
        Arc::new(Self {
            clients: Mutex::new(Clients {
                list: Vec::new(),
                next_number: 0,
                closed: false,
                input_later: sender.downgrade(),
                input: Some(sender),
                input_receiver: Some(receiver),
            }),
            hurry: watch::Sender::new(false),
            stdin_once,
            tty,
        })
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn attach(&self, stdin: bool, stdout: bool, stderr: bool) -> Attachment {
        let (sender, output) = mpsc::channel(CLIENT_CHUNKS);
        let mut clients = self.clients();
        let mut input = None;
        if !clients.closed {
            if stdin {
                let sender = if self.stdin_once {
                    clients.input.take().or_else(|| clients.input_later.upgrade())
                } else {
                    clients.input.clone()
                };
                input = sender.map(Input);
            }
            clients.next_number += 1;
            let number = clients.next_number;
            clients.list.push(Client {
                number,
                stdout,
                stderr,
                sender,
            });
        }
        Attachment {
            output,
            input,
            tty: self.tty,
        }
    }

    /// What clients send; for whoever starts the process.
    pub fn take_input(&self) -> Option<mpsc::Receiver<Bytes>> {
        self.clients().input_receiver.take()
    }

    /// From now on nobody holds up the end of the output for long.
    pub fn hurry(&self) {
        self.hurry.send_replace(true);
    }

    /// Ends the output of all clients.
    pub fn close(&self) {
        let mut clients = self.clients();
        clients.closed = true;
        clients.list.clear();
        clients.input = None;
        clients.input_receiver = None;
    }

    /// Gives a chunk to every client that wants it, waiting for those that are behind.
    async fn deliver(&self, chunk: &Chunk) {
        let wanting: Vec<_> = {
            let clients = self.clients();
            let wants = |client: &&Client| match chunk.source {
                Source::Stdout => client.stdout,
                Source::Stderr => client.stderr,
            };
            clients
                .list
                .iter()
                .filter(wants)
                .map(|client| (client.number, client.sender.clone()))
                .collect()
        };
        for (number, sender) in wanting {
            if !self.send(&sender, chunk.clone()).await {
                self.clients().list.retain(|client| client.number != number);
            }
        }
    }

    /// `false`: the client is gone, or holds up what must end.
    async fn send(&self, sender: &mpsc::Sender<Chunk>, chunk: Chunk) -> bool {
        let mut hurry = self.hurry.subscribe();
        let late = async {
            // The sender lives as long as the hub.
            let _ = hurry.wait_for(|hurry| *hurry).await;
            tokio::time::sleep(LAST_CHANCE).await;
        };
        tokio::select! {
            biased;
            sent = sender.send(chunk) => sent.is_ok(),
            () = late => false,
        }
    }

    /// Moves a stream of the process to the clients until it ends.
    pub fn pump(self: &Arc<Self>, source: Source, mut output: Output) -> JoinHandle<()> {
        let hub = Arc::clone(self);
        tokio::spawn(async move {
            while let Some(bytes) = output.next().await {
                let length = bytes.len();
                hub.deliver(&Chunk { source, bytes }).await;
                output.consumed(length);
            }
        })
    }
}

/// Moves what clients send to the process until either ends.
pub fn pump_input(mut from: mpsc::Receiver<Bytes>, to: mpsc::Sender<Bytes>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::select! {
                bytes = from.recv() => match bytes {
                    Some(bytes) => {
                        if to.send(bytes).await.is_err() {
                            break;
                        }
                    }
                    None => break,
                },
                // The process is gone: whoever sends is told.
                () = to.closed() => break,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &'static str) -> Chunk {
        Chunk {
            source: Source::Stdout,
            bytes: Bytes::from_static(text.as_bytes()),
        }
    }

    #[tokio::test]
    async fn everyone_attached_gets_what_it_wants_and_then_the_end() {
        let hub = Hub::new(false, false);
        let mut both = hub.attach(false, true, true);
        let mut errors = hub.attach(false, false, true);
        drop(hub.attach(false, true, true));
        hub.deliver(&chunk("hi")).await;
        hub.close();
        assert_eq!(both.output.recv().await, Some(chunk("hi")));
        assert_eq!(both.output.recv().await, None);
        assert_eq!(errors.output.recv().await, None);
        assert_eq!(hub.attach(true, true, true).output.recv().await, None);
    }

    #[tokio::test]
    async fn input_ends_with_the_first_client_only_when_asked_for() {
        for once in [true, false] {
            let hub = Hub::new(false, once);
            let mut input = hub.take_input().unwrap();
            let client = hub.attach(true, true, true);
            let second = hub.attach(true, true, true);
            assert!(
                client
                    .input
                    .as_ref()
                    .unwrap()
                    .send(Bytes::from_static(b"x"))
                    .await
            );
            drop(second);
            drop(client);
            assert_eq!(input.recv().await, Some(Bytes::from_static(b"x")));
            if once {
                assert_eq!(input.recv().await, None);
            } else {
                assert!(input.try_recv().is_err() && !input.is_closed());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_cannot_hold_up_a_kill() {
        let hub = Hub::new(false, false);
        let client = hub.attach(false, true, true);
        for _ in 0..CLIENT_CHUNKS {
            hub.deliver(&chunk("x")).await;
        }
        hub.hurry();
        hub.deliver(&chunk("too much")).await;
        hub.deliver(&chunk("for nobody")).await;
        assert_eq!(client.output.len(), CLIENT_CHUNKS);
    }
}
