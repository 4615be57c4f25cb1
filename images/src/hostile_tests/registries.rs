//! Registries that lie, and what they do it with.

use super::server::{Reply, serve};
use super::{Bench, USUAL_MIB};
use crate::archive::tests::member;
use crate::layer::digest_of;
use crate::manifest::{OCI_MANIFEST, OCI_TAR};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Read};

const BYTES: &str = "application/octet-stream";

/// An image in parts, so that each of them may be a lie.
struct Evil {
    manifest: Vec<u8>,
    kind: String,
    blobs: BTreeMap<String, Vec<u8>>,
    /// Instead of what would be said at paths that end so.
    instead: Vec<(String, fn() -> Reply)>,
}

impl Evil {
    /// `change` may alter manifest and config; the config's digest and size are set behind it unless it does.
    fn image(layer: &[u8], kind: &str, diff_id: &str, change: impl FnOnce(&mut Value, &mut Value)) -> Self {
        let mut config = json!({ "architecture": "amd64", "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": [diff_id] } });
        let mut manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": null, "size": null },
            "layers": [{ "mediaType": kind, "digest": digest_of(layer), "size": layer.len() }] });
        change(&mut manifest, &mut config);
        let config = config.to_string().into_bytes();
        if manifest["config"]["digest"].is_null() {
            manifest["config"]["digest"] = json!(digest_of(&config));
        }
        if manifest["config"]["size"].is_null() {
            manifest["config"]["size"] = json!(config.len());
        }
        Self {
            manifest: manifest.to_string().into_bytes(),
            kind: OCI_MANIFEST.to_owned(),
            blobs: [config, layer.to_vec()]
                .into_iter()
                .map(|blob| (digest_of(&blob), blob))
                .collect(),
            instead: Vec::new(),
        }
    }

    /// A good layer in a manifest or config that is not.
    fn documents(change: impl FnOnce(&mut Value, &mut Value)) -> Self {
        let layer = tar(&[member(b"file", b'0', b"content", b"")]);
        Self::image(&layer, OCI_TAR, &digest_of(&layer), change)
    }

    /// A manifest that is `text`.
    fn text(text: impl Into<Vec<u8>>) -> Self {
        let mut evil = Self::documents(|_, _| {});
        evil.manifest = text.into();
        evil
    }

    fn instead(mut self, path: &str, reply: fn() -> Reply) -> Self {
        self.instead.push((path.to_owned(), reply));
        self
    }

    fn serve(self) -> String {
        let host = serve(move |path| {
            let instead = self.instead.iter().find(|(part, _)| path.contains(part.as_str()));
            if let Some((_, reply)) = instead {
                return reply();
            }
            let last = path.rsplit('/').next().unwrap_or_default();
            if path.contains("/manifests/") {
                return Reply::whole("200 OK", &self.kind, self.manifest.clone());
            }
            match self.blobs.get(last) {
                Some(blob) => Reply::whole("200 OK", BYTES, blob.clone()),
                None if path == "/v2/" => Reply::whole("200 OK", "application/json", b"{}".to_vec()),
                None => Reply::whole("404 Not Found", "application/json", b"{}".to_vec()),
            }
        });
        format!("{host}/evil:1")
    }
}

pub fn tar(members: &[Vec<u8>]) -> Vec<u8> {
    [&members.concat()[..], &[0; 1024]].concat()
}

async fn refuse(cases: Vec<(&str, Evil)>, most_mib: u64) {
    let bench = Bench::new().await;
    for (why, evil) in cases {
        bench.refused("pull", &[evil.serve()], why, most_mib);
    }
}

fn endless(status: &str) -> Reply {
    Reply::new(status, "Content-Type: application/json\r\n", io::repeat(b' '))
}

