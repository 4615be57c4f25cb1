//! Bodies: of requests, read up to a limit, and of answers.

use crate::error::ApiError;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc;

/// The engine's messages to a guest are limited to 4 MiB too; a longer request could not be carried out.
const MAX_BODY_BYTES: usize = 4 << 20;

/// How long a client may take to send a body it announced.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect())
        .await
        .map_err(|_| {
            ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "the body of the request did not come",
            )
        })?;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!(
                "the body of the request is longer than {} MiB",
                MAX_BODY_BYTES >> 20
            ),
        )),
        Err(error) => Err(ApiError::invalid(format!(
            "the body of the request cannot be read: {error}"
        ))),
    }
}

/// The body as JSON; `None` when there is none.
pub async fn read_json<T: DeserializeOwned>(body: Incoming) -> Result<Option<T>, ApiError> {
    parse_json(&read(body).await?)
}

pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<T>, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(bytes).map_err(|error| ApiError::invalid(format!("invalid JSON: {error}")))
}

/// A body that has to be there.
pub async fn need_json<T: DeserializeOwned>(body: Incoming) -> Result<T, ApiError> {
    read_json(body)
        .await?
        .ok_or_else(|| ApiError::invalid("invalid JSON: got EOF while reading request body"))
}

pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match json_line(value) {
        Some(line) => of(status, "application/json", Body::from(line)),
        None => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

pub fn ok_json(value: &impl Serialize) -> Response<Body> {
    json(StatusCode::OK, value)
}

pub fn of(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    response
}

/// As Go's encoder writes it: a newline behind.
pub fn json_line(value: &impl Serialize) -> Option<Bytes> {
    let mut line = serde_json::to_vec(value)
        .inspect_err(|error| tracing::error!(%error, "an answer cannot be written as JSON"))
        .ok()?;
    line.push(b'\n');
    Some(line.into())
}

/// A body of parts that come later; its headers go out at once.
pub fn stream_body(parts: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    Body::from_stream(parts.map(Ok::<_, Infallible>))
}

/// All that comes through a channel: what has piled up is put together by `join`, so that many small messages cost
/// one write.
pub fn channel_body<T, F>(receiver: mpsc::Receiver<T>, join: F) -> Body
where
    T: Send + 'static,
    F: FnMut(Vec<T>) -> Bytes + Send + 'static,
{
    const MOST: usize = 64;
    let batches = stream::unfold(receiver, |mut receiver| async move {
        let mut batch = Vec::new();
        match receiver.recv_many(&mut batch, MOST).await {
            0 => None,
            _ => Some((batch, receiver)),
        }
    });
    let parts = batches.map(join);
    // An empty part would end a chunked body.
    stream_body(parts.filter(|bytes| std::future::ready(!bytes.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_or_refused() {
        assert_eq!(parse_json::<u8>(b"").unwrap(), None);
        assert_eq!(parse_json::<u8>(b" \n").unwrap(), None);
        assert_eq!(parse_json::<u8>(b"7").unwrap(), Some(7));
        assert!(
            parse_json::<u8>(b"{")
                .unwrap_err()
                .message
                .starts_with("invalid JSON: ")
        );
    }

    #[tokio::test]
    async fn channel_bodies_join_what_is_there() {
        let (sender, receiver) = mpsc::channel(8);
        for byte in [1u8, 2, 3] {
            sender.send(byte).await.unwrap();
        }
        drop(sender);
        let body = channel_body(receiver, Bytes::from);
        assert_eq!(body.collect().await.unwrap().to_bytes().as_ref(), [1, 2, 3]);
    }

    /// `docker run` starts the container only once it has seen the head of the answer to its wait.
    #[tokio::test]
    async fn the_head_goes_out_before_the_body_is_known() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut client, server) = tokio::net::UnixStream::pair().unwrap();
        let (parts, receiver) = mpsc::channel::<Bytes>(1);
        let receiver = std::sync::Mutex::new(Some(receiver));
        let service = hyper::service::service_fn(move |_: hyper::Request<Incoming>| {
            let receiver = receiver.lock().unwrap().take().unwrap();
            let body = channel_body(receiver, |batch| batch.concat().into());
            std::future::ready(Ok::<_, Infallible>(of(StatusCode::OK, "application/json", body)))
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(hyper_util::rt::TokioIo::new(server), service);
        let connection = tokio::spawn(connection);
        client
            .write_all(b"POST /wait HTTP/1.1\r\nHost: docker\r\n\r\n")
            .await
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
        parts.send(Bytes::from_static(b"{}\n")).await.unwrap();
        let mut part = [0; 8];
        client.read_exact(&mut part).await.unwrap();
        assert_eq!(&part, b"3\r\n{}\n\r\n");
        // A client that leaves is noticed while the body is awaited, and the body dropped.
        drop(client);
        parts.closed().await;
        let _ = connection.await;
    }
}
