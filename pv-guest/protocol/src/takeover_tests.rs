//! An engine dies and another takes its link over, in the middle of traffic both ways.

use crate::control::{Decoder, encode};
use crate::message::{Event, GuestState, ReplyBody, Request, RequestBody, StreamId, StreamState, VERSION};
use crate::mux::tests::bytes_at;
use crate::mux::{INITIAL_WINDOW, Incoming, Mux, Position, Violation};
use crate::ring::{Consumer, LocalMemory, Producer, Side, ends};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const STREAMS: StreamId = 3;

struct Agent {
    mux: Mux,
    producer: Producer,
    consumer: Consumer,
    decoder: Decoder,
    queued: BTreeMap<StreamId, u64>,
    got: BTreeMap<StreamId, u64>,
    unread: BTreeMap<StreamId, usize>,
}

impl Agent {
    fn new(memory: &LocalMemory) -> Self {
        let (producer, consumer) = ends(memory, Side::Guest);
        let mut mux = Mux::new();
        (1..=STREAMS).for_each(|stream| mux.open(stream));
        Self {
            mux,
            producer,
            consumer,
            decoder: Decoder::default(),
            queued: BTreeMap::new(),
            got: BTreeMap::new(),
            unread: BTreeMap::new(),
        }
    }

    fn send(&mut self, stream: StreamId, length: usize) {
        let queued = self.queued.entry(stream).or_default();
        let length = length.min(self.mux.room(stream));
        self.mux.send(stream, &bytes_at(stream, *queued, length));
        *queued += length as u64;
    }

    fn fill(&mut self, memory: &LocalMemory) -> bool {
        self.mux.fill(&mut self.producer, memory).unwrap()
    }

    fn receive(&mut self, memory: &LocalMemory) -> bool {
        while let Some(incoming) = self.mux.receive(&mut self.consumer, memory).unwrap() {
            match incoming {
                Incoming::Reset => {
                    self.decoder = Decoder::default();
                    self.mux.reset();
                }
                Incoming::Data(0, bytes) => {
                    self.mux.consumed(0, bytes.len());
                    self.decoder.push(&bytes);
                    while let Some(request) = self.decoder.decode::<Request>().unwrap() {
                        self.answer(&request);
                    }
                }
                Incoming::Data(stream, bytes) => {
                    let got = self.got.entry(stream).or_default();
                    assert_eq!(bytes, bytes_at(stream, *got, bytes.len()));
                    *got += bytes.len() as u64;
                    *self.unread.entry(stream).or_default() += bytes.len();
                }
                Incoming::End(_) => {}
            }
        }
        let moved = self.consumer.taken() > 0;
        self.consumer.release(memory);
        moved
    }

    fn answer(&mut self, request: &Request) {
        let streams = self.mux.positions().map(|(stream, at)| StreamState {
            stream,
            sent: at.sent,
            received: at.received,
            sent_eof: at.sent_end,
            received_eof: at.received_end,
        });
        let state = GuestState {
            version: VERSION,
            // Often a state that is longer than the control stream's window.
            kernel_release: "x".repeat(request.id as usize % 3 * INITIAL_WINDOW as usize * 2 / 3),
            streams: streams.collect(),
            ..GuestState::default()
        };
        let reply = Event::Reply {
            id: request.id,
            result: Ok(ReplyBody::State(state)),
        };
        self.mux.send(0, &encode(&reply).unwrap());
    }

    fn consume(&mut self, stream: StreamId, most: usize) {
        let unread = self.unread.entry(stream).or_default();
        let bytes = most.min(*unread);
        *unread -= bytes;
        self.mux.consumed(stream, bytes);
    }
}

struct Engine {
    mux: Mux,
    producer: Producer,
    consumer: Consumer,
    decoder: Decoder,
    hello: u64,
    settled: bool,
    queued: BTreeMap<StreamId, u64>,
    /// What came before it was known where it belongs.
    early: BTreeMap<StreamId, Vec<u8>>,
    unread: BTreeMap<StreamId, usize>,
    /// Taken and not released.
    held: BTreeMap<StreamId, u64>,
}

