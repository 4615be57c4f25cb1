//! Where a registry answers, and the client that reaches it there.

use super::Registries;
use crate::Error;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder, Url};
use serde::Deserialize;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Under which docker.io answers.
const DOCKER_IO: &str = "registry-1.docker.io";
const MAX_REDIRECTS: usize = 10;

/// A registry that is asked before the one an image is of: `https://HOST[:PORT][/PREFIX]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mirror {
    url: Url,
}

impl FromStr for Mirror {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Mirror(text.chars().take(200).collect());
        let url: Url = text.parse().map_err(|_| wrong())?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        match (url.scheme(), url.has_host() && plain) {
            ("http" | "https", true) => Ok(Self { url }),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Mirror {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// Where requests about one registry go.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// `host[:port]`, as people know it.
    pub host: String,
    /// Scheme, host and port.
    pub origin: Url,
    /// Before the repository, without slashes at its ends; empty for none.
    pub prefix: String,
    /// Of further authorities that it is trusted by, and whether the host is this machine.
    certificates: Vec<PathBuf>,
    local: bool,
}

impl Endpoint {
    pub fn of(registries: &Registries, registry: &str) -> Result<Self, Error> {
        let certificates = certificates(&registries.certificates, registry)?;
        let local = is_local(registry);
        let plain =
            registries.insecure.iter().any(|known| known == registry) || (local && certificates.is_empty());
        let scheme = if plain { "http" } else { "https" };
        let host = if registry == "docker.io" {
            DOCKER_IO
        } else {
            registry
        };
        let origin = format!("{scheme}://{host}/")
            .parse()
            .map_err(|_| reference::Error::format(registry))?;
        Ok(Self {
            host: registry.to_owned(),
            origin,
            prefix: String::new(),
            certificates,
            local,
        })
    }

    pub fn of_mirror(registries: &Registries, mirror: &Mirror) -> Result<Self, Error> {
        let mut origin = mirror.url.clone();
        origin.set_path("/");
        let host = match (origin.host_str().unwrap_or_default(), origin.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        Ok(Self {
            certificates: certificates(&registries.certificates, &host)?,
            local: is_local(&host),
            prefix: mirror.url.path().trim_matches('/').to_owned(),
            host,
            origin,
        })
    }

    pub fn is_plain(&self) -> bool {
        self.origin.scheme() == "http"
    }

    pub fn client(&self) -> Result<Client, Error> {
        self.build(super::client())
    }

    /// For requests that take as long as their bodies.
    pub fn patient_client(&self) -> Result<Client, Error> {
        self.build(super::patient_client())
    }

    fn build(&self, builder: ClientBuilder) -> Result<Client, Error> {
        let mut builder = builder
            .redirect(Policy::custom(redirect))
            .tls_certs_merge(read_certificates(&self.certificates)?);
        // Others go where HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.
        if self.local {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|error| Error::Registry {
            registry: self.host.clone(),
            source: error.into(),
        })
    }
}

/// Registries send to where their blobs are kept. What was asked under TLS stays under it; credentials do not go to
/// another host, reqwest sees to that.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let secure = attempt.previous().iter().any(|url| url.scheme() == "https");
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("too many redirects");
    }
    if secure && attempt.url().scheme() != "https" {
        return attempt.error("a redirect from https to http");
    }
    attempt.follow()
}

/// `FOLDER/HOST[:PORT]/*.crt`, as docker has them in /etc/docker/certs.d.
fn certificates(folder: &Path, host: &str) -> Result<Vec<PathBuf>, Error> {
    // The host becomes a folder's name.
    if folder.as_os_str().is_empty() || host.contains('/') || host.starts_with('.') {
        return Ok(Vec::new());
    }
    let folder = folder.join(host);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::read(folder)(error)),
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "crt"))
        .collect();
    paths.sort();
    Ok(paths)
}

fn read_certificates(paths: &[PathBuf]) -> Result<Vec<Certificate>, Error> {
    let mut certificates = Vec::new();
    for path in paths {
        let pem = std::fs::read(path).map_err(Error::read(path))?;
        let read = Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string());
        match read {
            Ok(read) if !read.is_empty() => certificates.extend(read),
            other => {
                return Err(Error::Certificate {
                    path: path.clone(),
                    why: other.err().unwrap_or_else(|| "there is none".to_owned()),
                });
            }
        }
    }
    Ok(certificates)
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
    use super::*;

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

    #[test]
    fn mirrors_are_urls_of_a_registry() {
        let registries = Registries::default();
        let of = |text: &str| Endpoint::of_mirror(&registries, &text.parse().unwrap()).unwrap();
        let endpoint = of("https://harbor.lan:8443/proxy/hub/");
        assert_eq!(endpoint.origin.as_str(), "https://harbor.lan:8443/");
        assert_eq!(
            (endpoint.host.as_str(), endpoint.prefix.as_str()),
            ("harbor.lan:8443", "proxy/hub")
        );
        assert!(of("http://mirror").is_plain());
        for bad in [
            "mirror.lan:5000",
            "ftp://mirror",
            "https://u:p@mirror",
            "https://mirror/?a",
            "",
        ] {
            assert!(bad.parse::<Mirror>().is_err(), "{bad}");
        }
    }

    #[test]
    fn which_registries_have_tls() {
        let folder = tempfile::tempdir().unwrap();
        let registries = Registries {
            insecure: vec!["plain.lan:5000".to_owned()],
            certificates: folder.path().to_owned(),
            ..Registries::default()
        };
        let scheme = |registry: &str| {
            let endpoint = Endpoint::of(&registries, registry).unwrap();
            endpoint.origin.scheme().to_owned()
        };
        for (registry, expected) in [
            ("docker.io", "https"),
            ("registry.lan:5000", "https"),
            ("plain.lan:5000", "http"),
            ("localhost:5000", "http"),
        ] {
            assert_eq!(scheme(registry), expected, "{registry}");
        }
        std::fs::create_dir(folder.path().join("localhost:5000")).unwrap();
        let certificate = folder.path().join("localhost:5000/ca.crt");
        std::fs::write(&certificate, "no certificate").unwrap();
        assert_eq!(scheme("localhost:5000"), "https");
        let broken = Endpoint::of(&registries, "localhost:5000").unwrap().client();
        assert!(matches!(broken, Err(Error::Certificate { .. })));
    }
}
