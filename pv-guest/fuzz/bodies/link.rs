//! One side of a link against shared memory that a script writes: frames good and bad, indices, any byte anywhere.
//!
//! Nothing may panic or reach outside the memory (which panics here), a side may be made to take no more than a ring
//! full at a time and a window of each stream, and it may not be made to keep more streams than there can be.

use crate::mux::{HEADER_BYTES, INITIAL_WINDOW, Incoming, MAX_STREAMS, Mux, Position};
use crate::ring::{LocalMemory, PAGE_BYTES, PAGES, RING_BYTES, SharedMemory, Side, ends};
use std::collections::BTreeMap;

/// Bytes of a script; zeros after its end.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    fn stream(&mut self) -> u32 {
        match self.byte() {
            id @ 0..250 => u32::from(id % 5),
            _ => self.number() as u32,
        }
    }
}

pub fn run(script: &[u8]) {
    let mut script = Script(script);
    let memory = LocalMemory::default();
    let flags = script.byte();
    // Page 0 and the bytes of the peer's ring, as ring.rs draws them.
    let (side, produced, consumed, ring) = match flags & 1 {
        0 => (Side::Guest, 128, 192, PAGE_BYTES + RING_BYTES),
        _ => (Side::Host, 0, 64, PAGE_BYTES),
    };
    let mut mux = match flags & 2 {
        0 => Mux::new(),
        _ => Mux::connecting(),
    };
    if flags & 4 != 0 {
        [produced, consumed, 128 - produced, 192 + 64 - consumed]
            .into_iter()
            .for_each(|index| memory.store(index, script.number() as u32));
    }
    let (mut producer, mut consumer) = ends(&memory, side);
    let mut at = memory.load(produced);
    (1..4).for_each(|stream| mux.open(stream));
    let mut unread = BTreeMap::<u32, usize>::new();
    while !script.0.is_empty() {
        match script.byte() % 12 {
            0..4 => {
                // A whole frame, mostly of a kind that there is.
                let (kind, stream) = (script.byte() % 6, script.stream());
                let mut payload = match kind {
                    3 => script.number().to_le_bytes().to_vec(),
                    4 => (script.number() as u32).to_le_bytes().to_vec(),
                    _ => vec![script.byte(); script.number() as usize % 17_000],
                };
                if script.byte() == 7 {
                    payload.truncate(3);
                }
                let length = (payload.len() as u32).to_le_bytes();
                let frame = [&[kind, 0, 0, 0][..], &stream.to_le_bytes(), &length, &payload].concat();
                for byte in frame {
                    memory.write(ring + at as usize % RING_BYTES, &[byte]);
                    at = at.wrapping_add(1);
                }
                memory.store(produced, at);
            }
            4 => memory.store(produced, script.number() as u32),
            5 => memory.store(consumed, script.number() as u32),
            6 => {
                let anywhere = script.number() as usize % (PAGES * PAGE_BYTES);
                memory.write(anywhere, &[script.byte()]);
            }
            7 | 8 => {
                let mut taken = 0;
                loop {
                    match mux.receive(&mut consumer, &memory) {
                        Ok(None) => break,
                        Ok(Some(Incoming::Data(stream, bytes))) => {
                            taken += HEADER_BYTES + bytes.len();
                            let unread = unread.entry(stream).or_default();
                            *unread += bytes.len();
                            assert!(*unread as u64 <= 2 * INITIAL_WINDOW + 2 * RING_BYTES as u64);
                        }
                        Ok(Some(Incoming::End(_))) => taken += HEADER_BYTES,
                        Ok(Some(Incoming::Reset)) => {
                            unread.remove(&0);
                            taken += HEADER_BYTES;
                            if flags & 2 == 0 {
                                mux.reset();
                            }
                        }
                        // The link is over.
                        Err(_) => return,
                    }
                    assert!(taken <= RING_BYTES, "more than a ring at once");
                }
                consumer.release(&memory);
            }
            9 => {
                let stream = script.stream();
                let room = mux.room(stream);
                assert!(room as u64 <= INITIAL_WINDOW);
                mux.send(stream, &vec![1; room.min(script.number() as usize % 70_000)]);
                if script.byte() == 1 {
                    mux.finish(stream);
                }
                if mux.fill(&mut producer, &memory).is_err() {
                    return;
                }
            }
            10 => {
                let stream = script.stream();
                let unread = unread.entry(stream).or_default();
                let bytes = (script.number() as usize).min(*unread);
                *unread -= bytes;
                mux.consumed(stream, bytes);
            }
            _ => match script.byte() % 8 {
                0 => mux.settled(),
                1 => {
                    let stream = script.stream();
                    mux.close(stream);
                    unread.remove(&stream);
                }
                2 => mux.open(script.stream()),
                _ if flags & 2 != 0 => {
                    let (sent, received) = (script.number(), script.number());
                    let ends = script.byte();
                    let at = Position {
                        sent,
                        received,
                        sent_end: ends & 1 != 0,
                        received_end: ends & 2 != 0,
                    };
                    // Once for each stream, as an engine does.
                    let stream = script.stream();
                    if mux
                        .position(stream)
                        .is_none_or(|at| at.received <= INITIAL_WINDOW)
                    {
                        mux.resume(stream, at);
                    }
                }
                _ => {}
            },
        }
        assert!(mux.len() <= MAX_STREAMS + 256);
        let _ = mux.has_output();
    }
}
