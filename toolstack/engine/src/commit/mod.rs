//! An image of a container: its own files as a layer over its image's, and its configuration as docker's commit makes it.
//!
//! The layer comes from the guest, so it is taken as any tar of a stranger's is, and published only when the agent has
//! vouched for its end.

mod settings;

use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::state::{Container, Status};
use chrono::{SecondsFormat, Utc};
use guest_protocol::files::FileJob;
use images::{AddedLayer, Image, Name};
use serde_json::{Map, Value, json};
use settings::Settings;
use std::sync::Arc;

/// Of a layer in which nothing is: the blocks that end a tar.
const EMPTY_TAR_BYTES: u64 = 1024;

#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    pub name: Option<Name>,
    pub comment: String,
    pub author: String,
    /// The container's processes stand still while its files are read.
    pub pause: bool,
    /// Instructions as in a Dockerfile, each of any number of lines.
    pub changes: Vec<String>,
    /// Goes before the container's own configuration; docker's JSON.
    pub config: Option<Value>,
}

impl Engine {
    /// Makes an image of a container; gives its id.
    pub async fn commit(&self, text: &str, request: CommitRequest) -> Result<String, Error> {
        let record = self.shared(text)?.record();
        match record.state.status {
            Status::Dead => {
                return Err(Error::conflict(format!(
                    "You cannot commit container {text} which is Dead"
                )));
            }
            Status::Removing => {
                return Err(Error::conflict(format!(
                    "You cannot commit container {text} which is being removed"
                )));
            }
            _ => {}
        }
        let parent = self.cx.images.find(&record.image_id)?;
        let parent_config: Value = serde_json::from_slice(&self.cx.images.document(&parent.id)?)
            .map_err(|error| Error::from_source(ErrorKind::Failed, "reading the image's config", &error))?;
        // What is wrong with the request is told before anything is done.
        let settings = settings(&record, &request)?;
        let access = self.access(text).await?;
        let pause = request.pause && record.state.status.is_up();
        let download = access.download(|stream| FileJob::Layer { stream, pause });
        let store = Arc::clone(&self.cx.images);
        let layer = tokio::task::spawn_blocking(move || store.add_layer(download.into_reader()))
            .await
            .map_err(|error| Error::from_source(ErrorKind::Failed, "taking the layer", &error))??;
        let image = self
            .add(&record, &parent, &parent_config, settings, &request, &layer)
            .await;
        drop(layer);
        if image.is_err() {
            let store = Arc::clone(&self.cx.images);
            // What it leaves is collected another time, too.
            let _ = tokio::task::spawn_blocking(move || store.collect_garbage()).await;
        }
        let image = image?;
        let name = request.name.as_ref().map(Name::to_string).unwrap_or_default();
        access.shared.tell(
            &self.cx,
            "commit",
            &[
                ("comment", request.comment.clone()),
                ("imageID", image.id.clone()),
                ("imageRef", name),
            ],
        );
        Ok(image.id)
    }

    async fn add(
        &self,
        record: &Container,
        parent: &Image,
        parent_config: &Value,
        settings: Settings,
        request: &CommitRequest,
        layer: &AddedLayer,
    ) -> Result<Image, Error> {
        let now = Utc::now();
        let created = now.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let is_empty = layer.bytes <= EMPTY_TAR_BYTES;
        let mut diff_ids = parent.configuration.rootfs().diff_ids().clone();
        if !is_empty {
            diff_ids.push(layer.diff_id.clone());
        }
        let mut step = Map::new();
        step.insert("created".to_owned(), json!(created));
        step.insert("created_by".to_owned(), json!(record.config.cmd.join(" ")));
        let more = [("author", &request.author), ("comment", &request.comment)];
        for (key, text) in more.iter().filter(|(_, text)| !text.is_empty()) {
            step.insert((*key).to_owned(), json!(text));
        }
        if is_empty {
            step.insert("empty_layer".to_owned(), json!(true));
        }
        let mut history = parent_config["history"].as_array().cloned().unwrap_or_default();
        history.push(step.into());
        let mut config = Map::new();
        for key in ["architecture", "variant", "os", "os.version"] {
            if let Some(value) = parent_config.get(key) {
                config.insert(key.to_owned(), value.clone());
            }
        }
        config.insert("created".to_owned(), json!(created));
        if !request.author.is_empty() {
            config.insert("author".to_owned(), json!(request.author));
        }
        config.insert("config".to_owned(), settings.to_json());
        config.insert(
            "rootfs".to_owned(),
            json!({ "type": "layers", "diff_ids": diff_ids }),
        );
        config.insert("history".to_owned(), history.into());
        let config = Value::from(config).to_string();
        let names: Vec<_> = request.name.clone().into_iter().collect();
        Ok(self
            .cx
            .images
            .add_image(config.as_bytes(), &names, now.timestamp())
            .await?)
    }
}

/// What the new image says about how to run it.
fn settings(record: &Container, request: &CommitRequest) -> Result<Settings, Error> {
    let own = Settings::of_container(&record.config);
    let mut settings = match &request.config {
        Some(config) => Settings::of_json(config)
            .map_err(|error| Error::from_source(ErrorKind::Invalid, "invalid config", &error))?,
        None => own.clone(),
    };
    if !request.changes.is_empty() {
        settings.change(&request.changes)?;
    }
    settings.merge(own);
    Ok(settings)
}
