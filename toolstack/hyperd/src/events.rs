//! `/events`: what happened and what happens.

use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::request;
use axum::http::StatusCode;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use engine::Event;
use futures_util::{StreamExt, stream};
use reference::Parts;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

const FILTERS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

pub fn stream(call: &Call) -> Answer {
    let filters = Filters::of(&call.query, FILTERS)?;
    let since = call.query.moment("since")?;
    let until = call.query.moment("until")?;
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(ApiError::invalid("`since` time cannot be after `until` time"));
    }
    let left = until.map(|until| (until - Utc::now()).to_std().unwrap_or_default());
    let (known, coming) = call.engine().subscribe();
    let past: Vec<Bytes> = past(&known, since, until)
        .filter(|event| fits(&filters, event))
        .filter_map(|event| request::json_line(&event_json(event)))
        .collect();
    let parts = stream::iter(past).chain(lines(coming, filters, left));
    let body = request::stream_body(parts);
    Ok(request::of(StatusCode::OK, "application/json", body))
}

/// What a client wants to know of that has been, which is nothing unless it names a time.
fn past(
    known: &[Event],
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
) -> impl Iterator<Item = &Event> {
    let asked = since.is_some() || until.is_some();
    known.iter().filter(move |event| {
        asked && since.is_none_or(|since| event.at >= since) && until.is_none_or(|until| event.at <= until)
    })
}

