//! An entry as a line of json-file: `{"log":…,"stream":…,"attrs":…,"time":…}`.

use super::LogEntry;
use crate::stdio::Source;
use bytes::Bytes;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_empty")]
    attrs: Cow<'a, BTreeMap<String, String>>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

fn is_empty(attributes: &BTreeMap<String, String>) -> bool {
    attributes.is_empty()
}

pub fn encode(
    out: &mut Vec<u8>,
    source: Source,
    bytes: &[u8],
    attributes: &BTreeMap<String, String>,
    time: &str,
) {
    let line = Line {
        log: String::from_utf8_lossy(bytes),
        stream: source.name().into(),
        attrs: Cow::Borrowed(attributes),
        time: time.into(),
    };
    let length = out.len();
    match serde_json::to_writer(&mut *out, &line) {
        Ok(()) => out.push(b'\n'),
        Err(_) => out.truncate(length),
    }
}

/// A line that is damaged (a power cut, a full disk) is left out, but not the whole one that may stand behind what is
/// left of a broken one.
pub fn decode(line: &[u8]) -> Option<LogEntry> {
    const START: &[u8] = b"{\"log\":\"";
    whole(line).or_else(|| {
        let at = line.windows(START.len()).rposition(|window| window == START)?;
        whole(&line[at..])
    })
}

fn whole(line: &[u8]) -> Option<LogEntry> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    Some(LogEntry {
        source: if line.stream == "stderr" {
            Source::Stderr
        } else {
            Source::Stdout
        },
        at: DateTime::parse_from_rfc3339(&line.time).ok()?.to_utc(),
        bytes: Bytes::from(line.log.into_owned().into_bytes()),
        attributes: line.attrs.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIME: &str = "2023-11-14T22:13:20.000000042Z";

    #[test]
    fn lines_are_dockers() {
        let mut out = Vec::new();
        encode(&mut out, Source::Stderr, b"no \"way\"\n", &BTreeMap::new(), TIME);
        let text = r#"{"log":"no \"way\"\n","stream":"stderr","time":"2023-11-14T22:13:20.000000042Z"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), format!("{text}\n"));
        let attributes = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let mut out = Vec::new();
        encode(&mut out, Source::Stdout, b"x", &attributes, TIME);
        assert!(String::from_utf8_lossy(&out).contains(r#""stream":"stdout","attrs":{"a":"b"},"time""#));
        assert_eq!(decode(&out).unwrap().attributes, attributes);
    }

    #[test]
    fn what_stands_behind_damage_is_read() {
        let mut line = b"\0\0\0{\"log\":\"half".to_vec();
        encode(&mut line, Source::Stdout, b"whole\n", &BTreeMap::new(), TIME);
        assert_eq!(&decode(&line).unwrap().bytes[..], b"whole\n");
        assert_eq!(decode(b"{\"log\":\"half\n"), None);
        assert_eq!(decode(b""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_left_out(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn what_is_written_is_read(text in ".{0,80}\n?") {
            let mut out = Vec::new();
            encode(&mut out, Source::Stdout, text.as_bytes(), &BTreeMap::new(), TIME);
            let entry = decode(&out).unwrap();
            prop_assert_eq!(&entry.bytes[..], text.as_bytes());
        }
    }
}
