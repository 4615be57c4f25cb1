//! A blob on its way to a registry: in one request, as docker sends it. What a broken connection has cut is found out from
//! the registry, and what is missing goes in chunks.
//!
//! "Pushing a blob in chunks" of the OCI distribution specification. Registries differ in what they take of it: all take
//! one body without a range, GHCR no chunk of more than 4 MiB, Google's Artifact Registry none at all, and ECR tells of
//! the first one only that it has it.

use super::session::{Fault, Session, is_transient, may_pass, retry_after, success};
use bytes::Bytes;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE,
};
use reqwest::{Body, Method, Request, Response, StatusCode, Url};
use std::sync::Arc;
use std::time::Duration;

/// What is in memory of each layer that is being pushed; GHCR's limit of a chunk.
pub(crate) const CHUNK_BYTES: usize = 4 << 20;
/// A registry that keeps parts elsewhere may want larger ones; more than this is too much.
const MOST_CHUNK_BYTES: usize = 32 << 20;
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

pub(crate) enum Started {
    /// The blob was there, in the other repository.
    Mounted,
    Upload(Upload),
}

pub(crate) struct Upload {
    session: Arc<Session>,
    location: Url,
    /// How long chunks are; the last may be shorter.
    pub chunk_bytes: usize,
}

/// What was sent has not all arrived, and may another time.
#[derive(Debug)]
pub(crate) struct BrokenOff {
    pub fault: Fault,
    /// How long the registry wants to be left alone.
    asked: Option<Duration>,
}

impl BrokenOff {
    pub fn by(fault: Fault) -> Self {
        Self { fault, asked: None }
    }
}

impl Session {
    /// `mount`: a digest, and the repository of this registry that may have it.
    pub async fn start_upload(self: &Arc<Self>, mount: Option<(&str, &str)>) -> Result<Started, Fault> {
        let mut url = self.url("blobs/uploads/");
        if let Some((digest, from)) = mount {
            url.query_pairs_mut()
                .append_pair("mount", digest)
                .append_pair("from", from);
        }
        let request = with_body(Method::POST, url, Bytes::new());
        let response = self.send(&request).await?;
        if mount.is_some() && response.status() == StatusCode::CREATED {
            return Ok(Started::Mounted);
        }
        let location = self.location(&response)?;
        let location = location.ok_or_else(|| Fault::Nonsense("it has no place for an upload".to_owned()))?;
        let least = response.headers().get(CHUNK_MIN_LENGTH);
        let least = least.and_then(|least| least.to_str().ok()?.parse::<usize>().ok());
        let chunk_bytes = CHUNK_BYTES.max(least.unwrap_or(0));
        Ok(Started::Upload(Upload {
            session: Arc::clone(self),
            location,
            chunk_bytes,
        }))
    }

    fn location(&self, response: &Response) -> Result<Option<Url>, Fault> {
        let location = response.headers().get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        location.map(|location| self.resolve(location)).transpose()
    }

    /// Puts a manifest under a tag.
    pub async fn put_manifest(&self, tag: &str, media_type: &str, bytes: &[u8]) -> Result<(), Fault> {
        let url = self.url(&format!("manifests/{tag}"));
        let mut request = with_body(Method::PUT, url, Bytes::copy_from_slice(bytes));
        let media_type = HeaderValue::from_str(media_type)
            .map_err(|_| Fault::Nonsense("the manifest has no media type".to_owned()))?;
        request.headers_mut().insert(CONTENT_TYPE, media_type);
        self.send(&request).await.map(drop)
    }
}

