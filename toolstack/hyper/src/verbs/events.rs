//! `hyper events`

use anyhow::Result;
use chrono::{DateTime, Local, SecondsFormat};
use hyper::Method;
use serde_json::{Map, Value};

use super::text;
use crate::client::Client;
use crate::json_lines::JsonLines;
use crate::options::values::{filter, filters};
use crate::output;
use crate::target::Target;
use crate::template::Template;
use crate::time::parse_point;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "FILTER", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'json' or a Go template
    #[arg(long, value_name = "STRING")]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long, value_name = "STRING", value_parser = parse_point)]
    since: Option<String>,
    /// Stream events until this timestamp
    #[arg(long, value_name = "STRING", value_parser = parse_point)]
    until: Option<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let template = match args.format.as_deref() {
        // The whole event is as the API writes it.
        None | Some("json" | "{{json .}}") => None,
        Some(format) => Some(Template::parse(format)?),
    };
    let target = Target::api("events")
        .query_opt("since", args.since.as_deref())
        .query_opt("until", args.until.as_deref())
        .query_opt("filters", filters(&args.filter));
    let mut events = JsonLines::new(client.stream(Method::GET, target).await?);
    while let Some(event) = events.next().await? {
        let shown = match (&template, &args.format) {
            (Some(template), _) => template.render(&fields(&event))?,
            (None, Some(_)) => event.to_string(),
            (None, None) => line(&event),
        };
        output::line(&shown)?;
    }
    Ok(0)
}

/// As templates name what the API writes in small letters.
fn fields(event: &Value) -> Value {
    let mut fields = Map::new();
    for (field, key) in [
        ("Status", "status"),
        ("ID", "id"),
        ("From", "from"),
        ("Type", "Type"),
        ("Action", "Action"),
        ("Actor", "Actor"),
        ("Scope", "scope"),
        ("Time", "time"),
        ("TimeNano", "timeNano"),
    ] {
        let missing = match field {
            "Time" | "TimeNano" => Value::from(0),
            _ => Value::from(""),
        };
        fields.insert(field.to_owned(), event.get(key).cloned().unwrap_or(missing));
    }
    Value::Object(fields)
}

/// `2024-05-01T10:00:00.000000000+02:00 container start ID (image=busybox, name=web)`
fn line(event: &Value) -> String {
    let nanos = event.get("timeNano").and_then(Value::as_i64).unwrap_or(0);
    let at = DateTime::from_timestamp_nanos(nanos).with_timezone(&Local);
    let id = event
        .pointer("/Actor/ID")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut shown = format!(
        "{} {} {} {id}",
        at.to_rfc3339_opts(SecondsFormat::Nanos, true),
        text(event, "Type"),
        text(event, "Action")
    );
    let attributes = event.pointer("/Actor/Attributes").and_then(Value::as_object);
    let mut pairs: Vec<_> = attributes
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if !pairs.is_empty() {
        pairs.sort();
        shown.push_str(&format!(" ({})", pairs.join(", ")));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_told_as_dockers() {
        let event = json!({
            "status": "start", "id": "abc", "from": "busybox", "Type": "container", "Action": "start",
            "Actor": { "ID": "abc", "Attributes": { "name": "web", "image": "busybox" } },
            "scope": "local", "time": 5, "timeNano": 5_000_000_007i64,
        });
        let shown = line(&event);
        assert!(shown.contains(":05.000000007"), "{shown}");
        assert!(
            shown.ends_with(" container start abc (image=busybox, name=web)"),
            "{shown}"
        );
        let template =
            Template::parse("{{.Type}} {{.Status}} {{.From}} {{.Actor.Attributes.name}} {{.TimeNano}}")
                .unwrap();
        assert_eq!(
            template.render(&fields(&event)).unwrap(),
            "container start busybox web 5000000007"
        );
        let bare = json!({ "Type": "daemon", "Action": "reload", "Actor": { "ID": "x" }, "timeNano": 0 });
        assert!(line(&bare).ends_with(" daemon reload x"));
        assert_eq!(
            Template::parse("{{.Status}}")
                .unwrap()
                .render(&fields(&bare))
                .unwrap(),
            ""
        );
    }
}
