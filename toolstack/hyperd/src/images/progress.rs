//! How a pull comes along, in docker's words and no faster than the client reads.

use crate::text;
use engine::images::{Name, Progress};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Progress that was not yet sent. Of a layer's bytes only the newest count is kept, so that a client that does not
/// read costs as much as the image has layers.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<VecDeque<Progress>>,
    pushed: Notify,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Progress>> {
        // Nothing that is done under the lock can leave the queue half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, progress: Progress) {
        let mut waiting = self.waiting();
        let older = waiting.iter_mut().find(|older| match (older, &progress) {
            (Progress::LayerBytes { layer: a, .. }, Progress::LayerBytes { layer: b, .. }) => a == b,
            _ => false,
        });
        match older {
            Some(older) => *older = progress,
            None => waiting.push_back(progress),
        }
        drop(waiting);
        self.pushed.notify_one();
    }

    pub fn take(&self) -> Vec<Progress> {
        self.waiting().drain(..).collect()
    }

    /// Waits until there is something. Safe to drop and call again.
    pub async fn wait(&self) {
        while self.waiting().is_empty() {
            self.pushed.notified().await;
        }
    }
}

/// The lines for one event.
pub fn lines(progress: &Progress, name: &Name) -> Vec<Value> {
    let of_layer =
        |layer: &str, status: &str| json!({ "status": status, "progressDetail": {}, "id": short(layer) });
    match progress {
        Progress::Found { .. } => vec![json!({
            "status": format!("Pulling from {}", path(name)),
            "id": name.digest().or(name.tag()).unwrap_or("latest"),
        })],
        Progress::LayerWaits { layer } => {
            vec![of_layer(layer, "Pulling fs layer"), of_layer(layer, "Waiting")]
        }
        Progress::LayerExists { layer } => vec![of_layer(layer, "Already exists")],
        Progress::LayerBytes {
            layer,
            current,
            total,
        } => vec![json!({
            "status": "Downloading",
            "progressDetail": { "current": current, "total": total },
            "progress": text::progress_bar(*current, *total),
            "id": short(layer),
        })],
        Progress::LayerDone { layer } => vec![
            of_layer(layer, "Download complete"),
            of_layer(layer, "Pull complete"),
        ],
        Progress::MakingRoot => Vec::new(),
        Progress::Done { digest, changed } => {
            let outcome = match changed {
                true => "Downloaded newer image for",
                false => "Image is up to date for",
            };
            vec![
                json!({ "status": format!("Digest: {digest}") }),
                json!({ "status": format!("Status: {outcome} {name}") }),
            ]
        }
    }
}

pub fn failure(message: &str) -> Value {
    json!({ "errorDetail": { "message": message }, "error": message })
}

pub fn short(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.get(..12).unwrap_or(hex)
}

/// Within its registry: `library/busybox`.
fn path(name: &Name) -> String {
    let repository = name.repository();
    let prefix = format!("{}/", name.registry());
    match repository.strip_prefix(&prefix) {
        Some(path) => path.to_owned(),
        None if repository.contains('/') => repository,
        None => format!("library/{repository}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn bytes(layer: &str, current: u64) -> Progress {
        Progress::LayerBytes {
            layer: layer.to_owned(),
            current,
            total: 100,
        }
    }

    #[test]
    fn words_are_dockers() {
        let busybox = name("busybox:1");
        let found = Progress::Found {
            digest: "sha256:ff".to_owned(),
        };
        assert_eq!(
            lines(&found, &busybox),
            [json!({ "status": "Pulling from library/busybox", "id": "1" })]
        );
        assert_eq!(
            lines(&found, &name("h:5000/a/b"))[0]["status"],
            "Pulling from a/b"
        );
        assert_eq!(lines(&found, &name("me/app"))[0]["status"], "Pulling from me/app");
        let line = &lines(&bytes("sha256:0123456789abcdef", 50), &busybox)[0];
        assert_eq!(line["id"], "0123456789ab");
        assert_eq!(line["progressDetail"], json!({ "current": 50, "total": 100 }));
        assert!(line["progress"].as_str().unwrap().ends_with("     50B/100B"));
        let done = |changed| {
            let digest = "sha256:ff".to_owned();
            lines(&Progress::Done { digest, changed }, &busybox)[1]["status"].clone()
        };
        assert_eq!(done(true), "Status: Downloaded newer image for busybox:1");
        assert_eq!(done(false), "Status: Image is up to date for busybox:1");
    }

    #[tokio::test]
    async fn only_the_newest_count_waits() {
        let queue = Queue::default();
        for current in 0..1000 {
            queue.push(bytes("a", current));
            queue.push(bytes("b", current));
        }
        queue.push(Progress::MakingRoot);
        queue.wait().await;
        assert_eq!(
            queue.take(),
            [bytes("a", 999), bytes("b", 999), Progress::MakingRoot]
        );
        assert_eq!(queue.take(), []);
    }
}
