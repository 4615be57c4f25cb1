//! `/images/create?fromSrc=`: an image out of a tar of files, from the body or from a web server.

use super::body::Upload;
use super::{check_platform, full_name};
use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::request;
use chrono::Utc;
use engine::images::{Name, change, fetch};
use engine::parse_signal;
use serde_json::{Map, json};
use std::sync::Arc;

pub async fn import(call: Call, source: &str) -> Answer {
    check_platform(call.query.text("platform"))?;
    let mut config = Map::new();
    let is_signal = |text: &str| parse_signal(text).is_some();
    change(&mut config, &call.query.texts("changes"), is_signal)
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    let name = name(call.query.text("repo"), call.query.text("tag"))?;
    let message = match call.query.text("message") {
        Some(message) => message.to_owned(),
        None => format!("Imported from {source}"),
    };
    let store = Arc::clone(call.engine().images());
    let image = if source == "-" {
        let upload = Upload::new(call.request.into_body());
        let imported = store
            .import(upload.clone(), name.as_ref(), &message, config, Utc::now())
            .await;
        if imported.is_err() {
            upload.drain().await;
        }
        imported?
    } else {
        let content = fetch(&url(source)).await?;
        store
            .import(content, name.as_ref(), &message, config, Utc::now())
            .await?
    };
    Ok(request::ok_json(&json!({ "status": image.id })))
}

/// As docker completes it.
fn url(source: &str) -> String {
    match source.contains("://") {
        true => source.to_owned(),
        false => format!("http://{source}"),
    }
}

/// `repo` may have the tag, too.
fn name(repository: Option<&str>, tag: Option<&str>) -> Result<Option<Name>, ApiError> {
    let Some(repository) = repository else {
        return Ok(None);
    };
    let name: Name = full_name(repository, tag).parse()?;
    match name.digest() {
        Some(_) => Err(ApiError::invalid("cannot import digest reference")),
        None => Ok(Some(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sources() {
        let show = |repository, tag| {
            name(repository, tag)
                .map(|name| name.map(|name| name.to_string()))
                .map_err(|error| error.message)
        };
        assert_eq!(show(None, None).unwrap(), None);
        assert_eq!(show(Some("a"), None).unwrap().unwrap(), "a:latest");
        assert_eq!(show(Some("a:1"), None).unwrap().unwrap(), "a:1");
        assert_eq!(show(Some("a"), Some("2")).unwrap().unwrap(), "a:2");
        assert!(show(Some("A"), None).is_err());
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(
            show(Some("a"), Some(&digest)).unwrap_err(),
            "cannot import digest reference"
        );
        assert_eq!(url("host/x.tar"), "http://host/x.tar");
        assert_eq!(url("https://host/x.tar"), "https://host/x.tar");
    }
}
