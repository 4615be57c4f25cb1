//! Streams over the rings: frames, windows, and what a violation of them is. Does no input or output itself.
//!
//! A frame is a header and up to [`MAX_PAYLOAD`] bytes:
//!
//! ```text
//!   0  kind     u8    data 1, end 2, window 3, reset 4
//!   1  zero     3 bytes
//!   4  stream   u32
//!   8  length   u32   of the payload
//! ```
//!
//! A *window* says up to which byte of a stream, counted from its start, the receiver takes data; its payload is that
//! count as `u64`. A sender never exceeds it, so a stream that nobody reads fills its window and stops its own writer
//! alone. The control stream goes first: as long as it has something to send, nothing else is sent, so that data never
//! overtakes the message that it belongs to. *End* is the last of its stream. All integers are little-endian.
//!
//! *Reset* of stream 0 opens a connection: an engine sends it first, the agent answers with its own, and control
//! messages start anew on both ways while all other streams go on. Its payload is a `u32` that the engine chooses and
//! the agent repeats, so that an engine does not take the answer to one that died for its own.
//!
//! An engine that takes over finds in the ring what the agent had sent before: data and windows of streams that it
//! cannot place yet, and the rest of an old control stream, which is dropped. The agent tells all its windows anew after
//! its reset, and then, on the control stream, where each stream stands.

use crate::message::StreamId;
use crate::ring::{Consumer, Corrupt, Producer, RING_BYTES, SharedMemory};
use crate::stream::Stream;
use std::collections::BTreeMap;
use std::ops::Bound;
use thiserror::Error;

pub const HEADER_BYTES: usize = 12;
/// A quarter of a ring, so that several streams' frames stand in it side by side.
pub const MAX_PAYLOAD: usize = 16 << 10;
/// What a receiver takes before anyone has read: several rings full, so that one hop is never the limit.
pub const INITIAL_WINDOW: u64 = 256 << 10;
/// Streams of one guest. 1000 concurrent execs with three streams each are a mistake, not a use.
pub const MAX_STREAMS: usize = 4096;

/// Of a ring, what is kept free of data: an engine that takes over hears the answer to its first words without having to
/// let go of what it cannot place yet.
pub const RESERVED_BYTES: usize = 8 << 10;

const DATA: u8 = 1;
const END: u8 = 2;
const WINDOW: u8 = 3;
const RESET: u8 = 4;

/// The other side broke the rules; the link is of no more use.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Violation {
    #[error(transparent)]
    Ring(#[from] Corrupt),
    #[error("frame of unknown kind {0}")]
    Kind(u8),
    #[error("frame of {0} bytes is longer than {MAX_PAYLOAD}")]
    TooLong(u32),
    #[error("frame is cut off: {available} bytes in the ring, {needed} needed")]
    CutOff { available: usize, needed: usize },
    #[error("stream {0} was sent more than its window allows")]
    Window(StreamId),
    #[error("stream {0} went on after its end")]
    AfterEnd(StreamId),
    #[error("window of stream {0} makes no sense")]
    BadWindow(StreamId),
    #[error("reset of stream {0} is out of place")]
    BadReset(StreamId),
    #[error("control message of {0} bytes is too long")]
    MessageTooLong(usize),
    #[error("control message is not understood: {0}")]
    Message(String),
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    Data(StreamId, Vec<u8>),
    End(StreamId),
    /// The control stream starts anew.
    Reset,
}

/// How far a stream has come; see [`Mux::position`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    pub sent: u64,
    pub received: u64,
    pub sent_end: bool,
    pub received_end: bool,
}

/// All streams of one link, on one side.
#[derive(Debug, Default)]
pub struct Mux {
    streams: BTreeMap<StreamId, Stream>,
    /// The stream that sent last, for fairness.
    turn: StreamId,
    reset_due: bool,
    /// What our reset carries, or the peer's carried.
    token: u32,
    /// We are the side that opens connections, and this one is open as soon as the peer answers.
    opens: bool,
    open: bool,
    /// Streams are not known yet (an engine that took over): what comes for an unknown one is kept.
    lenient: bool,
}

impl Mux {
    /// With the control stream open.
    pub fn new() -> Self {
        let mut mux = Self::default();
        mux.open(0);
        mux
    }

    /// As [`Mux::new`], for an engine that opens a connection: sends a reset first, and accepts data of streams that
    /// it does not know yet until [`Mux::settled`].
    pub fn connecting() -> Self {
        Self {
            reset_due: true,
            opens: true,
            lenient: true,
            ..Self::new()
        }
    }

    /// Every stream that goes on was [resumed](Mux::resume): those that only frames have named are forgotten, and
    /// from now on data of an unknown stream is dropped.
    pub fn settled(&mut self) {
        self.lenient = false;
        self.streams.retain(|_, stream| !stream.provisional);
        self.streams.values_mut().for_each(Stream::settle);
    }

