//! `/images/load`: images out of a tar, told as JSON lines.

use super::body::Upload;
use super::check_platform;
use super::progress::{failure, short};
use crate::api::Call;
use crate::error::Answer;
use crate::{request, text};
use axum::http::StatusCode;
use bytes::Bytes;
use chrono::Utc;
use engine::Error;
use engine::images::{Loaded, Progress};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Lines that wait for the client. One that tells of bytes is left out when there are more.
const LINES: usize = 64;

pub async fn load(call: Call) -> Answer {
    check_platform(call.query.text("platform"))?;
    let quiet = call.query.flag("quiet");
    let engine = call.app.engine.clone();
    let store = Arc::clone(engine.images());
    let upload = Upload::new(call.request.into_body());
    let (sender, mut lines) = mpsc::channel(LINES);
    tokio::spawn(async move {
        let told = sender.clone();
        let report = move |progress| {
            if let Some(line) = loading(&progress).filter(|_| !quiet) {
                let _ = told.try_send(Ok(line));
            }
        };
        let now = Utc::now().timestamp();
        let loaded = match store.load_archive(upload.clone(), now, Arc::new(report)).await {
            Ok(loaded) => loaded,
            Err(error) => {
                upload.drain().await;
                let _ = sender.send(Err(Error::from(error))).await;
                return;
            }
        };
        for image in &loaded {
            let found = engine.images().find(&image.id).ok();
            engine.tell_image("load", &image.id, &image.id, found.as_ref());
        }
        for line in loaded.iter().flat_map(outcome) {
            if sender.send(Ok(line)).await.is_err() {
                return;
            }
        }
    });
    // An error before there is anything to tell is the answer's status; later ones stand among the lines.
    let first = match lines.recv().await {
        Some(Err(error)) => return Err(error.into()),
        first => first,
    };
    let rest = stream::unfold(lines, |mut lines| async move {
        lines.recv().await.map(|line| (line, lines))
    });
    let parts = stream::iter(first).chain(rest).map(|line| line_of(&line));
    let body = request::stream_body(parts.filter(|part| std::future::ready(!part.is_empty())));
    Ok(request::of(StatusCode::OK, "application/json", body))
}

fn line_of(line: &Result<Value, Error>) -> Bytes {
    let line = match line {
        Ok(line) => request::json_line(line),
        Err(error) => request::json_line(&failure(&error.to_string())),
    };
    line.unwrap_or_default()
}

fn loading(progress: &Progress) -> Option<Value> {
    let Progress::LayerBytes {
        layer,
        current,
        total,
    } = progress
    else {
        return None;
    };
    Some(json!({
        "status": "Loading layer",
        "progressDetail": { "current": current, "total": total },
        "progress": text::progress_bar(*current, *total),
        "id": short(layer),
    }))
}

/// In docker's words, one line for each name.
fn outcome(image: &Loaded) -> Vec<Value> {
    let taken = image.taken.iter().map(|(name, from)| {
        format!("The image {name} already exists, renaming the old one with ID {from} to empty string\n")
    });
    let names = image.names.iter().map(|name| format!("Loaded image: {name}\n"));
    let mut texts: Vec<_> = taken.chain(names).collect();
    if texts.is_empty() {
        texts.push(format!("Loaded image ID: {}\n", image.id));
    }
    texts.into_iter().map(|text| json!({ "stream": text })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_dockers() {
        let of = |names: &[&str], taken: &[(&str, &str)]| {
            let image = Loaded {
                id: "sha256:00".to_owned(),
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                taken: taken
                    .iter()
                    .map(|(name, id)| ((*name).to_owned(), (*id).to_owned()))
                    .collect(),
            };
            outcome(&image)
        };
        assert_eq!(
            of(&[], &[]),
            [json!({ "stream": "Loaded image ID: sha256:00\n" })]
        );
        assert_eq!(
            of(&["a:1", "a:2"], &[("a:2", "sha256:ff")]),
            [
                json!({ "stream": "The image a:2 already exists, renaming the old one with ID sha256:ff to empty string\n" }),
                json!({ "stream": "Loaded image: a:1\n" }),
                json!({ "stream": "Loaded image: a:2\n" }),
            ]
        );
        let line = loading(&Progress::LayerBytes {
            layer: "sha256:0123456789abcdef".to_owned(),
            current: 50,
            total: 100,
        })
        .unwrap();
        assert_eq!(
            (&line["status"], &line["id"]),
            (&json!("Loading layer"), &json!("0123456789ab"))
        );
        assert_eq!(loading(&Progress::MakingRoot), None);
    }
}
