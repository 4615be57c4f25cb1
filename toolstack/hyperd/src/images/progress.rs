//! How a pull or a push comes along, in docker's words and no faster than the client reads.

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
        } => vec![bytes_of_layer(layer, "Downloading", *current, *total)],
        Progress::LayerDone { layer } => vec![
            of_layer(layer, "Download complete"),
            of_layer(layer, "Pull complete"),
        ],
        Progress::TagFound { tag } => vec![json!({
            "status": format!("Pulling from {}", path(name)),
            "id": tag,
        })],
        Progress::TagDone { digest } => vec![json!({ "status": format!("Digest: {digest}") })],
        Progress::AllDone { repository, changed } => {
            vec![json!({ "status": format!("Status: {} {repository}", outcome(*changed)) })]
        }
        Progress::Done { digest, changed } => {
            vec![
                json!({ "status": format!("Digest: {digest}") }),
                json!({ "status": format!("Status: {} {name}", outcome(*changed)) }),
            ]
        }
        // The rest is of no concern, or of a push.
        _ => Vec::new(),
    }
}

fn outcome(changed: bool) -> &'static str {
    match changed {
        true => "Downloaded newer image for",
        false => "Image is up to date for",
    }
}

/// The lines for one event of a push.
pub fn push_lines(progress: &Progress, name: &Name) -> Vec<Value> {
    match progress {
        Progress::PushTo { .. } => vec![json!({
            "status": format!("The push refers to repository [{}/{}]", name.registry(), path(name)),
        })],
        Progress::LayerPrepares { layer } => vec![of_layer(layer, "Preparing"), of_layer(layer, "Waiting")],
        Progress::LayerExists { layer } => vec![of_layer(layer, "Layer already exists")],
        Progress::LayerMounted { layer, from } => vec![of_layer(layer, &format!("Mounted from {from}"))],
        Progress::LayerBytes {
            layer,
            current,
            total,
        } => vec![bytes_of_layer(layer, "Pushing", *current, *total)],
        Progress::LayerDone { layer } => vec![of_layer(layer, "Pushed")],
        Progress::Pushed { tag, digest, bytes } => vec![
            json!({ "status": format!("{tag}: digest: {digest} size: {bytes}") }),
            json!({ "progressDetail": {}, "aux": { "Tag": tag, "Digest": digest, "Size": bytes } }),
        ],
        _ => Vec::new(),
    }
}

fn of_layer(layer: &str, status: &str) -> Value {
    json!({ "status": status, "progressDetail": {}, "id": short(layer) })
}

fn bytes_of_layer(layer: &str, status: &str, current: u64, total: u64) -> Value {
    json!({
        "status": status,
        "progressDetail": { "current": current, "total": total },
        "progress": text::progress_bar(current, total),
        "id": short(layer),
    })
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

    #[test]
    fn words_of_a_push() {
        let name = name("h:5000/a/b:1");
        let of = |progress| push_lines(&progress, &name);
        let layer = || "sha256:0123456789abcdef".to_owned();
        let to = Progress::PushTo {
            repository: name.repository(),
        };
        assert_eq!(of(to)[0]["status"], "The push refers to repository [h:5000/a/b]");
        let mounted = Progress::LayerMounted {
            layer: layer(),
            from: "c".to_owned(),
        };
        assert_eq!(
            of(mounted),
            [json!({ "status": "Mounted from c", "progressDetail": {}, "id": "0123456789ab" })]
        );
        assert_eq!(
            of(Progress::LayerExists { layer: layer() })[0]["status"],
            "Layer already exists"
        );
        let pushed = of(Progress::Pushed {
            tag: "1".to_owned(),
            digest: "sha256:ff".to_owned(),
            bytes: 7,
        });
        assert_eq!(pushed[0]["status"], "1: digest: sha256:ff size: 7");
        assert_eq!(
            pushed[1]["aux"],
            json!({ "Tag": "1", "Digest": "sha256:ff", "Size": 7 })
        );
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
