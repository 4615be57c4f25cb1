use super::*;
use crate::archive::tests::member;
use std::fs;

fn tar(content: &[u8]) -> Vec<u8> {
    [member(b"file", b'0', content, b""), vec![0; 1024]].concat()
}

/// An image of these layers, by way of a registry's kind of manifest.
pub(crate) async fn image(store: &Arc<Store>, name: &str, layers: &[&[u8]]) -> Image {
    let mut diff_ids = Vec::new();
    let mut added = Vec::new();
    for content in layers {
        let layer = store.add_layer(&tar(content)[..]).unwrap();
        diff_ids.push(layer.diff_id.clone());
        added.push(layer);
    }
    let config = json!({ "architecture": "amd64", "os": "linux", "config": { "Cmd": [name] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let names: Vec<_> = name.parse().into_iter().collect();
    store
        .add_image(config.to_string().as_bytes(), &names, 1)
        .await
        .unwrap()
}

pub(crate) fn saved(store: &Arc<Store>, names: &[&str]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut bytes = Vec::new();
    store.export(&names).unwrap().write(&mut bytes).unwrap();
    bytes
}

fn members(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    entries.collect()
}

fn document(members: &BTreeMap<String, Vec<u8>>, path: &str) -> Value {
    serde_json::from_slice(&members[path]).unwrap()
}

#[tokio::test]
async fn an_archive_is_dockers_and_a_layout() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let one = image(&store, "one:1", &[b"shared", b"1"]).await;
    let two = image(&store, "two:1", &[b"shared", b"2"]).await;
    store.tag("one:1", &"one:2".parse().unwrap()).unwrap();
    let archive = saved(&store, &["one", &two.id]);
    assert_eq!(archive, saved(&store, &["one:2", "one:1", &two.id]));
    let members = members(&archive);
    // Two folders, three layers, two configs, two manifests, three documents.
    assert_eq!(members.len(), 2 + 3 + 2 + 2 + 3);
    for (path, bytes) in &members {
        if let Some(hex) = path.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
            assert_eq!(digest_of(bytes), format!("sha256:{hex}"));
        }
    }
    let docker = document(&members, "manifest.json");
    assert_eq!(docker[0]["RepoTags"], json!(["one:1", "one:2"]));
    assert_eq!(docker[1]["RepoTags"], Value::Null);
    assert_eq!(
        docker[1]["Config"],
        json!(format!("blobs/sha256/{}", &two.id[7..]))
    );
    assert_eq!(docker[0]["Layers"].as_array().unwrap().len(), 2);
    let index = document(&members, "index.json");
    let names: Vec<_> = index["manifests"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 3);
    assert_eq!(
        names[0]["annotations"][NAME_ANNOTATION],
        "docker.io/library/one:1"
    );
    assert_eq!(names[0]["annotations"][TAG_ANNOTATION], "1");
    assert_eq!(names[0]["digest"], json!(one.manifest));
    assert_eq!(names[2].get("annotations"), None);
}

#[tokio::test]
async fn damage_breaks_the_archive_off() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let image = image(&store, "one:1", &[b"1"]).await;
    let whole = saved(&store, &["one:1"]);
    let layer = store.layer(&image.configuration.rootfs().diff_ids()[0]).unwrap();
    let write = |bytes: &[u8]| {
        fs::write(&layer, bytes).unwrap();
        let mut out = Vec::new();
        let result = store.export(&["one:1".to_owned()]).unwrap().write(&mut out);
        (result, out)
    };
    let (result, out) = write(&tar(b"x"));
    assert!(matches!(result, Err(Error::Digest { .. })), "{result:?}");
    assert!(out.len() < whole.len() && !members_end(&out));
    fs::remove_file(&layer).unwrap();
    assert!(store.export(&["one:1".to_owned()]).is_err());
    assert!(matches!(
        store.export(&["nothing".to_owned()]),
        Err(Error::NotFound(_))
    ));
}

/// Whether a reader would take it for whole.
fn members_end(archive: &[u8]) -> bool {
    archive.windows(13).any(|window| window == b"manifest.json")
}

#[tokio::test]
async fn what_is_being_saved_is_no_garbage() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    image(&store, "one:1", &[b"1"]).await;
    let export = store.export(&["one:1".to_owned()]).unwrap();
    let whole = saved(&store, &["one:1"]);
    store.remove("one:1", false, |_| Vec::new()).unwrap();
    let mut bytes = Vec::new();
    export.write(&mut bytes).unwrap();
    assert_eq!(bytes, whole);
    drop(export);
    assert_eq!(store.collect_garbage().unwrap().len(), 1);
}
