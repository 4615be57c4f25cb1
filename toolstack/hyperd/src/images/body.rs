//! Bodies of archives: requests as readers for a thread that may block, answers from a thread that writes.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::io::{self, BufWriter, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

/// One write to the client.
const PART_BYTES: usize = 256 << 10;
/// Parts that wait for the client.
const PARTS: usize = 4;
/// What is still read of a body that was refused. A client that is cut off while it writes may never read why.
const DRAINED_BYTES: u64 = 1 << 30;

type Source = Box<dyn Read + Send>;

/// The body of a request. Clones read on where the other has stopped.
#[derive(Clone)]
pub struct Upload(Arc<Mutex<Source>>);

impl Upload {
    pub fn new(body: Incoming) -> Self {
        let stream = body.into_data_stream().map_err(io::Error::other);
        Self(Arc::new(Mutex::new(Box::new(SyncIoBridge::new(
            StreamReader::new(stream),
        )))))
    }

    /// Reads on to its end, unless that is far.
    pub async fn drain(mut self) {
        let drained = move || io::copy(&mut self.by_ref().take(DRAINED_BYTES), &mut io::sink());
        // Whoever sent it may be gone, and then there is nobody to answer.
        let _ = tokio::task::spawn_blocking(drained).await;
    }
}

impl Read for Upload {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(to)
    }
}

struct Parts(mpsc::Sender<io::Result<Bytes>>);

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body that `write` makes on a thread of its own, no faster than the client reads. When it fails, the body breaks
/// off: the client sees that it is not whole.
pub fn download<E>(write: impl FnOnce(&mut dyn Write) -> Result<(), E> + Send + 'static) -> Body
where
    E: std::error::Error + Send + Sync + 'static,
{
    let (sender, receiver) = mpsc::channel(PARTS);
    tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(PART_BYTES, Parts(sender.clone()));
        if let Err(error) = write(&mut out) {
            if !sender.is_closed() {
                tracing::warn!(error = %chain(&error), "an archive breaks off");
            }
            // What is buffered no longer matters.
            drop(out.into_parts());
            let _ = sender.blocking_send(Err(io::Error::other(error)));
        }
    });
    Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|part| (part, receiver))
    }))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_download_is_whole_or_breaks_off() {
        let whole = download(|out| out.write_all(&[7; 3 * PART_BYTES]).and_then(|()| out.flush()));
        assert_eq!(whole.collect().await.unwrap().to_bytes(), vec![7; 3 * PART_BYTES]);
        let broken = download(|out| {
            out.write_all(b"some")?;
            Err(io::Error::other("damaged"))
        });
        assert!(broken.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_goes_ends_a_download() {
        let (done, ended) = tokio::sync::oneshot::channel();
        let body = download(move |out| {
            let result = io::copy(&mut io::repeat(0), out).map(drop);
            let _ = done.send(result.is_err());
            result
        });
        drop(body);
        assert!(ended.await.unwrap());
    }
}