#[tokio::test]
async fn what_never_ends_is_cut_off() {
    let layer = |evil: Evil, reply| {
        let manifest: Value = serde_json::from_slice(&evil.manifest).unwrap();
        let digest = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
        evil.instead(&digest, reply)
    };
    let good = || Evil::documents(|_, _| {});
    refuse(
        vec![
            (
                "exceeds the limit of 4194304 bytes",
                good().instead("/manifests/", || endless("200 OK")),
            ),
            (
                "exceeds the limit of 4194304 bytes",
                good().instead("/blobs/", || endless("200 OK")),
            ),
            ("has ", layer(good(), || endless("200 OK"))),
            (
                "answers 500",
                good().instead("/manifests/", || endless("500 Internal Server Error")),
            ),
            // A redirect to itself, for ever.
            (
                "registry",
                good().instead("/manifests/", || {
                    Reply::new(
                        "307 Temporary Redirect",
                        "Location: /v2/evil/manifests/1\r\nContent-Length: 0\r\n",
                        io::empty(),
                    )
                }),
            ),
        ],
        USUAL_MIB,
    )
    .await;
}

#[tokio::test]
async fn sizes_that_lie_are_found_out() {
    let size = |size: Value| Evil::documents(move |manifest, _| manifest["layers"][0]["size"] = size);
    let config_size = |size: Value| Evil::documents(move |manifest, _| manifest["config"]["size"] = size);
    refuse(
        vec![
            ("it gave 2048 of 2049 bytes", size(json!(2049))),
            ("has 2048 bytes, not 2047", size(json!(2047))),
            ("has 2048 bytes, not 0", size(json!(0))),
            ("exceeds the limit of 68719476736 bytes", size(json!(u64::MAX))),
            ("is not understood", size(json!(-1))),
            ("is not understood", size(json!(1e30))),
            ("config exceeds the limit", config_size(json!(1_u64 << 40))),
            ("bytes, not 3", config_size(json!(3))),
            // More and less than the headers say.
            (
                "end of file before message length",
                Evil::documents(|_, _| {}).instead("/blobs/", || {
                    Reply::new("200 OK", "Content-Length: 9000\r\n", io::repeat(b'x').take(100))
                }),
            ),
            (
                "exceeds the limit",
                Evil::documents(|_, _| {}).instead("/manifests/", || {
                    Reply::new("200 OK", "Content-Length: 99999999999\r\n", io::empty())
                }),
            ),
        ],
        USUAL_MIB,
    )
    .await;
}

