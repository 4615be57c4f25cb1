//! `/images/create?fromSrc=`: an image out of a tar of files, from the body or from a web server.

use super::body::Upload;
use super::{check_platform, full_name};
use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use crate::request;
use chrono::Utc;
use engine::images::{Image, Name, Store, change, fetch};
use engine::parse_signal;
use serde_json::{Map, Value, json};
use std::io::Read;
use std::sync::Arc;

/// What the query says of the image.
struct Wanted {
    name: Option<Name>,
    message: String,
    config: Map<String, Value>,
}

impl Wanted {
    fn of(query: &Query, source: &str) -> Result<Self, ApiError> {
        check_platform(query.text("platform"))?;
        let mut config = Map::new();
        let is_signal = |text: &str| parse_signal(text).is_some();
        change(&mut config, &query.texts("changes"), is_signal)
            .map_err(|error| ApiError::invalid(error.to_string()))?;
        Ok(Self {
            name: name(query.text("repo"), query.text("tag"))?,
            message: match query.text("message") {
                Some(message) => message.to_owned(),
                None => format!("Imported from {source}"),
            },
            config,
        })
    }

    async fn import(self, store: &Arc<Store>, tar: impl Read + Send + 'static) -> Result<Image, ApiError> {
        let imported = store.import(tar, self.name.as_ref(), &self.message, self.config, Utc::now());
        Ok(imported.await?)
    }
}

pub async fn import(call: Call, source: &str) -> Answer {
    let engine = call.app.engine.clone();
    let store = engine.images();
    let wanted = Wanted::of(&call.query, source);
    let image = if source == "-" {
        let upload = Upload::new(call.request.into_body());
        let imported = match wanted {
            Ok(wanted) => wanted.import(store, upload.clone()).await,
            Err(error) => Err(error),
        };
        if imported.is_err() {
            upload.drain().await;
        }
        imported?
    } else {
        let wanted = wanted?;
        wanted.import(store, fetch(&url(source)).await?).await?
    };
    engine.tell_image("import", &image.id, &image.id, Some(&image));
    Ok(request::ok_json(&json!({ "status": image.id })))
}

/// As docker completes it.
fn url(source: &str) -> String {
    match source.contains("://") {
        true => source.to_owned(),
        false => format!("http://{source}"),
    }
}

/// The name that `repo` and `tag` of a new image are; `repo` may have the tag, too.
pub fn name(repository: Option<&str>, tag: Option<&str>) -> Result<Option<Name>, ApiError> {
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
