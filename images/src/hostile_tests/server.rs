//! A web server that says what it is told to, for as long as somebody listens.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

pub struct Reply {
    /// Status and headers, without the empty line behind them.
    pub head: String,
    pub body: Box<dyn Read + Send>,
}

impl Reply {
    pub fn new(status: &str, headers: &str, body: impl Read + Send + 'static) -> Self {
        Self {
            head: format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}"),
            body: Box::new(body),
        }
    }

    /// With its length.
    pub fn whole(status: &str, kind: &str, bytes: Vec<u8>) -> Self {
        let headers = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", bytes.len());
        Self::new(status, &headers, io::Cursor::new(bytes))
    }
}

/// Serves until the tests end; gives `host:port`. `answer` gets the path.
pub fn serve(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // A client that has heard enough hangs up.
            std::thread::spawn(move || drop(talk(&stream, &*answer)));
        }
    });
    host
}

fn talk(mut stream: &TcpStream, answer: &dyn Fn(&str) -> Reply) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let mut reply = answer(request.split(' ').nth(1).unwrap_or_default());
    stream.write_all(format!("{}\r\n", reply.head).as_bytes())?;
    io::copy(&mut reply.body, &mut stream).map(drop)
}