fn lines(
    events: broadcast::Receiver<Event>,
    filters: Filters,
    left: Option<Duration>,
) -> impl futures_util::Stream<Item = Bytes> + Send {
    let end = left.map(|left| tokio::time::Instant::now() + left);
    stream::unfold((events, filters), move |(mut events, filters)| async move {
        loop {
            let event = match end {
                Some(end) => tokio::time::timeout_at(end, events.recv()).await.ok()?,
                None => events.recv().await,
            };
            match event {
                Ok(event) if fits(&filters, &event) => {
                    return Some((request::json_line(&event_json(&event))?, (events, filters)));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "a client reads events too slowly"),
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

fn fits(filters: &Filters, event: &Event) -> bool {
    let attribute = |name: &str| event.attributes.get(name).map_or("", String::as_str);
    let named = |kind: &str| {
        filters.any(kind, |value| {
            event.kind == kind
                && !value.is_empty()
                && (event.id.starts_with(value) || attribute("name") == value)
        })
    };
    let image = |value: &str| {
        let of = match &*event.kind {
            "image" => attribute("name"),
            _ => attribute("image"),
        };
        of == value || Parts::of(of).name == value || (event.kind == "image" && event.id == value)
    };
    // `exec_start: sh -c …` is found as `exec_start`.
    let action = event.action.split(':').next().unwrap_or_default();
    filters.any("type", |value| value == event.kind)
        && filters.any("event", |value| value == event.action || value == action)
        && filters.any("scope", |value| value == "local")
        && ["container", "daemon", "network", "volume"]
            .iter()
            .all(|kind| named(kind))
        && filters.any("image", image)
        && ["config", "node", "plugin", "secret", "service"]
            .iter()
            .all(|kind| !filters.has(kind))
        && filters.labels(&event.attributes)
}

fn nanos(at: DateTime<Utc>) -> i64 {
    at.timestamp_nanos_opt().unwrap_or(i64::MAX)
}

fn event_json(event: &Event) -> Value {
    let mut value = json!({});
    // The old form, which docker still sends for containers and images.
    if event.kind == "container" || event.kind == "image" {
        value["status"] = json!(event.action);
        value["id"] = json!(event.id);
    }
    if let Some(image) = event
        .attributes
        .get("image")
        .filter(|_| event.kind == "container")
    {
        value["from"] = json!(image);
    }
    value["Type"] = json!(event.kind);
    value["Action"] = json!(event.action);
    value["Actor"] = json!({ "ID": event.id, "Attributes": event.attributes });
    value["scope"] = json!("local");
    value["time"] = json!(event.at.timestamp());
    value["timeNano"] = json!(nanos(event.at));
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &'static str, action: &str) -> Event {
        let attributes = [("name", "web"), ("image", "nginx:1"), ("tier", "front")];
        Event {
            kind: kind.into(),
            action: action.to_owned(),
            id: "abc123".to_owned(),
            attributes: attributes
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            at: DateTime::from_timestamp(5, 7).unwrap(),
        }
    }

    fn kept(text: &str) -> bool {
        let filters = Filters::parse(text, FILTERS).unwrap();
        fits(&filters, &event("container", "exec_start: sh"))
    }

    #[test]
    fn filters_narrow() {
        for text in [
            "{}",
            r#"{"type":["container"]}"#,
            r#"{"event":["exec_start","die"]}"#,
            r#"{"container":["web"]}"#,
            r#"{"container":["abc"]}"#,
            r#"{"image":["nginx"]}"#,
            r#"{"image":["nginx:1"]}"#,
            r#"{"label":["tier=front"]}"#,
        ] {
            assert!(kept(text), "{text}");
        }
        for text in [
            r#"{"type":["image"]}"#,
            r#"{"event":["exec"]}"#,
            r#"{"container":["we"]}"#,
            r#"{"image":["ngin"]}"#,
            r#"{"label":["tier=back"]}"#,
            r#"{"volume":["v"]}"#,
            r#"{"scope":["swarm"]}"#,
        ] {
            assert!(!kept(text), "{text}");
        }
        let mut by_digest = event("container", "start");
        let image = "host:5000/nginx@sha256:ab".to_owned();
        by_digest.attributes.insert("image".to_owned(), image);
        let filters = Filters::parse(r#"{"image":["host:5000/nginx"]}"#, FILTERS).unwrap();
        assert!(fits(&filters, &by_digest));
    }

    #[tokio::test]
    async fn lines_come_as_docker_writes_them() {
        let (sender, events) = broadcast::channel(4);
        sender.send(event("image", "pull")).unwrap();
        sender.send(event("container", "start")).unwrap();
        drop(sender);
        let filters = Filters::parse(r#"{"type":["container"]}"#, FILTERS).unwrap();
        let lines: Vec<Bytes> = lines(events, filters, None).collect().await;
        assert_eq!(lines.len(), 1);
        let line: Value = serde_json::from_slice(&lines[0]).unwrap();
        assert_eq!(line["status"], "start");
        assert_eq!(line["from"], "nginx:1");
        assert_eq!(line["Actor"]["Attributes"]["tier"], "front");
        assert_eq!(line["timeNano"], 5_000_000_007_i64);
    }

    #[test]
    fn the_past_is_told_to_who_names_a_time() {
        let known = [event("image", "pull")];
        let at = |seconds| Some(DateTime::from_timestamp(seconds, 0).unwrap());
        let told = |since, until| past(&known, since, until).count();
        assert_eq!(told(None, None), 0);
        assert_eq!(told(at(5), None), 1);
        assert_eq!(told(at(6), None), 0);
        assert_eq!(told(None, at(6)), 1);
        assert_eq!(told(at(1), at(5)), 0);
    }

    #[test]
    fn other_kinds_have_the_new_form_only() {
        let line = event_json(&event("daemon", "reload"));
        assert_eq!((&line["Type"], &line["status"]), (&json!("daemon"), &Value::Null));
        let filters = Filters::parse(r#"{"daemon":["abc"]}"#, FILTERS).unwrap();
        assert!(fits(&filters, &event("daemon", "reload")));
        assert!(!fits(&filters, &event("container", "start")));
    }

    #[tokio::test]
    async fn a_past_end_ends_at_once() {
        let (_sender, events) = broadcast::channel::<Event>(4);
        let lines: Vec<Bytes> = lines(events, Filters::default(), Some(Duration::ZERO))
            .collect()
            .await;
        assert_eq!(lines, Vec::<Bytes>::new());
    }
}
