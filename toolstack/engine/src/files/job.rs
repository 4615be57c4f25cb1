//! One job of an agent: its request, its stream, and its end whatever becomes of whoever asked.

use crate::error::{Error, ErrorKind};
use crate::session::{self, Output};
use crate::visit::Lease;
use bytes::Bytes;
use guest_protocol::files::FileJob;
use guest_protocol::message::{ErrorKind as AgentError, ReplyBody, RequestBody, RequestError, StreamId};
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
#[derive(Debug)]
pub struct Sent {
    pub reply: Result<ReplyBody, RequestError>,
    /// All that there was, when it was sent.
    pub bytes: Option<u64>,
}

/// The agent's refusal as ours, in its words, which are docker's.
pub fn refused(error: &RequestError) -> Error {
    let kind = match error.kind {
        AgentError::Invalid => ErrorKind::Invalid,
        _ => ErrorKind::Failed,
    };
    Error::new(kind, session::words_of(error))
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
        let (done, mut sent) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            // Told before the stream ends, and so before it can be answered.
            let _ = done.send(send_all(from, &input));
            drop(input);
        });
        let mut bytes = None;
        // Until one of both ends: an agent that refuses does not wait for the rest.
        let reply = tokio::select! {
            reply = &mut answer => {
                if let Ok(Ok(all)) = sent.try_recv() {
                    bytes = all;
                }
                reply
            }
            all = &mut sent => match all {
                Ok(Ok(all)) => {
                    bytes = all;
                    answer.await
                }
                Ok(Err(error)) => {
                    return Err(Error::from_source(ErrorKind::Invalid, "cannot read the archive", &error));
                }
                Err(error) => return Err(Error::from_source(ErrorKind::Failed, "sending to the guest", &error)),
            },
        };
        self.end();
        Ok(Sent {
            reply: reply.unwrap_or_else(|_| Err(session::gone())),
            bytes,
        })
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
