//! How registries are reached, and logging in to one.
//!
//! ```text
//!   endpoint   where a registry answers; mirrors, certificates, proxies
//!   session    requests about one repository                     (auth.rs, retry.rs)
//!   blob       a blob that comes, and goes on where it broke off
//!   upload     a blob that goes, and goes on where it broke off
//!   tags       what tags there are
//!   search     what repositories there are, at docker.io
//! ```
//!
//! The requests are those of the OCI distribution specification:
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md>.

pub(crate) mod auth;
mod blob;
mod endpoint;
#[cfg(test)]
pub(crate) mod fake;
mod retry;
mod search;
mod session;
mod tags;
mod upload;

pub use endpoint::Mirror;
pub use retry::Retry;
pub use search::Found;

pub(crate) use blob::BlobReader;
pub(crate) use endpoint::Endpoint;
pub(crate) use session::{Fault, MAX_DOCUMENT_BYTES, Session};
pub(crate) use upload::{BrokenOff, CHUNK_BYTES, Started, Upload};

use crate::{Error, Name};
use reqwest::{ClientBuilder, Method, Request, StatusCode};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Without a byte of an answer.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A client of web servers, whose waits are limited.
pub(crate) fn client() -> ClientBuilder {
    patient_client().read_timeout(READ_TIMEOUT)
}

/// One that waits for an answer as long as there is something to send: that limit begins with a request, not behind it.
fn patient_client() -> ClientBuilder {
    // Which cryptography all connections use. Repeated calls are refused and mean nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("hyper/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
}

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// `host:port` of those without TLS. Those on this machine count as such, unless they have certificates.
    pub insecure: Vec<String>,
    /// Of a registry, as names have it: where a pull looks first, in order. A digest is verified wherever it comes
    /// from; what a tag stands for is the mirror's word.
    pub mirrors: BTreeMap<String, Vec<Mirror>>,
    /// `HOST[:PORT]/*.crt` in there are authorities that a registry is trusted by, beside the system's; empty for none.
    pub certificates: PathBuf,
    pub retry: Retry,
}

#[derive(Clone, Default)]
pub enum Credentials {
    #[default]
    Anonymous,
    Basic {
        user: String,
        password: String,
    },
    /// For the token server, which gives others for it: what `docker login` keeps where a password is not to be kept.
    Identity {
        token: String,
    },
    /// For the registry itself.
    Token {
        token: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { user, .. } => f
                .debug_struct("Basic")
                .field("user", user)
                .finish_non_exhaustive(),
            Self::Identity { .. } => f.debug_struct("Identity").finish_non_exhaustive(),
            Self::Token { .. } => f.debug_struct("Token").finish_non_exhaustive(),
        }
    }
}

impl Registries {
    /// Where to pull from: mirrors, which get no credentials, and the registry itself.
    pub(crate) fn sources(&self, name: &Name, credentials: &Credentials) -> Result<Vec<Arc<Session>>, Error> {
        let mut sources = Vec::new();
        for mirror in self.mirrors.get(name.registry()).into_iter().flatten() {
            let endpoint = Endpoint::of_mirror(self, mirror)?;
            sources.push((endpoint, Credentials::Anonymous));
        }
        sources.push((Endpoint::of(self, name.registry())?, credentials.clone()));
        let sessions = sources.into_iter().map(|(endpoint, credentials)| {
            let retry = self.retry.clone();
            Session::new(endpoint, name, "pull", &[], credentials, retry).map(Arc::new)
        });
        sessions.collect()
    }

    /// Where to push to; `others` are repositories of the same registry that blobs may be mounted from.
    pub(crate) fn target(
        &self,
        name: &Name,
        others: &[String],
        credentials: Credentials,
    ) -> Result<Arc<Session>, Error> {
        let endpoint = Endpoint::of(self, name.registry())?;
        let retry = self.retry.clone();
        let session = Session::new(endpoint, name, "pull,push", others, credentials, retry)?;
        session.with_uploads().map(Arc::new)
    }

    /// Whether `registry` (`host[:port]`) accepts the credentials. A registry that asks for none accepts all.
    pub async fn login(&self, registry: &str, credentials: Credentials) -> Result<(), Error> {
        // Of no image in particular.
        let probe: Name = format!("{registry}/hyper/login").parse()?;
        let endpoint = Endpoint::of(self, probe.registry())?;
        let mut base = endpoint.origin.clone();
        base.set_path("/v2/");
        let session = Session::new(endpoint, &probe, "", &[], credentials, self.retry.clone())?;
        let answer = session.answer(&Request::new(Method::GET, base)).await;
        let response = answer.map_err(|fault| session.failed(fault))?;
        match response.status() {
            // A token without a scope may be worth nothing to the registry; its server has checked the password.
            StatusCode::UNAUTHORIZED if !session.has_token().await => {
                Err(Error::LoginRefused(registry.to_owned()))
            }
            status if status.is_server_error() => Err(session.failed(Fault::answer(response).await)),
            _ => Ok(()),
        }
    }
}
