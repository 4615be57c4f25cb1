//! The conversation with a guest's agent: requests and their replies, events, streams.
//!
//! One task owns the link. It trusts nothing that comes over it: whatever breaks a rule ends the session with
//! [`SessionEvent::Broken`], and nobody else is touched.

use crate::error::{Error, ErrorKind};
use crate::hypervisor::GuestLink;
use bytes::Bytes;
use guest_protocol::control::{Decoder, encode};
use guest_protocol::message::{
    ErrorKind as AgentError, Event, ExitStatus, GuestState, ProcessId, ReplyBody, Request, RequestBody,
    RequestError, StreamId, VERSION,
};
use guest_protocol::mux::{HEADER_BYTES, Incoming, Mux, Position, Violation};
use guest_protocol::ring::{self, Consumer, Producer, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::task::Poll;
use tokio::sync::{mpsc, oneshot};

/// Output that came before its reader was known, all streams together: what agents have on their way when an engine
/// takes over is a window for each of a few streams.
const MAX_EARLY_BYTES: usize = 16 << 20;
/// Frames handled before other work has its turn.
const FRAMES_AT_A_TIME: usize = 256;
/// Chunks of input on their way to the session.
const INPUT_CHUNKS: usize = 4;
/// Events that nobody has heard yet, while a guest is taken over for one.
const MAX_EVENTS: usize = 4096;
/// Requests without an answer, and their bytes that are still to be sent: beyond that a guest does not answer at all.
const MAX_WAITING: usize = 4096;
const MAX_QUEUED_BYTES: usize = 16 << 20;

/// What a session tells of itself.
#[derive(Debug)]
pub enum SessionEvent {
    Exited {
        process: ProcessId,
        status: ExitStatus,
    },
    /// The guest's kernel has killed a process for want of memory.
    OutOfMemory,
    /// The guest broke the rules, or the link failed.
    Broken(String),
}

type Reply = oneshot::Sender<Result<ReplyBody, RequestError>>;

enum Command {
    Request(Box<RequestBody>, Reply),
    Output(StreamId, mpsc::UnboundedSender<Bytes>, Option<Box<dyn Tap>>),
    Input(StreamId, mpsc::Receiver<Bytes>),
    Consumed(StreamId, usize),
    Close(StreamId),
    Settled,
    End(oneshot::Sender<()>),
}

/// A handle on a session; cheap to clone. The session ends with its last handle, or with [`Session::end`].
#[derive(Clone, Debug)]
pub struct Session {
    commands: mpsc::UnboundedSender<Command>,
}

/// What must have the bytes of a stream before the guest's ring is let go of.
pub trait Tap: Send {
    /// The first of the bytes is the stream's `position`th.
    fn bytes(&mut self, position: u64, bytes: &[u8]);
    /// The guest has ended the stream.
    fn end(&mut self);
}

/// Bytes of one output stream. The window is bounded by what [`Output::consumed`] has told.
#[derive(Debug)]
pub struct Output {
    stream: StreamId,
    bytes: mpsc::UnboundedReceiver<Bytes>,
    session: Session,
}

/// What there is of a stream without waiting.
#[derive(Debug)]
pub enum Early {
    Bytes(Bytes),
    End,
    Nothing,
}

impl Output {
    /// The next bytes; `None` at the end of the stream or of the session.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.bytes.recv().await
    }

    /// What has come so far.
    pub fn early(&mut self) -> Early {
        match self.bytes.try_recv() {
            Ok(bytes) => Early::Bytes(bytes),
            Err(mpsc::error::TryRecvError::Empty) => Early::Nothing,
            Err(mpsc::error::TryRecvError::Disconnected) => Early::End,
        }
    }

    /// So many bytes have been disposed of.
    pub fn consumed(&self, bytes: usize) {
        self.session.send(Command::Consumed(self.stream, bytes));
    }
}

/// An agent's refusal as an engine's error.
pub fn refused(what: &str, error: &RequestError) -> Error {
    let kind = match error.kind {
        AgentError::CommandNotFound => ErrorKind::CommandNotFound,
        AgentError::CommandNotExecutable | AgentError::BadUser | AgentError::BadWorkingDirectory => {
            ErrorKind::CommandNotExecutable
        }
        AgentError::NotFound => ErrorKind::NotFound,
        AgentError::Invalid => ErrorKind::Invalid,
        AgentError::Guest => ErrorKind::Failed,
    };
    Error::new(kind, format!("{what}: {}", words_of(error)))
}

