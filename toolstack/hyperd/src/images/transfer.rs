//! A pull or push that is told of as JSON lines while it runs.

use super::progress::{Queue, failure};
use crate::error::Answer;
use crate::request;
use axum::http::StatusCode;
use bytes::Bytes;
use engine::Error;
use engine::images::{Name, Progress};
use futures_util::{Stream, StreamExt, stream};
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// What an event is called by a verb.
type Lines = fn(&Progress, &Name) -> Vec<Value>;

/// A pull or push that runs. Dropping it, as happens when the client goes, ends it.
pub struct Transfer {
    task: Option<AbortOnDropHandle<Result<(), Error>>>,
    queue: Arc<Queue>,
    name: Name,
    lines: Lines,
}

impl Transfer {
    pub fn begin(
        transfer: impl Future<Output = Result<(), Error>> + Send + 'static,
        queue: Arc<Queue>,
        name: Name,
        lines: Lines,
    ) -> Self {
        Self {
            task: Some(AbortOnDropHandle::new(tokio::spawn(transfer))),
            queue,
            name,
            lines,
        }
    }

    /// What there is to tell next; nothing after the end.
    async fn next(&mut self) -> Option<(Vec<Value>, Option<Error>)> {
        let task = self.task.as_mut()?;
        let ended = tokio::select! {
            // What was reported goes before how it ended.
            biased;
            () = self.queue.wait() => None,
            ended = task => Some(ended.unwrap_or_else(|error| Err(Error::failed(format!("the transfer failed: {error}"))))),
        };
        let reported = self.queue.take();
        let lines = reported
            .iter()
            .flat_map(|progress| (self.lines)(progress, &self.name))
            .collect();
        let Some(result) = ended else {
            return Some((lines, None));
        };
        self.task = None;
        Some((lines, result.err()))
    }

    fn stream(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut transfer| async move {
            let (mut lines, error) = transfer.next().await?;
            lines.extend(error.map(|error| failure(&error.to_string())));
            Some((joined(&lines), transfer))
        })
    }
}

/// An error before there is anything to tell is the answer's status; later ones stand among the lines.
pub async fn answer(mut transfer: Transfer) -> Answer {
    let (lines, error) = transfer.next().await.unwrap_or_default();
    if lines.is_empty()
        && let Some(error) = error
    {
        return Err(error.into());
    }
    let first = lines
        .into_iter()
        .chain(error.map(|error| failure(&error.to_string())));
    let first = joined(&first.collect::<Vec<_>>());
    let parts = stream::once(std::future::ready(first)).chain(transfer.stream());
    let body = request::stream_body(parts.filter(|part| std::future::ready(!part.is_empty())));
    Ok(request::of(StatusCode::OK, "application/json", body))
}

fn joined(lines: &[Value]) -> Bytes {
    lines.iter().filter_map(request::json_line).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::progress::lines;
    use super::*;
    use http_body_util::BodyExt;
    use std::future::pending;

    fn start(report: &[Progress], end: impl Future<Output = Result<(), Error>> + Send + 'static) -> Transfer {
        let queue = Arc::new(Queue::default());
        report.iter().for_each(|progress| queue.push(progress.clone()));
        Transfer::begin(end, queue, "busybox".parse().unwrap(), lines)
    }

    fn found() -> Progress {
        Progress::Found {
            digest: "sha256:ff".to_owned(),
        }
    }

    async fn body(answer: Answer) -> Vec<Value> {
        let bytes = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn an_early_error_is_the_status() {
        let unknown = async {
            Err(Error::not_found(
                "manifest for busybox:x not found: manifest unknown",
            ))
        };
        let error = answer(start(&[], unknown)).await.unwrap_err();
        assert_eq!(error.status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_later_error_is_among_the_lines() {
        let lines = body(answer(start(&[found()], async { Err(Error::failed("broken")) })).await).await;
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["status"], "Pulling from library/busybox");
        assert_eq!(lines[1]["error"], "broken");
        assert_eq!(lines[1]["errorDetail"]["message"], "broken");
    }

    #[tokio::test]
    async fn a_pull_is_told_to_its_end() {
        let done = Progress::Done {
            digest: "sha256:ff".to_owned(),
            changed: true,
        };
        let lines = body(answer(start(&[found(), done], async { Ok(()) })).await).await;
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[2]["status"],
            "Status: Downloaded newer image for busybox:latest"
        );
    }

    #[tokio::test]
    async fn a_client_that_goes_ends_the_pull() {
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        let pull = async move {
            let _held = held;
            pending().await
        };
        let answer = answer(start(&[found()], pull)).await.unwrap();
        drop(answer);
        assert!(dropped.await.is_err());
    }
}
