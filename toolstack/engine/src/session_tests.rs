//! The session against an agent in the same process: one that behaves, and ones that do not.

use super::*;
use async_trait::async_trait;
use guest_protocol::message::ProcessSpec;
use guest_protocol::mux::INITIAL_WINDOW;
use guest_protocol::ring::{LocalMemory, SharedMemory};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Default)]
pub(crate) struct Wire {
    memory: LocalMemory,
    to_host: Arc<Notify>,
    to_guest: Arc<Notify>,
}

#[async_trait]
impl GuestLink for Wire {
    fn memory(&self) -> &(dyn SharedMemory + Send + Sync) {
        &self.memory
    }

    fn notify(&self) -> io::Result<()> {
        self.to_guest.notify_one();
        Ok(())
    }

    async fn notified(&self) -> io::Result<()> {
        self.to_host.notified().await;
        Ok(())
    }
}

/// The guest's side.
pub(crate) struct Agent {
    wire: Wire,
    producer: Producer,
    consumer: Consumer,
    pub(crate) mux: Mux,
    decoder: Decoder,
}

impl Agent {
    pub(crate) fn new(wire: &Wire) -> Self {
        let (producer, consumer) = ring::ends(&wire.memory, Side::Guest);
        Self {
            wire: wire.clone(),
            producer,
            consumer,
            mux: Mux::new(),
            decoder: Decoder::default(),
        }
    }

    pub(crate) fn flush(&mut self) {
        if self.mux.fill(&mut self.producer, &self.wire.memory).unwrap() {
            self.wire.to_host.notify_one();
        }
    }

    pub(crate) fn send(&mut self, event: &Event) {
        self.mux.send(0, &encode(event).unwrap());
        self.flush();
    }

    pub(crate) fn reply(&mut self, id: u64, body: ReplyBody) {
        self.send(&Event::Reply { id, result: Ok(body) });
    }

    /// Writes such frames while they fit.
    fn flood(&mut self, frame: &[u8]) {
        while self.producer.free(&self.wire.memory).unwrap() >= frame.len() {
            self.producer.put(&self.wire.memory, frame);
        }
        self.producer.publish(&self.wire.memory);
        self.wire.to_host.notify_one();
    }

    /// What comes next, resets answered.
    pub(crate) async fn next(&mut self) -> Incoming {
        loop {
            let incoming = self.mux.receive(&mut self.consumer, &self.wire.memory).unwrap();
            self.consumer.release(&self.wire.memory);
            self.wire.to_host.notify_one();
            match incoming {
                Some(Incoming::Reset) => {
                    self.decoder = Decoder::default();
                    self.mux.reset();
                    self.flush();
                }
                Some(incoming) => return incoming,
                None => {
                    self.flush();
                    self.wire.to_guest.notified().await;
                }
            }
        }
    }

    pub(crate) async fn request(&mut self) -> Request {
        loop {
            if let Some(request) = self.decoder.decode().unwrap() {
                return request;
            }
            if let Incoming::Data(0, bytes) = self.next().await {
                self.mux.consumed(0, bytes.len());
                self.decoder.push(&bytes);
            }
        }
    }

    /// A request, before anything else comes.
    async fn request_first(&mut self) -> Request {
        loop {
            if let Some(request) = self.decoder.decode().unwrap() {
                return request;
            }
            match self.next().await {
                Incoming::Data(0, bytes) => {
                    self.mux.consumed(0, bytes.len());
                    self.decoder.push(&bytes);
                }
                other => panic!("{other:?} overtakes its request"),
            }
        }
    }

    pub(crate) async fn answer_hello(&mut self, state: GuestState) {
        let request = self.request().await;
        assert!(matches!(request.body, RequestBody::Hello { .. }));
        self.reply(request.id, ReplyBody::State(state));
    }
}

/// A frame as no mux writes it.
fn frame(kind: u8, stream: StreamId, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let header = [u32::from(kind), stream, length].map(u32::to_le_bytes);
    [header.as_flattened(), payload].concat()
}

const DATA: u8 = 1;
const WINDOW: u8 = 3;

