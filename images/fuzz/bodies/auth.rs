//! What registries ask for, and what token servers answer.

use super::script::{byte, take};
use crate::registry::auth::{Challenge, challenge, read_token};
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

pub fn run(mut script: &[u8]) {
    let mut headers = HeaderMap::new();
    for _ in 0..byte(&mut script) % 4 {
        let length = usize::from(byte(&mut script));
        // Others never come out of the HTTP library.
        if let Ok(value) = HeaderValue::from_bytes(take(&mut script, length)) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    if let Some(Challenge::Bearer { realm, service }) = challenge(&headers) {
        let all: usize = headers.values().map(HeaderValue::len).sum();
        assert!(realm.len() + service.map_or(0, |service| service.len()) <= all);
    }
    if let Some(token) = read_token(script) {
        assert!(token.is_sensitive());
        assert!(token.as_bytes().starts_with(b"Bearer "));
    }
}
