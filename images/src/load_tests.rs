use super::*;
use crate::archive::tests::member;
use crate::layer::digest_of;
use crate::save::tests::{image, saved};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

fn layer(content: &[u8]) -> Vec<u8> {
    [member(b"file", b'0', content, b""), vec![0; 1024]].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
    encoder.read_to_end(&mut packed).unwrap();
    packed
}

fn config(architecture: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| digest_of(layer)).collect();
    let config = json!({ "architecture": architecture, "os": "linux", "config": { "Cmd": ["sh"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    config.to_string().into_bytes()
}

/// Every file of a store except what is only remade.
fn files(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["blobs/sha256", "layers", "tmp"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            found.insert(format!("{folder}/{}", name.to_string_lossy()));
        }
    }
    let references = std::fs::read_to_string(root.join("references.json"));
    found.insert(references.unwrap_or_else(|_| "{\n  \"images\": []\n}".to_owned()));
    found
}

struct Bench {
    root: tempfile::TempDir,
    store: Arc<Store>,
    told: Arc<Mutex<Vec<Progress>>>,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        Self {
            root,
            store,
            told: Arc::default(),
        }
    }

    async fn load(&self, archive: &[u8]) -> Result<Vec<Loaded>, Error> {
        let told = Arc::clone(&self.told);
        let report = Arc::new(move |progress| told.lock().unwrap().push(progress));
        let archive = io::Cursor::new(archive.to_vec());
        self.store.load_archive(archive, 5, report).await
    }

    /// Refused, and nothing of it left.
    async fn refused(&self, archive: &[u8]) -> Error {
        let before = files(self.root.path());
        let error = self.load(archive).await.unwrap_err();
        assert_eq!(files(self.root.path()), before, "{error}");
        error
    }
}

fn names(loaded: &[Loaded]) -> Vec<&[String]> {
    loaded.iter().map(|image| &image.names[..]).collect()
}

/// Members of an archive by name; the end is added.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes: Vec<u8> = members
        .iter()
        .flat_map(|(name, content)| member(name.as_bytes(), b'0', content, b""))
        .collect();
    bytes.extend([0; 1024]);
    bytes
}

/// An OCI layout that grows.
#[derive(Default)]
struct Layout {
    blobs: Vec<(String, Vec<u8>)>,
    manifests: Vec<Value>,
}

