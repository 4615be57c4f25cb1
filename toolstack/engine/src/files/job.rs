//! One job of an agent: its request, its stream, and its end whatever becomes of whoever asked.

use crate::error::{Error, ErrorKind};
use crate::session::{self, Output};
use crate::visit::Lease;
use bytes::Bytes;
use guest_protocol::files::FileJob;
use guest_protocol::message::{ReplyBody, RequestBody, RequestError, StreamId};
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Sent at a time.
const PART_BYTES: usize = 64 << 10;

pub type Answer = oneshot::Receiver<Result<ReplyBody, RequestError>>;

/// Dropped before its end it is cancelled.
pub struct Job {
    lease: Arc<Lease>,
    stream: StreamId,
    asked: bool,
    over: bool,
}

/// How sending to a job went.
pub struct Sent {
    pub reply: Result<ReplyBody, RequestError>,
    /// All that there was, when it was sent.
    pub bytes: Option<u64>,
}

/// The agent's refusal as ours.
pub fn refused(error: &RequestError) -> Error {
    let refused = session::refused("the guest", error);
    match refused.kind() {
        ErrorKind::Invalid => session::refused_plainly(error),
        _ => Error::failed(refused.to_string()),
    }
}

impl Job {
    pub fn new(lease: Arc<Lease>, stream: StreamId) -> Self {
        Self {
            lease,
            stream,
            asked: false,
            over: false,
        }
    }

    pub fn ask(&self, container: &str, job: FileJob) -> Answer {
        self.lease.session.ask(RequestBody::Files {
            container: container.to_owned(),
            job,
        })
    }

    /// The same of a job that sends.
    pub fn receive(&mut self, container: &str, job: FileJob) -> (Output, Answer) {
        let output = self.lease.session.output(self.stream);
        self.asked = true;
        (output, self.ask(container, job))
    }

    /// It was answered.
    pub fn end(&mut self) {
        self.over = true;
    }

    /// Sends all there is to a job that receives.
    pub async fn send(
        mut self,
        container: &str,
        job: FileJob,
        from: impl Read + Send + 'static,
    ) -> Result<Sent, Error> {
        let input = self.lease.session.input(self.stream);
        self.asked = true;
        let mut answer = self.ask(container, job);
        let mut sending = tokio::task::spawn_blocking(move || send_all(from, &input));
        let gone = |_| Err(session::unexpected());
        // Until one of both ends: an agent that refuses does not wait for the rest.
        let sent = tokio::select! {
            reply = &mut answer => {
                self.end();
                return Ok(Sent { reply: reply.unwrap_or_else(gone), bytes: None }).map(|mut sent| {
                    // It may have come right behind the last byte.
                    if let Some(Ok(Ok(bytes))) = futures_util::FutureExt::now_or_never(sending) {
                        sent.bytes = bytes;
                    }
                    sent
                });
            }
            sent = &mut sending => sent,
        };
        match sent {
            Ok(Ok(bytes)) => {
                let reply = answer.await.unwrap_or_else(gone);
                self.end();
                Ok(Sent { reply, bytes })
            }
            Ok(Err(error)) => Err(Error::from_source(
                ErrorKind::Invalid,
                "cannot read the archive",
                &error,
            )),
            Err(error) => Err(Error::from_source(ErrorKind::Failed, "sending to the guest", &error)),
        }
    }
}

/// Gives how many bytes it were; nothing when they were not wanted to the end.
fn send_all(from: impl Read, to: &mpsc::Sender<Bytes>) -> io::Result<Option<u64>> {
    let mut from = images::expand(from).map_err(io::Error::other)?;
    let mut bytes = 0;
    loop {
        let mut part = vec![0; PART_BYTES];
        let length = match from.read(&mut part) {
            Ok(0) => return Ok(Some(bytes)),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        part.truncate(length);
        bytes += length as u64;
        if to.blocking_send(part.into()).is_err() {
            return Ok(None);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.asked {
            let session = &self.lease.session;
            if !self.over {
                drop(session.ask(RequestBody::CancelFiles { stream: self.stream }));
            }
            session.close(self.stream);
        }
    }
}
