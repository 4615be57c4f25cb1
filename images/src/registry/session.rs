//! Requests to one registry about one repository: what they need to be let in, what is tried again, what comes back.

use super::auth::{self, Challenge};
use super::endpoint::Endpoint;
use super::retry::Retry;
use crate::layer::{digest_hex, digest_of};
use crate::{Credentials, Error, Name};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Request, Response, StatusCode, Url};
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::Mutex;

/// Manifests and configs larger than this are refused, as registries themselves do.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 4 << 20;
/// Of a text that says what is wrong.
const MAX_ERROR_BYTES: usize = 64 << 10;
const MAX_ERROR_CHARS: usize = 300;

const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Request(#[from] reqwest::Error),
    #[error("it answers {status}{}", said(.message))]
    Answer { status: StatusCode, message: String },
    #[error("{0}")]
    Nonsense(String),
    #[error("it has lost the upload")]
    Lost,
    #[error("{what} is longer than {limit} bytes")]
    TooLong { what: &'static str, limit: usize },
}

fn said(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(": {message}"),
    }
}

#[derive(Deserialize)]
struct Envelope {
    errors: Vec<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Fault {
    /// What an answer says that is not the one that was wanted.
    pub async fn answer(response: Response) -> Self {
        let status = response.status();
        let body = read_limited(response, MAX_ERROR_BYTES).await.unwrap_or_default();
        let complaint = serde_json::from_slice::<Envelope>(&body)
            .ok()
            .and_then(|envelope| envelope.errors.into_iter().next());
        let message = complaint.map_or(String::new(), |complaint| match complaint.message.as_str() {
            "" => complaint.code.to_lowercase(),
            _ => complaint.message,
        });
        // It is shown on a terminal.
        let printable = message.chars().filter(|c| !c.is_control());
        Self::Answer {
            status,
            message: printable.take(MAX_ERROR_CHARS).collect(),
        }
    }

    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// We are not let in, or not to that.
    pub fn is_denied(&self) -> bool {
        matches!(
            self.status(),
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        )
    }

    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }
}

/// Requests about one repository of a registry.
pub(crate) struct Session {
    pub endpoint: Endpoint,
    /// With the endpoint's prefix.
    repository: String,
    /// As people know it.
    shown: String,
    client: Client,
    /// For bodies that are streamed.
    uploads: Option<Client>,
    credentials: Credentials,
    /// What a token is to allow.
    scopes: Vec<String>,
    pub retry: Retry,
    given: Mutex<Option<HeaderValue>>,
}

impl Session {
    /// `actions`: what a token is to allow, such as `pull,push`; `others`: repositories that are read, too.
    pub fn new(
        endpoint: Endpoint,
        name: &Name,
        actions: &str,
        others: &[String],
        credentials: Credentials,
        retry: Retry,
    ) -> Result<Self, Error> {
        let repository = name.path();
        let repository = match endpoint.prefix.as_str() {
            "" => repository.to_owned(),
            prefix => format!("{prefix}/{repository}"),
        };
        let mut scopes = Vec::new();
        if !actions.is_empty() {
            scopes.push(format!("repository:{repository}:{actions}"));
        }
        scopes.extend(others.iter().map(|other| format!("repository:{other}:pull")));
        Ok(Self {
            client: endpoint.client()?,
            uploads: None,
            endpoint,
            repository,
            shown: name.repository(),
            credentials,
            scopes,
            retry,
            given: Mutex::new(None),
        })
    }

    /// Of use for pushing.
    pub fn with_uploads(self) -> Result<Self, Error> {
        let uploads = self.endpoint.patient_client()?;
        Ok(Self {
            uploads: Some(uploads),
            ..self
        })
    }

