//! A blob on its way from a registry: a stream that goes on where it broke off.

use super::retry::Attempts;
use super::session::{Fault, Session};
use crate::Error;
use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Request, Response, StatusCode};
use std::sync::Arc;

/// A registry that gives a byte and hangs up would otherwise keep us for ever.
const MAX_BREAKS: u32 = 64;

pub(crate) struct BlobReader {
    session: Arc<Session>,
    digest: String,
    total: u64,
    /// What was given on.
    offset: u64,
    response: Option<Response>,
    /// Bytes of the answer that were given on before it broke off.
    skip: u64,
    /// Whether it is worth asking for a part.
    ranges: bool,
    breaks: u32,
    attempts: Attempts,
}

impl BlobReader {
    /// `total`: as the manifest says; more is refused, less is fetched again.
    pub fn new(session: &Arc<Session>, digest: &str, total: u64) -> Self {
        Self {
            session: Arc::clone(session),
            digest: digest.to_owned(),
            total,
            offset: 0,
            response: None,
            skip: 0,
            ranges: true,
            breaks: 0,
            attempts: session.retry.begin(),
        }
    }

    /// The next bytes; none at the end, which is where the manifest says.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            self.open().await?;
            let Some(response) = &mut self.response else {
                continue;
            };
            let broke = match response.chunk().await {
                Ok(Some(bytes)) => match self.wanted(bytes)? {
                    Some(bytes) => return Ok(Some(bytes)),
                    None => continue,
                },
                // A connection that ends badly behind the last byte is none of our concern.
                Ok(None) | Err(_) if self.offset == self.total => return Ok(None),
                Ok(None) => Fault::Nonsense(format!("it gave {} of {} bytes", self.offset, self.total)),
                Err(error) => Fault::Request(error),
            };
            self.response = None;
            self.breaks += 1;
            if self.breaks > MAX_BREAKS || !self.attempts.again(None).await {
                return Err(self.session.failed(broke));
            }
            tracing::debug!(digest = self.digest, offset = self.offset, %broke, "a blob broke off");
        }
    }

    /// What was not given on yet.
    fn wanted(&mut self, mut bytes: Bytes) -> Result<Option<Bytes>, Error> {
        let known = self.skip.min(bytes.len() as u64);
        self.skip -= known;
        let bytes = bytes.split_off(usize::try_from(known).unwrap_or(bytes.len()));
        if bytes.is_empty() {
            return Ok(None);
        }
        self.offset += bytes.len() as u64;
        if self.offset > self.total {
            return Err(self.too_long(self.offset));
        }
        // It goes on: what fails from here on has its own attempts.
        self.attempts = self.session.retry.begin();
        Ok(Some(bytes))
    }

    fn too_long(&self, found: u64) -> Error {
        Error::Size {
            what: format!("blob {}", self.digest),
            expected: self.total,
            found,
        }
    }

    /// Asks for what is missing, unless it is coming.
    async fn open(&mut self) -> Result<(), Error> {
        if self.response.is_some() {
            return Ok(());
        }
        let url = self.session.url(&format!("blobs/{}", self.digest));
        let mut request = Request::new(Method::GET, url);
        let part = self.ranges && self.offset > 0 && self.offset < self.total;
        if part {
            let range = format!("bytes={}-", self.offset);
            let range = HeaderValue::try_from(range).unwrap_or(HeaderValue::from_static("bytes=0-"));
            request.headers_mut().insert(RANGE, range);
        }
        let answer = self.session.answer(&request).await;
        let response = answer.map_err(|fault| self.session.failed(fault))?;
        if part && !self.is_rest(&response) && response.status() != StatusCode::OK {
            // It knows parts, but gives another one or none: all of it, and what is known is skipped.
            self.ranges = false;
            self.breaks += 1;
            return Ok(());
        }
        if !response.status().is_success() {
            let fault = Fault::answer(response).await;
            return Err(self.session.failed(fault));
        }
        let is_part = part && response.status() == StatusCode::PARTIAL_CONTENT;
        self.skip = if is_part { 0 } else { self.offset };
        let begin = if is_part { self.offset } else { 0 };
        if let Some(length) = response.content_length()
            && begin.saturating_add(length) > self.total
        {
            return Err(self.too_long(begin.saturating_add(length)));
        }
        self.response = Some(response);
        Ok(())
    }

    /// Whether an answer is the part that was asked for.
    fn is_rest(&self, response: &Response) -> bool {
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return false;
        }
        let range = response.headers().get(CONTENT_RANGE);
        let range = range.and_then(|range| range.to_str().ok()).and_then(parse_range);
        range.is_some_and(|(first, last, whole)| {
            first == self.offset && last < self.total && whole.is_none_or(|whole| whole == self.total)
        })
    }
}

/// `bytes FIRST-LAST/WHOLE`, the last of which may be `*`.
fn parse_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (part, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let whole = match whole {
        "*" => None,
        whole => Some(whole.parse().ok()?),
    };
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last, whole))
}

impl Session {
    /// Whether the registry has a blob, of this length if it tells.
    pub async fn has_blob(&self, digest: &str, bytes: u64) -> Result<bool, Fault> {
        let request = Request::new(Method::HEAD, self.url(&format!("blobs/{digest}")));
        let response = self.answer(&request).await?;
        match response.status() {
            StatusCode::OK => {
                let length = response.headers().get(reqwest::header::CONTENT_LENGTH);
                let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
                Ok(length.is_none_or(|length| length == bytes))
            }
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(Fault::answer(response).await),
        }
    }

    /// A whole small blob; its digest is for the caller to check.
    pub async fn small_blob(&self, digest: &str, bytes: u64) -> Result<Vec<u8>, Error> {
        let request = Request::new(Method::GET, self.url(&format!("blobs/{digest}")));
        let blob = self.document(&request, "config").await;
        let blob = blob.map_err(|fault| self.failed(fault))?;
        match blob.len() as u64 == bytes {
            true => Ok(blob),
            false => Err(Error::Size {
                what: format!("blob {digest}"),
                expected: bytes,
                found: blob.len() as u64,
            }),
        }
    }
}
