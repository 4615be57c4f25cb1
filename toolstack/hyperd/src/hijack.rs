//! A request whose connection becomes a stream: output to the client, its input to a process.
//!
//! A client that asks for an upgrade gets `101` and the connection. One that does not gets `200` and the output as
//! body; its input is then the body of the request.

use crate::frames::{Frames, Framing};
use crate::request;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::{Buf, Bytes, BytesMut};
use engine::Chunk;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Chunks that go out in one write at most.
const BATCH: usize = 32;
const INPUT_BUFFER_BYTES: usize = 64 << 10;

/// How long a client that still sends is listened to once all output is written. A socket that is closed with
/// unread bytes in it fails the client's last reads.
const LINGER: Duration = Duration::from_secs(5);

/// Where a client's input goes. Dropping it ends the input.
pub trait Sink: Send + Sync + 'static {
    /// Waits until there is room. `false`: nobody reads any more.
    fn send(&self, bytes: Bytes) -> impl Future<Output = bool> + Send;
}

impl Sink for engine::Input {
    async fn send(&self, bytes: Bytes) -> bool {
        engine::Input::send(self, bytes).await
    }
}

/// How the client wants its stream.
pub enum Client {
    Upgrades(OnUpgrade),
    /// The rest of the request, if it was not read.
    Plain(Option<Incoming>),
}

/// Whether a request asks for the connection.
pub fn wants_upgrade(headers: &header::HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

/// Answers, at once, and carries output and input from then on.
pub fn answer<S: Sink>(
    client: Client,
    content_type: &'static str,
    framing: Framing,
    output: mpsc::Receiver<Chunk>,
    input: Option<S>,
) -> Response<Body> {
    match client {
        Client::Upgrades(upgrade) => {
            tokio::spawn(async move {
                match upgrade.await {
                    Ok(upgraded) => {
                        let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
                        if let Err(error) = carry(reader, writer, framing, output, input).await {
                            tracing::debug!(%error, "a client left its stream");
                        }
                    }
                    Err(error) => tracing::debug!(%error, "a connection did not become a stream"),
                }
            });
            let mut response = request::of(StatusCode::SWITCHING_PROTOCOLS, content_type, Body::empty());
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
            response
        }
        Client::Plain(body) => {
            if let (Some(body), Some(input)) = (body, input) {
                tokio::spawn(send_body(body, input));
            }
            request::of(StatusCode::OK, content_type, output_body(output, framing))
        }
    }
}

async fn send_body<S: Sink>(mut body: Incoming, input: S) {
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(bytes) = frame.into_data()
            && !input.send(bytes).await
        {
            return;
        }
    }
}

fn output_body(output: mpsc::Receiver<Chunk>, framing: Framing) -> Body {
    request::channel_body(output, move |batch| {
        let mut frames = Frames::default();
        for chunk in batch {
            frames.push(framing, chunk);
        }
        let length = frames.remaining();
        frames.copy_to_bytes(length)
    })
}

/// Carries until the output ends or the client is gone. The client's half-close ends its input only.
pub async fn carry<R, W, S>(
    mut reader: R,
    mut writer: W,
    framing: Framing,
    mut output: mpsc::Receiver<Chunk>,
    input: Option<S>,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    S: Sink,
{
    {
        let write = write_output(&mut writer, &mut output, framing);
        let read = read_input(&mut reader, input);
        tokio::pin!(write, read);
        tokio::select! {
            written = &mut write => written?,
            // However the input ended, there may be output yet; a client that is gone shows by the next write.
            _ = &mut read => write.await?,
        }
    }
    writer.shutdown().await?;
    let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut reader, &mut tokio::io::sink())).await;
    Ok(())
}

async fn write_output<W: AsyncWrite + Unpin>(
    writer: &mut W,
    output: &mut mpsc::Receiver<Chunk>,
    framing: Framing,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut frames = Frames::default();
    while output.recv_many(&mut batch, BATCH).await > 0 {
        for chunk in batch.drain(..) {
            frames.push(framing, chunk);
        }
        writer.write_all_buf(&mut frames).await?;
        writer.flush().await?;
    }
    Ok(())
}

async fn read_input<R: AsyncRead + Unpin, S: Sink>(reader: &mut R, input: Option<S>) -> io::Result<()> {
    let Some(input) = input else {
        tokio::io::copy(reader, &mut tokio::io::sink()).await?;
        return Ok(());
    };
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(INPUT_BUFFER_BYTES);
        if reader.read_buf(&mut buffer).await? == 0 || !input.send(buffer.split().freeze()).await {
            return Ok(());
        }
    }
}

#[cfg(test)]
#[path = "hijack_tests.rs"]
mod tests;
