//! A registry under TLS, with an authority of its own, that wants tokens of a server beside it; and a proxy.
//!
//! Blobs and manifests are kept as they are pushed. An upload may be cut off in its middle, once.

use super::dom0::Dom0;
use super::server::{digest, request_line, serve};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Under which dom0 knows it, beside `localhost`.
pub const HOST: &str = "registry.lab.test";
/// The password of `me`, as a header has it: `me:geheim`.
const PASSWORD: &str = "Basic bWU6Z2VoZWlt";

/// Of what has a range; GHCR's limit.
const MOST_CHUNK_BYTES: usize = 4 << 20;

#[derive(Default)]
pub struct State {
    blobs: HashMap<String, Vec<u8>>,
    manifests: HashMap<String, (String, Vec<u8>)>,
    uploads: HashMap<usize, Vec<u8>>,
    /// Method and path of each request that was let in, and how many bytes came with it.
    pub log: Vec<(String, usize)>,
    /// The next body of an upload ends behind so many bytes.
    pub cut: Option<u64>,
}

pub struct Secure {
    pub port: u16,
    /// In PEM.
    pub authority: String,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn answer(status: &'static str) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

impl Answer {
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// An authority, and a certificate of it for the registry.
fn certificates() -> (String, Arc<ServerConfig>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("an authority").pem();
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().expect("a key");
    let names = vec![HOST.to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(names)
        .and_then(|params| params.signed_by(&own, &issuer))
        .expect("a certificate");
    let own = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], own)
        .expect("key and certificate");
    (authority, Arc::new(config))
}

impl Secure {
    /// Serves on this machine and in dom0, under the same port of `localhost`.
    pub fn start(dom0: &Dom0<'_>) -> Self {
        let (authority, config) = certificates();
        let state = Arc::<Mutex<State>>::default();
        let served = Arc::clone(&state);
        let port = serve(dom0, move |stream| talk(stream, Arc::clone(&config), &served));
        Self {
            port,
            authority,
            state,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests that begin so were let in since the last question.
    pub fn count(&self, beginning: &str) -> usize {
        let log = std::mem::take(&mut self.state().log);
        log.iter().filter(|(line, _)| line.starts_with(beginning)).count()
    }
}

fn talk(stream: TcpStream, config: Arc<ServerConfig>, state: &Mutex<State>) -> io::Result<()> {
    let port = stream.local_addr()?.port();
    let tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(tls, stream));
    while let Some(request) = read(&mut stream, state)? {
        let reply = reply(&request, port, state);
        let mut head = format!(
            "HTTP/1.1 {}\r\nContent-Length: {}\r\n",
            reply.status,
            reply.body.len()
        );
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let to = stream.get_mut();
        to.write_all(format!("{head}\r\n").as_bytes())?;
        if request.method != "HEAD" {
            to.write_all(&reply.body)?;
        }
        to.flush()?;
    }
    Ok(())
}

/// The next request; `None` at the end, also when it is cut off here.
fn read(from: &mut impl BufRead, state: &Mutex<State>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        from.read_line(&mut header)?;
        match header.trim_end().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let cut = match method.as_str() {
        "PATCH" => state.lock().unwrap_or_else(PoisonError::into_inner).cut.take(),
        _ => None,
    };
    let mut body = Vec::new();
    if headers.contains_key("transfer-encoding") {
        read_chunked(from, &mut body, cut)?;
    } else {
        let length = headers
            .get("content-length")
            .and_then(|length| length.parse().ok());
        let length: u64 = length.unwrap_or(0);
        from.by_ref()
            .take(cut.map_or(length, |cut| cut.min(length)))
            .read_to_end(&mut body)?;
    }
    if cut.is_some() {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upload) = state.uploads.get_mut(&upload_id(&path)) {
            upload.extend(&body);
        }
        return Ok(None);
    }
    Ok(Some(Request {
        method,
        path,
        headers,
        body,
    }))
}

/// A body in pieces, each behind its length; up to where it is cut off.
fn read_chunked(from: &mut impl BufRead, body: &mut Vec<u8>, cut: Option<u64>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
        let left = cut.map_or(length, |cut| length.min(cut - body.len() as u64));
        from.by_ref().take(left).read_to_end(body)?;
        if left < length {
            return Ok(());
        }
        // The end of the line behind it; the last piece is empty, and nothing comes behind it.
        from.read_line(&mut line)?;
        if length == 0 {
            return Ok(());
        }
    }
}

fn upload_id(path: &str) -> usize {
    let path = path.split('?').next().unwrap_or(path);
    path.rsplit('/')
        .next()
        .and_then(|id| id.parse().ok())
        .unwrap_or(usize::MAX)
}

fn query<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = path.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn reply(request: &Request, port: u16, state: &Mutex<State>) -> Answer {
    let given = request.headers.get("authorization").map_or("", String::as_str);
    let path = request.path.split('?').next().unwrap_or_default();
    if path == "/token" {
        return match given {
            PASSWORD => {
                // Good for what it was asked for, and nothing else.
                let scope = query(&request.path, "scope").unwrap_or("none");
                answer("200 OK").body(format!(r#"{{"token":"of-{scope}"}}"#))
            }
            _ => answer("401 Unauthorized"),
        };
    }
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let writes = !matches!(request.method.as_str(), "GET" | "HEAD");
    let scope = match parts.as_slice() {
        ["v2", repository, _, ..] => {
            let actions = if writes { "pull%2Cpush" } else { "pull" };
            format!("of-repository%3A{repository}%3A{actions}")
        }
        _ => "of-".to_owned(),
    };
    if !given
        .strip_prefix("Bearer ")
        .is_some_and(|token| token.starts_with(&scope))
    {
        let challenge = format!(r#"Bearer realm="https://localhost:{port}/token",service="lab""#);
        return answer("401 Unauthorized").header("WWW-Authenticate", challenge);
    }
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let line = format!("{} {path}", request.method);
    state.log.push((line, request.body.len()));
    match (request.method.as_str(), parts.as_slice()) {
        (_, ["v2"]) => answer("200 OK").body("{}"),
        ("PUT", ["v2", _, "manifests", tag]) => {
            let kind = request.headers.get("content-type").cloned().unwrap_or_default();
            let manifest = (kind, request.body.clone());
            state.manifests.insert(digest(&request.body), manifest.clone());
            state.manifests.insert((*tag).to_owned(), manifest);
            answer("201 Created")
        }
        (_, ["v2", _, "manifests", tag]) => match state.manifests.get(*tag) {
            Some((kind, bytes)) => answer("200 OK").header("Content-Type", kind).body(bytes.clone()),
            None => answer("404 Not Found").body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
        },
        ("POST", ["v2", repository, "blobs", "uploads"]) => {
            let id = state.log.len();
            state.uploads.insert(id, Vec::new());
            answer("202 Accepted").header("Location", format!("/v2/{repository}/blobs/uploads/{id}"))
        }
        (method, ["v2", _, "blobs", "uploads", _]) => upload(&mut state, method, request),
        (_, ["v2", _, "blobs", digest]) => match state.blobs.get(*digest) {
            Some(bytes) => answer("200 OK").body(bytes.clone()),
            None => answer("404 Not Found").body(r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#),
        },
        _ => answer("404 Not Found"),
    }
}

fn upload(state: &mut State, method: &str, request: &Request) -> Answer {
    let id = upload_id(&request.path);
    let Some(bytes) = state.uploads.get_mut(&id) else {
        return answer("404 Not Found");
    };
    match method {
        "PATCH" => {
            let begin = format!("{}-", bytes.len());
            let fits = match request.headers.get("content-range") {
                Some(range) => range.starts_with(&begin) && request.body.len() <= MOST_CHUNK_BYTES,
                None => bytes.is_empty(),
            };
            if !fits {
                return answer("416 Range Not Satisfiable");
            }
            bytes.extend(&request.body);
            let range = format!("0-{}", bytes.len().saturating_sub(1));
            answer("202 Accepted").header("Range", range)
        }
        "GET" => {
            let range = format!("0-{}", bytes.len().saturating_sub(1));
            answer("204 No Content").header("Range", range)
        }
        "PUT" => {
            let mut bytes = state.uploads.remove(&id).unwrap_or_default();
            bytes.extend(&request.body);
            let found = digest(&bytes);
            let told = query(&request.path, "digest")
                .unwrap_or_default()
                .replace("%3A", ":");
            if told != found {
                return answer("400 Bad Request").body(r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
            }
            state.blobs.insert(found, bytes);
            answer("201 Created")
        }
        _ => answer("204 No Content"),
    }
}

/// A proxy on this machine and in dom0; tells where it was asked to connect to.
pub fn proxy(dom0: &Dom0<'_>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&asked);
    let port = serve(dom0, move |stream| tunnel(&stream, &told));
    (port, asked)
}

fn tunnel(stream: &TcpStream, told: &Mutex<Vec<String>>) -> io::Result<()> {
    let request = request_line(&mut BufReader::new(stream))?;
    let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let port = target
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .unwrap_or(0_u16);
    told.lock().unwrap_or_else(PoisonError::into_inner).push(target);
    // Its names are this machine's.
    let other = TcpStream::connect(("127.0.0.1", port))?;
    (&*stream).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (from, to) = (stream.try_clone()?, other.try_clone()?);
    let there = std::thread::spawn(move || {
        let _ = io::copy(&mut &from, &mut &to);
        to.shutdown(std::net::Shutdown::Write)
    });
    let _ = io::copy(&mut &other, &mut &*stream);
    stream.shutdown(std::net::Shutdown::Both)?;
    let _ = there.join();
    Ok(())
}
