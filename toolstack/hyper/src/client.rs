//! HTTP/1.1 to hyperd over its unix socket.
//!
//! Each request has a connection of its own: a wait or an attach holds its connection for as long as the container
//! runs, and connecting to a unix socket costs next to nothing. Answers are read as plain JSON, not as bollard's
//! types, so that `inspect` and templates show every field that the daemon sends.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::credentials::Login;
use crate::error::{ApiError, Unreachable};
use crate::output::complain;
use crate::target::Target;
use crate::upload::Upload;

/// An answer that is read as a whole; the largest are lists of thousands of containers.
const MAX_ANSWER_BYTES: usize = 256 << 20;
/// An error is a sentence.
const MAX_ERROR_BYTES: usize = 1 << 20;

pub struct Client {
    host: String,
    socket: PathBuf,
    debug: bool,
}

/// What a request carries besides its target.
enum Content<'a> {
    Empty(Option<&'a Login>),
    Json(Bytes),
    Upload(Upload),
}

/// A connection that has left HTTP: bytes both ways, each direction closed on its own.
pub struct Hijacked {
    pub stream: StdUnixStream,
    /// What the daemon had already sent after its headers.
    pub leftover: Bytes,
}

impl Client {
    /// `host` is `unix:///path`, as in `HYPER_HOST` and `--host`.
    pub fn new(host: &str, debug: bool) -> Result<Self> {
        let path = host
            .strip_prefix("unix://")
            .filter(|path| path.starts_with('/'))
            .ok_or_else(|| {
                anyhow!("invalid host {host:?}: hyper speaks unix sockets only, write unix:///path")
            })?;
        Ok(Self {
            host: host.to_owned(),
            socket: PathBuf::from(path),
            debug,
        })
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub async fn get(&self, target: Target) -> Result<Value> {
        self.get_as(target, None).await
    }

    /// The same of a registry that may want a login.
    pub async fn get_as(&self, target: Target, login: Option<&Login>) -> Result<Value> {
        json(
            self.send(Method::GET, target, Content::Empty(login), false)
                .await?,
        )
        .await
    }

    pub async fn post(&self, target: Target) -> Result<Value> {
        json(
            self.send(Method::POST, target, Content::Empty(None), false)
                .await?,
        )
        .await
    }

    pub async fn post_body(&self, target: Target, body: &impl Serialize) -> Result<Value> {
        let body = serde_json::to_vec(body).context("encode the request")?;
        json(
            self.send(Method::POST, target, Content::Json(body.into()), false)
                .await?,
        )
        .await
    }

    pub async fn delete(&self, target: Target) -> Result<Value> {
        json(
            self.send(Method::DELETE, target, Content::Empty(None), false)
                .await?,
        )
        .await
    }

    /// An answer without end, such as a log that is followed.
    pub async fn stream(&self, method: Method, target: Target) -> Result<Incoming> {
        self.stream_as(method, target, None).await
    }

    /// The same of a registry that may want a login.
    pub async fn stream_as(&self, method: Method, target: Target, login: Option<&Login>) -> Result<Incoming> {
        Ok(self
            .send(method, target, Content::Empty(login), false)
            .await?
            .into_body())
    }

    /// An answer with its headers.
    pub async fn response(&self, method: Method, target: Target) -> Result<Response<Incoming>> {
        self.send(method, target, Content::Empty(None), false).await
    }

    /// Sends what may be long; the answer may come before it is all sent.
    pub async fn upload(&self, method: Method, target: Target, content: Upload) -> Result<Incoming> {
        Ok(self
            .send(method, target, Content::Upload(content), false)
            .await?
            .into_body())
    }

    /// Turns a request into a connection of plain bytes.
    pub async fn hijack(&self, target: Target, body: Option<&Value>) -> Result<Hijacked> {
        let body = body.map_or(Content::Empty(None), |value| {
            Content::Json(value.to_string().into())
        });
        let response = self.send(Method::POST, target, body, true).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            bail!(
                "hyperd at {} did not upgrade the connection: it answered {}",
                self.host,
                response.status()
            );
        }
        let upgraded = hyper::upgrade::on(response)
            .await
            .context("upgrade the connection")?;
        let parts = upgraded
            .downcast::<TokioIo<UnixStream>>()
            .map_err(|_| anyhow!("the upgraded connection is not a unix socket"))?;
        let stream = parts.io.into_inner().into_std()?;
        stream.set_nonblocking(false)?;
        Ok(Hijacked {
            stream,
            leftover: parts.read_buf,
        })
    }