/// The guest words it: no control characters, no novels.
pub fn words_of(error: &RequestError) -> String {
    let plain = error.message.chars().filter(|c| !c.is_control());
    plain.take(1000).collect()
}

/// The answer when there is nobody to give one.
pub fn gone() -> RequestError {
    RequestError {
        kind: AgentError::Guest,
        message: "the guest is gone".to_owned(),
    }
}

impl Session {
    /// Starts talking over a link, new or taken over from an engine that is gone.
    pub fn open(link: Box<dyn GuestLink>) -> (Self, mpsc::Receiver<SessionEvent>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (events, events_receiver) = mpsc::channel(MAX_EVENTS);
        let (producer, consumer) = ring::ends(&link.memory(), Side::Host);
        let task = Task {
            link,
            producer,
            consumer,
            mux: Mux::connecting(),
            decoder: Decoder::default(),
            next_request: 1,
            waiting: BTreeMap::new(),
            hello: None,
            outputs: BTreeMap::new(),
            inputs: BTreeMap::new(),
            early: BTreeMap::new(),
            early_ends: BTreeSet::new(),
            early_bytes: 0,
            settled: false,
            events,
        };
        tokio::spawn(task.run(receiver));
        (Self { commands }, events_receiver)
    }

    fn send(&self, command: Command) {
        // A session that is over has told so in its events.
        let _ = self.commands.send(command);
    }

    /// Asks; the answer may be waited for or not.
    pub fn ask(&self, body: RequestBody) -> oneshot::Receiver<Result<ReplyBody, RequestError>> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Request(Box::new(body), reply));
        answer
    }

    /// Asks, and waits for the answer.
    pub async fn request(&self, body: RequestBody) -> Result<ReplyBody, RequestError> {
        self.ask(body).await.unwrap_or_else(|_| Err(gone()))
    }

    /// The first request of every session.
    pub async fn hello(&self) -> Result<GuestState, RequestError> {
        match self.request(RequestBody::Hello { version: VERSION }).await? {
            ReplyBody::State(state) => Ok(state),
            _ => Err(unexpected()),
        }
    }

    /// Opens a stream from the guest.
    pub fn output(&self, stream: StreamId) -> Output {
        self.tapped(stream, None)
    }

    /// The same for a stream whose bytes go elsewhere first.
    pub fn tapped(&self, stream: StreamId, tap: Option<Box<dyn Tap>>) -> Output {
        let (sender, bytes) = mpsc::unbounded_channel();
        self.send(Command::Output(stream, sender, tap));
        Output {
            stream,
            bytes,
            session: self.clone(),
        }
    }

    /// Opens a stream to the guest; dropping the sender ends it.
    pub fn input(&self, stream: StreamId) -> mpsc::Sender<Bytes> {
        let (sender, receiver) = mpsc::channel(INPUT_CHUNKS);
        self.send(Command::Input(stream, receiver));
        sender
    }

    /// All streams that the agent has are opened: what comes for others is nobody's.
    pub fn settled(&self) {
        self.send(Command::Settled);
    }

    /// Lets go of the link: what has come is delivered, all streams end, and no page of the guest is mapped any more.
    pub async fn end(&self) {
        let (ended, end) = oneshot::channel();
        self.send(Command::End(ended));
        let _ = end.await;
    }

    /// Ends the session when it is dropped before [`EndOnDrop::keep`]: readers of its streams would hold it, and the
    /// guest's pages with it.
    pub fn end_on_drop(&self) -> EndOnDrop {
        EndOnDrop(Some(self.clone()))
    }

    /// Forgets a stream.
    pub fn close(&self, stream: StreamId) {
        self.send(Command::Close(stream));
    }
}

pub struct EndOnDrop(Option<Session>);

impl EndOnDrop {
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some(session) = &self.0 {
            session.send(Command::End(oneshot::channel().0));
        }
    }
}

pub fn unexpected() -> RequestError {
    RequestError {
        kind: AgentError::Guest,
        message: "the agent's reply makes no sense".to_owned(),
    }
}

struct Task {
    link: Box<dyn GuestLink>,
    producer: Producer,
    consumer: Consumer,
    mux: Mux,
    decoder: Decoder,
    next_request: u64,
    waiting: BTreeMap<u64, Reply>,
    /// The request whose reply tells how the streams stand.
    hello: Option<u64>,
    outputs: BTreeMap<StreamId, Reader>,
    inputs: BTreeMap<StreamId, mpsc::Receiver<Bytes>>,
    /// What came for streams whose reader is not known yet.
    early: BTreeMap<StreamId, Vec<u8>>,
    early_ends: BTreeSet<StreamId>,
    early_bytes: usize,
    settled: bool,
    events: mpsc::Sender<SessionEvent>,
}