#[tokio::test]
async fn documents_that_are_none_are_refused() {
    let many = |count: usize| {
        let descriptor = json!({ "mediaType": OCI_MANIFEST, "digest": digest_of(b""), "size": 2,
            "platform": { "os": "linux", "architecture": "riscv64" } });
        json!({ "schemaVersion": 2, "manifests": vec![descriptor; count] }).to_string()
    };
    let layers = |count: usize| {
        Evil::documents(move |manifest, config| {
            manifest["layers"] = json!(vec![manifest["layers"][0].clone(); count]);
            config["rootfs"]["diff_ids"] = json!(vec![config["rootfs"]["diff_ids"][0].clone(); count]);
        })
    };
    refuse(
        vec![
            ("is not understood", Evil::text("[".repeat(4_000_000))),
            (
                "is not understood",
                Evil::text(format!("[{}0]", "[],".repeat(1_300_000))),
            ),
            (
                "is not understood",
                Evil::text(format!("{{\"manifests\":[{}0]}}", "0,".repeat(2_000_000))),
            ),
            ("has no image for linux/amd64", Evil::text(many(20_000))),
            ("1025 layers", layers(1025)),
            (
                "1 layers and 2 diff_ids",
                Evil::documents(|_, config| {
                    config["rootfs"]["diff_ids"] = json!([digest_of(b"1"), digest_of(b"2")]);
                }),
            ),
            // An index of an index, and one of itself: nothing has its own digest.
            ("is not understood", nested()),
            // What docker wrote before 2016.
            (
                "is not understood",
                Evil::text(r#"{"schemaVersion":1,"name":"evil","fsLayers":[{"blobSum":"sha256:00"}]}"#),
            ),
            (
                "media type application/vnd.cncf.helm.chart.content.v1.tar+gzip is not supported",
                Evil::documents(|manifest, _| {
                    manifest["layers"][0]["mediaType"] =
                        json!("application/vnd.cncf.helm.chart.content.v1.tar+gzip");
                }),
            ),
            (
                "has no image for linux/amd64: it has windows/amd64",
                Evil::documents(|_, config| config["os"] = json!("windows")),
            ),
            (
                "is not understood",
                Evil::documents(|_, config| config["rootfs"] = json!([[[[]]]])),
            ),
            (
                "is not understood",
                Evil::documents(|_, config| config["config"] = json!({ "Env": { "a": "b" } })),
            ),
            (
                "is not understood",
                Evil::documents(|_, config| {
                    config["config"] = json!({ "Env": vec![Value::Null; 700_000] });
                }),
            ),
            (
                "only sha256 is supported",
                Evil::documents(|_, config| {
                    config["rootfs"]["diff_ids"] = json!(["sha256:../../../../etc/passwd"]);
                }),
            ),
            (
                "is not understood",
                Evil::documents(|manifest, _| manifest["layers"][0]["digest"] = json!("md5:/../x")),
            ),
        ],
        // Four MiB of JSON as values in memory.
        3 * USUAL_MIB,
    )
    .await;
}

/// The top names an index, not a manifest.
fn nested() -> Evil {
    let inner = json!({ "schemaVersion": 2, "manifests": [] }).to_string();
    let digest = digest_of(inner.as_bytes());
    let outer = json!({ "schemaVersion": 2, "manifests": [{ "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest, "size": inner.len(), "platform": { "os": "linux", "architecture": "amd64" } }] });
    let mut evil = Evil::text(outer.to_string());
    evil.kind = "application/vnd.oci.image.index.v1+json".to_owned();
    evil.instead(&format!("/manifests/{digest}"), || {
        Reply::whole(
            "200 OK",
            OCI_MANIFEST,
            json!({ "schemaVersion": 2, "manifests": [] })
                .to_string()
                .into_bytes(),
        )
    })
}

#[tokio::test]
async fn bombs_do_not_go_off() {
    let zeros = |bytes: u64| io::repeat(0).take(bytes);
    let packed = |layer: &[u8], kind: &str| {
        Evil::image(
            layer,
            &format!("{OCI_TAR}+{kind}"),
            &digest_of(b"what it is not"),
            |_, _| {},
        )
    };
    let mut gzip = Vec::new();
    let mut encoder = flate2::read::GzEncoder::new(zeros(512 << 20), flate2::Compression::best());
    encoder.read_to_end(&mut gzip).unwrap();
    // A window of 2 GiB, of which a decompressor would have to keep all.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xa8, 1, 0, 0];
    refuse(
        vec![
            (
                "exceeds the limit",
                packed(&zstd::encode_all(zeros(512 << 20), 19).unwrap(), "zstd"),
            ),
            // As dense as gzip can be, which is what some layers are: written, and found to be another.
            ("has the digest", packed(&gzip, "gzip")),
            ("requires too much memory", packed(&window, "zstd")),
            ("corrupt", packed(b"no gzip at all", "gzip")),
            ("corrupt", packed(&gzip[..gzip.len() / 2], "gzip")),
        ],
        USUAL_MIB + 128,
    )
    .await;
}

#[tokio::test]
async fn tars_that_reach_out_are_refused() {
    let plain = |members: &[Vec<u8>]| {
        let layer = tar(members);
        Evil::image(&layer, OCI_TAR, &digest_of(&layer), |_, _| {})
    };
    let cases = super::layers::tricks().into_iter();
    refuse(
        cases.map(|(why, members)| (why, plain(&members))).collect(),
        USUAL_MIB,
    )
    .await;
}
