//! A registry for tests, in memory, that fails as it is told to.

use crate::layer::digest_of;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::stream;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// What a registry does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// Hangs up once, in the middle of a blob of more than 1000 bytes.
    BreaksOff,
    /// Hangs up after the first 100 bytes of each of those.
    BreaksAlways,
    IgnoresRanges,
    /// Gives another part than the one that was asked for.
    WrongRange,
    Endless,
    /// Gives half of a blob of more than 1000 bytes, and the rest when told to, see [`Contents::stalled`].
    Stalls,
    EndlessManifest,
    /// Sends to another registry for blobs.
    Redirects,
    /// Takes half of the first body, and hangs up.
    LosesHalfABody,
    /// Refuses chunks of more than 4 MiB, as GHCR does.
    SmallChunks,
    /// Refuses chunks, as Google's Artifact Registry does.
    NoChunks,
    /// Tells of the first chunk only, as ECR does.
    StaleRange,
    /// Forgets the first upload in its middle.
    ForgetsAnUpload,
    WantsPassword,
    WantsToken,
    NoMounts,
}

/// How a blob that is given in halves stands.
#[derive(Default)]
pub struct Stall {
    pub half_given: Notify,
    pub reader_gone: Notify,
    pub rest_may_go: Notify,
}

#[derive(Default)]
pub struct Contents {
    pub blobs: BTreeMap<(String, String), Bytes>,
    pub manifests: BTreeMap<(String, String), (String, Bytes)>,
    uploads: BTreeMap<usize, Vec<u8>>,
    pub lies: BTreeSet<Lie>,
    /// How often it is still out of order.
    pub busy: usize,
    /// Method and path of each request, `!` behind those with a password or a token.
    pub log: Vec<String>,
    pub stalled: Arc<Stall>,
    scopes: Vec<String>,
    elsewhere: String,
    next_upload: usize,
}

impl Contents {
    pub fn next_upload_from_zero(&mut self) {
        self.next_upload = 0;
    }

    /// Of the last token that was asked for.
    pub fn scopes(&self) -> Vec<String> {
        self.scopes.clone()
    }
}

#[derive(Clone)]
pub struct Fake {
    pub host: String,
    state: Arc<Mutex<Contents>>,
}

