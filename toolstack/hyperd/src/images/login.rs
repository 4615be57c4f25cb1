//! Credentials for registries: those that come with a request, and `/auth`.

use crate::api::Call;
use crate::error::Answer;
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
pub fn credentials(headers: &HeaderMap) -> Credentials {
    let auth: Auth = headers
        .get("x-registry-auth")
        .and_then(|value| decode_base64(value.as_bytes()))
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default();
    auth.credentials()
}

impl Auth {
    fn credentials(self) -> Credentials {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = given(self.registrytoken) {
            return Credentials::Token { token };
        }
        if let Some(token) = given(self.identitytoken) {
            return Credentials::Identity { token };
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
        pair.map_or(Credentials::Anonymous, |(user, password)| Credentials::Basic {
            user,
            password,
        })
    }
}

/// `POST /auth`: whether a registry takes the credentials. Only the client keeps them.
pub async fn login(call: Call) -> Answer {
    let mut auth: Auth = request::need_json(call.request.into_body()).await?;
    let registry = registry_of(&auth.serveraddress.take().unwrap_or_default());
    let credentials = auth.credentials();
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

    #[test]
    fn credentials_are_read() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-registry-auth", text.parse().unwrap());
            credentials(&headers)
        };
        let shown = |credentials| match credentials {
            Credentials::Basic { user, password } => format!("{user}/{password}"),
            Credentials::Identity { token } => format!("identity {token}"),
            Credentials::Token { token } => format!("token {token}"),
            Credentials::Anonymous => "nobody".to_owned(),
        };
        assert_eq!(shown(of("e30=")), "nobody");
        assert_eq!(shown(of("rubbish!")), "nobody");
        assert_eq!(shown(credentials(&HeaderMap::new())), "nobody");
        let json = br#"{"username":"u","password":"p?>~"}"#;
        assert_eq!(shown(of(&BASE64URL.encode(json))), "u/p?>~");
        assert_eq!(shown(of(&BASE64.encode(json))), "u/p?>~");
        assert_eq!(shown(of(&BASE64URL_NOPAD.encode(json))), "u/p?>~");
        let auth = format!(r#"{{"auth":"{}"}}"#, BASE64.encode(b"a:b:c"));
        assert_eq!(shown(of(&BASE64URL.encode(auth.as_bytes()))), "a/b:c");
        let identity = br#"{"username":"<token>","identitytoken":"t","registrytoken":""}"#;
        assert_eq!(shown(of(&BASE64URL.encode(identity))), "identity t");
        let token = br#"{"identitytoken":"t","registrytoken":"r"}"#;
        assert_eq!(shown(of(&BASE64URL.encode(token))), "token r");
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
