//! The guest's end of a link, with the rules and without.

use guest_agent::error::{Context, Failure, failure};
use guest_agent::link::Link;
use guest_protocol::control::{Decoder, encode};
use guest_protocol::message::{ErrorKind, Event, Request, StreamId};
use guest_protocol::mux::{Incoming, Mux};
use guest_protocol::ring::{self, Consumer, Producer, RING_BYTES, SharedMemory, Side};
use rustix::event::{PollFd, PollFlags, poll};
use std::io;

/// Where the indices stand in page 0; see `ring.rs`.
const TO_HOST_PRODUCED: usize = 0;
const TO_GUEST_PRODUCED: usize = 128;
const TO_GUEST_CONSUMED: usize = 192;

pub struct Hostile {
    link: Link,
    producer: Producer,
    consumer: Consumer,
    pub mux: Mux,
    decoder: Decoder,
}

fn violated(violation: impl std::fmt::Display) -> Failure {
    failure(
        ErrorKind::Guest,
        format!("the engine broke the link's rules: {violation}"),
    )
}

impl Hostile {
    pub fn offer() -> io::Result<Self> {
        let link = Link::offer()?;
        let (producer, consumer) = ring::ends(&link.memory, Side::Guest);
        Ok(Self {
            link,
            producer,
            consumer,
            mux: Mux::new(),
            decoder: Decoder::default(),
        })
    }

    /// Takes all that has come; gives the requests.
    pub fn requests(&mut self) -> Result<Vec<Request>, Failure> {
        let mut requests = Vec::new();
        while let Some(incoming) = self
            .mux
            .receive(&mut self.consumer, &self.link.memory)
            .map_err(violated)?
        {
            match incoming {
                Incoming::Reset => {
                    self.decoder = Decoder::default();
                    self.mux.reset();
                }
                Incoming::Data(0, bytes) => {
                    self.mux.consumed(0, bytes.len());
                    self.decoder.push(&bytes);
                    while let Some(request) = self.decoder.decode().map_err(violated)? {
                        requests.push(request);
                    }
                }
                Incoming::Data(stream, bytes) => self.mux.consumed(stream, bytes.len()),
                Incoming::End(_) => {}
            }
        }
        self.consumer.release(&self.link.memory);
        self.notify()?;
        Ok(requests)
    }

    pub fn send(&mut self, event: &Event) {
        if let Ok(bytes) = encode(event) {
            self.mux.send(0, &bytes);
        }
    }

    /// Writes what the rules allow.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.mux
            .fill(&mut self.producer, &self.link.memory)
            .map_err(violated)?;
        self.notify()
    }

    /// Writes all that is queued.
    pub fn flush_all(&mut self) -> Result<(), Failure> {
        self.flush()?;
        while self.mux.has_output() {
            self.wait()?;
            self.requests()?;
            self.flush()?;
        }
        Ok(())
    }

    pub fn notify(&self) -> Result<(), Failure> {
        self.link.notify().context("notify dom0")
    }

    /// Sleeps until dom0 says that something has changed.
    pub fn wait(&mut self) -> Result<(), Failure> {
        let mut fds = [PollFd::new(&self.link, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("poll"),
        }
        self.link.take_notification().context("take a notification")
    }

    /// Puts a frame as it is told, and says whether there was room. The header may lie about the payload's length.
    pub fn frame(
        &mut self,
        kind: u8,
        stream: StreamId,
        length: u32,
        payload: &[u8],
    ) -> Result<bool, Failure> {
        let header = [[kind, 0, 0, 0], stream.to_le_bytes(), length.to_le_bytes()].concat();
        if self.producer.free(&self.link.memory).map_err(violated)? < header.len() + payload.len() {
            return Ok(false);
        }
        self.producer.put(&self.link.memory, &header);
        self.producer.put(&self.link.memory, payload);
        self.producer.publish(&self.link.memory);
        Ok(true)
    }

    /// Says that there is more in the ring than fits into it.
    pub fn run_away(&self) {
        let at = self.producer.position();
        self.link
            .memory
            .store(TO_HOST_PRODUCED, at.wrapping_add(2 * RING_BYTES as u32));
    }

    /// Says that nothing of a full ring was read, so that the engine has no room to write.
    pub fn refuse_to_read(&self) {
        let produced = self.link.memory.load(TO_GUEST_PRODUCED);
        self.link
            .memory
            .store(TO_GUEST_CONSUMED, produced.wrapping_sub(RING_BYTES as u32));
    }
}
