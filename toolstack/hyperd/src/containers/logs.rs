//! `/containers/{id}/logs`.

use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::frames::{self, DAEMON_ERROR, Framing};
use crate::query::Query;
use crate::request;
use crate::text;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use engine::{Error, LogEntry, LogOptions};
use std::collections::BTreeMap;

pub async fn logs(call: &Call, id: &str) -> Answer {
    let options = options(&call.query)?;
    let container = super::find(call, id)?;
    let writer = Writer {
        framing: Framing::of(container.config.tty),
        timestamps: call.query.flag("timestamps"),
        details: call.query.flag("details"),
    };
    let entries = call.engine().logs(&container.id, options).await?;
    let body = request::channel_body(entries, move |batch| writer.write(batch));
    Ok(request::of(
        StatusCode::OK,
        writer.framing.content_type(call.api_minor),
        body,
    ))
}

fn options(query: &Query) -> Result<LogOptions, ApiError> {
    let options = LogOptions {
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        follow: query.flag("follow"),
        // As docker: what is no number stands for all.
        tail: query.text("tail").and_then(|tail| tail.parse().ok()),
        since: query.moment("since")?,
        until: query.moment("until")?,
    };
    if !options.stdout && !options.stderr {
        return Err(ApiError::invalid(
            "Bad parameters: you must choose at least one stream",
        ));
    }
    Ok(options)
}

#[derive(Debug, Clone, Copy)]
struct Writer {
    framing: Framing,
    timestamps: bool,
    details: bool,
}

impl Writer {
    fn write(self, entries: Vec<Result<LogEntry, Error>>) -> Bytes {
        let mut out = BytesMut::new();
        for entry in entries {
            match entry {
                Ok(entry) => self.put(&mut out, &entry),
                Err(error) => {
                    let message = format!("Error grabbing logs: {error}\n");
                    frames::put(&mut out, self.framing, DAEMON_ERROR, &[message.as_bytes()]);
                }
            }
        }
        out.freeze()
    }

    fn put(self, out: &mut BytesMut, entry: &LogEntry) {
        let time = match self.timestamps {
            true => text::log_moment(entry.at) + " ",
            false => String::new(),
        };
        let details = match self.details {
            true => details(&entry.attributes) + " ",
            false => String::new(),
        };
        let stream = frames::stream_number(entry.source);
        frames::put(
            out,
            self.framing,
            stream,
            &[time.as_bytes(), details.as_bytes(), &entry.bytes],
        );
    }
}

/// `key=value,…`, in the form of a query so that commas and spaces in them are told apart.
fn details(attributes: &BTreeMap<String, String>) -> String {
    let escaped = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    char::from(byte).to_string()
                }
                b' ' => "+".to_owned(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs = attributes
        .iter()
        .map(|(key, value)| format!("{}={}", escaped(key), escaped(value)));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use engine::Source;

    fn entry(source: Source, text: &'static str) -> Result<LogEntry, Error> {
        Ok(LogEntry {
            source,
            at: DateTime::from_timestamp(1_700_000_000, 42).unwrap(),
            bytes: Bytes::from_static(text.as_bytes()),
            attributes: BTreeMap::new(),
        })
    }

    #[test]
    fn lines_are_framed_with_their_times() {
        let writer = Writer {
            framing: Framing::Multiplexed,
            timestamps: true,
            details: false,
        };
        let bytes = writer.write(vec![entry(Source::Stderr, "no\n"), Err(Error::failed("torn"))]);
        let line = b"2023-11-14T22:13:20.000000042Z no\n";
        assert_eq!(bytes[..8], frames::header(2, line.len()));
        assert_eq!(&bytes[8..8 + line.len()], line);
        assert!(bytes.ends_with(b"Error grabbing logs: torn\n"));
        assert_eq!(bytes[8 + line.len()], DAEMON_ERROR);
    }

    #[test]
    fn a_terminal_has_no_frames() {
        let writer = Writer {
            framing: Framing::Raw,
            timestamps: false,
            details: true,
        };
        assert_eq!(
            writer.write(vec![entry(Source::Stdout, "a\n"), entry(Source::Stdout, "b")]),
            " a\n b"
        );
    }

    #[test]
    fn details_are_escaped() {
        let of = |pairs: &[(&str, &str)]| {
            details(
                &pairs
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
            )
        };
        assert_eq!(of(&[]), "");
        assert_eq!(
            of(&[("tag", "web/1"), ("com.x", "a b,ü")]),
            "com.x=a+b%2C%C3%BC,tag=web%2F1"
        );
    }

    #[test]
    fn what_to_show() {
        let of = |text: &str| options(&Query::parse(&format!("/x?{text}").parse().unwrap()).unwrap());
        assert_eq!(of("stdout=1&tail=all").unwrap().tail, None);
        assert_eq!(of("stdout=1&tail=20").unwrap().tail, Some(20));
        assert_eq!(of("stdout=1&tail=-1").unwrap().tail, None);
        assert!(of("stdout=1&since=1700000000.5").unwrap().since.is_some());
        assert!(
            of("follow=1")
                .unwrap_err()
                .message
                .contains("at least one stream")
        );
    }
}
