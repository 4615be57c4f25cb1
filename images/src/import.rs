//! An image out of a tar of a whole root file system, from a stream or an address.

use crate::registry::client;
use crate::{Error, Image, Name, Store};
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::TryStreamExt;
use reqwest::Url;
use serde_json::{Map, Value, json};
use std::io::{self, Read};
use std::sync::Arc;
use tokio_util::io::{StreamReader, SyncIoBridge};

/// Asks a web server for a tar, which can be read on a thread that may block.
pub async fn fetch(url: &str) -> Result<Box<dyn Read + Send>, Error> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Fetch {
        url: url.chars().take(200).collect(),
        source,
    };
    let parsed = Url::parse(url).map_err(|error| failed(error.into()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(failed("only http and https addresses can be fetched".into()));
    }
    let client = client().build().map_err(|error| failed(error.into()))?;
    let response = client
        .get(parsed)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| failed(error.into()))?;
    let stream = response.bytes_stream().map_err(io::Error::other);
    Ok(Box::new(SyncIoBridge::new(StreamReader::new(stream))))
}

impl Store {
    /// Makes an image of one layer, plain or compressed with gzip or zstd. How to run it is what `config` says, in
    /// docker's form.
    pub async fn import(
        self: &Arc<Self>,
        tar: impl Read + Send + 'static,
        name: Option<&Name>,
        comment: &str,
        config: Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Image, Error> {
        let store = Arc::clone(self);
        let layer = tokio::task::spawn_blocking(move || store.add_layer(tar))
            .await
            .unwrap_or(Err(Error::Interrupted))?;
        let created = now.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": created,
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
            "history": [{ "created": created, "comment": comment }],
        });
        let names: Vec<_> = name.cloned().into_iter().collect();
        let added = self
            .add_image(config.to_string().as_bytes(), &names, now.timestamp())
            .await;
        if added.is_err() {
            drop(layer);
            let _ = self.collect_garbage();
        }
        added
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tests::member;

    #[tokio::test]
    async fn a_tar_becomes_an_image_or_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let tar = [member(b"bin/sh", b'0', b"x", b""), vec![0; 1024]].concat();
        let name: Name = "mine:1".parse().unwrap();
        let now = DateTime::from_timestamp(1_700_000_000, 5).unwrap();
        let run = Map::from_iter([("Cmd".to_owned(), json!(["sh"]))]);
        let image = store
            .import(io::Cursor::new(tar), Some(&name), "of mine", run, now)
            .await
            .unwrap();
        assert_eq!(
            (&image.names[..], image.pulled_at),
            (&["mine:1".to_owned()][..], now.timestamp())
        );
        assert_eq!(image.config.cmd, ["sh"]);
        let history = image.configuration.history().clone().unwrap();
        assert_eq!(history[0].comment().as_deref(), Some("of mine"));
        assert_eq!(
            image.configuration.created().as_deref(),
            Some("2023-11-14T22:13:20.000000005Z")
        );

        let layers = || std::fs::read_dir(root.path().join("layers")).unwrap().count();
        let before = layers();
        let junk = io::Cursor::new(vec![b'x'; 1024]);
        assert!(
            store
                .import(junk, Some(&name), "", Map::new(), now)
                .await
                .is_err()
        );
        assert_eq!(layers(), before);
        assert_eq!(store.find("mine:1").unwrap().id, image.id);
    }

    #[tokio::test]
    async fn only_web_servers_are_asked() {
        for url in ["file:///etc/passwd", "ftp://x/y", "nothing", "http://"] {
            assert!(matches!(fetch(url).await, Err(Error::Fetch { .. })), "{url}");
        }
    }
}
