//! What a job sends, up to an end that the agent vouches for.

use super::job::{Answer, Job, refused};
use crate::error::Error;
use crate::session::{Early, Output, gone, unexpected};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use guest_protocol::files::FileJob;
use guest_protocol::message::{ReplyBody, RequestError};
use std::io::{self, Read};
use tokio_util::io::{StreamReader, SyncIoBridge};

/// Bytes of a guest. Dropping it ends the job.
pub struct Download {
    output: Output,
    answer: Option<Answer>,
    /// What the agent has vouched for.
    vouched: Option<u64>,
    received: u64,
    job: Job,
    failed: bool,
}

impl Download {
    pub(super) fn start(mut job: Job, container: &str, request: FileJob) -> Self {
        let (output, answer) = job.receive(container, request);
        Self {
            output,
            answer: Some(answer),
            vouched: None,
            received: 0,
            job,
            failed: false,
        }
    }

    /// The next bytes. Nothing at an end for which the agent vouches; any other end is an error, and the last.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        if self.failed {
            return None;
        }
        let next = self.advance().await;
        self.failed = matches!(next, Some(Err(_)));
        next
    }

    async fn advance(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let Some(answer) = &mut self.answer else {
                // The stream's end came before the answer, so all there is has come.
                return match self.output.early() {
                    Early::Bytes(bytes) => Some(Ok(self.take(bytes))),
                    Early::End if self.vouched == Some(self.received) => None,
                    Early::End | Early::Nothing => Some(Err(refused(&unexpected()))),
                };
            };
            tokio::select! {
                biased;
                bytes = self.output.next() => match bytes {
                    Some(bytes) => return Some(Ok(self.take(bytes))),
                    None => {
                        let reply = answer.await;
                        if let Err(error) = self.answered(reply.unwrap_or_else(|_| Err(gone()))) {
                            return Some(Err(error));
                        }
                    }
                },
                reply = &mut *answer => {
                    if let Err(error) = self.answered(reply.unwrap_or_else(|_| Err(gone()))) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    fn answered(&mut self, reply: Result<ReplyBody, RequestError>) -> Result<(), Error> {
        self.answer = None;
        self.job.end();
        match reply {
            Ok(ReplyBody::Transferred { bytes }) => {
                self.vouched = Some(bytes);
                Ok(())
            }
            Ok(_) => Err(refused(&unexpected())),
            Err(error) => Err(refused(&error)),
        }
    }

    fn take(&mut self, bytes: Bytes) -> Bytes {
        self.received += bytes.len() as u64;
        self.output.consumed(bytes.len());
        bytes
    }

    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, Error>> {
        stream::unfold(self, |mut download| async move {
            download.next().await.map(|part| (part, download))
        })
        .boxed()
    }

    /// For a thread that may block. Its end is the one that is vouched for; any other is an error.
    pub fn into_reader(self) -> impl Read + Send + 'static {
        let parts = self.into_stream().map(|part| part.map_err(io::Error::other));
        SyncIoBridge::new(StreamReader::new(parts))
    }
}