/// Lets the session do what it was told before. Until then it does not know of a stream that the test has opened, and
/// drops what comes on it: no agent sends on a stream before the request that names it.
async fn told(session: &Session, agent: &mut Agent) {
    let answer = async {
        let request = agent.request().await;
        agent.reply(request.id, ReplyBody::Done);
    };
    let (reply, ()) = tokio::join!(session.request(RequestBody::Forget { process: 1 }), answer);
    assert_eq!(reply.unwrap(), ReplyBody::Done);
}

async fn connected() -> (Session, mpsc::Receiver<SessionEvent>, Agent) {
    let wire = Wire::default();
    let mut agent = Agent::new(&wire);
    let (session, events) = Session::open(Box::new(wire));
    let (hello, ()) = tokio::join!(session.hello(), agent.answer_hello(GuestState::default()));
    hello.unwrap();
    session.settled();
    (session, events, agent)
}

#[tokio::test]
async fn requests_get_their_own_replies() {
    let (session, _events, mut agent) = connected().await;
    let start = |process| RequestBody::Start {
        process: Box::new(ProcessSpec {
            process,
            ..ProcessSpec::default()
        }),
    };
    let serve = async {
        let (first, second) = (agent.request().await, agent.request().await);
        for request in [second, first] {
            let RequestBody::Start { process } = request.body else {
                panic!("not a start")
            };
            agent.reply(
                request.id,
                ReplyBody::Started {
                    pid: process.process + 100,
                },
            );
        }
    };
    let (one, two, ()) = tokio::join!(session.request(start(1)), session.request(start(2)), serve);
    assert_eq!(one.unwrap(), ReplyBody::Started { pid: 101 });
    assert_eq!(two.unwrap(), ReplyBody::Started { pid: 102 });
}

#[tokio::test]
async fn output_that_nobody_takes_stops_its_own_stream_only() {
    let (session, _events, mut agent) = connected().await;
    let mut stalled = session.output(2);
    let mut read = session.output(3);
    told(&session, &mut agent).await;
    agent.mux.open(2);
    agent.mux.open(3);
    let total = 3 * INITIAL_WINDOW as usize;
    let serve = async {
        let mut left = total;
        loop {
            let room = agent.mux.room(2);
            agent.mux.send(2, &vec![2; room]);
            let length = agent.mux.room(3).min(left);
            agent.mux.send(3, &vec![3; length]);
            left -= length;
            if left == 0 {
                agent.mux.finish(3);
            }
            agent.flush();
            if left == 0 && agent.mux.position(3).unwrap().sent_end {
                return agent.mux.position(2).unwrap().sent;
            }
            agent.wire.to_guest.notified().await;
            while agent
                .mux
                .receive(&mut agent.consumer, &agent.wire.memory)
                .unwrap()
                .is_some()
            {}
            agent.consumer.release(&agent.wire.memory);
            agent.wire.to_host.notify_one();
        }
    };
    let reader = async {
        let mut taken = 0;
        while let Some(bytes) = read.next().await {
            assert!(bytes.iter().all(|byte| *byte == 3));
            taken += bytes.len();
            read.consumed(bytes.len());
        }
        taken
    };
    let (sent, taken) = tokio::join!(serve, reader);
    assert_eq!(taken, total);
    assert_eq!(sent, INITIAL_WINDOW);
    assert!(stalled.next().await.is_some());
}

