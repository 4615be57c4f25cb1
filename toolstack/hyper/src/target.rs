//! The path and query of a request.

use std::fmt::{self, Write};

/// The newest version of the API that we speak.
pub const API_VERSION: &str = "1.51";

#[derive(Clone, Debug)]
pub struct Target {
    text: String,
    has_query: bool,
}

impl Target {
    /// `/v1.51/FIRST`
    pub fn api(first: &str) -> Self {
        Self {
            text: format!("/v{API_VERSION}/{first}"),
            has_query: false,
        }
    }

    /// Ours, beside Docker's.
    pub fn extension(first: &str) -> Self {
        Self {
            text: format!("/hyper/v1/{first}"),
            has_query: false,
        }
    }

    pub fn container(name: &str) -> Self {
        Self::api("containers").push(name)
    }

    pub fn image(name: &str) -> Self {
        Self::api("images").push(name)
    }

    /// One segment, or the name of an image with its slashes.
    pub fn push(mut self, segment: &str) -> Self {
        self.text.push('/');
        encode(&mut self.text, segment, b"/:@");
        self
    }

    pub fn query(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(key);
        self.text.push('=');
        encode(&mut self.text, &value.to_string(), b"");
        self
    }

    pub fn query_opt(self, key: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    /// `key=1`, or nothing.
    pub fn flag(self, key: &str, set: bool) -> Self {
        if set { self.query(key, 1) } else { self }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// RFC 3986: all but the unreserved characters, and those of `keep`, is escaped.
fn encode(into: &mut String, text: &str, keep: &[u8]) {
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_queries_are_escaped() {
        let target = Target::image("host:5000/a b?c")
            .push("json")
            .query("filters", r#"{"a":["b=c"]}"#)
            .flag("no", false)
            .flag("yes", true);
        assert_eq!(
            target.to_string(),
            "/v1.51/images/host:5000/a%20b%3Fc/json?filters=%7B%22a%22%3A%5B%22b%3Dc%22%5D%7D&yes=1"
        );
    }
}
