//! What servers of the tests have in common.

use super::dom0::Dom0;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::io::{self, BufRead};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// Serves on this machine and in dom0, under the same port of `localhost`, as long as the tests run. Each connection has
/// a thread; a client that goes away in the middle has its reasons.
pub fn serve(dom0: &Dom0<'_>, talk: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it listens").port();
    let talk = Arc::new(talk);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let talk = Arc::clone(&talk);
            std::thread::spawn(move || drop(talk(stream)));
        }
    });
    dom0.lab.host().serve(port).expect("dom0 reaches the server");
    port
}

/// The first line of a request, read to the end of its headers.
pub fn request_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut request = String::new();
    from.read_line(&mut request)?;
    let mut header = String::new();
    while from.read_line(&mut header)? > 2 {
        header.clear();
    }
    Ok(request)
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(bytes)))
}