/// An agent drops what comes on a stream that no request has named.
#[tokio::test]
async fn input_does_not_overtake_what_asks_for_it() {
    let (session, _events, mut agent) = connected().await;
    for stream in 10..74 {
        agent.mux.open(stream);
        // All at once, before the session has its turn.
        let input = session.input(stream);
        let answer = session.ask(RequestBody::Forget { process: stream });
        input.try_send(Bytes::from_static(b"x")).unwrap();
        drop(input);
        let request = agent.request_first().await;
        assert!(matches!(agent.next().await, Incoming::Data(of, _) if of == stream));
        assert!(matches!(agent.next().await, Incoming::End(of) if of == stream));
        agent.reply(request.id, ReplyBody::Done);
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn input_arrives_and_ends() {
    let (session, _events, mut agent) = connected().await;
    agent.mux.open(1);
    let input = session.input(1);
    let sender = async move {
        for _ in 0..100 {
            input.send(Bytes::from(vec![7; 20_000])).await.unwrap();
        }
    };
    let receiver = async {
        let mut taken = 0;
        loop {
            match agent.next().await {
                Incoming::Data(1, bytes) => {
                    taken += bytes.len();
                    agent.mux.consumed(1, bytes.len());
                    agent.flush();
                }
                Incoming::End(1) => return taken,
                other => panic!("{other:?}"),
            }
        }
    };
    let ((), taken) = tokio::join!(sender, receiver);
    assert_eq!(taken, 2_000_000);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_session() {
    let (session, mut events, mut agent) = connected().await;
    agent.reply(4711, ReplyBody::Done);
    assert!(matches!(events.recv().await, Some(SessionEvent::Broken(why)) if why.contains("4711")));
    let error = session.request(RequestBody::Shutdown).await.unwrap_err();
    assert_eq!(error.message, "the guest is gone");
}

#[tokio::test]
async fn broken_indices_and_messages_end_the_session() {
    type Attack = fn(&mut Agent);
    let attacks: [Attack; 3] = [
        // To-host produced, far beyond what the ring holds.
        |agent| agent.wire.memory.store(0, 1 << 30),
        |agent| {
            agent.mux.send(0, &[0xff, 0xff, 0xff, 0xff, 1]);
            agent.flush();
        },
        |agent| {
            agent.mux.send(0, &[2, 0, 0, 0, 0xc0, 0x80]);
            agent.flush();
        },
    ];
    for attack in attacks {
        let (_session, mut events, mut agent) = connected().await;
        attack(&mut agent);
        agent.wire.to_host.notify_one();
        assert!(matches!(events.recv().await, Some(SessionEvent::Broken(_))));
    }
}

#[tokio::test]
async fn a_second_engine_goes_on_where_the_first_was() {
    let (session, events, mut agent) = connected().await;
    agent.mux.open(2);
    let mut output = session.output(2);
    told(&session, &mut agent).await;
    agent.mux.send(2, b"before ");
    agent.flush();
    assert_eq!(output.next().await.unwrap(), "before ");

    session.end().await;

    drop((session, events));
    // Nobody is there: it waits in the ring.
    agent.mux.send(2, b"meanwhile ");
    agent.flush();

    let (session, _events) = Session::open(Box::new(agent.wire.clone()));
    let serve = async {
        let request = agent.request().await;

        let at = agent.mux.position(2).unwrap();
        let streams = vec![guest_protocol::message::StreamState {
            stream: 2,
            sent: at.sent,
            received: at.received,
            sent_eof: at.sent_end,
            received_eof: at.received_end,
        }];
        agent.reply(
            request.id,
            ReplyBody::State(GuestState {
                streams,
                ..GuestState::default()
            }),
        );
        agent.mux.send(2, b"after");
        agent.mux.finish(2);
        agent.flush();
    };
    let (state, ()) = tokio::join!(session.hello(), serve);

    assert_eq!(state.unwrap().streams.len(), 1);
    let mut output = session.output(2);
    session.settled();
    let mut all = Vec::new();
    while let Some(bytes) = output.next().await {
        all.extend_from_slice(&bytes);
    }
    assert_eq!(all, b"meanwhile after");
}

#[tokio::test]
async fn an_agent_that_waits_for_room_is_woken_whatever_filled_the_ring() {
    let (session, _events, mut agent) = connected().await;
    let _input = session.input(1);
    told(&session, &mut agent).await;
    let window = INITIAL_WINDOW.to_le_bytes();
    // A window, and data of a stream that nobody knows.
    for frame in [frame(WINDOW, 1, &window), frame(DATA, 77, b"late")] {
        // What was notified before does not count.
        let stale = agent.wire.to_guest.notified();
        let _ = tokio::time::timeout(Duration::ZERO, stale).await;
        agent.flood(&frame);
        let woken = agent.wire.to_guest.notified();
        tokio::time::timeout(PATIENCE, woken).await.unwrap();
        assert!(agent.producer.free(&agent.wire.memory).unwrap() > frame.len());
    }
}

#[tokio::test]
async fn a_guest_that_never_stops_does_not_hold_up_the_end() {
    let (session, _events, mut agent) = connected().await;
    let mut output = session.output(2);
    told(&session, &mut agent).await;
    let flood = tokio::spawn(async move {
        loop {
            agent.flood(&frame(DATA, 2, b""));
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(PATIENCE, session.end()).await.unwrap();
    flood.abort();
    // Frames without bytes are not kept.
    assert_eq!(output.next().await, None);
}