impl Engine {
    fn new(memory: &LocalMemory, hello: u64) -> Self {
        let (producer, consumer) = ends(memory, Side::Host);
        let mut mux = Mux::connecting();
        let body = RequestBody::Hello { version: VERSION };
        mux.send(0, &encode(&Request { id: hello, body }).unwrap());
        Self {
            mux,
            producer,
            consumer,
            decoder: Decoder::default(),
            hello,
            settled: false,
            queued: BTreeMap::new(),
            early: BTreeMap::new(),
            unread: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    fn send(&mut self, stream: StreamId, length: usize) {
        if self.settled {
            let queued = self.queued.entry(stream).or_default();
            let length = length.min(self.mux.room(stream));
            self.mux.send(stream, &bytes_at(stream, *queued, length));
            *queued += length as u64;
        }
    }

    fn fill(&mut self, memory: &LocalMemory) -> bool {
        self.mux.fill(&mut self.producer, memory).unwrap()
    }

    /// Takes frames and adds to the log, which outlives the engine. Dies before it has told that, if `cut`.
    fn receive(&mut self, memory: &LocalMemory, log: &mut Log, frames: usize, cut: bool) -> bool {
        for _ in 0..frames {
            match self.mux.receive(&mut self.consumer, memory).unwrap() {
                None => break,
                Some(Incoming::Reset) => self.decoder = Decoder::default(),
                Some(Incoming::Data(0, bytes)) => {
                    self.mux.consumed(0, bytes.len());
                    self.decoder.push(&bytes);
                    while let Some(event) = self.decoder.decode::<Event>().unwrap() {
                        self.take_over(event, log);
                    }
                }
                Some(Incoming::Data(stream, bytes)) => {
                    *self.unread.entry(stream).or_default() += bytes.len();
                    *self.held.entry(stream).or_default() += bytes.len() as u64;
                    if self.settled {
                        log.append(stream, log.end(stream), &bytes);
                    } else {
                        self.early.entry(stream).or_default().extend(bytes);
                    }
                }
                Some(Incoming::End(_)) => {}
            }
        }
        let moved = self.consumer.taken() > 0;
        if !cut {
            self.consumer.release(memory);
            for (stream, bytes) in std::mem::take(&mut self.held) {
                *log.released.entry(stream).or_default() += bytes;
            }
        }
        moved
    }

    fn take_over(&mut self, event: Event, log: &mut Log) {
        let Event::Reply {
            id,
            result: Ok(ReplyBody::State(state)),
        } = event
        else {
            panic!("{event:?}")
        };
        assert_eq!(id, self.hello, "an answer that is another engine's");
        for stream in state.streams {
            let at = Position {
                sent: stream.received,
                received: stream.sent,
                sent_end: stream.received_eof,
                received_end: stream.sent_eof,
            };
            self.mux.resume(stream.stream, at);
            self.queued.insert(stream.stream, at.sent);
            let early = self.early.remove(&stream.stream).unwrap_or_default();
            log.append(stream.stream, at.received - early.len() as u64, &early);
            assert_eq!(log.end(stream.stream), at.received, "bytes were lost");
        }
        self.mux.settled();
        self.settled = true;
    }

    fn consume(&mut self, stream: StreamId, most: usize) {
        let unread = self.unread.entry(stream).or_default();
        let bytes = most.min(*unread);
        *unread -= bytes;
        self.mux.consumed(stream, bytes);
    }
}

/// Output as it is on disk.
#[derive(Default)]
struct Log {
    ends: BTreeMap<StreamId, u64>,
    /// What no engine will find in the ring again.
    released: BTreeMap<StreamId, u64>,
}

impl Log {
    fn end(&self, stream: StreamId) -> u64 {
        self.ends.get(&stream).copied().unwrap_or(0)
    }

    fn append(&mut self, stream: StreamId, at: u64, bytes: &[u8]) {
        let end = self.ends.entry(stream).or_default();
        assert!(at <= *end, "stream {stream}: a gap from {end} to {at}");
        assert_eq!(bytes, bytes_at(stream, at, bytes.len()), "stream {stream}");
        *end = (*end).max(at + bytes.len() as u64);
    }
}

#[derive(Debug, Clone)]
enum Step {
    AgentSends(StreamId, usize),
    AgentFills,
    AgentReceives,
    AgentConsumes(StreamId, usize),
    EngineSends(StreamId, usize),
    EngineFills,
    EngineReceives(usize),
    EngineConsumes(StreamId, usize),
    /// A new engine; the old one had taken so many frames without a word.
    Dies(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let send = || (1..=STREAMS, 1..90_000_usize);
    prop_oneof![
        6 => send().prop_map(|(a, b)| Step::AgentSends(a, b)),
        6 => Just(Step::AgentFills),
        6 => Just(Step::AgentReceives),
        6 => send().prop_map(|(a, b)| Step::AgentConsumes(a, b)),
        6 => send().prop_map(|(a, b)| Step::EngineSends(a, b)),
        6 => Just(Step::EngineFills),
        9 => (1..12_usize).prop_map(Step::EngineReceives),
        6 => send().prop_map(|(a, b)| Step::EngineConsumes(a, b)),
        1 => (0..4_usize).prop_map(Step::Dies),
    ]
}

struct World {
    memory: LocalMemory,
    agent: Agent,
    engine: Engine,
    log: Log,
    engines: u64,
}

impl World {
    fn new() -> Self {
        let memory = LocalMemory::default();
        Self {
            agent: Agent::new(&memory),
            engine: Engine::new(&memory, 0),
            memory,
            log: Log::default(),
            engines: 0,
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::AgentSends(stream, length) => self.agent.send(stream, length),
            Step::AgentFills => drop(self.agent.fill(&self.memory)),
            Step::AgentReceives => drop(self.agent.receive(&self.memory)),
            Step::AgentConsumes(stream, bytes) => self.agent.consume(stream, bytes),
            Step::EngineSends(stream, length) => self.engine.send(stream, length),
            Step::EngineFills => drop(self.engine.fill(&self.memory)),
            Step::EngineReceives(frames) => {
                self.engine.receive(&self.memory, &mut self.log, frames, false);
            }
            Step::EngineConsumes(stream, bytes) => self.engine.consume(stream, bytes),
            Step::Dies(frames) => {
                self.engine.receive(&self.memory, &mut self.log, frames, true);
                self.die();
            }
        }
    }

    fn die(&mut self) {
        // What it kept until it would know where to put it goes with it, and is no gap for the next.
        for (stream, released) in &self.log.released {
            let end = self.log.ends.entry(*stream).or_default();
            *end = (*end).max(*released);
        }
        self.engines += 1;
        self.engine = Engine::new(&self.memory, self.engines);
    }

    fn settle(&mut self) {
        loop {
            let mut moved = self.engine.fill(&self.memory) | self.agent.receive(&self.memory);
            moved |= self.agent.fill(&self.memory);
            moved |= self
                .engine
                .receive(&self.memory, &mut self.log, usize::MAX, false);
            for stream in 1..=STREAMS {
                self.agent.consume(stream, usize::MAX);
                self.engine.consume(stream, usize::MAX);
            }
            moved |= self.agent.mux.has_output() || self.engine.mux.has_output();
            if !moved {
                return;
            }
        }
    }
}

impl World {
    /// All that was sent has arrived, and both ways go on for many windows.
    fn traffic(&mut self) {
        assert!(self.engine.settled);
        for _ in 0..8 {
            for stream in 1..=STREAMS {
                for room in [self.agent.mux.room(stream), self.engine.mux.room(stream)] {
                    assert!(
                        room as u64 > INITIAL_WINDOW / 2,
                        "stream {stream} has no room: {room}"
                    );
                }
                self.agent.send(stream, usize::MAX);
                self.engine.send(stream, usize::MAX);
            }
            self.settle();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_takeover_loses_nothing(steps in vec(step(), 1..200)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.run(step));
        world.settle();
        world.traffic();
        // And once more, far behind what any stream's first window held.
        steps.iter().for_each(|step| world.run(step));
        world.die();
        world.settle();
        world.traffic();
        for stream in 1..=STREAMS {
            prop_assert_eq!(world.log.end(stream), world.agent.queued[&stream]);
            prop_assert_eq!(world.agent.got[&stream], world.engine.queued[&stream]);
        }
    }
}

#[test]
fn an_answer_to_an_engine_that_died_is_not_taken() {
    let mut world = World::new();
    world.engine.fill(&world.memory);
    world.agent.receive(&world.memory);
    world.agent.fill(&world.memory);
    world.agent.send(1, 1000);
    world.die();
    world.settle();
    assert!(world.engine.settled);
    assert_eq!(world.log.end(1), 1000);
}

#[test]
fn requests_behind_the_first_survive_the_reset() {
    let mut world = World::new();
    world.engine.fill(&world.memory);
    world.agent.receive(&world.memory);
    let body = RequestBody::Hello { version: VERSION };
    let again = encode(&Request { id: 0, body }).unwrap();
    world.engine.mux.send(0, &again);
    world.agent.fill(&world.memory);
    // The answer to the reset is taken with that request still in the queue.
    world.engine.receive(&world.memory, &mut world.log, 1, false);
    assert_eq!(world.engine.mux.queued(0), again.len());
    world.engine.settled = false;
    world.settle();
    assert!(world.engine.settled);
}

#[test]
fn counts_of_a_liar_do_not_matter() {
    let memory = LocalMemory::default();
    let mut engine = Engine::new(&memory, 0);
    let most = Position {
        sent: u64::MAX,
        received: u64::MAX,
        sent_end: false,
        received_end: false,
    };
    (0..10_000).for_each(|stream| engine.mux.resume(stream, most));
    assert!(engine.mux.len() <= crate::mux::MAX_STREAMS);
    engine.mux.settled();
    assert_eq!(engine.mux.room(1), 0);
    // The window holds for it as for all.
    let mut agent = Agent::new(&memory);
    for _ in 0..4 {
        agent.send(1, INITIAL_WINDOW as usize);
    }
    let mut sent = 0;
    let violation = loop {
        agent.fill(&memory);
        match engine.mux.receive(&mut engine.consumer, &memory) {
            Ok(Some(Incoming::Data(1, bytes))) => sent += bytes.len(),
            Ok(_) => {
                engine.consumer.release(&memory);
                // More than it was granted: the lie is in the window as well.
                if agent.mux.queued(1) == 0 {
                    agent.mux = Mux::new();
                    agent.mux.open(1);
                    agent.mux.send(1, &[0; 1000]);
                }
            }
            Err(violation) => break violation,
        }
        assert!(sent as u64 <= INITIAL_WINDOW);
    };
    assert_eq!(violation, Violation::Window(1));
}
