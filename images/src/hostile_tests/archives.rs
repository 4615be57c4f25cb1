//! Save-archives that are damaged or made to do harm.

use super::{Bench, USUAL_MIB};
use crate::Store;
use crate::archive::tests::member;
use crate::layer::digest_of;
use crate::save::tests::{image, saved};
use serde_json::{Value, json};
use std::io::Read;

/// Whole members with no padding to change unnoticed, so a good archive of two layers.
async fn archive() -> Vec<u8> {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    image(&store, "saved:1", &[b"first", b"second"]).await;
    saved(&store, &["saved:1"])
}

/// A docker archive whose image has layers of these names.
fn docker_of(config: &[u8], names: &[&str], members: &[Vec<u8>]) -> Vec<u8> {
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["evil:1"], "Layers": names }]).to_string();
    let documents = [
        member(b"manifest.json", b'0', manifest.as_bytes(), b""),
        member(b"config.json", b'0', config, b""),
    ];
    super::registries::tar(&[&documents[..], members].concat())
}

fn docker(config: &[u8], layer: &[u8]) -> Vec<u8> {
    docker_of(config, &["0.tar"], &[member(b"0.tar", b'0', layer, b"")])
}

fn config(diff_ids: &[String]) -> Vec<u8> {
    let config = json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    config.to_string().into_bytes()
}

#[tokio::test]
async fn damaged_archives_are_refused_wherever_the_damage_is() {
    let bench = Bench::new().await;
    let whole = archive().await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: String, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    // Behind the last member there are only zeros.
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let cuts = (1..=40).map(|step| step * (used - 1) / 40);
    let cuts = cuts.map(|at| write(format!("cut-{at}"), &whole[..at]));
    let changes = (0..200).map(|step| step * used / 200 + step % 7);
    let changes = changes.map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        write(format!("change-{at}"), &bytes)
    });
    let damaged: Vec<_> = cuts.chain(changes).collect();
    let met = bench.meet("load", &damaged);
    let good = bench.meet("load", &[write("whole".to_owned(), &whole)]).said;
    // Some damage means nothing: a member's owner, what is there for docker alone. It is the same image then.
    let (kept, refused): (Vec<_>, Vec<_>) = damaged
        .into_iter()
        .zip(met.said)
        .partition(|(_, said)| !said.starts_with("error: "));
    assert!(kept.iter().all(|(_, said)| *said == good[0]), "{kept:?}");
    assert!(refused.len() > 100, "{refused:?}");
    // Where it is not there yet.
    let refused: Vec<_> = refused.into_iter().map(|(path, _)| path).collect();
    Bench::new().await.refused("load", &refused, "", USUAL_MIB);
}

#[tokio::test]
async fn archives_made_to_do_harm_are_refused() {
    let bench = Bench::new().await;
    let folder = tempfile::tempdir().unwrap();
    let layer = super::registries::tar(&[member(b"file", b'0', b"content", b"")]);
    let good = config(&[digest_of(&layer)]);
    let zeros = |bytes: u64| std::io::repeat(0).take(bytes);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "neither manifest.json nor",
            super::registries::tar(&[member(b"x", b'0', b"", b"")]),
        ),
        ("not understood", b"no archive".repeat(100)),
        (
            "expands to more than",
            zstd::encode_all(zeros(1 << 30), 19).unwrap(),
        ),
        ("media type bzip2", b"BZh91AY&SY".repeat(10)),
        (
            "unpacked layer has the digest",
            docker(&config(&[digest_of(b"other")]), &layer),
        ),
        (
            "corrupt",
            docker(&config(&[digest_of(&b"x".repeat(1024))]), &b"x".repeat(1024)),
        ),
        (
            "1 layers and 2 diff_ids",
            docker(&config(&[digest_of(b"1"), digest_of(b"2")]), &layer),
        ),
        (
            "only sha256 is supported",
            docker(&config(&["sha256:../../x".to_owned()]), &layer),
        ),
        ("0.tar is missing", docker_of(&good, &["0.tar"], &[])),
        (
            "../../../etc/passwd is missing",
            docker_of(&good, &["../../../etc/passwd"], &[]),
        ),
        (
            "0.tar is missing",
            docker_of(
                &good,
                &["0.tar"],
                &[
                    member(b"0.tar", b'2', b"", b"1.tar"),
                    member(b"1.tar", b'2', b"", b"0.tar"),
                ],
            ),
        ),
        (
            "0.tar is missing",
            docker_of(&good, &["0.tar"], &[member(b"0.tar", b'2', b"", b"/etc/passwd")]),
        ),
        (
            "65536 members",
            super::registries::tar(&vec![member(b"x", b'0', b"", b""); 65_537]),
        ),
        (
            "document of the archive exceeds",
            docker(&b" ".repeat(5 << 20), &layer),
        ),
        ("indexes within one another exceeds the limit of 4", nested(20)),
        ("is missing in it", nested_in_itself()),
        ("is not understood", docker(&b"[".repeat(4 << 20), &layer)),
    ];
    for (number, (why, bytes)) in cases.into_iter().enumerate() {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, bytes).unwrap();
        bench.refused("load", &[path.display().to_string()], why, 2 * USUAL_MIB);
    }
}

fn descriptor(bytes: &[u8]) -> Value {
    json!({ "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest_of(bytes), "size": bytes.len() })
}

fn layout(top: &Value, blobs: &[Vec<u8>]) -> Vec<u8> {
    let mut members = vec![
        member(b"oci-layout", b'0', br#"{"imageLayoutVersion":"1.0.0"}"#, b""),
        member(b"index.json", b'0', top.to_string().as_bytes(), b""),
    ];
    for blob in blobs {
        let name = format!("blobs/sha256/{}", &digest_of(blob)["sha256:".len()..]);
        members.push(member(name.as_bytes(), b'0', blob, b""));
    }
    super::registries::tar(&members)
}

fn nested(depth: usize) -> Vec<u8> {
    let mut blobs: Vec<Vec<u8>> = vec![
        json!({ "schemaVersion": 2, "manifests": [] })
            .to_string()
            .into_bytes(),
    ];
    for _ in 0..depth {
        let last = blobs.last().unwrap();
        let index = json!({ "schemaVersion": 2, "manifests": [descriptor(last)] });
        blobs.push(index.to_string().into_bytes());
    }
    let top = json!({ "schemaVersion": 2, "manifests": [descriptor(blobs.last().unwrap())] });
    layout(&top, &blobs)
}

/// Nothing can have its own digest in it, so what it names is not there.
fn nested_in_itself() -> Vec<u8> {
    let inner = json!({ "schemaVersion": 2, "manifests": [descriptor(b"itself")] })
        .to_string()
        .into_bytes();
    let top = json!({ "schemaVersion": 2, "manifests": [descriptor(&inner)] });
    layout(&top, &[inner])
}
