//! A registry that lies: the name of a repository says how.

use super::dom0::Dom0;
use super::server::{digest, request_line, serve};
use serde_json::json;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// What a repository does instead of giving its image.
pub const LIES: &[&str] = &[
    "altered-layer",
    "altered-config",
    "altered-manifest",
    "truncated-layer",
    "endless-layer",
    "wrong-diff-id",
    "garbage-manifest",
    "no-such-blob",
    "server-error",
];

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// It serves as long as the tests run.
pub struct Registry {
    port: u16,
    image: Arc<Image>,
}

struct Blob {
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            digest: digest(&bytes),
            bytes,
        }
    }
}

/// An image of one small layer.
struct Image {
    layer: Blob,
    config: Blob,
    manifest: Blob,
    /// The same with a config that says another diff_id.
    other_config: Blob,
    other_manifest: Blob,
}

impl Image {
    fn new() -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        let content = vec![b'x'; 300_000];
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, "file", content.as_slice())
            .expect("a tar in memory");
        let layer = Blob::new(tar.into_inner().expect("a tar in memory"));
        let config = |diff_id: &str| {
            let config = json!({ "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/file"] },
                "rootfs": { "type": "layers", "diff_ids": [diff_id] } });
            Blob::new(config.to_string().into_bytes())
        };
        let manifest = |config: &Blob| {
            let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST,
                "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": config.digest, "size": config.bytes.len() },
                "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": layer.digest, "size": layer.bytes.len() }] });
            Blob::new(manifest.to_string().into_bytes())
        };
        let (right, wrong) = (config(&layer.digest), config(&Blob::new(Vec::new()).digest));
        Self {
            manifest: manifest(&right),
            other_manifest: manifest(&wrong),
            config: right,
            other_config: wrong,
            layer,
        }
    }
}

impl Registry {
    /// Serves on this machine and in dom0, under the same port of `localhost`.
    pub fn start(dom0: &Dom0<'_>) -> Self {
        let image = Arc::new(Image::new());
        let served = Arc::clone(&image);
        let port = serve(dom0, move |stream| talk(&stream, &served));
        Self { port, image }
    }

    /// The image of a repository: one of [`LIES`], or any other for the truth.
    pub fn image(&self, repository: &str) -> String {
        match repository {
            // Only who asks for a digest can tell.
            "altered-manifest" => format!(
                "localhost:{}/{repository}@{}",
                self.port, self.image.manifest.digest
            ),
            _ => format!("localhost:{}/{repository}:latest", self.port),
        }
    }
}

fn talk(mut stream: &TcpStream, image: &Image) -> std::io::Result<()> {
    let request = request_line(&mut BufReader::new(stream))?;
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
    let mut answer = |status: &str, kind: &str, bytes: &[u8]| -> std::io::Result<()> {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            bytes.len()
        );
        stream.write_all(head.as_bytes())?;
        if method != "HEAD" {
            stream.write_all(bytes)?;
        }
        Ok(())
    };
    const JSON: &str = "application/json";
    const BYTES: &str = "application/octet-stream";
    match parts.as_slice() {
        ["v2", ""] | ["v2"] => answer("200 OK", JSON, b"{}"),
        ["v2", "server-error", ..] => answer(
            "500 Internal Server Error",
            JSON,
            br#"{"errors":[{"code":"UNKNOWN","message":"out of order"}]}"#,
        ),
        ["v2", "garbage-manifest", "manifests", _] => {
            answer("200 OK", MANIFEST, b"{\"schemaVersion\": 2, \xff")
        }
        ["v2", "altered-manifest", "manifests", _] => answer("200 OK", MANIFEST, &image.other_manifest.bytes),
        ["v2", "wrong-diff-id", "manifests", _] => answer("200 OK", MANIFEST, &image.other_manifest.bytes),
        ["v2", _, "manifests", _] => answer("200 OK", MANIFEST, &image.manifest.bytes),
        ["v2", repository, "blobs", digest] => {
            let blobs = [&image.layer, &image.config, &image.other_config];
            let blob = blobs.into_iter().find(|blob| blob.digest == *digest);
            let Some(blob) = blob.filter(|_| *repository != "no-such-blob") else {
                return answer(
                    "404 Not Found",
                    JSON,
                    br#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#,
                );
            };
            let is_layer = blob.digest == image.layer.digest;
            let mut altered = blob.bytes.clone();
            let middle = altered.len() / 2;
            altered[middle] ^= 1;
            match *repository {
                "altered-layer" if is_layer => answer("200 OK", BYTES, &altered),
                "altered-config" if !is_layer => answer("200 OK", BYTES, &altered),
                "truncated-layer" if is_layer => {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", blob.bytes.len());
                    stream.write_all(head.as_bytes())?;
                    stream.write_all(&blob.bytes[..middle])
                }
                "endless-layer" if is_layer => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                    stream.write_all(&blob.bytes)?;
                    loop {
                        stream.write_all(&[0; 65536])?;
                    }
                }
                _ => answer("200 OK", BYTES, &blob.bytes),
            }
        }
        _ => answer("404 Not Found", JSON, b"{}"),
    }
}
