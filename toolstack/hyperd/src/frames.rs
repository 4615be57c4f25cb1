//! Docker's multiplexed stream: `[1 out | 2 err | 3 error, 0, 0, 0, length u32 BE]` before each piece of output.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use engine::{Chunk, Source};
use std::collections::VecDeque;
use std::io::IoSlice;

pub const RAW_STREAM: &str = "application/vnd.docker.raw-stream";
pub const MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";

/// Says to a client that the daemon failed, not the program.
pub const DAEMON_ERROR: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// With a terminal there is but one stream of output.
    Raw,
    Multiplexed,
}

impl Framing {
    pub fn of(tty: bool) -> Self {
        if tty { Self::Raw } else { Self::Multiplexed }
    }

    /// Clients before 1.42 know one type only.
    pub fn content_type(self, api_minor: u32) -> &'static str {
        match self {
            Self::Multiplexed if api_minor >= 42 => MULTIPLEXED_STREAM,
            _ => RAW_STREAM,
        }
    }
}

pub fn stream_number(source: Source) -> u8 {
    match source {
        Source::Stdout => 1,
        Source::Stderr => 2,
    }
}

pub fn header(stream: u8, length: usize) -> [u8; 8] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [stream, 0, 0, 0, a, b, c, d]
}

/// One frame, copied: for small messages.
pub fn put(to: &mut BytesMut, framing: Framing, stream: u8, parts: &[&[u8]]) {
    if framing == Framing::Multiplexed {
        to.put_slice(&header(stream, parts.iter().map(|part| part.len()).sum()));
    }
    for part in parts {
        to.put_slice(part);
    }
}

/// Output on its way to a client: headers and payloads go out in one vectored write, payloads are not copied.
#[derive(Debug, Default)]
pub struct Frames {
    parts: VecDeque<Bytes>,
    remaining: usize,
}

impl Frames {
    pub fn push(&mut self, framing: Framing, chunk: Chunk) {
        if chunk.bytes.is_empty() {
            return;
        }
        if framing == Framing::Multiplexed {
            let header = header(stream_number(chunk.source), chunk.bytes.len());
            self.push_part(Bytes::copy_from_slice(&header));
        }
        self.push_part(chunk.bytes);
    }

    fn push_part(&mut self, part: Bytes) {
        self.remaining += part.len();
        self.parts.push_back(part);
    }
}

impl Buf for Frames {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut used = 0;
        for (slice, part) in slices.iter_mut().zip(&self.parts) {
            *slice = IoSlice::new(part);
            used += 1;
        }
        used
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced past the end");
        self.remaining -= count;
        while let Some(part) = self.parts.front_mut() {
            if count < part.len() {
                part.advance(count);
                return;
            }
            count -= part.len();
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk(stderr: bool, bytes: &[u8]) -> Chunk {
        Chunk {
            source: if stderr { Source::Stderr } else { Source::Stdout },
            bytes: Bytes::copy_from_slice(bytes),
        }
    }

    #[test]
    fn a_frame_is_header_and_payload() {
        let mut frames = Frames::default();
        frames.push(Framing::Multiplexed, chunk(false, b"hi\n"));
        frames.push(Framing::Multiplexed, chunk(true, b""));
        frames.push(Framing::Multiplexed, chunk(true, b"no"));
        let bytes = frames.copy_to_bytes(frames.remaining());
        assert_eq!(bytes.as_ref(), b"\x01\0\0\0\0\0\0\x03hi\n\x02\0\0\0\0\0\0\x02no");

        let mut copied = BytesMut::new();
        put(&mut copied, Framing::Multiplexed, 1, &[b"h", b"i\n"]);
        put(&mut copied, Framing::Multiplexed, 2, &[b"no"]);
        assert_eq!(copied, bytes);
    }

    #[test]
    fn content_types_follow_the_version() {
        assert_eq!(Framing::of(true).content_type(51), RAW_STREAM);
        assert_eq!(Framing::of(false).content_type(51), MULTIPLEXED_STREAM);
        assert_eq!(Framing::of(false).content_type(41), RAW_STREAM);
    }

    /// As a client reads them.
    fn demultiplex(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let length = u32::from_be_bytes(bytes[4..8].try_into().unwrap()) as usize;
            frames.push((bytes[0], bytes[8..8 + length].to_vec()));
            bytes = &bytes[8 + length..];
        }
        frames
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            chunks in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..20),
            steps in proptest::collection::vec(1usize..50, 1..20),
        ) {
            let mut frames = Frames::default();
            for (stderr, bytes) in &chunks {
                frames.push(Framing::Multiplexed, chunk(*stderr, bytes));
            }
            // A writer takes as much as the socket has room for, across parts.
            let mut written = Vec::new();
            let mut steps = steps.iter().cycle();
            while frames.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 8];
                let used = frames.chunks_vectored(&mut slices);
                let offered: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
                let taken = offered.len().min(*steps.next().unwrap());
                written.extend_from_slice(&offered[..taken]);
                frames.advance(taken);
            }
            let expected: Vec<(u8, Vec<u8>)> = chunks
                .into_iter()
                .filter(|(_, bytes)| !bytes.is_empty())
                .map(|(stderr, bytes)| (if stderr { 2 } else { 1 }, bytes))
                .collect();
            prop_assert_eq!(demultiplex(&written), expected);
        }
    }
}