    /// `/v2/REPOSITORY/PATH`.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.endpoint.origin.clone();
        url.set_path(&format!("/v2/{}/{path}", self.repository));
        url
    }

    /// Where an answer points to.
    pub fn resolve(&self, location: &str) -> Result<Url, Fault> {
        let url = self.endpoint.origin.join(location).ok();
        let sound = url.filter(|url| match url.scheme() {
            "https" => true,
            "http" => self.endpoint.is_plain(),
            _ => false,
        });
        sound.ok_or_else(|| Fault::Nonsense(format!("it points to {:?}", shortened(location))))
    }

    /// What is given to one host is of no concern to others.
    fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin.origin()
    }

    /// Sends a request once, or twice when it was not let in: with what the registry asks for.
    pub async fn once(&self, request: &Request) -> Result<Response, Fault> {
        let given = self.given.lock().await.clone();
        let response = self.execute(request, given.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_ours(response.url()) {
            return Ok(response);
        }
        match self.admission(response.headers(), given).await? {
            Some(admission) => self.execute(request, Some(&admission)).await,
            None => Ok(response),
        }
    }

    async fn execute(&self, request: &Request, given: Option<&HeaderValue>) -> Result<Response, Fault> {
        let mut request = request
            .try_clone()
            .ok_or_else(|| Fault::Nonsense("a request cannot be sent twice".to_owned()))?;
        if let Some(given) = given.filter(|_| self.is_ours(request.url())) {
            request.headers_mut().insert(AUTHORIZATION, given.clone());
        }
        Ok(self.client.execute(request).await?)
    }

    /// Sends a body that cannot be sent twice, with what the registry has last asked for.
    pub async fn stream(&self, mut request: Request) -> Result<Response, Fault> {
        let given = self.given.lock().await.clone();
        if let Some(given) = given.filter(|_| self.is_ours(request.url())) {
            request.headers_mut().insert(AUTHORIZATION, given);
        }
        let client = self.uploads.as_ref().unwrap_or(&self.client);
        Ok(client.execute(request).await?)
    }

    /// What a registry that refused `given` asks for, if we have it.
    async fn admission(
        &self,
        headers: &HeaderMap,
        given: Option<HeaderValue>,
    ) -> Result<Option<HeaderValue>, Fault> {
        let mut current = self.given.lock().await;
        if *current != given {
            // Another request has got it meanwhile.
            return Ok(current.clone());
        }
        let admission = match auth::challenge(headers) {
            Some(Challenge::Basic) => {
                auth::basic(&self.credentials).filter(|new| given.as_ref() != Some(new))
            }
            Some(Challenge::Bearer { realm, service }) => match &self.credentials {
                Credentials::Token { token } => auth::bearer(token).filter(|new| given.as_ref() != Some(new)),
                _ => self.token(&realm, service.as_deref()).await?,
            },
            None => None,
        };
        if admission.is_some() {
            current.clone_from(&admission);
        }
        Ok(admission)
    }

    async fn token(&self, realm: &str, service: Option<&str>) -> Result<Option<HeaderValue>, Fault> {
        let plain = self.endpoint.is_plain();
        let mut attempts = self.retry.begin();
        loop {
            let result = auth::token(
                &self.client,
                realm,
                service,
                &self.scopes,
                &self.credentials,
                plain,
            )
            .await;
            match &result {
                Err(fault) if may_pass(fault) && attempts.again(None).await => {}
                _ => return result,
            }
        }
    }

    /// Whether a token server has given us a token.
    pub async fn has_token(&self) -> bool {
        if matches!(self.credentials, Credentials::Token { .. }) {
            return false;
        }
        let given = self.given.lock().await;
        let given = given.as_ref().map(HeaderValue::as_bytes);
        given.is_some_and(|given| given.starts_with(b"Bearer "))
    }

    /// Sends a request that may be repeated, until the registry gives an answer that counts.
    pub async fn answer(&self, request: &Request) -> Result<Response, Fault> {
        let mut attempts = self.retry.begin();
        loop {
            let result = self.once(request).await;
            let asked = match &result {
                Ok(response) if is_transient(response.status()) => retry_after(response.headers()),
                Err(fault) if may_pass(fault) => None,
                _ => return result,
            };
            if !attempts.again(asked).await {
                return result;
            }
        }
    }

    /// The same, and any answer but a success is a fault.
    pub async fn send(&self, request: &Request) -> Result<Response, Fault> {
        success(self.answer(request).await?).await
    }

    /// The manifest or index of a tag or digest, and its digest. One that is expected is compared.
    pub async fn manifest(
        &self,
        reference: &str,
        expected: Option<&str>,
    ) -> Result<(Vec<u8>, String), Error> {
        expected.map_or(Ok(""), digest_hex)?;
        let mut request = Request::new(Method::GET, self.url(&format!("manifests/{reference}")));
        let accepted = HeaderValue::from_static(ACCEPTED);
        request.headers_mut().insert(ACCEPT, accepted);
        let bytes = match self.document(&request, "manifest").await {
            Ok(bytes) => bytes,
            Err(fault) if fault.is_not_found() => {
                let separator = if reference.contains(':') { '@' } else { ':' };
                return Err(Error::UnknownManifest(format!(
                    "{}{separator}{reference}",
                    self.shown
                )));
            }
            Err(fault) => return Err(self.failed(fault)),
        };
        let found = digest_of(&bytes);
        match expected {
            Some(expected) if expected != found => Err(Error::Digest {
                what: "manifest".to_owned(),
                expected: expected.to_owned(),
                found,
            }),
            _ => Ok((bytes, found)),
        }
    }

    /// A small answer. One that breaks off is fetched again.
    pub async fn document(&self, request: &Request, what: &'static str) -> Result<Vec<u8>, Fault> {
        let mut attempts = self.retry.begin();
        loop {
            let response = self.send(request).await?;
            let result = read_limited(response, MAX_DOCUMENT_BYTES).await;
            match result {
                Err(Fault::TooLong { limit, .. }) => return Err(Fault::TooLong { what, limit }),
                Err(Fault::Request(_)) if attempts.again(None).await => {}
                result => return result,
            }
        }
    }

    /// What a fault means, where it is not about what was asked for.
    pub fn failed(&self, fault: Fault) -> Error {
        let registry = self.endpoint.host.clone();
        match fault {
            Fault::TooLong { what, limit } => Error::Limit {
                what: what.to_owned(),
                limit: format!("{limit} bytes"),
            },
            Fault::Request(error) if error.is_connect() || error.is_timeout() => Error::Unreachable {
                registry,
                source: error.into(),
            },
            fault if fault.is_denied() => Error::Denied(self.shown.clone()),
            fault => Error::Registry {
                registry,
                source: fault.into(),
            },
        }
    }
}

pub(crate) async fn success(response: Response) -> Result<Response, Fault> {
    match response.status().is_success() {
        true => Ok(response),
        false => Err(Fault::answer(response).await),
    }
}

/// The body, as long as it keeps to the limit; neither what it announces nor what comes is believed.
pub(crate) async fn read_limited(mut response: Response, limit: usize) -> Result<Vec<u8>, Fault> {
    let too_long = || Fault::TooLong {
        what: "an answer",
        limit,
    };
    if response
        .content_length()
        .is_some_and(|length| length > limit as u64)
    {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > limit {
            return Err(too_long());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The server is busy, or what stands before it is.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// A connection that failed, not one that was refused for what it asked.
pub(crate) fn may_pass(fault: &Fault) -> bool {
    match fault {
        Fault::Request(error) => !error.is_redirect() && !error.is_builder(),
        Fault::Answer { status, .. } => is_transient(*status),
        _ => false,
    }
}

/// Seconds; the other form, a date, is left to our own waits.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(120).collect()
}