impl Layout {
    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest_of(bytes);
        self.blobs
            .push((format!("blobs/sha256/{}", &digest[7..]), bytes.to_vec()));
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    fn image(&mut self, architecture: &str, layers: &[Vec<u8>], packed: &[(&str, Vec<u8>)]) -> Value {
        let config = self.blob(
            "application/vnd.oci.image.config.v1+json",
            &config(architecture, layers),
        );
        let layers: Vec<_> = packed
            .iter()
            .map(|(suffix, bytes)| self.blob(&format!("{LAYER}{suffix}"), bytes))
            .collect();
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers });
        self.blob(OCI_MANIFEST, manifest.to_string().as_bytes())
    }

    fn index(&mut self, manifests: &[Value]) -> Value {
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
        self.blob(OCI_INDEX, index.to_string().as_bytes())
    }

    /// Its members; the documents come last, as the worst order.
    fn archive(&self) -> Vec<u8> {
        let index = json!({ "schemaVersion": 2, "manifests": self.manifests }).to_string();
        let mut members: Vec<(&str, &[u8])> = self
            .blobs
            .iter()
            .map(|(name, bytes)| (&name[..], &bytes[..]))
            .collect();
        members.push(("index.json", index.as_bytes()));
        members.push(("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#));
        archive(&members)
    }
}

fn with(mut descriptor: Value, key: &str, value: Value) -> Value {
    descriptor[key] = value;
    descriptor
}

fn platform(descriptor: Value, architecture: &str) -> Value {
    with(
        descriptor,
        "platform",
        json!({ "architecture": architecture, "os": "linux" }),
    )
}

fn name(descriptor: Value, name: &str) -> Value {
    with(
        descriptor,
        "annotations",
        json!({ "io.containerd.image.name": name }),
    )
}

/// A docker archive of one layer, whose member is `path`.
fn docker(tags: Value, layer_path: &str, layer_bytes: &[u8], diff_id_of: &[u8]) -> Vec<u8> {
    let config = config("amd64", &[diff_id_of.to_vec()]);
    let config_path = format!("{}.json", &digest_of(&config)[7..]);
    let manifest = json!([{ "Config": config_path, "RepoTags": tags, "Layers": [layer_path] }]).to_string();
    archive(&[
        (layer_path, layer_bytes),
        (&config_path, &config),
        ("manifest.json", manifest.as_bytes()),
    ])
}

#[tokio::test]
async fn what_is_saved_loads_as_it_was() {
    let from = Bench::new();
    let one = image(&from.store, "one:1", &[b"shared", b"1"]).await;
    image(&from.store, "two:1", &[b"shared", b"2"]).await;
    let bytes = saved(&from.store, &["one:1", "two:1"]);
    for packed in [
        bytes.clone(),
        gzip(&bytes),
        zstd::encode_all(&bytes[..], 1).unwrap(),
    ] {
        let to = Bench::new();
        let images = to.load(&packed).await.unwrap();
        assert_eq!(names(&images), [["one:1"], ["two:1"]]);
        // Each layer's end is told, once.
        assert_eq!(to.told.lock().unwrap().len(), 3);
        let again = to.store.find("one:1").unwrap();
        assert_eq!(
            (&again.id, &again.manifest, again.size),
            (&one.id, &one.manifest, one.size)
        );
        assert_eq!(saved(&to.store, &["one:1", "two:1"]), bytes);
        assert!(to.store.collect_garbage().unwrap().is_empty());
    }
}

#[tokio::test]
async fn names_move_and_are_told() {
    let bench = Bench::new();
    let old = image(&bench.store, "one:1", &[b"old"]).await;
    let plain = layer(b"new");
    let images = bench
        .load(&docker(json!(["one:1", "one:2"]), "l/layer.tar", &plain, &plain))
        .await
        .unwrap();
    assert_eq!(images[0].names, ["one:1", "one:2"]);
    assert!(bench.store.find(&old.id).unwrap().names.is_empty());
    assert_eq!(images[0].taken, [("one:1".to_owned(), old.id)]);
    // Without a name it is known by its id.
    let plain = layer(b"nameless");
    let images = bench
        .load(&docker(Value::Null, "l/layer.tar", &gzip(&plain), &plain))
        .await
        .unwrap();
    assert!(images[0].names.is_empty());
    assert!(bench.store.find(&images[0].id).unwrap().names.is_empty());
}

#[tokio::test]
async fn layers_may_be_links_to_others() {
    let bench = Bench::new();
    let plain = layer(b"once");
    let config = config("amd64", &[plain.clone(), plain.clone()]);
    let manifest =
        json!([{ "Config": "c.json", "RepoTags": ["a:1"], "Layers": ["x/layer.tar", "y/layer.tar"] }]);
    let parts = [
        member(b"x/layer.tar", b'0', &plain, b""),
        member(b"y/layer.tar", b'2', b"", b"../x/layer.tar"),
        member(b"c.json", b'0', &config, b""),
        member(b"manifest.json", b'0', manifest.to_string().as_bytes(), b""),
        vec![0; 1024],
    ];
    bench.load(&parts.concat()).await.unwrap();
    assert_eq!(bench.store.find("a:1").unwrap().layer_bytes.len(), 2);
}

#[tokio::test]
async fn a_layout_keeps_its_manifest_and_gives_this_platform() {
    let layers = [layer(b"1"), layer(b"2"), layer(b"3")];
    let packed = [
        ("+gzip", gzip(&layers[0])),
        ("+zstd", zstd::encode_all(&layers[1][..], 3).unwrap()),
        ("", layers[2].clone()),
    ];
    let mut layout = Layout::default();
    let arm = layout.image("arm64", &layers[..1], &packed[..1]);
    let amd = layout.image("amd64", &layers, &packed);
    let digest = amd["digest"].as_str().unwrap().to_owned();
    let index = layout.index(&[platform(arm.clone(), "arm64"), platform(amd, "amd64")]);
    let outer = layout.index(&[index]);
    layout.manifests = vec![
        platform(arm.clone(), "arm64"),
        name(outer.clone(), "docker.io/library/a:1"),
        name(outer, "docker.io/library/a:2"),
    ];
    let bench = Bench::new();
    let images = bench.load(&layout.archive()).await.unwrap();
    assert_eq!(names(&images), [["a:1", "a:2"]]);
    let last = bench.store.find("a:1").unwrap();
    assert_eq!((&last.manifest, last.layer_bytes.len()), (&digest, 3));
    assert_eq!(bench.store.find("a:2").unwrap().id, last.id);
    assert!(
        bench
            .store
            .verify(None)
            .unwrap()
            .iter()
            .all(|image| image.damage.is_empty())
    );
    // Only another platform's.
    layout.manifests = vec![arm];
    let error = bench.refused(&layout.archive()).await;
    assert!(
        matches!(&error, Error::Platform { available, .. } if available == "linux/arm64"),
        "{error}"
    );
}

#[tokio::test]
async fn what_lies_is_refused_and_leaves_nothing() {
    let bench = Bench::new();
    let (plain, other) = (layer(b"told"), layer(b"other"));
    // A docker archive whose layer is not the config's, or is missing, or expands without end.
    bench
        .refused(&docker(json!(["a:1"]), "l.tar", &other, &plain))
        .await;
    bench
        .refused(&docker(json!(["a:1"]), "../l.tar", &plain, &plain))
        .await;
    let bomb = zstd::encode_all(io::repeat(0).take(64 << 20), 19).unwrap();
    bench
        .refused(&docker(json!(["a:1"]), "l.tar", &bomb, &plain))
        .await;
    bench
        .refused(&docker(json!(["UPPER:1"]), "l.tar", &plain, &plain))
        .await;
    // No tar inside: it is verified, but no root can be made of it.
    let junk = vec![b'x'; 2048];
    bench
        .refused(&docker(json!(["a:1"]), "l.tar", &junk, &junk))
        .await;
    for bytes in [
        &b""[..],
        &junk,
        &[0; 1024],
        &archive(&[("manifest.json", b"[]")]),
        &archive(&[("manifest.json", b"{}")]),
    ] {
        bench.refused(bytes).await;
    }

    // Layouts: blobs that are not their names, sizes that differ, media types of nothing, indexes without end.
    let good = |suffix: &str, bytes: &[u8]| {
        let mut layout = Layout::default();
        let image = layout.image("amd64", std::slice::from_ref(&plain), &[(suffix, bytes.to_vec())]);
        layout.manifests = vec![name(image, "a:1")];
        layout
    };
    assert!(matches!(
        bench.refused(&good("+xz", &plain).archive()).await,
        Error::MediaType(_)
    ));
    bench.refused(&good("", &other).archive()).await;
    bench.refused(&good("+gzip", &plain).archive()).await;
    for which in 0..3 {
        let mut layout = good("", &plain);
        *layout.blobs[which].1.last_mut().unwrap() ^= 1;
        bench.refused(&layout.archive()).await;
        layout.blobs[which].1.push(b' ');
        assert!(matches!(
            bench.refused(&layout.archive()).await,
            Error::Size { .. }
        ));
        layout.blobs.remove(which);
        assert!(matches!(
            bench.refused(&layout.archive()).await,
            Error::Archive(_)
        ));
    }
    let mut layout = good("", &plain);
    let mut nested = layout.manifests.remove(0);
    for _ in 0..6 {
        nested = layout.index(&[nested]);
    }
    layout.manifests = vec![nested];
    assert!(matches!(
        bench.refused(&layout.archive()).await,
        Error::Limit { .. }
    ));
    let mut layout = good("", &plain);
    layout.manifests = vec![layout.manifests[0].clone(); 2000];
    assert!(matches!(
        bench.refused(&layout.archive()).await,
        Error::Limit { .. }
    ));
}

#[tokio::test]
async fn one_bad_image_of_two_takes_the_other_along() {
    let bench = Bench::new();
    let old = image(&bench.store, "a:1", &[b"old"]).await;
    let (good, junk) = (layer(b"good"), vec![b'x'; 2048]);
    let mut layout = Layout::default();
    let first = layout.image("amd64", std::slice::from_ref(&good), &[("", good.clone())]);
    let second = layout.image("amd64", std::slice::from_ref(&junk), &[("", junk.clone())]);
    layout.manifests = vec![name(first, "a:1"), name(second, "b:1")];
    bench.refused(&layout.archive()).await;
    assert_eq!(bench.store.find("a:1").unwrap().id, old.id);
}