    async fn send(
        &self,
        method: Method,
        target: Target,
        content: Content<'_>,
        upgrade: bool,
    ) -> Result<Response<Incoming>> {
        let path = target.to_string();
        if self.debug {
            complain!("hyper: {method} {path}");
        }
        let unreachable = |cause: io::Error| Unreachable {
            host: self.host.clone(),
            cause,
        };
        let stream = UnixStream::connect(&self.socket).await.map_err(unreachable)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends by itself when the answer has been read or the connection was handed over.
        tokio::spawn(connection.with_upgrades());

        let mut request = Request::builder()
            .method(method)
            .uri(&path)
            .header(header::HOST, "hyperd")
            .header(header::USER_AGENT, concat!("hyper/", env!("CARGO_PKG_VERSION")));
        let body = match content {
            Content::Empty(login) => {
                if let Some(login) = login {
                    request = request.header("X-Registry-Auth", login.header());
                }
                whole(Bytes::new())
            }
            Content::Json(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                whole(json)
            }
            Content::Upload(content) => {
                request = request.header(header::CONTENT_TYPE, "application/x-tar");
                content.boxed()
            }
        };
        if upgrade {
            request = request
                .header(header::CONNECTION, "Upgrade")
                .header(header::UPGRADE, "tcp");
        }
        let request = request.body(body)?;
        let response = sender
            .send_request(request)
            .await
            .with_context(|| format!("hyperd at {} closed the connection", self.host))?;
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            return Err(api_error(response).await.into());
        }
        Ok(response)
    }
}

fn whole(bytes: Bytes) -> BoxBody<Bytes, io::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

async fn api_error(response: Response<Incoming>) -> ApiError {
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ERROR_BYTES)
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let message = serde_json::from_slice::<Value>(&body)
        .ok()
        .and_then(|value| value.get("message")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(&body).trim().to_owned());
    ApiError {
        status: status.as_u16(),
        message: if message.is_empty() {
            format!("the daemon gave no reason ({status})")
        } else {
            message
        },
    }
}

/// The body as JSON; null when there is none, as after a start or a kill.
pub async fn json(response: Response<Incoming>) -> Result<Value> {
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(|error| anyhow!("read hyperd's answer: {error}"))?
        .to_bytes();
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body)
        .or_else(|error| {
            // `OK` and the like of a server that answers in words.
            if body.first().is_some_and(u8::is_ascii_alphabetic) {
                Ok(Value::Null)
            } else {
                Err(error)
            }
        })
        .context("hyperd's answer is not JSON")
}

/// The id in the answer to a create.
pub fn id_of(answer: &Value) -> Result<String> {
    match answer.get("Id").and_then(Value::as_str) {
        Some(id) => Ok(id.to_owned()),
        None => bail!("hyperd's answer has no Id: {answer}"),
    }
}

/// A wait that the daemon has accepted: from here on no exit can be missed.
pub struct Wait {
    body: Incoming,
}

impl Client {
    /// `condition` is `not-running`, `next-exit` or `removed`. Returns when the daemon has sent its headers.
    pub async fn wait(&self, container: &str, condition: &str) -> Result<Wait> {
        let target = Target::container(container)
            .push("wait")
            .query("condition", condition);
        Ok(Wait {
            body: self.stream(Method::POST, target).await?,
        })
    }
}

impl Wait {
    pub async fn exit_code(self) -> Result<i32> {
        let body = Limited::new(self.body, MAX_ERROR_BYTES)
            .collect()
            .await
            .map_err(|error| anyhow!("error waiting for container: {error}"))?
            .to_bytes();
        let answer: Value = serde_json::from_slice(&body)
            .context("error waiting for container: hyperd's answer is not JSON")?;
        if let Some(message) = answer
            .pointer("/Error/Message")
            .and_then(Value::as_str)
            .filter(|message| !message.is_empty())
        {
            bail!("error waiting for container: {message}");
        }
        answer
            .get("StatusCode")
            .and_then(Value::as_i64)
            .and_then(|code| i32::try_from(code).ok())
            .ok_or_else(|| anyhow!("error waiting for container: no StatusCode in {answer}"))
    }
}
