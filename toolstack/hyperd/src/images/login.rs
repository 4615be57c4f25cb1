//! Credentials for registries: those that come with a request, and `/auth`.

use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::request;
use axum::http::HeaderMap;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use engine::images::Credentials;
use serde::Deserialize;
use serde_json::json;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    username: Option<String>,
    password: Option<String>,
    /// `user:password` in base64.
    auth: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
    /// Of `/auth` only.
    serveraddress: Option<String>,
}

/// Of `X-Registry-Auth`: JSON in base64url. What cannot be read counts as none, as in docker.
pub fn credentials(headers: &HeaderMap) -> Result<Credentials, ApiError> {
    let auth: Auth = headers
        .get("x-registry-auth")
        .and_then(|value| decode_base64(value.as_bytes()))
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default();
    auth.credentials()
}

impl Auth {
    fn credentials(self) -> Result<Credentials, ApiError> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        if given(self.identitytoken).is_some() || given(self.registrytoken).is_some() {
            return Err(ApiError::unsupported("logging in to a registry with a token"));
        }
        let pair = given(self.auth)
            .and_then(|text| String::from_utf8(decode_base64(text.as_bytes())?).ok())
            .and_then(|text| {
                text.split_once(':')
                    .map(|(user, password)| (user.to_owned(), password.to_owned()))
            });
        let pair = given(self.username)
            .map(|user| (user, self.password.unwrap_or_default()))
            .or(pair);
        Ok(
            pair.map_or(Credentials::Anonymous, |(user, password)| Credentials::Basic {
                user,
                password,
            }),
        )
    }
}

/// `POST /auth`: whether a registry takes the credentials. Only the client keeps them.
pub async fn login(call: Call) -> Answer {
    let mut auth: Auth = request::need_json(call.request.into_body()).await?;
    let registry = registry_of(&auth.serveraddress.take().unwrap_or_default());
    let credentials = auth.credentials()?;
    call.app.engine.login(&registry, credentials).await?;
    Ok(request::ok_json(
        &json!({ "Status": "Login Succeeded", "IdentityToken": "" }),
    ))
}

/// The `host[:port]` of a server's address, which docker's own is written with as a URL.
fn registry_of(address: &str) -> String {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
        .unwrap_or(address);
    match rest.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

/// Clients differ in alphabet and padding.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    [BASE64URL, BASE64URL_NOPAD, BASE64, BASE64_NOPAD]
        .iter()
        .find_map(|encoding| encoding.decode(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[test]
    fn credentials_are_read() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-registry-auth", text.parse().unwrap());
            credentials(&headers)
        };
        let basic = |credentials| match credentials {
            Ok(Credentials::Basic { user, password }) => format!("{user}/{password}"),
            other => format!("{other:?}"),
        };
        assert!(matches!(of("e30="), Ok(Credentials::Anonymous)));
        assert!(matches!(of("rubbish!"), Ok(Credentials::Anonymous)));
        assert!(matches!(
            credentials(&HeaderMap::new()),
            Ok(Credentials::Anonymous)
        ));
        let json = br#"{"username":"u","password":"p?>~"}"#;
        assert_eq!(basic(of(&BASE64URL.encode(json))), "u/p?>~");
        assert_eq!(basic(of(&BASE64.encode(json))), "u/p?>~");
        assert_eq!(basic(of(&BASE64URL_NOPAD.encode(json))), "u/p?>~");
        let auth = format!(r#"{{"auth":"{}"}}"#, BASE64.encode(b"a:b:c"));
        assert_eq!(basic(of(&BASE64URL.encode(auth.as_bytes()))), "a/b:c");
        let token = BASE64URL.encode(br#"{"identitytoken":"t"}"#);
        assert_eq!(of(&token).unwrap_err().status, StatusCode::NOT_IMPLEMENTED);
    }

    #[test]
    fn a_server_is_its_host() {
        for (address, registry) in [
            ("", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("localhost:5000", "localhost:5000"),
            ("https://host.example/v2/", "host.example"),
            ("http://[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(registry_of(address), registry);
        }
    }
}
