//! A blob on its way to a registry, chunk by chunk. What a broken connection has cut is found out from the registry and
//! sent again.
//!
//! "Pushing a blob in chunks" of the OCI distribution specification.

use super::session::{Fault, Session, is_transient, may_pass, retry_after, success};
use bytes::Bytes;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE,
};
use reqwest::{Body, Method, Request, Response, StatusCode, Url};
use std::sync::Arc;

/// What is in memory of each layer that is being pushed.
const CHUNK_BYTES: usize = 8 << 20;
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
        if chunk_bytes > MOST_CHUNK_BYTES {
            return Err(Fault::Nonsense(format!(
                "it wants chunks of {chunk_bytes} bytes; {MOST_CHUNK_BYTES} is the most"
            )));
        }
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
            let (fault, asked) = match self.session.once(&request).await {
                Ok(response) if response.status().is_success() => {
                    self.moved(&response)?;
                    let now = length(response.headers(), end).unwrap_or(end);
                    if now > received {
                        received = within(now, offset, end)?;
                        continue;
                    }
                    (Fault::Nonsense("it took nothing of a chunk".to_owned()), None)
                }
                Ok(response) if response.status() == StatusCode::NOT_FOUND => return Err(Fault::Lost),
                Ok(response) => {
                    let again = is_transient(response.status())
                        || response.status() == StatusCode::RANGE_NOT_SATISFIABLE;
                    let asked = retry_after(response.headers());
                    let fault = Fault::answer(response).await;
                    if !again {
                        return Err(fault);
                    }
                    (fault, asked)
                }
                Err(fault) if may_pass(&fault) => (fault, None),
                Err(fault) => return Err(fault),
            };
            if !attempts.again(asked).await {
                return Err(fault);
            }
            tracing::debug!(offset = received, %fault, "an upload broke off");
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