    /// Opens a stream. One that is open stays as it is.
    pub fn open(&mut self, stream: StreamId) {
        self.streams.entry(stream).or_default();
    }

    /// Forgets a stream; late frames for it are ignored.
    pub fn close(&mut self, stream: StreamId) {
        self.streams.remove(&stream);
    }

    pub fn is_open(&self, stream: StreamId) -> bool {
        self.streams.contains_key(&stream)
    }

    pub fn len(&self) -> usize {
        self.streams.len()
    }

    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// All streams but the control stream.
    pub fn positions(&self) -> impl Iterator<Item = (StreamId, Position)> + '_ {
        self.streams
            .iter()
            .filter(|(id, _)| **id != 0)
            .map(|(id, stream)| (*id, stream.position()))
    }

    pub fn position(&self, stream: StreamId) -> Option<Position> {
        self.streams.get(&stream).map(Stream::position)
    }

    /// Sets where a stream stands, as the peer says, after taking over and before anything is sent on it. `sent` and
    /// `received` are ours, so the peer's `received` and `sent`; bytes that came meanwhile are among them.
    pub fn resume(&mut self, stream: StreamId, at: Position) {
        let known = self.streams.contains_key(&stream);
        if stream != 0 && (known || self.streams.len() < MAX_STREAMS) {
            self.streams.entry(stream).or_default().resume(at);
        }
    }

    /// Bytes that may be queued for a stream before it holds more than a window's worth: take no more from the source.
    pub fn room(&self, stream: StreamId) -> usize {
        self.streams.get(&stream).map_or(0, Stream::room)
    }

    /// Bytes queued and not sent.
    pub fn queued(&self, stream: StreamId) -> usize {
        self.streams.get(&stream).map_or(0, |s| s.queue.len())
    }

    /// Queues bytes. Callers keep to [`Mux::room`]; control messages may exceed it.
    pub fn send(&mut self, stream: StreamId, bytes: &[u8]) {
        if let Some(stream) = self.streams.get_mut(&stream)
            && !stream.finish
        {
            stream.queue.extend(bytes);
        }
    }

    /// Queues the end of a stream.
    pub fn finish(&mut self, stream: StreamId) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.finish = true;
        }
    }

    /// Our side has disposed of so many received bytes: the window moves on when that is worth a frame.
    pub fn consumed(&mut self, stream: StreamId, bytes: usize) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.consume(bytes);
        }
    }

    /// Whether [`Mux::fill`] would write something if there were room in the ring.
    pub fn has_output(&self) -> bool {
        self.reset_due || self.streams.values().any(Stream::window_due) || self.next_sender().is_some()
    }

    /// Writes frames while they fit; says whether any were written, so that the peer must be notified.
    pub fn fill(&mut self, producer: &mut Producer, memory: &impl SharedMemory) -> Result<bool, Violation> {
        let mut free = producer.free(memory)?;
        if self.opens && self.reset_due {
            // Where the reset stands in the ring: no earlier engine's stood there.
            self.token = producer.position();
        }
        let mut wrote = false;
        let mut frame = |free: &mut usize, kind: u8, stream: StreamId, payload: &[&[u8]]| {
            let length: usize = payload.iter().map(|part| part.len()).sum();
            let mut header = [0; HEADER_BYTES];
            header[0] = kind;
            header[4..8].copy_from_slice(&stream.to_le_bytes());
            header[8..12].copy_from_slice(&(length as u32).to_le_bytes());
            producer.put(memory, &header);
            payload.iter().for_each(|part| producer.put(memory, part));
            *free -= HEADER_BYTES + length;
            wrote = true;
        };

        if self.reset_due && free >= HEADER_BYTES + 4 {
            frame(&mut free, RESET, 0, &[&self.token.to_le_bytes()]);
            self.reset_due = false;
        }
        if !self.reset_due {
            for (id, stream) in &mut self.streams {
                if stream.window_due() && free >= HEADER_BYTES + 8 {
                    frame(&mut free, WINDOW, *id, &[&stream.next_window().to_le_bytes()]);
                }
            }
            // One frame of each stream in turn, until none can send.
            while let Some(id) = self.next_sender() {
                let room = match id {
                    0 => free,
                    _ => free.saturating_sub(RESERVED_BYTES),
                };
                if room <= HEADER_BYTES {
                    break;
                }
                self.turn = id;
                let Some(stream) = self.streams.get_mut(&id) else {
                    break;
                };
                let length = stream.sendable().min(MAX_PAYLOAD).min(room - HEADER_BYTES);
                if length > 0 {
                    let (first, second) = stream.queue.as_slices();
                    let first = &first[..first.len().min(length)];
                    let second = &second[..length - first.len()];
                    frame(&mut free, DATA, id, &[first, second]);
                    stream.queue.drain(..length);
                    stream.sent += length as u64;
                } else {
                    frame(&mut free, END, id, &[]);
                    stream.sent_end = true;
                }
            }
        }
        if wrote {
            producer.publish(memory);
        }
        Ok(wrote)
    }

    /// The stream after `turn` that has something to send. The control stream goes first, and when its window is
    /// full all others wait with it: what they carry may belong to a message that is not out yet.
    fn next_sender(&self) -> Option<StreamId> {
        let ready =
            |(id, stream): (&StreamId, &Stream)| (stream.sendable() > 0 || stream.end_due()).then_some(*id);
        if let Some(control) = self.streams.get(&0)
            && (!control.queue.is_empty() || control.end_due())
        {
            return ready((&0, control));
        }
        let after = (Bound::Excluded(self.turn), Bound::Unbounded);
        let later = self.streams.range(after).find_map(ready);
        later.or_else(|| self.streams.range(..=self.turn).find_map(ready))
    }

    /// Reads one whole frame, if there is one. The caller [releases](Consumer::release) after it has acted on it.
    /// Windows are handled here; `None` with bytes still available means "call again" never happens.
    pub fn receive(
        &mut self,
        consumer: &mut Consumer,
        memory: &impl SharedMemory,
    ) -> Result<Option<Incoming>, Violation> {
        loop {
            let available = consumer.available(memory)?;
            if available == 0 {
                return Ok(None);
            }
            let needs = |needed| {
                if available < needed {
                    Err(Violation::CutOff { available, needed })
                } else {
                    Ok(())
                }
            };
            needs(HEADER_BYTES)?;
            let mut header = [0; HEADER_BYTES];
            consumer.take(memory, &mut header);
            let [kind, _, _, _, s0, s1, s2, s3, l0, l1, l2, l3] = header;
            let id = u32::from_le_bytes([s0, s1, s2, s3]);
            let length = u32::from_le_bytes([l0, l1, l2, l3]);
            if length as usize > MAX_PAYLOAD {
                return Err(Violation::TooLong(length));
            }
            needs(HEADER_BYTES + length as usize)?;
            let mut payload = vec![0; length as usize];
            consumer.take(memory, &mut payload);
            if let Some(incoming) = self.frame(kind, id, payload)? {
                return Ok(Some(incoming));
            }
        }
    }

    fn frame(&mut self, kind: u8, id: StreamId, payload: Vec<u8>) -> Result<Option<Incoming>, Violation> {
        if kind == RESET {
            return self.peer_reset(id, &payload);
        }
        if !matches!(kind, DATA | END | WINDOW) {
            return Err(Violation::Kind(kind));
        }
        if id == 0 && self.opens && !self.open {
            // Meant for an engine that died.
            return Ok(None);
        }
        if self.lenient && self.streams.len() < MAX_STREAMS {
            self.streams.entry(id).or_insert_with(|| Stream {
                provisional: true,
                ..Stream::default()
            });
        }
        let lenient = self.lenient;
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(None);
        };
        match kind {
            WINDOW => {
                let limit = payload.try_into().map(u64::from_le_bytes);
                match limit {
                    Ok(limit) if stream.grant(limit, lenient && id != 0) => Ok(None),
                    _ => Err(Violation::BadWindow(id)),
                }
            }
            _ if stream.received_end => Err(Violation::AfterEnd(id)),
            DATA => {
                // An engine that died may have disposed of bytes that still stand in the ring.
                let slack = if lenient { RING_BYTES as u64 } else { 0 };
                stream.received += payload.len() as u64;
                if stream.received > stream.receive_limit + slack {
                    return Err(Violation::Window(id));
                }
                Ok(Some(Incoming::Data(id, payload)))
            }
            _ => {
                stream.received_end = true;
                Ok(Some(Incoming::End(id)))
            }
        }
    }

    fn peer_reset(&mut self, id: StreamId, payload: &[u8]) -> Result<Option<Incoming>, Violation> {
        let token = payload.try_into().map(u32::from_le_bytes);
        let (0, Ok(token)) = (id, token) else {
            return Err(Violation::BadReset(id));
        };
        if !self.opens {
            self.token = token;
            self.streams.insert(0, Stream::default());
            return Ok(Some(Incoming::Reset));
        }
        if self.open {
            return Err(Violation::BadReset(id));
        }
        if self.reset_due || token != self.token {
            // The answer to an engine that died.
            return Ok(None);
        }
        self.open = true;
        if let Some(control) = self.streams.get_mut(&0) {
            control.restart_receiving();
        }
        Ok(Some(Incoming::Reset))
    }

    /// Answers a reset: the control stream starts anew on our side too, and the engine, which may be a new one, is told
    /// how far it may send on each stream.
    pub fn reset(&mut self) {
        self.streams.insert(0, Stream::default());
        for (_, stream) in self.streams.range_mut(1..) {
            stream.window_due = !stream.received_end;
        }
        self.reset_due = true;
    }
}

#[cfg(test)]
#[path = "mux_tests.rs"]
pub(crate) mod tests;