/// Where the bytes of an output stream go.
struct Reader {
    sender: mpsc::UnboundedSender<Bytes>,
    tap: Option<Box<dyn Tap>>,
    /// Of the next byte.
    position: u64,
}

impl Reader {
    /// `false`: they are of no more use than to the tap.
    fn give(&mut self, bytes: Bytes) -> bool {
        if let Some(tap) = &mut self.tap {
            tap.bytes(self.position, &bytes);
        }
        self.position = self.position.saturating_add(bytes.len() as u64);
        self.sender.send(bytes).is_ok()
    }

    fn end(&mut self) {
        if let Some(tap) = &mut self.tap {
            tap.end();
        }
    }
}

/// Why the task ends.
enum End {
    /// Nobody has a handle any more.
    Released,
    Asked(oneshot::Sender<()>),
    Broken(String),
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Broken(format!("the guest broke the link's rules: {violation}"))
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(format!("the link failed: {error}"))
    }
}

impl Task {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let end = self.serve(&mut commands).await;
        let events = self.events.clone();
        drop(self);
        match end {
            Err(End::Broken(why)) => drop(events.send(SessionEvent::Broken(why)).await),
            Err(End::Asked(ended)) => drop(ended.send(())),
            Ok(()) | Err(End::Released) => {}
        }
    }

    async fn serve(&mut self, commands: &mut mpsc::UnboundedReceiver<Command>) -> Result<(), End> {
        loop {
            let more = self.take()?;
            if self.mux.fill(&mut self.producer, &self.link.memory())? {
                self.link.notify()?;
            }
            tokio::select! {
                // A guest that never stops does not keep us from what we are told.
                () = tokio::task::yield_now(), if more => {}
                notified = self.link.notified() => notified?,
                command = commands.recv() => match command {
                    Some(command) => self.obey(command)?,
                    None => return Err(End::Released),
                },
                (stream, bytes) = next_input(&mut self.inputs, &self.mux) => {
                    // Who sends them has asked for what takes them before: they do not overtake that.
                    while let Ok(command) = commands.try_recv() {
                        self.obey(command)?;
                    }
                    match bytes {
                        Some(bytes) => self.mux.send(stream, &bytes),
                        None => {
                            self.inputs.remove(&stream);
                            self.mux.finish(stream);
                        }
                    }
                }
            }
        }
    }

    fn obey(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Request(_, reply)
                if self.waiting.len() >= MAX_WAITING || self.mux.queued(0) >= MAX_QUEUED_BYTES =>
            {
                let _ = reply.send(Err(RequestError {
                    kind: AgentError::Guest,
                    message: "the guest does not answer".to_owned(),
                }));
            }
            Command::Request(body, reply) => {
                let id = self.next_request;
                self.next_request += 1;
                if matches!(*body, RequestBody::Hello { .. }) {
                    self.hello = Some(id);
                }
                let encoded = encode(&Request { id, body: *body });
                match encoded {
                    Ok(bytes) => {
                        self.mux.send(0, &bytes);
                        self.waiting.insert(id, reply);
                    }
                    Err(error) => {
                        let _ = reply.send(Err(RequestError {
                            kind: AgentError::Invalid,
                            message: error.to_string(),
                        }));
                    }
                }
            }
            Command::Output(stream, sender, tap) => {
                self.mux.open(stream);
                let early = self.early.remove(&stream).unwrap_or_default();
                let received = self.mux.position(stream).unwrap_or_default().received;
                let mut reader = Reader {
                    sender,
                    tap,
                    position: received.saturating_sub(early.len() as u64),
                };
                self.early_bytes -= early.len();
                if !early.is_empty() {
                    reader.give(early.into());
                }
                if self.early_ends.remove(&stream) {
                    reader.end();
                } else {
                    self.outputs.insert(stream, reader);
                }
            }
            Command::Input(stream, receiver) => {
                self.mux.open(stream);
                self.inputs.insert(stream, receiver);
            }
            Command::Consumed(stream, bytes) => self.mux.consumed(stream, bytes),
            Command::Close(stream) => {
                self.outputs.remove(&stream);
                self.inputs.remove(&stream);
                self.mux.close(stream);
            }
            Command::Settled => {
                self.settled = true;
                self.mux.settled();
                for (stream, bytes) in std::mem::take(&mut self.early) {
                    self.mux.consumed(stream, bytes.len());
                }
                self.early_ends.clear();
            }
            Command::End(ended) => return Err(End::Asked(ended)),
        }
        Ok(())
    }

    /// Handles what is in the ring; says whether there is more.
    fn take(&mut self) -> Result<bool, End> {
        let mut frames = 0;
        while frames < FRAMES_AT_A_TIME {
            let incoming = self.mux.receive(&mut self.consumer, &self.link.memory())?;
            let Some(incoming) = incoming else { break };
            frames += 1;
            self.incoming(incoming)?;
        }
        // Windows and frames of closed streams too, which are not told here: the agent may wait for their room.
        // What has no reader yet stays in the ring, for the engine after this one should it come to that, unless the
        // agent has no room left to answer (it keeps some: RESERVED_BYTES; agents before that kept none).
        let held = !self.settled && self.consumer.taken() + 2 * HEADER_BYTES < ring::RING_BYTES;
        if self.consumer.taken() > 0 && !held {
            self.consumer.release(&self.link.memory());
            self.link.notify()?;
        }
        Ok(frames == FRAMES_AT_A_TIME)
    }

    fn incoming(&mut self, incoming: Incoming) -> Result<(), End> {
        match incoming {
            // The agent's answer to ours: its control stream starts anew.
            Incoming::Reset => self.decoder = Decoder::default(),
            Incoming::Data(0, bytes) => {
                self.mux.consumed(0, bytes.len());
                self.decoder.push(&bytes);
                while let Some(event) = self.decoder.decode::<Event>()? {
                    self.event(event)?;
                }
            }
            // Windows do not bound how many of these there are, so nothing is kept of them.
            Incoming::Data(_, bytes) if bytes.is_empty() => {}
            Incoming::End(0) => return Err(End::Broken("the agent has ended the link".to_owned())),
            Incoming::Data(stream, bytes) => match self.outputs.get_mut(&stream) {
                Some(reader) => {
                    let length = bytes.len();
                    if !reader.give(bytes.into()) {
                        self.mux.consumed(stream, length);
                    }
                }
                None if self.settled => self.mux.consumed(stream, bytes.len()),
                None => {
                    self.early_bytes += bytes.len();
                    if self.early_bytes > MAX_EARLY_BYTES {
                        return Err(End::Broken(
                            "the guest sent more than its windows allow".to_owned(),
                        ));
                    }
                    self.early.entry(stream).or_default().extend(bytes);
                }
            },
            Incoming::End(stream) => match self.outputs.remove(&stream) {
                Some(mut reader) => reader.end(),
                None if !self.settled => drop(self.early_ends.insert(stream)),
                None => {}
            },
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Exited { process, status } => {
                let exited = SessionEvent::Exited { process, status };
                if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(exited) {
                    return Err(End::Broken(
                        "the guest tells of more ends than anybody can hear".to_owned(),
                    ));
                }
            }
            // One of many is enough.
            Event::OutOfMemory { .. } => drop(self.events.try_send(SessionEvent::OutOfMemory)),
            Event::Unknown => {}
            Event::Reply { id, result } => {
                let Some(reply) = self.waiting.remove(&id) else {
                    return Err(End::Broken(format!(
                        "the agent answered request {id}, which nobody made"
                    )));
                };
                if self.hello == Some(id) {
                    if let Ok(ReplyBody::State(state)) = &result {
                        self.resume(state);
                    }
                    self.hello = None;
                }
                let _ = reply.send(result);
            }
        }
        Ok(())
    }

    /// Streams go on where the agent says they are.
    fn resume(&mut self, state: &GuestState) {
        for stream in state.streams.iter().filter(|stream| stream.stream != 0) {
            self.mux.resume(
                stream.stream,
                Position {
                    sent: stream.received,
                    received: stream.sent,
                    sent_end: stream.received_eof,
                    received_end: stream.sent_eof,
                },
            );
            if stream.sent_eof {
                self.early_ends.insert(stream.stream);
            }
        }
    }
}

/// The next bytes of any input whose stream has room; `None` for one that ended.
async fn next_input(
    inputs: &mut BTreeMap<StreamId, mpsc::Receiver<Bytes>>,
    mux: &Mux,
) -> (StreamId, Option<Bytes>) {
    std::future::poll_fn(|cx| {
        for (stream, input) in inputs.iter_mut() {
            if mux.room(*stream) > 0
                && let Poll::Ready(bytes) = input.poll_recv(cx)
            {
                return Poll::Ready((*stream, bytes));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
#[path = "session_tests.rs"]
pub(crate) mod tests;
