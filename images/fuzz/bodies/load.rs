//! Archives of images: what documents say of one another, and of layers that are there or not.

use super::script::{byte, take};
use super::tree::member;
use crate::layer::digest_of;
use crate::load::members::Members;
use crate::load::plan::{Source, plan};

const NAMES: &[&str] = &[
    "manifest.json",
    "index.json",
    "oci-layout",
    "config.json",
    "layer.tar",
    "a/layer.tar",
    "../layer.tar",
    "",
];

/// Documents in which a piece is put out of shape, so that most of them are understood.
fn document(script: &mut &[u8], blobs: &[String]) -> Vec<u8> {
    let digest = match blobs.len() {
        0 => digest_of(b""),
        count => blobs[usize::from(byte(script)) % count].clone(),
    };
    let size = u64::from(byte(script));
    let text = match byte(script) % 6 {
        0 => {
            r#"[{"Config":"config.json","RepoTags":["a:1"],"Layers":["layer.tar","a/layer.tar"]}]"#.to_owned()
        }
        1 => r#"[{"Config":"config.json","RepoTags":null,"Layers":null}]"#.to_owned(),
        2 => format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"a/b","digest":"{digest}","size":{size},"annotations":{{"org.opencontainers.image.ref.name":"a:1"}}}}]}}"#
        ),
        3 => format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{digest}","size":{size}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":{size}}}]}}"#
        ),
        4 => format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{digest}"]}}}}"#
        ),
        _ => {
            let length = usize::from(byte(script));
            return take(script, length).to_vec();
        }
    };
    let mut bytes = text.into_bytes();
    if byte(script) > 200 {
        let at = usize::from(byte(script)) % bytes.len();
        bytes[at] = byte(script);
    }
    bytes
}

fn archive(script: &mut &[u8]) -> Vec<u8> {
    let (mut tar, mut blobs) = (Vec::new(), Vec::new());
    for _ in 0..byte(script) % 12 {
        let content = document(script, &blobs);
        let name = NAMES[usize::from(byte(script)) % NAMES.len()];
        let link = NAMES[usize::from(byte(script)) % NAMES.len()].as_bytes();
        let length = content.len() as u64;
        tar.extend(match byte(script) % 8 {
            0 => member(name.as_bytes(), b'2', b"", link, 0),
            1 => member(name.as_bytes(), b'1', b"", link, 0),
            2..5 => {
                let digest = digest_of(&content);
                let name = format!("blobs/sha256/{}", &digest["sha256:".len()..]);
                blobs.push(digest);
                member(name.as_bytes(), b'0', &content, b"", length)
            }
            _ => member(name.as_bytes(), b'0', &content, b"", length),
        });
    }
    tar.extend([0; 1024]);
    tar
}

pub fn run(mut script: &[u8]) {
    let bytes = match byte(&mut script) % 8 {
        // As it comes.
        0 => script.to_vec(),
        _ => archive(&mut script),
    };
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let Ok(members) = Members::spool(&bytes[..], file.into_temp_path()) else {
        return;
    };
    let Ok(images) = plan(&members) else { return };
    assert!(!images.is_empty());
    for image in images {
        assert_eq!(image.id, digest_of(&image.config));
        assert_eq!(image.layers.len(), image.diff_ids.len());
        for layer in &image.layers {
            let (Source::Blob { slice, .. } | Source::Tar(slice)) = layer;
            let mut reader = members.open(*slice).expect("the spooled archive");
            let read = std::io::copy(&mut reader, &mut std::io::sink()).expect("the spooled archive");
            assert_eq!(read, slice.bytes);
        }
    }
}
