//! `/containers/{id}/archive`, `/changes` and `/export`: files in and out of containers, and what became of them.

use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::images::body::Upload;
use crate::{request, text};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use chrono::DateTime;
use data_encoding::BASE64;
use engine::{Change, ChangeKind, Download, ExtractOptions, PathStat};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

const PATH_STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");

fn path(call: &Call) -> Result<String, ApiError> {
    let path = call.query.text("path").map(str::to_owned);
    path.ok_or_else(|| ApiError::invalid("bad parameter: path cannot be empty"))
}

pub async fn head(call: &Call, id: &str) -> Answer {
    let path = path(call)?;
    let stat = call.engine().path_stat(id, &path).await?;
    with_stat(request::empty(StatusCode::OK), &path, &stat)
}

pub async fn get(call: &Call, id: &str) -> Answer {
    let path = path(call)?;
    let (stat, download) = call.engine().archive(id, &path).await?;
    let response = request::of(StatusCode::OK, "application/x-tar", body(download).await?);
    with_stat(response, &path, &stat)
}

pub async fn put(call: Call, id: &str) -> Answer {
    let path = path(&call)?;
    let options = ExtractOptions {
        no_overwrite_dir_non_dir: call.query.flag("noOverwriteDirNonDir"),
        as_container_user: call.query.flag("copyUIDGID"),
    };
    let engine = call.engine().clone();
    let upload = Upload::new(call.request.into_body());
    let extracted = engine.extract(id, &path, options, upload.clone()).await;
    if extracted.is_err() {
        upload.drain().await;
    }
    extracted?;
    Ok(request::empty(StatusCode::OK))
}

pub async fn changes(call: &Call, id: &str) -> Answer {
    let changes = call.engine().changes(id).await?;
    Ok(request::ok_json(&changes_json(&changes)))
}

pub async fn export(call: &Call, id: &str) -> Answer {
    let download = call.engine().export(id).await?;
    let body = body(download).await?;
    Ok(request::of(StatusCode::OK, "application/octet-stream", body))
}

/// A body that breaks off unless all of it is vouched for. What fails at once is an answer of its own.
async fn body(mut download: Download) -> Result<Body, ApiError> {
    let first = download.next().await.transpose()?;
    let first = stream::iter(first.map(Ok));
    Ok(Body::from_stream(first.chain(download.into_stream())))
}

fn with_stat(mut response: Response<Body>, path: &str, stat: &PathStat) -> Answer {
    let encoded = BASE64.encode(stat_json(path, stat).to_string().as_bytes());
    let value = HeaderValue::from_str(&encoded)
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    response.headers_mut().insert(PATH_STAT, value);
    Ok(response)
}

fn stat_json(path: &str, stat: &PathStat) -> Value {
    let trimmed = path.trim_end_matches('/');
    let name = match trimmed.rsplit('/').next() {
        None | Some("") => "/",
        Some(name) => name,
    };
    let mtime = DateTime::from_timestamp(stat.mtime, stat.mtime_ns);
    json!({
        "name": name,
        "size": stat.bytes,
        "mode": go_mode(stat.mode),
        "mtime": text::moment_or_never(mtime),
        "linkTarget": stat.link_target,
    })
}

/// `st_mode` as Go's `os.FileMode`.
fn go_mode(mode: u32) -> u32 {
    const KINDS: [(u32, u32); 6] = [
        (0o040000, 1 << 31),
        (0o120000, 1 << 27),
        (0o060000, 1 << 26),
        (0o020000, 1 << 26 | 1 << 21),
        (0o010000, 1 << 25),
        (0o140000, 1 << 24),
    ];
    const BITS: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let kind = KINDS.iter().find(|(kind, _)| mode & 0o170000 == *kind);
    let bits = BITS.iter().filter(|(bit, _)| mode & bit != 0);
    (mode & 0o777) | kind.map_or(0, |(_, of_go)| *of_go) | bits.map(|(_, of_go)| of_go).sum::<u32>()
}

fn changes_json(changes: &[Change]) -> Value {
    if changes.is_empty() {
        return Value::Null;
    }
    let one = |change: &Change| {
        let kind = match change.kind {
            ChangeKind::Modified => 0,
            ChangeKind::Added => 1,
            ChangeKind::Deleted => 2,
        };
        json!({ "Path": String::from_utf8_lossy(&change.path), "Kind": kind })
    };
    changes.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_go() {
        assert_eq!(go_mode(0o100644), 0o644);
        assert_eq!(go_mode(0o040755), 2_147_484_141);
        assert_eq!(go_mode(0o041777), 1 << 31 | 1 << 20 | 0o777);
        assert_eq!(go_mode(0o120777), 134_218_239);
        assert_eq!(go_mode(0o020620), 1 << 26 | 1 << 21 | 0o620);
        assert_eq!(go_mode(0o104755), 1 << 23 | 0o755);
    }

    #[test]
    fn a_path_and_its_status() {
        let stat = PathStat {
            bytes: 7,
            mode: 0o100600,
            mtime: 1_700_000_000,
            mtime_ns: 5_000_000,
            link_target: String::new(),
        };
        let shown = |path: &str| stat_json(path, &stat);
        assert_eq!(
            shown("/etc/passwd"),
            json!({ "name": "passwd", "size": 7, "mode": 0o600, "mtime": "2023-11-14T22:13:20.005Z", "linkTarget": "" })
        );
        assert_eq!(
            (&shown("/")["name"], &shown("/a/")["name"]),
            (&json!("/"), &json!("a"))
        );
    }

    #[test]
    fn changes_have_numbers() {
        let change = |kind, path: &[u8]| Change {
            kind,
            path: path.to_vec(),
        };
        assert_eq!(changes_json(&[]), Value::Null);
        assert_eq!(
            changes_json(&[
                change(ChangeKind::Modified, b"/a"),
                change(ChangeKind::Added, b"/a/\xff"),
                change(ChangeKind::Deleted, b"/b"),
            ]),
            json!([
                { "Path": "/a", "Kind": 0 },
                { "Path": "/a/\u{fffd}", "Kind": 1 },
                { "Path": "/b", "Kind": 2 },
            ])
        );
    }
}
