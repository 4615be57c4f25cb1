//! What a registry asks for before it answers, and what it is given: a password, or a token of the server that it names.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/> and, for those who have a token instead of a password,
//! <https://distribution.github.io/distribution/spec/auth/oauth/>

use super::session::{Fault, read_limited};
use crate::Credentials;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What a registry wants to see.
#[derive(Debug, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    /// A token of a server.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

/// A server names both; a token is worth more, since it does not show the password to the registry.
pub fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        let Ok(challenges) = http_auth::parse_challenges(value.to_str().unwrap_or_default()) else {
            continue;
        };
        for challenge in challenges {
            let param = |wanted: &str| {
                let mut params = challenge.params.iter();
                params
                    .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                    .map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                return Some(Challenge::Bearer {
                    realm: param("realm")?,
                    service: param("service"),
                });
            }
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// Asks a token server. `None`: it does not take the credentials.
pub async fn token(
    client: &Client,
    realm: &str,
    service: Option<&str>,
    scopes: &[String],
    credentials: &Credentials,
    plain: bool,
) -> Result<Option<HeaderValue>, Fault> {
    let url: Url = realm
        .parse()
        .map_err(|_| Fault::Nonsense(format!("its token server is {realm:?}")))?;
    // Only who speaks without TLS anyway may have a password sent so.
    if url.scheme() != "https" && !plain {
        return Err(Fault::Nonsense(format!(
            "its token server {realm} is without TLS"
        )));
    }
    let request = match credentials {
        Credentials::Identity { token } => with_identity(client, url, service, scopes, token),
        _ => with_password(client, url, service, scopes, credentials),
    };
    let response = request.send().await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
        // How it refuses an identity, RFC 6749.
        StatusCode::BAD_REQUEST if matches!(credentials, Credentials::Identity { .. }) => return Ok(None),
        _ => return Err(Fault::answer(response).await),
    }
    let body = read_limited(response, MAX_ANSWER_BYTES).await?;
    match read_token(&body) {
        Some(header) => Ok(Some(header)),
        None => Err(Fault::Nonsense("its token server gave no token".to_owned())),
    }
}

fn with_password(
    client: &Client,
    mut url: Url,
    service: Option<&str>,
    scopes: &[String],
    credentials: &Credentials,
) -> RequestBuilder {
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(service.map(|service| ("service", service)));
        query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
        if let Credentials::Basic { user, .. } = credentials {
            query.append_pair("account", user);
        }
    }
    let request = client.get(url);
    match basic(credentials) {
        Some(password) => request.header(AUTHORIZATION, password),
        None => request,
    }
}

fn with_identity(
    client: &Client,
    url: Url,
    service: Option<&str>,
    scopes: &[String],
    identity: &str,
) -> RequestBuilder {
    // A form is written as a query is.
    let mut form = url.clone();
    form.set_query(None);
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("refresh_token", identity)
        .append_pair("client_id", "hyper")
        .extend_pairs(service.map(|service| ("service", service)))
        .append_pair("scope", &scopes.join(" "));
    client
        .post(url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.query().unwrap_or_default().to_owned())
}

/// The token in a server's answer, as a header.
pub fn read_token(body: &[u8]) -> Option<HeaderValue> {
    let answer: Token = serde_json::from_slice(body).ok()?;
    bearer(&answer.token.or(answer.access_token)?)
}

/// The header of a token.
pub fn bearer(token: &str) -> Option<HeaderValue> {
    secret(format!("Bearer {token}"))
}

/// The header of a password; `None` without one.
pub fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    let Credentials::Basic { user, password } = credentials else {
        return None;
    };
    let pair = format!("{user}:{password}");
    secret(format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())))
}

/// Never shown in a log.
fn secret(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        challenge(&headers)
    }

    #[test]
    fn challenges_are_read() {
        let bearer = Some(Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
        });
        let text = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="x""#;
        assert_eq!(of(&[text]), bearer);
        assert_eq!(of(&[r#"Basic realm="lab""#, text]), bearer);
        assert_eq!(of(&[r#"Basic realm="lab""#]), Some(Challenge::Basic));
        for none in ["Bearer", "Negotiate", "", "Basic realm=\""] {
            assert_eq!(of(&[none]), None, "{none:?}");
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_password_is_no_part_of_a_log() {
        let header = basic(&Credentials::Basic {
            user: "me".to_owned(),
            password: "geheim".to_owned(),
        });
        let header = header.unwrap();
        assert_eq!(header, "Basic bWU6Z2VoZWlt");
        assert!(!format!("{header:?}").contains("bWU6"));
    }
}
