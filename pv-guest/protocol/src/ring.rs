//! Two byte rings in shared pages, one each way.
//!
//! ```text
//!   page 0        indices and grant references:
//!                   0    to-host produced     u32, little-endian, counts bytes, wraps
//!                   64   to-host consumed     (each index on a cache line of its own)
//!                   128  to-guest produced
//!                   192  to-guest consumed
//!                   1024 number of pages, then that many grant references, u32 each; page 0's own is the first
//!   pages 1-16    to-host bytes
//!   pages 17-32   to-guest bytes
//! ```
//!
//! The guest allocates and grants the pages. Indices move by whole frames only, so a side that starts anew on a
//! ring in use is at a frame's boundary. What the other side writes is read once and checked: an index that
//! claims more than the ring holds ends the link.

use thiserror::Error;

pub const PAGE_BYTES: usize = 4096;
/// Bytes of each ring: a power of two.
pub const RING_BYTES: usize = 64 << 10;
/// Pages of the whole link.
pub const PAGES: usize = 1 + 2 * RING_BYTES / PAGE_BYTES;
/// Where page 0 tells the number of pages; the references follow.
pub const REFERENCES_AT: usize = 1024;

/// Memory that another domain reads and writes at the same time.
///
/// Implementations must be sound whatever the other domain does: plain references into it are not.
pub trait SharedMemory {
    /// Atomic, acquire. `offset` is a multiple of 4 inside the memory.
    fn load(&self, offset: usize) -> u32;
    /// Atomic, release.
    fn store(&self, offset: usize, value: u32);
    /// Copies out. The range is inside the memory.
    fn read(&self, offset: usize, to: &mut [u8]);
    /// Copies in.
    fn write(&self, offset: usize, from: &[u8]);
}

impl<T: SharedMemory + ?Sized> SharedMemory for &T {
    fn load(&self, offset: usize) -> u32 {
        (**self).load(offset)
    }

    fn store(&self, offset: usize, value: u32) {
        (**self).store(offset, value);
    }

    fn read(&self, offset: usize, to: &mut [u8]) {
        (**self).read(offset, to);
    }

    fn write(&self, offset: usize, from: &[u8]) {
        (**self).write(offset, from);
    }
}

/// The other side broke the rules of the ring.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("ring index is corrupt: {claimed} bytes claimed in a ring of {RING_BYTES}")]
pub struct Corrupt {
    pub claimed: u32,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    produced: usize,
    consumed: usize,
    bytes: usize,
}

const TO_HOST: Place = Place {
    produced: 0,
    consumed: 64,
    bytes: PAGE_BYTES,
};
const TO_GUEST: Place = Place {
    produced: 128,
    consumed: 192,
    bytes: PAGE_BYTES + RING_BYTES,
};

/// Which side of the link we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Host,
    Guest,
}

/// Our writing end.
#[derive(Debug)]
pub struct Producer {
    place: Place,
    /// Trusted copy: what we have written, published or not.
    at: u32,
}

/// Our reading end.
#[derive(Debug)]
pub struct Consumer {
    place: Place,
    /// Trusted copy: what we have read, told or not.
    at: u32,
    /// Trusted copy of what we have told.
    released: u32,
}

/// Both ends on a ring as it stands: fresh (all zero) or taken over from an engine that died.
pub fn ends(memory: &impl SharedMemory, side: Side) -> (Producer, Consumer) {
    let (out, inward) = match side {
        Side::Host => (TO_GUEST, TO_HOST),
        Side::Guest => (TO_HOST, TO_GUEST),
    };
    let consumed = memory.load(inward.consumed);
    (
        Producer {
            place: out,
            at: memory.load(out.produced),
        },
        Consumer {
            place: inward,
            at: consumed,
            released: consumed,
        },
    )
}

impl Producer {
    /// How many bytes fit now.
    pub fn free(&self, memory: &impl SharedMemory) -> Result<usize, Corrupt> {
        let used = self.at.wrapping_sub(memory.load(self.place.consumed));
        if used as usize > RING_BYTES {
            return Err(Corrupt { claimed: used });
        }
        Ok(RING_BYTES - used as usize)
    }

    /// Puts bytes that [`Producer::free`] said would fit; the other side sees them after [`Producer::publish`].
    pub fn put(&mut self, memory: &impl SharedMemory, bytes: &[u8]) {
        debug_assert!(bytes.len() <= RING_BYTES);
        let start = self.at as usize % RING_BYTES;
        let (first, rest) = bytes.split_at(bytes.len().min(RING_BYTES - start));
        memory.write(self.place.bytes + start, first);
        memory.write(self.place.bytes, rest);
        self.at = self.at.wrapping_add(bytes.len() as u32);
    }

    /// Where the next byte goes, counted as the indices are.
    pub fn position(&self) -> u32 {
        self.at
    }

    pub fn publish(&self, memory: &impl SharedMemory) {
        memory.store(self.place.produced, self.at);
    }
}

impl Consumer {
    /// How many bytes can be read now. Until the next [`Consumer::release`] that is a ring full in all, however fast
    /// the other side moves its index.
    pub fn available(&self, memory: &impl SharedMemory) -> Result<usize, Corrupt> {
        let produced = memory.load(self.place.produced);
        let claimed = produced.wrapping_sub(self.released);
        match (claimed as usize).checked_sub(self.taken()) {
            Some(available) if claimed as usize <= RING_BYTES => Ok(available),
            _ => Err(Corrupt { claimed }),
        }
    }

    /// How many bytes were taken and not released.
    pub fn taken(&self) -> usize {
        self.at.wrapping_sub(self.released) as usize
    }

    /// Takes bytes that [`Consumer::available`] said are there; their place is free after [`Consumer::release`].
    pub fn take(&mut self, memory: &impl SharedMemory, to: &mut [u8]) {
        debug_assert!(to.len() <= RING_BYTES);
        self.peek(memory, to);
        self.at = self.at.wrapping_add(to.len() as u32);
    }

    /// The same without moving on.
    pub fn peek(&self, memory: &impl SharedMemory, to: &mut [u8]) {
        let start = self.at as usize % RING_BYTES;
        let split = to.len().min(RING_BYTES - start);
        let (first, rest) = to.split_at_mut(split);
        memory.read(self.place.bytes + start, first);
        memory.read(self.place.bytes, rest);
    }

    pub fn release(&mut self, memory: &impl SharedMemory) {
        self.released = self.at;
        memory.store(self.place.consumed, self.at);
    }
}

/// Memory of this process, for tests and fuzzing on both sides of a link.
#[derive(Debug, Clone)]
pub struct LocalMemory(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Default for LocalMemory {
    fn default() -> Self {
        Self(std::sync::Arc::new(std::sync::Mutex::new(vec![
            0;
            PAGES * PAGE_BYTES
        ])))
    }
}

impl LocalMemory {
    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl SharedMemory for LocalMemory {
    fn load(&self, offset: usize) -> u32 {
        let mut value = [0; 4];
        self.read(offset, &mut value);
        u32::from_le_bytes(value)
    }

    fn store(&self, offset: usize, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }

    fn read(&self, offset: usize, to: &mut [u8]) {
        to.copy_from_slice(&self.bytes()[offset..offset + to.len()]);
    }

    fn write(&self, offset: usize, from: &[u8]) {
        self.bytes()[offset..offset + from.len()].copy_from_slice(from);
    }
}
