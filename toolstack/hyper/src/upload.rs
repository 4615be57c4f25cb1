//! A file, or stdin, as the body of a request.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

const PART_BYTES: usize = 256 << 10;
/// Parts that wait for the daemon.
const PARTS: usize = 4;

/// What a thread of its own reads, as fast as the daemon takes it.
pub struct Upload {
    parts: mpsc::Receiver<io::Result<Bytes>>,
}

impl Upload {
    pub fn of(mut from: impl Read + Send + 'static) -> Self {
        let (sender, parts) = mpsc::channel(PARTS);
        std::thread::spawn(move || {
            loop {
                let mut part = vec![0; PART_BYTES];
                let read = match from.read(&mut part) {
                    Ok(0) => return,
                    Ok(length) => {
                        part.truncate(length);
                        Ok(Bytes::from(part))
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                // Nobody takes it any more when the daemon has answered.
                let failed = read.is_err();
                if sender.blocking_send(read).is_err() || failed {
                    return;
                }
            }
        });
        Self { parts }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.parts
            .poll_recv(cx)
            .map(|part| part.map(|part| part.map(Frame::data)))
    }
}
