//! Looking for repositories: what docker.io offers and few others do.
//!
//! <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Image/operation/ImageSearch>

use super::session::{Session, read_limited};
use super::{Endpoint, Registries};
use crate::{Credentials, Error, Name};
use reqwest::{Method, Request};
use serde::{Deserialize, Serialize};

const MAX_ANSWER_BYTES: usize = 4 << 20;
const HUB: &str = "index.docker.io";

/// A repository that was found, as the registry and docker's API write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Found {
    pub name: String,
    pub description: String,
    pub star_count: u64,
    pub is_official: bool,
    pub is_automated: bool,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Found>,
}

impl Registries {
    /// `term`: `[registry/]words`.
    pub async fn search(
        &self,
        term: &str,
        limit: u32,
        credentials: Credentials,
    ) -> Result<Vec<Found>, Error> {
        let (registry, words) = match term.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => ("docker.io", term),
        };
        let name: Name = format!("{registry}/hyper/search").parse()?;
        let mut endpoint = Endpoint::of(self, name.registry())?;
        if registry == "docker.io" {
            // Its registry is elsewhere.
            let _ = endpoint.origin.set_host(Some(HUB));
        }
        let mut url = endpoint.origin.clone();
        url.set_path("/v1/search");
        url.query_pairs_mut()
            .append_pair("q", words)
            .append_pair("n", &limit.to_string());
        let session = Session::new(endpoint, &name, "", &[], credentials, self.retry.clone())?;
        let response = match session.send(&Request::new(Method::GET, url)).await {
            Ok(response) => response,
            Err(fault) if fault.is_not_found() => return Err(Error::NoSearch(registry.to_owned())),
            Err(fault) => return Err(session.failed(fault)),
        };
        let body = read_limited(response, MAX_ANSWER_BYTES).await;
        let body = body.map_err(|fault| session.failed(fault))?;
        // A web page, say: it is no such service.
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|_| Error::NoSearch(registry.to_owned()))?;
        Ok(answer.results.into_iter().take(limit as usize).collect())
    }
}
