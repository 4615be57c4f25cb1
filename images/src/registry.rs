//! How registries are reached, and logging in to one.

use crate::{Error, Name};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};
use std::net::IpAddr;
use std::time::Duration;

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// `host:port` of those without TLS. Those on this machine always count as such.
    pub insecure: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub enum Credentials {
    #[default]
    Anonymous,
    Basic {
        user: String,
        password: String,
    },
}

impl From<Credentials> for RegistryAuth {
    fn from(credentials: Credentials) -> Self {
        match credentials {
            Credentials::Anonymous => Self::Anonymous,
            Credentials::Basic { user, password } => Self::Basic(user, password),
        }
    }
}

/// Which cryptography all connections use. Repeated calls are refused and mean nothing.
pub(crate) fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Registries {
    pub(crate) fn client(&self, registry: &str) -> Client {
        use_ring();
        let plain = is_local(registry) || self.insecure.iter().any(|known| known == registry);
        Client::new(ClientConfig {
            protocol: if plain {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            connect_timeout: Some(Duration::from_secs(15)),
            read_timeout: Some(Duration::from_secs(60)),
            user_agent: concat!("hyper/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        })
    }

    /// Whether `registry` (`host[:port]`) accepts the credentials. A registry that asks for none accepts all.
    pub async fn login(&self, registry: &str, credentials: Credentials) -> Result<(), Error> {
        // Of no image in particular: what is asked about it is not what the answer is about.
        let probe: Name = format!("{registry}/hyper/login").parse()?;
        let auth = credentials.into();
        let client = self.client(probe.registry());
        let refused = || Error::LoginRefused(registry.to_owned());
        let failed = |error| unanswered(registry, error);
        match client
            .auth(probe.reference(), &auth, RegistryOperation::Pull)
            .await
        {
            // Its token server has checked them.
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {}
            Err(OciDistributionError::AuthenticationFailure(_)) => return Err(refused()),
            Err(error) => return Err(failed(error)),
        }
        match client.fetch_manifest_digest(probe.reference(), &auth).await {
            Ok(_) => Ok(()),
            Err(error) => match what_refused(&error) {
                Refusal::Credentials => Err(refused()),
                Refusal::Image => Ok(()),
                Refusal::Other => Err(failed(error)),
            },
        }
    }
}

/// For what the registry has not answered, or not in a way that tells why.
pub(crate) fn unanswered(registry: &str, error: OciDistributionError) -> Error {
    let registry = registry.to_owned();
    match &error {
        OciDistributionError::RequestError(request) if request.is_connect() || request.is_timeout() => {
            Error::Unreachable {
                registry,
                source: error.into(),
            }
        }
        _ => Error::Registry {
            registry,
            source: error.into(),
        },
    }
}

enum Refusal {
    Credentials,
    /// It let us in and has no such image.
    Image,
    Other,
}

fn what_refused(error: &OciDistributionError) -> Refusal {
    match error {
        OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::ServerError { code: 401, .. } => Refusal::Credentials,
        OciDistributionError::ImageManifestNotFoundError(_)
        | OciDistributionError::ServerError { code: 403 | 404, .. } => Refusal::Image,
        OciDistributionError::RegistryError { envelope, .. } => {
            match envelope.errors.first().map(|error| &error.code) {
                Some(OciErrorCode::Unauthorized) => Refusal::Credentials,
                Some(
                    OciErrorCode::ManifestUnknown
                    | OciErrorCode::NameUnknown
                    | OciErrorCode::NotFound
                    | OciErrorCode::Denied,
                ) => Refusal::Image,
                _ => Refusal::Other,
            }
        }
        _ => Refusal::Other,
    }
}

/// Whether a registry, `host` or `host:port`, is on this machine. By address: a name may begin with `127.` too.
fn is_local(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_this_machine_is_local() {
        for local in [
            "localhost",
            "localhost:5000",
            "127.0.0.1",
            "127.1.2.3:80",
            "[::1]",
            "[::1]:5000",
        ] {
            assert!(is_local(local), "{local}");
        }
        for other in [
            "127.evil.example",
            "127.0.0.1.example:80",
            "docker.io",
            "10.0.0.1:5000",
            "[::2]:1",
            "",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }
}