impl Upload {
    /// Sends all of a blob.
    pub async fn stream(&mut self, body: Body) -> Result<Option<BrokenOff>, Fault> {
        let mut request = Request::new(Method::PATCH, self.location.clone());
        request.headers_mut().insert(CONTENT_TYPE, BYTES);
        *request.body_mut() = Some(body);
        match self.session.stream(request).await {
            Ok(response) if response.status().is_success() => self.moved(&response).map(|()| None),
            // A token may have ended, and the body cannot be sent again: what comes next gets another.
            Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
                Ok(Some(BrokenOff::by(Fault::answer(response).await)))
            }
            failed => broke_off(failed).await.map(Some),
        }
    }

    /// After a break: how many of the blob's bytes the registry has. [`Fault::Lost`]: all of it has to be sent again.
    pub async fn received(&mut self, broken: BrokenOff, bytes: u64) -> Result<u64, Fault> {
        if self.chunk_bytes > MOST_CHUNK_BYTES {
            return Err(Fault::Lost);
        }
        if !self.session.retry.begin().again(broken.asked).await {
            return Err(broken.fault);
        }
        tracing::debug!(fault = %broken.fault, "an upload broke off");
        let received = self.status(bytes).await?;
        within(received, 0, bytes)
    }

    /// Sends a chunk, the blob's bytes from `offset` on. [`Fault::Lost`]: all of it has to be sent again.
    pub async fn append(&mut self, offset: u64, chunk: &Bytes) -> Result<(), Fault> {
        let end = offset + chunk.len() as u64;
        let mut received = offset;
        let mut attempts = self.session.retry.begin();
        while received < end {
            let part = usize::try_from(received - offset).unwrap_or(chunk.len());
            let mut request = with_body(Method::PATCH, self.location.clone(), chunk.slice(part..));
            let range = HeaderValue::try_from(format!("{received}-{}", end - 1));
            let range = range.map_err(|_| Fault::Lost)?;
            request.headers_mut().insert(CONTENT_RANGE, range);
            let broken = match self.session.once(&request).await {
                Ok(response) if response.status().is_success() => {
                    self.moved(&response)?;
                    let told = length(response.headers(), end);
                    // Less than it had is what some say of any chunk but the first.
                    received = told
                        .filter(|told| (received + 1..end).contains(told))
                        .unwrap_or(end);
                    continue;
                }
                failed => broke_off(failed).await.map_err(or_lost)?,
            };
            if !attempts.again(broken.asked).await {
                return Err(or_lost(broken.fault));
            }
            tracing::debug!(offset = received, fault = %broken.fault, "a chunk broke off");
            received = within(self.status(end).await?, offset, end)?;
        }
        Ok(())
    }

    /// How many bytes the registry has.
    async fn status(&mut self, end: u64) -> Result<u64, Fault> {
        let request = Request::new(Method::GET, self.location.clone());
        let response = self.session.answer(&request).await?;
        if response.status().is_client_error() {
            return Err(Fault::Lost);
        }
        let response = success(response).await?;
        self.moved(&response)?;
        Ok(length(response.headers(), end).unwrap_or(0))
    }

    fn moved(&mut self, response: &Response) -> Result<(), Fault> {
        if let Some(location) = self.session.location(response)? {
            self.location = location;
        }
        Ok(())
    }

    /// Ends the upload with its last bytes. From now on the repository has the blob.
    pub async fn finish(self, digest: &str, bytes: u64, last: Bytes) -> Result<(), Fault> {
        let mut url = self.location.clone();
        url.query_pairs_mut().append_pair("digest", digest);
        let fault = match self.session.once(&with_body(Method::PUT, url, last)).await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => Fault::answer(response).await,
            Err(fault) => fault,
        };
        if !may_pass(&fault) && !fault.is_not_found() {
            return Err(fault);
        }
        // The answer may have got lost behind what it was about.
        match self.session.has_blob(digest, bytes).await? {
            true => Ok(()),
            false => Err(Fault::Lost),
        }
    }

    /// Tells the registry that no more will come. One that does not listen forgets it by itself.
    pub async fn cancel(self) {
        let request = Request::new(Method::DELETE, self.location.clone());
        if let Err(fault) = self.session.once(&request).await {
            tracing::debug!(%fault, "an upload is left to the registry");
        }
    }
}

fn with_body(method: Method, url: Url, body: Bytes) -> Request {
    let mut request = Request::new(method, url);
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, BYTES);
    headers.insert(CONTENT_LENGTH, body.len().into());
    *request.body_mut() = Some(Body::from(body));
    request
}

/// Why a request came to nothing, if it may come to more later.
async fn broke_off(result: Result<Response, Fault>) -> Result<BrokenOff, Fault> {
    let response = match result {
        Ok(response) if response.status() == StatusCode::NOT_FOUND => return Err(Fault::Lost),
        Ok(response) => response,
        Err(fault) if may_pass(&fault) => return Ok(BrokenOff::by(fault)),
        Err(fault) => return Err(fault),
    };
    let again = is_transient(response.status()) || response.status() == StatusCode::RANGE_NOT_SATISFIABLE;
    let asked = retry_after(response.headers());
    let fault = Fault::answer(response).await;
    match again {
        true => Ok(BrokenOff { fault, asked }),
        false => Err(fault),
    }
}

/// A chunk that is refused may be one too many for the registry: all at once is not.
fn or_lost(fault: Fault) -> Fault {
    let refused = fault.status().is_some_and(|status| {
        status == StatusCode::NOT_IMPLEMENTED || status.is_client_error() && !is_transient(status)
    });
    match refused && !fault.is_denied() {
        true => Fault::Lost,
        false => fault,
    }
}

/// What a `Range: 0-LAST` says that the registry has. Some write `0-0` for nothing, some the length for the last.
fn length(headers: &HeaderMap, end: u64) -> Option<u64> {
    let range = headers.get(RANGE)?.to_str().ok()?;
    let last = range.trim_start_matches("bytes=").strip_prefix("0-")?;
    match last.parse::<u64>().ok()? {
        0 => Some(0),
        last if last == end => Some(end),
        last => last.checked_add(1),
    }
}

/// Only this chunk is at hand.
fn within(received: u64, offset: u64, end: u64) -> Result<u64, Fault> {
    match (offset..=end).contains(&received) {
        true => Ok(received),
        false => Err(Fault::Lost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_has() {
        let of = |range: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static(range));
            length(&headers, 100)
        };
        for (range, expected) in [
            ("0-0", Some(0)),
            ("0-49", Some(50)),
            ("bytes=0-49", Some(50)),
            ("0-99", Some(100)),
            ("0-100", Some(100)),
            ("0-18446744073709551615", None),
            ("1-9", None),
            ("", None),
        ] {
            assert_eq!(of(range), expected, "{range}");
        }
        assert!(within(50, 50, 100).is_ok());
        assert!(within(49, 50, 100).is_err());
        assert!(within(101, 50, 100).is_err());
    }
}