fn respond(status: u16, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn with(mut response: Response<Body>, headers: &[(&'static str, String)]) -> Response<Body> {
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

/// What is instead of an answer.
#[derive(Clone)]
struct HangUp;

/// A body that ends before its announced length.
fn broken(bytes: Bytes, length: usize) -> Response<Body> {
    let parts = stream::unfold(Some(bytes), |bytes| async {
        if let Some(bytes) = bytes {
            return Some((Ok(bytes), None));
        }
        // What there is goes out when the next part has to be waited for.
        tokio::task::yield_now().await;
        Some((Err(io::Error::other("gone")), None))
    });
    let body = Body::from_stream(parts);
    with(respond(200, body), &[("content-length", length.to_string())])
}

/// Says that it is dropped.
struct Stalled(Arc<Stall>);

impl Drop for Stalled {
    fn drop(&mut self) {
        self.0.reader_gone.notify_one();
    }
}

/// A body that is waited for in its middle.
fn stalled(bytes: Bytes, stall: &Arc<Stall>) -> Response<Body> {
    let length = bytes.len();
    let state = (0, Stalled(Arc::clone(stall)));
    let parts = stream::unfold(state, move |(given, told)| {
        let rest = bytes.slice(given..);
        async move {
            match given {
                0 => {
                    let half = rest.slice(..length / 2);
                    Some((Ok::<_, io::Error>(half), (length / 2, told)))
                }
                given if given < length => {
                    told.0.half_given.notify_one();
                    told.0.rest_may_go.notified().await;
                    Some((Ok(rest), (length, told)))
                }
                _ => None,
            }
        }
    });
    let body = Body::from_stream(parts);
    with(respond(200, body), &[("content-length", length.to_string())])
}

impl Fake {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let fake = Self {
            host,
            state: Arc::default(),
        };
        let router = Router::new().fallback(serve).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    pub fn state(&self) -> MutexGuard<'_, Contents> {
        self.state.lock().unwrap()
    }

    pub fn lie(&self, lies: &[Lie]) {
        self.state().lies = lies.iter().copied().collect();
    }

    pub fn redirect_to(&self, other: &Self) {
        self.state().elsewhere.clone_from(&other.host);
        self.lie(&[Lie::Redirects]);
    }

    pub fn name(&self, rest: &str) -> crate::Name {
        format!("{}/{rest}", self.host).parse().unwrap()
    }

    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let key = (repository.to_owned(), digest.clone());
        self.state().blobs.insert(key, Bytes::copy_from_slice(bytes));
        digest
    }

    /// An image of these layers, compressed; gives the digest of its manifest.
    pub fn put_image(&self, repository: &str, tag: &str, tars: &[Vec<u8>]) -> String {
        let mut layers = Vec::new();
        for tar in tars {
            let packed = zstd::encode_all(&tar[..], 1).unwrap();
            let digest = self.put_blob(repository, &packed);
            layers.push(
                serde_json::json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
                "digest": digest, "size": packed.len() }),
            );
        }
        let diff_ids: Vec<_> = tars.iter().map(|tar| digest_of(tar)).collect();
        let config = serde_json::json!({ "architecture": "amd64", "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let config = config.to_string();
        let digest = self.put_blob(repository, config.as_bytes());
        let manifest = serde_json::json!({ "schemaVersion": 2, "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": config.len() },
            "layers": layers });
        let bytes = Bytes::from(manifest.to_string());
        let digest = digest_of(&bytes);
        for reference in [tag, &digest] {
            let key = (repository.to_owned(), reference.to_owned());
            let kind = crate::manifest::OCI_MANIFEST.to_owned();
            self.state().manifests.insert(key, (kind, bytes.clone()));
        }
        digest
    }

    pub fn count(&self, beginning: &str) -> usize {
        let state = self.state();
        let fits = |line: &&String| line.starts_with(beginning);
        state.log.iter().filter(fits).count()
    }
}

async fn serve(State(fake): State<Fake>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query: BTreeMap<String, String> = axum::extract::Query::try_from_uri(&parts.uri).unwrap().0;
    let given = parts.headers.get(header::AUTHORIZATION);
    let given = given
        .and_then(|given| given.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let body = to_bytes(body, 64 << 20).await.unwrap_or_default();
    let mut state = fake.state();
    let mark = if given.is_empty() { "" } else { "!" };
    state.log.push(format!("{} {path}{mark}", parts.method));
    if path == "/token" {
        let scopes = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .unwrap()
            .0;
        let scopes = scopes.into_iter().filter(|(key, _)| key == "scope");
        state.scopes = scopes.map(|(_, scope)| scope).collect();
        if parts.method == "POST" {
            let form = String::from_utf8_lossy(&body).into_owned();
            let is_known = form.contains("grant_type=refresh_token&refresh_token=its%2Fme&");
            state.scopes = vec![form];
            return match is_known {
                true => respond(200, r#"{"access_token":"t0"}"#),
                false => respond(400, r#"{"error":"invalid_grant"}"#),
            };
        }
        return match given.as_str() {
            "Basic bWU6Z2VoZWlt" => respond(200, r#"{"token":"t0"}"#),
            _ => respond(401, ""),
        };
    }
    if state.busy > 0 {
        state.busy -= 1;
        return with(respond(503, ""), &[("retry-after", "0".to_owned())]);
    }
    let wanted = match (
        state.lies.contains(&Lie::WantsPassword),
        state.lies.contains(&Lie::WantsToken),
    ) {
        (true, _) => Some(("Basic bWU6Z2VoZWlt", r#"Basic realm="lab""#.to_owned())),
        (_, true) => Some((
            "Bearer t0",
            format!(r#"Bearer realm="http://{}/token",service="s""#, fake.host),
        )),
        _ => None,
    };
    if let Some((wanted, challenge)) = wanted
        && given != wanted
    {
        return with(respond(401, ""), &[("www-authenticate", challenge)]);
    }
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let response = match (parts.method.as_str(), segments.as_slice()) {
        (_, ["v2"]) => respond(200, "{}"),
        ("GET", ["v1", "search"]) => respond(
            200,
            format!(
                r#"{{"results":[{{"name":"{}","star_count":7,"is_official":true}}]}}"#,
                query["q"]
            ),
        ),
        ("GET", ["v2", repository @ .., "tags", "list"]) => tags(&state, &repository.join("/"), &query),
        (method, ["v2", repository @ .., "manifests", reference]) => manifest(
            &mut state,
            method,
            &repository.join("/"),
            reference,
            &parts.headers,
            body,
        ),
        ("POST", ["v2", repository @ .., "blobs", "uploads"]) => {
            begin(&mut state, &repository.join("/"), &query)
        }
        (method, ["v2", repository @ .., "blobs", "uploads", id]) => {
            let id = id.parse().unwrap();
            upload(
                &mut state,
                method,
                &repository.join("/"),
                id,
                &query,
                &parts.headers,
                &body,
            )
        }
        (method, ["v2", repository @ .., "blobs", digest]) => blob(
            &mut state,
            method,
            &path,
            &repository.join("/"),
            digest,
            &parts.headers,
        ),
        _ => respond(404, ""),
    };
    drop(state);
    if response.extensions().get::<HangUp>().is_some() {
        // With its task the connection ends.
        std::panic::resume_unwind(Box::new(()));
    }
    response
}

fn tags(state: &Contents, repository: &str, query: &BTreeMap<String, String>) -> Response<Body> {
    let mut tags = state.manifests.keys();
    let last = query.get("last").cloned().unwrap_or_default();
    // One a page.
    let tag = tags.find(|(of, tag)| of == repository && !tag.contains(':') && *tag > last);
    let Some((_, tag)) = tag else {
        return respond(200, r#"{"tags":null}"#);
    };
    let next = format!("</v2/{repository}/tags/list?last={tag}>; rel=\"next\"");
    let body = serde_json::json!({ "name": repository, "tags": [tag] }).to_string();
    with(respond(200, body), &[("link", next)])
}

fn manifest(
    state: &mut Contents,
    method: &str,
    repository: &str,
    reference: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let key = (repository.to_owned(), reference.to_owned());
    if method == "PUT" {
        let kind = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let by_digest = (key.0.clone(), digest_of(&body));
        state.manifests.insert(by_digest, (kind.clone(), body.clone()));
        state.manifests.insert(key, (kind, body));
        return respond(201, "");
    }
    if state.lies.contains(&Lie::EndlessManifest) {
        let endless = stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[b' '; 65536])));
        return respond(200, Body::from_stream(endless));
    }
    match state.manifests.get(&key) {
        Some((kind, bytes)) => with(respond(200, bytes.clone()), &[("content-type", kind.clone())]),
        None => respond(
            404,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
        ),
    }
}

fn begin(state: &mut Contents, repository: &str, query: &BTreeMap<String, String>) -> Response<Body> {
    if let (Some(digest), Some(from)) = (query.get("mount"), query.get("from"))
        && !state.lies.contains(&Lie::NoMounts)
        && let Some(bytes) = state.blobs.get(&(from.clone(), digest.clone())).cloned()
    {
        state.blobs.insert((repository.to_owned(), digest.clone()), bytes);
        return respond(201, "");
    }
    let id = state.next_upload;
    state.next_upload += 1;
    state.uploads.insert(id, Vec::new());
    with(
        respond(202, ""),
        &[("location", format!("/v2/{repository}/blobs/uploads/{id}?state=x"))],
    )
}

fn upload(
    state: &mut Contents,
    method: &str,
    repository: &str,
    id: usize,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
    body: &[u8],
) -> Response<Body> {
    let told = state.lies.clone();
    let lies = |lie| told.contains(&lie);
    let loses = method == "PATCH" && state.lies.remove(&Lie::LosesHalfABody);
    if id == 0 && method == "PATCH" && state.lies.remove(&Lie::ForgetsAnUpload) {
        state.uploads.remove(&id);
    }
    let Some(bytes) = state.uploads.get_mut(&id) else {
        return respond(404, "");
    };
    let range = |bytes: &[u8]| format!("0-{}", bytes.len().saturating_sub(1));
    match method {
        "PATCH" => {
            let begin = format!("{}-", bytes.len());
            let chunk = headers.get(header::CONTENT_RANGE);
            if chunk.is_some() && lies(Lie::NoChunks) {
                return respond(400, "");
            }
            let fits = match chunk.map(|range| range.to_str().unwrap()) {
                Some(range) => range.starts_with(&begin),
                None => bytes.is_empty(),
            };
            if !fits || chunk.is_some() && lies(Lie::SmallChunks) && body.len() > 4 << 20 {
                return respond(416, "");
            }
            if loses {
                bytes.extend_from_slice(&body[..body.len() / 2]);
                let mut none = respond(502, "");
                none.extensions_mut().insert(HangUp);
                return none;
            }
            let stale = range(bytes);
            bytes.extend_from_slice(body);
            let told = if lies(Lie::StaleRange) {
                stale
            } else {
                range(bytes)
            };
            with(respond(202, ""), &[("range", told)])
        }
        "GET" => with(respond(204, ""), &[("range", range(bytes))]),
        "DELETE" => {
            state.uploads.remove(&id);
            respond(204, "")
        }
        _ => {
            let mut bytes = state.uploads.remove(&id).unwrap();
            bytes.extend_from_slice(body);
            let digest = query["digest"].clone();
            if digest_of(&bytes) != digest {
                return respond(400, r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
            }
            state.blobs.insert((repository.to_owned(), digest), bytes.into());
            respond(201, "")
        }
    }
}

fn blob(
    state: &mut Contents,
    method: &str,
    path: &str,
    repository: &str,
    digest: &str,
    headers: &HeaderMap,
) -> Response<Body> {
    let told = state.lies.clone();
    let lies = |lie| told.contains(&lie);
    if lies(Lie::Redirects) {
        return with(
            respond(307, ""),
            &[("location", format!("http://{}{path}", state.elsewhere))],
        );
    }
    let key = (repository.to_owned(), digest.to_owned());
    let Some(bytes) = state.blobs.get(&key).cloned() else {
        return respond(404, "");
    };
    if method == "HEAD" {
        return with(respond(200, ""), &[("content-length", bytes.len().to_string())]);
    }
    let begin = headers.get(header::RANGE).and_then(|range| {
        let range = range.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?;
        range.parse::<usize>().ok()
    });
    let length = bytes.len();
    if lies(Lie::BreaksAlways) && length > 1000 {
        return broken(bytes.slice(..100), length);
    }
    if lies(Lie::Stalls) && length > 1000 {
        return stalled(bytes, &state.stalled);
    }
    if length > 1000 && state.lies.remove(&Lie::BreaksOff) {
        return broken(bytes.slice(..length / 2), length);
    }
    match begin {
        Some(_) if lies(Lie::WrongRange) => {
            let range = format!("bytes 0-{}/{length}", length - 1);
            with(respond(206, bytes.clone()), &[("content-range", range)])
        }
        Some(begin) if !lies(Lie::IgnoresRanges) => {
            let range = format!("bytes {begin}-{}/{length}", length - 1);
            with(respond(206, bytes.slice(begin..)), &[("content-range", range)])
        }
        _ if lies(Lie::Endless) && length > 1000 => {
            let first = stream::iter([Ok::<_, io::Error>(bytes.clone())]);
            let endless = stream::repeat_with(|| Ok(Bytes::from_static(&[0; 65536])));
            respond(
                200,
                Body::from_stream(futures_util::StreamExt::chain(first, endless)),
            )
        }
        _ => respond(200, bytes.clone()),
    }
}
