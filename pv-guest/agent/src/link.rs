//! Our end of the link: pages granted to dom0, an event channel, and the key that offers them.

use crate::sys::{self, GrantedMemory};
use guest_protocol::message::VERSION;
use guest_protocol::ring::{PAGES, REFERENCES_AT, SharedMemory};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

/// xen/io/xs_wire.h
const XS_WRITE: u32 = 11;
const XS_ERROR: u32 = 16;

pub struct Link {
    pub memory: GrantedMemory,
    evtchn: File,
    port: u32,
}

impl Link {
    /// Allocates a link and offers it to dom0.
    pub fn offer() -> io::Result<Self> {
        let (memory, references) = GrantedMemory::allocate::<PAGES>()?;
        memory.store(REFERENCES_AT, PAGES as u32);
        for (index, reference) in references.iter().enumerate() {
            memory.store(REFERENCES_AT + 4 + 4 * index, *reference);
        }
        let evtchn = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/xen/evtchn")?;
        let port = sys::event_channel_offer(evtchn.as_raw_fd())?;
        store_write("data/hyper/link", &format!("{VERSION} {} {port}", references[0]))?;
        Ok(Self { memory, evtchn, port })
    }

    pub fn notify(&self) -> io::Result<()> {
        sys::event_channel_notify(self.evtchn.as_raw_fd(), self.port)
    }

    /// Takes a notification, if there is one, so that the next is told.
    pub fn take_notification(&mut self) -> io::Result<()> {
        let mut port = [0; 4];
        match self.evtchn.read(&mut port) {
            Ok(_) => self.evtchn.write_all(&port),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.evtchn.as_fd()
    }
}

/// Writes a key of our own part of xenstore.
fn store_write(path: &str, value: &str) -> io::Result<()> {
    let mut xenbus = File::options().read(true).write(true).open("/dev/xen/xenbus")?;
    let body = [path.as_bytes(), &[0], value.as_bytes()].concat();
    let mut request = Vec::new();
    for word in [XS_WRITE, 1, 0, body.len() as u32] {
        request.extend(word.to_le_bytes());
    }
    request.extend(body);
    xenbus.write_all(&request)?;
    let mut header = [0; 16];
    xenbus.read_exact(&mut header)?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let mut answer = vec![0; word(12).min(4096) as usize];
    xenbus.read_exact(&mut answer)?;
    match word(0) {
        XS_ERROR => Err(io::Error::other(format!(
            "xenstore: {}",
            String::from_utf8_lossy(&answer)
        ))),
        _ => Ok(()),
    }
}
