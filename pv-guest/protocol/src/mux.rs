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
//! alone. *End* is the last of its stream. *Reset* of stream 0 opens a connection: an engine sends it first, the
//! agent answers with its own, and control messages start anew on both ways while all other streams go on.
//! All integers are little-endian.

use crate::message::StreamId;
use crate::ring::{Consumer, Corrupt, Producer, SharedMemory};
use std::collections::{BTreeMap, VecDeque};
use thiserror::Error;

pub const HEADER_BYTES: usize = 12;
/// A quarter of a ring, so that several streams' frames stand in it side by side.
pub const MAX_PAYLOAD: usize = 16 << 10;
/// What a receiver takes before anyone has read: several rings full, so that one hop is never the limit.
pub const INITIAL_WINDOW: u64 = 256 << 10;
/// Streams of one guest. 1000 concurrent execs with three streams each are a mistake, not a use.
pub const MAX_STREAMS: usize = 4096;

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
    #[error("reset of stream {0}, which is not the control stream")]
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

#[derive(Debug)]
struct Stream {
    queue: VecDeque<u8>,
    /// End after the queue.
    finish: bool,
    sent_end: bool,
    sent: u64,
    /// The peer takes bytes up to this count.
    send_limit: u64,
    received: u64,
    received_end: bool,
    receive_limit: u64,
    /// Of `received`, what our side has disposed of.
    consumed: u64,
    window_due: bool,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            finish: false,
            sent_end: false,
            sent: 0,
            send_limit: INITIAL_WINDOW,
            received: 0,
            received_end: false,
            receive_limit: INITIAL_WINDOW,
            consumed: 0,
            window_due: false,
        }
    }
}

impl Stream {
    fn sendable(&self) -> usize {
        self.queue
            .len()
            .min(usize::try_from(self.send_limit - self.sent).unwrap_or(usize::MAX))
    }

    fn end_due(&self) -> bool {
        self.finish && !self.sent_end && self.queue.is_empty()
    }
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
            lenient: true,
            ..Self::new()
        }
    }

    /// From now on data of an unknown stream is dropped.
    pub fn settled(&mut self) {
        self.lenient = false;
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
            .map(|(id, stream)| (*id, position(stream)))
    }

    pub fn position(&self, stream: StreamId) -> Option<Position> {
        self.streams.get(&stream).map(position)
    }

    /// Sets where a stream stands, as the peer says, after taking over. `sent` and `received` are ours.
    pub fn resume(&mut self, stream: StreamId, at: Position) {
        let entry = self.streams.entry(stream).or_default();
        entry.sent = at.sent;
        entry.send_limit = entry.send_limit.max(at.sent);
        entry.received = at.received;
        entry.consumed = at.received;
        entry.receive_limit = at.received + INITIAL_WINDOW;
        entry.sent_end = at.sent_end;
        entry.received_end = at.received_end;
        entry.window_due = true;
    }

    /// Bytes that may be queued for a stream before it holds more than a window's worth: take no more from the source.
    pub fn room(&self, stream: StreamId) -> usize {
        self.streams.get(&stream).map_or(0, |s| {
            let ready = usize::try_from(s.send_limit - s.sent).unwrap_or(usize::MAX);
            ready.min(INITIAL_WINDOW as usize).saturating_sub(s.queue.len())
        })
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
            stream.consumed = (stream.consumed + bytes as u64).min(stream.received);
            if stream.consumed + INITIAL_WINDOW - stream.receive_limit >= INITIAL_WINDOW / 4 {
                stream.window_due = true;
            }
        }
    }

    /// Whether [`Mux::fill`] would write something if there were room in the ring.
    pub fn has_output(&self) -> bool {
        self.reset_due
            || self
                .streams
                .values()
                .any(|s| s.window_due || s.sendable() > 0 || s.end_due())
    }

    /// Writes frames while they fit; says whether any were written, so that the peer must be notified.
    pub fn fill(&mut self, producer: &mut Producer, memory: &impl SharedMemory) -> Result<bool, Violation> {
        let mut free = producer.free(memory)?;
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

        if self.reset_due && free >= HEADER_BYTES {
            frame(&mut free, RESET, 0, &[]);
            self.reset_due = false;
        }
        if !self.reset_due {
            for (id, stream) in &mut self.streams {
                if stream.window_due && free >= HEADER_BYTES + 8 {
                    stream.window_due = false;
                    stream.receive_limit = stream.consumed + INITIAL_WINDOW;
                    frame(&mut free, WINDOW, *id, &[&stream.receive_limit.to_le_bytes()]);
                }
            }
            // One frame of each stream in turn, until none can send.
            while let Some(id) = self.next_sender() {
                if free <= HEADER_BYTES {
                    break;
                }
                self.turn = id;
                let Some(stream) = self.streams.get_mut(&id) else {
                    break;
                };
                let length = stream.sendable().min(MAX_PAYLOAD).min(free - HEADER_BYTES);
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

    /// The stream after `turn` that has something to send; the control stream always goes first.
    fn next_sender(&self) -> Option<StreamId> {
        let ready =
            |(id, stream): (&StreamId, &Stream)| (stream.sendable() > 0 || stream.end_due()).then_some(*id);
        self.streams
            .range(..=0)
            .find_map(ready)
            .or_else(|| self.streams.range(self.turn.saturating_add(1)..).find_map(ready))
            .or_else(|| self.streams.range(..=self.turn).find_map(ready))
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
            if id != 0 {
                return Err(Violation::BadReset(id));
            }
            self.streams.insert(0, Stream::default());
            return Ok(Some(Incoming::Reset));
        }
        if !matches!(kind, DATA | END | WINDOW) {
            return Err(Violation::Kind(kind));
        }
        if self.lenient && self.streams.len() < MAX_STREAMS {
            self.open(id);
        }
        let lenient = self.lenient;
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(None);
        };
        match kind {
            WINDOW => {
                let limit = payload
                    .try_into()
                    .map(u64::from_le_bytes)
                    .map_err(|_| Violation::BadWindow(id))?;
                if limit < stream.sent || limit - stream.sent > 4 * INITIAL_WINDOW {
                    if !lenient {
                        return Err(Violation::BadWindow(id));
                    }
                } else {
                    stream.send_limit = limit.max(stream.send_limit);
                }
                Ok(None)
            }
            _ if stream.received_end => Err(Violation::AfterEnd(id)),
            DATA => {
                stream.received += payload.len() as u64;
                if stream.received > stream.receive_limit && !lenient {
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

    /// Answers a reset: the control stream starts anew on our side too.
    pub fn reset(&mut self) {
        self.streams.insert(0, Stream::default());
        self.reset_due = true;
    }
}

fn position(stream: &Stream) -> Position {
    Position {
        sent: stream.sent,
        received: stream.received,
        sent_end: stream.sent_end,
        received_end: stream.received_end,
    }
}
