//! The attacks, each from the moment at which a process is to be started.

use crate::link::Hostile;
use guest_agent::error::{Failure, failure};
use guest_protocol::message::{ErrorKind, Event, GuestState, ProcessSpec, ReplyBody};
use guest_protocol::mux::{INITIAL_WINDOW, MAX_PAYLOAD};

const DATA: u8 = 1;
const END: u8 = 2;
const RESET: u8 = 4;
/// A stream that no engine opens.
const NOBODYS: u32 = 0xdead_beef;

pub fn run(link: &mut Hostile, name: &str, request: u64, process: &ProcessSpec) -> Result<(), Failure> {
    let reply = |body| Event::Reply {
        id: request,
        result: Ok(body),
    };
    match name {
        "silence" => return idle(link),
        "replies" => {
            link.send(&reply(ReplyBody::State(GuestState::default())));
            link.flush_all()?;
            return idle(link);
        }
        _ => {}
    }
    let stdout = process.stdout.unwrap_or(NOBODYS);
    link.mux.open(stdout);
    link.send(&reply(ReplyBody::Started { pid: 1 }));
    link.flush_all()?;
    if name.starts_with("files-") {
        return crate::files::run(link, name);
    }
    match name {
        "frame-length" => drop(link.frame(DATA, stdout, MAX_PAYLOAD as u32 + 1, b"")?),
        "frame-kind" => drop(link.frame(99, stdout, 0, b"")?),
        "ring-index" => link.run_away(),
        "cut-frame" => drop(link.frame(DATA, stdout, 100, &[0; 50])?),
        "window" => return overrun(link, stdout),
        "after-end" => {
            link.frame(END, stdout, 0, b"")?;
            link.frame(DATA, stdout, 4, b"more")?;
        }
        "message-length" => control(link, &u32::MAX.to_le_bytes())?,
        "utf8" => control(link, b"\x04\0\0\0\xff\xfe\xff\xfe")?,
        "deaf" => {}
        "reset" => drop(link.frame(RESET, 0, 4, &[0; 4])?),
        "flood" => return flood(link),
        other => return Err(failure(ErrorKind::Invalid, format!("no such attack: {other}"))),
    }
    link.notify()?;
    idle(link)
}

/// Reads on, as a guest does in which nothing happens; it is the engine's turn.
fn idle(link: &mut Hostile) -> Result<(), Failure> {
    loop {
        link.wait()?;
        // What else it asks for gets no answer.
        let _ = link.requests();
    }
}

fn control(link: &mut Hostile, bytes: &[u8]) -> Result<(), Failure> {
    link.mux.send(0, bytes);
    link.flush_all()
}

/// Puts a frame as soon as there is room. Does not read, so that what the engine writes is of no effect.
fn force(link: &mut Hostile, kind: u8, stream: u32, payload: &[u8]) -> Result<(), Failure> {
    while !link.frame(kind, stream, payload.len() as u32, payload)? {
        link.notify()?;
        link.wait()?;
    }
    link.notify()
}

fn overrun(link: &mut Hostile, stdout: u32) -> Result<(), Failure> {
    link.refuse_to_read();
    for _ in 0..=INITIAL_WINDOW as usize / MAX_PAYLOAD {
        force(link, DATA, stdout, &[b'x'; MAX_PAYLOAD])?;
    }
    loop {
        link.wait()?;
    }
}

fn flood(link: &mut Hostile) -> Result<(), Failure> {
    for id in 1_u64 << 60.. {
        for stream in [NOBODYS, NOBODYS + 1] {
            force(link, DATA, stream, b"nobody asked")?;
        }
        link.send(&Event::Reply {
            id,
            result: Ok(ReplyBody::Done),
        });
        // As far as the window of the control stream allows: the rest waits, and is not added to.
        let _ = link.requests()?;
        link.flush()?;
        while link.mux.queued(0) > MAX_PAYLOAD {
            link.wait()?;
            let _ = link.requests()?;
            link.flush()?;
        }
    }
    Ok(())
}
