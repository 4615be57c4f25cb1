use super::*;
use crate::ring::{LocalMemory, RING_BYTES, Side, ends};
use proptest::collection::vec;
use proptest::prelude::*;

const STREAMS: StreamId = 4;

/// What a stream carries at a place: a repeat is as far apart as no window is.
pub(crate) fn byte_at(stream: StreamId, at: u64) -> u8 {
    let mixed = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(stream);
    (mixed >> 56) as u8
}

pub(crate) fn bytes_at(stream: StreamId, at: u64, length: usize) -> Vec<u8> {
    (at..at + length as u64).map(|at| byte_at(stream, at)).collect()
}

/// One side of a link, with what it has sent and got.
struct Peer {
    mux: Mux,
    producer: Producer,
    consumer: Consumer,
    queued: BTreeMap<StreamId, u64>,
    finished: Vec<StreamId>,
    got: BTreeMap<StreamId, u64>,
    unread: BTreeMap<StreamId, usize>,
    ended: Vec<StreamId>,
}

impl Peer {
    fn new(memory: &LocalMemory, side: Side) -> Self {
        let (producer, consumer) = ends(memory, side);
        let mut mux = Mux::new();
        (1..=STREAMS).for_each(|stream| mux.open(stream));
        Self {
            mux,
            producer,
            consumer,
            queued: BTreeMap::new(),
            finished: Vec::new(),
            got: BTreeMap::new(),
            unread: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    fn send(&mut self, stream: StreamId, length: usize) {
        if self.finished.contains(&stream) {
            return;
        }
        let length = length.min(self.mux.room(stream));
        let queued = self.queued.entry(stream).or_default();
        self.mux.send(stream, &bytes_at(stream, *queued, length));
        *queued += length as u64;
    }

    fn finish(&mut self, stream: StreamId) {
        self.mux.finish(stream);
        self.finished.push(stream);
    }

    fn fill(&mut self, memory: &LocalMemory) -> bool {
        self.mux.fill(&mut self.producer, memory).unwrap()
    }

    /// Takes so many frames at most, checks each, and gives the streams that they were of.
    fn receive(&mut self, memory: &LocalMemory, frames: usize) -> Vec<StreamId> {
        let mut order = Vec::new();
        for _ in 0..frames {
            match self.mux.receive(&mut self.consumer, memory).unwrap() {
                None => break,
                Some(Incoming::Data(stream, bytes)) => {
                    assert!(!self.ended.contains(&stream), "data after the end");
                    let got = self.got.entry(stream).or_default();
                    assert_eq!(bytes, bytes_at(stream, *got, bytes.len()), "stream {stream}");
                    *got += bytes.len() as u64;
                    let unread = self.unread.entry(stream).or_default();
                    *unread += bytes.len();
                    assert!(*unread <= INITIAL_WINDOW as usize, "the window was not kept");
                    order.push(stream);
                }
                Some(Incoming::End(stream)) => {
                    self.ended.push(stream);
                    order.push(stream);
                }
                Some(Incoming::Reset) => panic!("nobody reset"),
            }
        }
        self.consumer.release(memory);
        order
    }

    fn consume(&mut self, stream: StreamId, most: usize) {
        let unread = self.unread.entry(stream).or_default();
        let bytes = most.min(*unread);
        *unread -= bytes;
        self.mux.consumed(stream, bytes);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Send(bool, StreamId, usize),
    Finish(bool, StreamId),
    Fill(bool),
    Receive(bool, usize),
    Consume(bool, StreamId, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let stream = || 0..=STREAMS;
    prop_oneof![
        6 => (any::<bool>(), stream(), 0..90_000_usize).prop_map(|(a, b, c)| Step::Send(a, b, c)),
        1 => (any::<bool>(), 1..=STREAMS).prop_map(|(a, b)| Step::Finish(a, b)),
        6 => any::<bool>().prop_map(Step::Fill),
        6 => (any::<bool>(), 1..9_usize).prop_map(|(a, b)| Step::Receive(a, b)),
        6 => (any::<bool>(), stream(), 0..90_000_usize).prop_map(|(a, b, c)| Step::Consume(a, b, c)),
    ]
}

/// Goes on until nothing moves; the stream `stuck` is read by nobody.
fn drain(memory: &LocalMemory, peers: &mut [Peer; 2], stuck: Option<StreamId>) {
    loop {
        let mut moved = false;
        for peer in &mut *peers {
            moved |= peer.fill(memory);
            moved |= !peer.receive(memory, usize::MAX).is_empty();
            for stream in (0..=STREAMS).filter(|stream| Some(*stream) != stuck) {
                peer.consume(stream, usize::MAX);
            }
            moved |= peer.mux.has_output();
        }
        if !moved {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn nothing_is_lost_doubled_or_reordered(
        steps in vec(step(), 1..150),
        stuck in proptest::option::of(1..=STREAMS),
    ) {
        let memory = LocalMemory::default();
        let mut peers = [Peer::new(&memory, Side::Host), Peer::new(&memory, Side::Guest)];
        for step in steps {
            match step {
                Step::Send(side, stream, length) => peers[usize::from(side)].send(stream, length),
                Step::Finish(side, stream) => peers[usize::from(side)].finish(stream),
                Step::Fill(side) => drop(peers[usize::from(side)].fill(&memory)),
                Step::Receive(side, frames) => drop(peers[usize::from(side)].receive(&memory, frames)),
                Step::Consume(_, stream, _) if Some(stream) == stuck => {}
                Step::Consume(side, stream, bytes) => peers[usize::from(side)].consume(stream, bytes),
            }
        }
        drain(&memory, &mut peers, stuck);
        for (from, to) in [(0, 1), (1, 0)] {
            for stream in 0..=STREAMS {
                let queued = peers[from].queued.get(&stream).copied().unwrap_or(0);
                let got = peers[to].got.get(&stream).copied().unwrap_or(0);
                if Some(stream) == stuck {
                    // It has all that fits, and no more.
                    prop_assert_eq!(got, queued.min(INITIAL_WINDOW));
                } else {
                    prop_assert_eq!(got, queued);
                    prop_assert_eq!(peers[to].ended.contains(&stream), peers[from].finished.contains(&stream));
                    let at = peers[to].mux.position(stream).unwrap();
                    prop_assert_eq!(at.received, peers[from].mux.position(stream).unwrap().sent);
                }
            }
        }
    }

    #[test]
    fn control_goes_first(before in vec((1..=STREAMS, 1..40_000_usize), 0..6), length in 1..40_000_usize) {
        let memory = LocalMemory::default();
        let mut peers = [Peer::new(&memory, Side::Host), Peer::new(&memory, Side::Guest)];
        for (stream, length) in before {
            peers[0].send(stream, length);
        }
        peers[0].send(0, length);
        peers[0].fill(&memory);
        let order = peers[1].receive(&memory, usize::MAX);
        let control = order.iter().take_while(|stream| **stream == 0).count();
        prop_assert_eq!(control, length.div_ceil(MAX_PAYLOAD));
        prop_assert!(!order[control..].contains(&0));
    }
}

#[test]
fn data_does_not_overtake_a_message_that_waits_for_its_window() {
    let memory = LocalMemory::default();
    let mut peers = [Peer::new(&memory, Side::Host), Peer::new(&memory, Side::Guest)];
    let message = INITIAL_WINDOW as usize + 1;
    peers[0].mux.send(0, &bytes_at(0, 0, message));
    peers[0].send(1, 10);
    let mut order = Vec::new();
    while peers[0].fill(&memory) {
        order.extend(peers[1].receive(&memory, usize::MAX));
    }
    assert!(order.iter().all(|stream| *stream == 0));
    assert!(!peers[0].mux.has_output());
    drain(&memory, &mut peers, None);
    assert_eq!(peers[1].got[&0], message as u64);
    assert_eq!(peers[1].got[&1], 10);
}

#[test]
fn streams_take_turns() {
    let memory = LocalMemory::default();
    let mut peers = [Peer::new(&memory, Side::Host), Peer::new(&memory, Side::Guest)];
    for stream in [1, 2, u32::MAX] {
        peers.iter_mut().for_each(|peer| peer.mux.open(stream));
        peers[0].send(stream, 200_000);
    }
    peers[0].fill(&memory);
    let order = peers[1].receive(&memory, usize::MAX);
    assert_eq!(order[..4], [1, 2, u32::MAX, 1]);
}

/// Puts a frame, and gives what a guest makes of it.
fn receive_frame(
    mux: &mut Mux,
    kind: u8,
    stream: StreamId,
    payload: &[u8],
) -> Result<Option<Incoming>, Violation> {
    receive_raw(mux, kind, stream, payload.len() as u32, payload)
}

fn receive_raw(
    mux: &mut Mux,
    kind: u8,
    stream: StreamId,
    length: u32,
    payload: &[u8],
) -> Result<Option<Incoming>, Violation> {
    let memory = LocalMemory::default();
    let (mut producer, _) = ends(&memory, Side::Host);
    let (_, mut consumer) = ends(&memory, Side::Guest);
    let head = [[kind, 0, 0, 0], stream.to_le_bytes(), length.to_le_bytes()].concat();
    producer.put(&memory, &head);
    producer.put(&memory, payload);
    producer.publish(&memory);
    mux.receive(&mut consumer, &memory)
}

#[test]
fn violations() {
    let mut mux = Mux::new();
    mux.open(1);
    assert_eq!(receive_frame(&mut mux, 9, 1, b""), Err(Violation::Kind(9)));
    assert_eq!(
        receive_raw(&mut mux, DATA, 1, 16385, b""),
        Err(Violation::TooLong(16385))
    );
    assert_eq!(
        receive_raw(&mut mux, DATA, 1, 5, b"abc"),
        Err(Violation::CutOff {
            available: 15,
            needed: 17
        })
    );
    for window in [
        &b"short"[..],
        &u64::MAX.to_le_bytes(),
        &(5 * INITIAL_WINDOW).to_le_bytes(),
    ] {
        assert_eq!(
            receive_frame(&mut mux, WINDOW, 1, window),
            Err(Violation::BadWindow(1))
        );
    }
    assert_eq!(
        receive_frame(&mut mux, RESET, 1, &[0; 4]),
        Err(Violation::BadReset(1))
    );
    assert_eq!(
        receive_frame(&mut mux, RESET, 0, b""),
        Err(Violation::BadReset(0))
    );
    // Streams that nobody opened are nobody's fault: they may have been closed meanwhile.
    assert_eq!(receive_frame(&mut mux, DATA, 7, b"late"), Ok(None));
    for _ in 0..INITIAL_WINDOW as usize / MAX_PAYLOAD {
        assert!(receive_frame(&mut mux, DATA, 1, &[0; MAX_PAYLOAD]).is_ok());
    }
    assert_eq!(receive_frame(&mut mux, DATA, 1, b"x"), Err(Violation::Window(1)));
    mux.open(2);
    assert_eq!(receive_frame(&mut mux, END, 2, b""), Ok(Some(Incoming::End(2))));
    assert_eq!(
        receive_frame(&mut mux, DATA, 2, b"x"),
        Err(Violation::AfterEnd(2))
    );
    assert_eq!(receive_frame(&mut mux, END, 2, b""), Err(Violation::AfterEnd(2)));
}

#[test]
fn an_index_that_runs_away_is_noticed_within_a_ring() {
    let memory = LocalMemory::default();
    let (_, mut consumer) = ends(&memory, Side::Guest);
    let mut mux = Mux::new();
    // The other side claims a ring full again and again while we read: empty frames of a stream that nobody knows.
    let mut header = [0; HEADER_BYTES];
    header[0] = DATA;
    header[4] = 9;
    for at in 0..RING_BYTES / 4 {
        let bytes = &header[at % 3 * 4..][..4];
        memory.write(crate::ring::PAGE_BYTES + RING_BYTES + at * 4, bytes);
    }
    memory.store(128, RING_BYTES as u32 / 12 * 12);
    assert_eq!(mux.receive(&mut consumer, &memory), Ok(None));
    memory.store(128, 2 * RING_BYTES as u32 / 12 * 12);
    assert!(matches!(
        mux.receive(&mut consumer, &memory),
        Err(Violation::Ring(_))
    ));
    // And one that goes back behind what was read.
    memory.store(128, 12);
    assert!(matches!(
        mux.receive(&mut consumer, &memory),
        Err(Violation::Ring(_))
    ));
}
