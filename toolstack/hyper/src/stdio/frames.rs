//! Docker's multiplexed stream: `[1 out | 2 err, 0, 0, 0, length u32 BE]` and that many bytes.
//! Source: Engine API, `POST /containers/{id}/attach`, "Stream format".

use std::io;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Stdout,
    Stderr,
}

const HEADER_BYTES: usize = 8;

/// Splits chunks as they come from the socket; it holds a header at most, never the bytes of a frame.
#[derive(Debug, Default)]
pub struct Decoder {
    header: [u8; HEADER_BYTES],
    have: usize,
    remaining: usize,
}

impl Decoder {
    /// Calls `sink` with each piece of output in `chunk`, in order.
    pub fn feed(
        &mut self,
        mut chunk: &[u8],
        mut sink: impl FnMut(Channel, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        while !chunk.is_empty() {
            if self.remaining > 0 {
                let take = self.remaining.min(chunk.len());
                let (data, rest) = chunk.split_at(take);
                sink(self.channel()?, data)?;
                self.remaining -= take;
                chunk = rest;
                continue;
            }
            let take = (HEADER_BYTES - self.have).min(chunk.len());
            let (part, rest) = chunk.split_at(take);
            self.header[self.have..self.have + take].copy_from_slice(part);
            self.have += take;
            chunk = rest;
            if self.have == HEADER_BYTES {
                self.have = 0;
                self.channel()?;
                let [_, _, _, _, a, b, c, d] = self.header;
                self.remaining = u32::from_be_bytes([a, b, c, d]) as usize;
            }
        }
        Ok(())
    }

    /// Whether the stream may end here: not within a frame.
    pub fn at_boundary(&self) -> bool {
        self.have == 0 && self.remaining == 0
    }

    fn channel(&self) -> io::Result<Channel> {
        match self.header[0] {
            // 0 is stdin, which docker's own decoder writes to stdout.
            0 | 1 => Ok(Channel::Stdout),
            2 => Ok(Channel::Stderr),
            other => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("unrecognized stream {other} in the multiplexed output"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(channel: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![channel, 0, 0, 0];
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn an_unknown_stream_is_refused() {
        let mut decoder = Decoder::default();
        let error = decoder.feed(b"HTTP/1.1 500", |_, _| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn any_cut_of_the_stream_gives_the_same_bytes(
            frames in prop::collection::vec((1u8..=2, prop::collection::vec(any::<u8>(), 0..50)), 0..10),
            cut in 1usize..20,
        ) {
            let wire: Vec<u8> = frames.iter().flat_map(|(c, d)| frame(*c, d)).collect();
            let (mut out, mut err) = (Vec::<u8>::new(), Vec::<u8>::new());
            let mut decoder = Decoder::default();
            for chunk in wire.chunks(cut) {
                decoder.feed(chunk, |channel, data| {
                    match channel {
                        Channel::Stdout => out.extend(data),
                        Channel::Stderr => err.extend(data),
                    }
                    Ok(())
                }).unwrap();
            }
            let want = |n: u8| -> Vec<u8> {
                frames.iter().filter(|(c, _)| *c == n).flat_map(|(_, d)| d.clone()).collect()
            };
            prop_assert!(decoder.at_boundary());
            prop_assert_eq!(out, want(1));
            prop_assert_eq!(err, want(2));
        }
    }
}
