//! `/images/create`: pulls, and tells how it comes along as JSON lines.

use super::login::credentials;
use super::progress::{Queue, failure, lines};
use super::{check_platform, full_name};
use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::request;
use axum::http::StatusCode;
use bytes::Bytes;
use engine::Error;
use engine::images::Name;
use futures_util::{Stream, stream};
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

pub async fn create(call: &Call) -> Answer {
    check_platform(call.query.text("platform"))?;
    let image = call
        .query
        .text("fromImage")
        .ok_or_else(|| ApiError::invalid("invalid reference format: fromImage is missing"))?;
    let text = full_name(image, call.query.text("tag"));
    let name: Name = text.parse()?;
    let credentials = credentials(call.request.headers())?;
    let engine = call.app.engine.clone();
    let queue = Arc::new(Queue::default());
    let to = Arc::clone(&queue);
    let pull = async move {
        let report = move |progress| to.push(progress);
        engine.pull(&text, credentials, &report).await.map(drop)
    };
    answer(Pull::begin(pull, queue, name)).await
}

/// A pull that runs. Dropping it, as happens when the client goes, ends it.
struct Pull {
    task: Option<AbortOnDropHandle<Result<(), Error>>>,
    queue: Arc<Queue>,
    name: Name,
}

impl Pull {
    fn begin(
        pull: impl Future<Output = Result<(), Error>> + Send + 'static,
        queue: Arc<Queue>,
        name: Name,
    ) -> Self {
        Self {
            task: Some(AbortOnDropHandle::new(tokio::spawn(pull))),
            queue,
            name,
        }
    }

    /// What there is to tell next; nothing after the end.
    async fn next(&mut self) -> Option<(Vec<Value>, Option<Error>)> {
        let task = self.task.as_mut()?;
        let ended = tokio::select! {
            // What was reported goes before how it ended.
            biased;
            () = self.queue.wait() => None,
            ended = task => Some(ended.unwrap_or_else(|error| Err(Error::failed(format!("the pull failed: {error}"))))),
        };
        let reported = self.queue.take();
        let lines = reported
            .iter()
            .flat_map(|progress| lines(progress, &self.name))
            .collect();
        let Some(result) = ended else {
            return Some((lines, None));
        };
        self.task = None;
        Some((lines, result.err()))
    }

    fn stream(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut pull| async move {
            let (mut lines, error) = pull.next().await?;
            lines.extend(error.map(|error| failure(&error.to_string())));
            Some((joined(&lines), pull))
        })
    }
}

/// An error before there is anything to tell is the answer's status; later ones stand among the lines.
async fn answer(mut pull: Pull) -> Answer {
    let (lines, error) = pull.next().await.unwrap_or_default();
    if lines.is_empty()
        && let Some(error) = error
    {
        return Err(error.into());
    }
    let first = lines
        .into_iter()
        .chain(error.map(|error| failure(&error.to_string())));
    let first = joined(&first.collect::<Vec<_>>());
    use futures_util::StreamExt;
    let parts = stream::once(std::future::ready(first)).chain(pull.stream());
    let body = request::stream_body(parts.filter(|part| std::future::ready(!part.is_empty())));
    Ok(request::of(StatusCode::OK, "application/json", body))
}

fn joined(lines: &[Value]) -> Bytes {
    lines.iter().filter_map(request::json_line).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::images::Progress;
    use http_body_util::BodyExt;
    use std::future::pending;

    fn start(report: &[Progress], end: impl Future<Output = Result<(), Error>> + Send + 'static) -> Pull {
        let queue = Arc::new(Queue::default());
        report.iter().for_each(|progress| queue.push(progress.clone()));
        Pull::begin(end, queue, "busybox".parse().unwrap())
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
