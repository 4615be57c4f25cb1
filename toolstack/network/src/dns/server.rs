//! The sockets of a network's name server.

use super::Names;
use super::answer::{Fate, answer, failure};
use super::forward::{forward, hosts_servers, read_message, write_message};
use super::limit::Limit;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

const PORT: u16 = 53;
/// As long as an answer by UDP can be.
const MAX_UDP_BYTES: usize = 4096;
/// Of one who asks: queries on their way to others, and connections.
const MAX_PENDING: usize = 64;
/// A connection on which nothing is asked.
const IDLE: Duration = Duration::from_secs(10);

/// Answers at the host's addresses in a network, until it is dropped.
pub struct Server {
    _tasks: JoinSet<()>,
}

struct Shared {
    names: Arc<dyn Names>,
    network: String,
    limit: Mutex<Limit>,
    pending: Mutex<HashMap<IpAddr, usize>>,
}

/// One of an asker's share of what is on its way.
struct Turn {
    shared: Arc<Shared>,
    asker: IpAddr,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut pending = self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = pending.get_mut(&self.asker) {
            *count -= 1;
            if *count == 0 {
                pending.remove(&self.asker);
            }
        }
    }
}

impl Shared {
    fn turn(self: &Arc<Self>, asker: IpAddr) -> Option<Turn> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let count = pending.entry(asker).or_default();
        if *count >= MAX_PENDING {
            return None;
        }
        *count += 1;
        Some(Turn {
            shared: Arc::clone(self),
            asker,
        })
    }

    fn may_ask(&self, asker: IpAddr) -> bool {
        self.limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(asker, Instant::now())
    }

    /// The answer, from here or from elsewhere; none for what is no query.
    async fn answer(&self, asker: IpAddr, query: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let may = self.names.asker(&self.network, asker)?;
        match answer(self.names.as_ref(), &self.network, asker, query, tcp) {
            Fate::Answer(bytes) => Some(bytes),
            Fate::Ignore => None,
            Fate::Forward if may.forward => {
                let servers = match may.servers.is_empty() {
                    true => hosts_servers(),
                    false => may.servers,
                };
                forward(query, &servers, tcp).await.or_else(|| failure(query))
            }
            Fate::Forward => failure(query),
        }
    }
}

impl Server {
    /// On a tokio runtime; the host has the addresses already.
    pub async fn open(names: Arc<dyn Names>, network: &str, addresses: &[IpAddr]) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            names,
            network: network.to_owned(),
            limit: Mutex::default(),
            pending: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for address in addresses {
            let udp = Arc::new(UdpSocket::bind((*address, PORT)).await?);
            let tcp = TcpListener::bind((*address, PORT)).await?;
            tasks.spawn(serve_udp(Arc::clone(&shared), udp));
            tasks.spawn(serve_tcp(Arc::clone(&shared), tcp));
        }
        Ok(Self { _tasks: tasks })
    }
}

async fn serve_udp(shared: Arc<Shared>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; MAX_UDP_BYTES];
    let mut answers = JoinSet::new();
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            Some(_) = answers.join_next() => continue,
        };
        // Of one who is gone (an ICMP message) says nothing about the others.
        let Ok((length, from)) = received else { continue };
        // In this order: who it is takes a look at all guests.
        if !shared.may_ask(from.ip()) || shared.names.asker(&shared.network, from.ip()).is_none() {
            continue;
        }
        let Some(turn) = shared.turn(from.ip()) else {
            continue;
        };
        let (query, socket) = (buffer[..length].to_vec(), Arc::clone(&socket));
        answers.spawn(async move {
            if let Some(answer) = turn.shared.answer(from.ip(), &query, false).await {
                let _ = socket.send_to(&answer, from).await;
            }
        });
    }
}

async fn serve_tcp(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, from)) = accepted else {
            // Out of descriptors: the next attempt would fail at once, too, and those who leave give theirs back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let known = shared.names.asker(&shared.network, from.ip()).is_some();
        if let (true, Some(turn)) = (known, shared.turn(from.ip())) {
            connections.spawn(serve_connection(turn, stream, from));
        }
    }
}

async fn serve_connection(turn: Turn, mut stream: TcpStream, from: SocketAddr) {
    while let Ok(Ok(query)) = tokio::time::timeout(IDLE, read_message(&mut stream)).await {
        if !turn.shared.may_ask(from.ip()) {
            return;
        }
        let Some(answer) = turn.shared.answer(from.ip(), &query, true).await else {
            return;
        };
        if !matches!(
            tokio::time::timeout(IDLE, write_message(&mut stream, &answer)).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
}
