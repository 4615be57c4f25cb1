//! Queries that others answer, passed on as they came.

use rand::random;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

const PORT: u16 = 53;
/// How long one server has.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest message by UDP that resolvers send.
const MAX_UDP_BYTES: usize = 4096;
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The host's servers.
pub fn hosts_servers() -> Vec<IpAddr> {
    std::fs::read_to_string(RESOLV_CONF)
        .map(|text| servers_of(&text))
        .unwrap_or_default()
}

fn servers_of(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver"))
            .then(|| words.next()?.parse().ok())
            .flatten()
    };
    // As resolvers have it, resolv.conf(5).
    text.lines().filter_map(server).take(3).collect()
}

/// The answer of the first server that has one.
pub async fn forward(query: &[u8], servers: &[IpAddr], tcp: bool) -> Option<Vec<u8>> {
    for server in servers {
        let server = SocketAddr::new(*server, PORT);
        let asked = async {
            match tcp {
                true => by_tcp(query, server).await,
                false => by_udp(query, server).await,
            }
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%server, %error, "a name server"),
            Err(_) => tracing::debug!(%server, "a name server does not answer"),
        }
    }
    None
}

/// With a number of our own, and from a port of its own, so that nobody guesses both.
async fn by_udp(query: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() {
        [0, 0, 0, 0].into()
    } else {
        [0u16; 8].into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let id: [u8; 2] = random();
    socket.send(&with_id(query, id)).await?;
    let mut buffer = vec![0; MAX_UDP_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = &buffer[..length];
        if is_answer(query, answer, id) {
            return Ok(with_id(answer, [query[0], query[1]]));
        }
    }
}

async fn by_tcp(query: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let id: [u8; 2] = random();
    write_message(&mut stream, &with_id(query, id)).await?;
    let answer = read_message(&mut stream).await?;
    match is_answer(query, &answer, id) {
        true => Ok(with_id(&answer, [query[0], query[1]])),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// By TCP a message has its length before it.
pub async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

pub async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await
}

fn with_id(message: &[u8], id: [u8; 2]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[..2].copy_from_slice(&id);
    message
}

/// An answer to this query: its number, and the question that the query ends its head with.
pub fn is_answer(query: &[u8], answer: &[u8], id: [u8; 2]) -> bool {
    const HEAD_BYTES: usize = 12;
    const RESPONSE: u8 = 0x80;
    let Some(question) = question_of(query) else {
        return false;
    };
    answer.len() >= HEAD_BYTES
        && answer[..2] == id
        && answer[2] & RESPONSE != 0
        && question_of(answer).is_none_or(|other| other.eq_ignore_ascii_case(question))
}

/// The bytes of the only question's name; questions are not compressed.
fn question_of(message: &[u8]) -> Option<&[u8]> {
    if message.get(4..6)? != [0, 1] {
        return None;
    }
    let mut at = 12;
    loop {
        match usize::from(*message.get(at)?) {
            0 => return message.get(12..at),
            length @ 1..=63 => at += length + 1,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_from_resolv_conf() {
        let text = "# x\nsearch a\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\n nameserver\t::1\nnameserver 1.1.1.1\nnameserver 9.9.9.9";
        assert_eq!(
            servers_of(text),
            ["10.0.0.1", "::1", "1.1.1.1"].map(|text| text.parse::<IpAddr>().unwrap())
        );
    }

    #[test]
    fn answers_to_other_questions_are_none() {
        let mut query = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1];
        let mut answer = query.clone();
        answer[2] = 0x81;
        assert!(is_answer(&query, &answer, [1, 2]));
        assert!(!is_answer(&query, &answer, [1, 3]));
        answer[13] = b'b';
        assert!(!is_answer(&query, &answer, [1, 2]));
        query[12] = 200;
        assert_eq!(question_of(&query), None);
    }
}
