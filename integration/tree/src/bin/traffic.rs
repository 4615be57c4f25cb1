//! Traffic between two machines by TCP, and what it took.
//!
//! `traffic serve` does what each connection asks for in its first line: `sink` reads to the end and says so, `echo` gives
//! back what comes, `measure ADDRESS` asks another for both and tells the figures. `traffic measure ADDRESS` is the last
//! from here, and `traffic ask VIA ADDRESS` from there.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Instant;

const PORT: u16 = 7007;
const BYTES: usize = 64 << 20;
const CHUNK_BYTES: usize = 64 << 10;
const TURNS: u32 = 200;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["serve"] => serve(),
        ["measure", address] => measure(address).map(|figures| println!("{figures}")),
        ["ask", via, address] => ask(via, address).map(|figures| print!("{figures}")),
        _ => Err(io::Error::other(
            "usage: traffic serve | measure ADDRESS | ask VIA ADDRESS",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("traffic: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    for stream in listener.incoming() {
        let stream = stream?;
        // One that ends in the middle is its client's to tell.
        std::thread::spawn(move || answer(stream));
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let line = line(&mut stream)?;
    match line.split_once(' ') {
        None if line == "sink" => {
            io::copy(&mut stream, &mut io::sink())?;
            stream.write_all(b"done\n")
        }
        None if line == "echo" => {
            stream.set_nodelay(true)?;
            let mut byte = [0];
            while stream.read(&mut byte)? > 0 {
                stream.write_all(&byte)?;
            }
            Ok(())
        }
        Some(("measure", address)) => {
            let figures = measure(address).unwrap_or_else(|error| format!("error={error}"));
            writeln!(stream, "{figures}")
        }
        _ => Ok(()),
    }
}

/// Byte by byte: what comes after it is not its.
fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = String::new();
    let mut byte = [0];
    while line.len() < 100 && stream.read(&mut byte)? > 0 && byte[0] != b'\n' {
        line.push(char::from(byte[0]));
    }
    Ok(line)
}

fn connect(address: &str, order: &str) -> io::Result<TcpStream> {
    let address: IpAddr = address.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect((address, PORT))?;
    stream.set_nodelay(true)?;
    stream.write_all(format!("{order}\n").as_bytes())?;
    Ok(stream)
}

fn measure(address: &str) -> io::Result<String> {
    let mut stream = connect(address, "sink")?;
    let chunk = vec![b'x'; CHUNK_BYTES];
    let begun = Instant::now();
    for _ in 0..BYTES / CHUNK_BYTES {
        stream.write_all(&chunk)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    if said != "done\n" {
        return Err(io::Error::other("the other end did not get all of it"));
    }
    let mib_per_s = (BYTES >> 20) as f64 / begun.elapsed().as_secs_f64();

    let mut stream = connect(address, "echo")?;
    let mut byte = [b'x'];
    let begun = Instant::now();
    for _ in 0..TURNS {
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
    }
    let turn_us = begun.elapsed().as_secs_f64() * 1e6 / f64::from(TURNS);
    Ok(format!("mib_per_s={mib_per_s:.3} turn_us={turn_us:.1}"))
}

fn ask(via: &str, address: &str) -> io::Result<String> {
    let mut figures = String::new();
    connect(via, &format!("measure {address}"))?.read_to_string(&mut figures)?;
    Ok(figures)
}
