use super::*;

const CONFIG: &str =
    r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["DIFF"]}}"#;

/// Brings an image of one layer into a store, as a pull does.
fn add(store: &Arc<Store>, name: &str, content: &[u8]) -> Image {
    let diff_id = digest_of(content);
    let staged = store.stage().unwrap();
    fs::write(&staged.tar, content).unwrap();
    store.put_layer(&diff_id, staged).unwrap();
    let config = CONFIG.replace("DIFF", &diff_id);
    let id = digest_of(config.as_bytes());
    store.put_blob(&id, config.as_bytes()).unwrap();
    let manifest = digest_of(name.as_bytes());
    store.put_blob(&manifest, name.as_bytes()).unwrap();
    let name = name.parse().unwrap();
    store
        .register(&id, &manifest, Named::pulled(&name, &manifest, 1))
        .unwrap();
    store.find(&id).unwrap()
}

fn nobody(_: &str) -> Vec<User> {
    Vec::new()
}

/// One container that uses all images.
fn somebody(is_running: bool) -> impl Fn(&str) -> Vec<User> {
    move |_| {
        vec![User {
            container: "c1".to_owned(),
            is_running,
        }]
    }
}

fn untagged(names: &[&str]) -> Vec<Removed> {
    let names = names.iter().map(|name| (*name).to_owned());
    names.map(Removed::Untagged).collect()
}

#[test]
fn garbage_is_what_neither_image_nor_pull_has() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let (kept, gone) = (add(&store, "kept", b"1"), add(&store, "gone", b"2"));
    let under_way = digest_of(b"3");
    let pin = store.pin(&[], std::slice::from_ref(&under_way)).unwrap();
    let again = store.pin(&[], std::slice::from_ref(&under_way)).unwrap();
    let path = store.layer(&under_way).unwrap();
    fs::write(&path, b"3").unwrap();
    store.remove("gone", false, nobody).unwrap();
    assert!(!store.layer(&digest_of(b"2")).unwrap().exists());
    assert!(store.find(&gone.id).is_err());
    assert!(store.layer(&digest_of(b"1")).unwrap().exists());
    drop(pin);
    store.collect_garbage().unwrap();
    assert!(path.exists());
    drop(again);
    assert_eq!(store.collect_garbage().unwrap(), [under_way]);
    // All of it is there after the next start, too.
    let store = Store::open(root.path()).unwrap();
    assert_eq!(store.list().unwrap()[0].id, kept.id);
}

#[test]
fn a_damaged_image_hides_no_other_and_takes_nothing_along() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    add(&store, "damaged", b"1");
    let whole = add(&store, "whole", b"2");
    fs::remove_file(store.layer(&digest_of(b"1")).unwrap()).unwrap();
    let ids: Vec<_> = store.list().unwrap().into_iter().map(|image| image.id).collect();
    assert_eq!(ids, [whole.id]);
    assert!(store.collect_garbage().unwrap().is_empty());
    add(&store, "damaged", b"1");
    assert_eq!(store.list().unwrap().len(), 2);
    assert!(store.collect_garbage().unwrap().is_empty());
}

#[test]
fn a_damaged_image_can_be_removed() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let (first, second) = (add(&store, "no/layer", b"1"), add(&store, "no/config", b"2"));
    let whole = add(&store, "whole", b"3");
    fs::remove_file(store.layer(&digest_of(b"1")).unwrap()).unwrap();
    // It is a config, but not this image's.
    let other = CONFIG.replace("DIFF", &digest_of(b"3"));
    fs::write(store.blob(&second.id).unwrap(), other).unwrap();

    // Nobody knows which layers the second one has, so none goes with the first.
    let removed = store.remove("no/layer", false, nobody).unwrap();
    assert!(removed.contains(&Removed::Deleted(first.id.clone())));
    assert!(!store.blob(&first.id).unwrap().exists());
    fs::write(store.layer(&digest_of(b"9")).unwrap(), b"9").unwrap();
    assert!(store.collect_garbage().unwrap().is_empty());
    // By the beginning of its id, too.
    let removed = store.remove(&second.id[7..20], false, nobody).unwrap();
    for gone in [second.id, digest_of(b"2"), digest_of(b"9")] {
        assert!(removed.contains(&Removed::Deleted(gone)));
    }
    assert_eq!(store.list().unwrap()[0].id, whole.id);
    assert!(store.layer(&digest_of(b"3")).unwrap().exists());
}

#[test]
fn names_move_and_the_last_one_takes_the_image_with_it() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let (first, second) = (add(&store, "a:1", b"1"), add(&store, "b:1", b"2"));
    store.tag("b:1", &"a:1".parse().unwrap()).unwrap();
    assert_eq!(store.find("a:1").unwrap().id, second.id);
    assert!(store.find(&first.id).unwrap().names.is_empty());
    let removed = store.remove("a:1", false, nobody).unwrap();
    assert_eq!(removed, [Removed::Untagged("a:1".to_owned())]);
    let conflict = store.remove("b:1", false, somebody(false));
    assert!(matches!(conflict, Err(Error::Conflict(_))));
    let removed = store.remove("b:1", false, nobody).unwrap();
    assert!(removed.contains(&Removed::Deleted(second.id.clone())));
    // By its digest, and by the beginning of its id.
    assert_eq!(store.find(&first.digests[0]).unwrap().id, first.id);
    assert_eq!(store.find(&first.id[7..20]).unwrap().id, first.id);
    assert!(store.find("abc").is_err());
    assert!(store.find(&second.id).is_err());
}

#[test]
fn damage_is_found_where_it_is() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let (whole, changed, missing) = (
        add(&store, "whole", b""),
        add(&store, "changed", b"2"),
        add(&store, "missing", b"3"),
    );
    fs::write(store.layer(&digest_of(b"2")).unwrap(), b"x").unwrap();
    fs::remove_file(store.blob(&missing.id).unwrap()).unwrap();
    let found = store.verify(None).unwrap();
    let damage = |image: &Image| {
        let of = found.iter().find(|found| found.id == image.id).unwrap();
        of.damage.clone()
    };
    assert_eq!(damage(&whole), Vec::<String>::new());
    assert_eq!(
        damage(&changed),
        [format!(
            "layer {} now has the digest {}",
            digest_of(b"2"),
            digest_of(b"x")
        )]
    );
    assert_eq!(damage(&missing), [format!("config {} is missing", missing.id)]);
    // By name too, though it cannot be loaded.
    let one = store.verify(Some("missing")).unwrap();
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].names, ["missing:latest"]);
    assert!(matches!(store.verify(Some("nothing")), Err(Error::NotFound(_))));
}

#[tokio::test]
async fn what_is_made_from_layers_is_made_again_where_it_is_damaged() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let image = crate::save::tests::image(&store, "a:1", &[b"one", b"two"]).await;
    let verify = || store.verify(None).unwrap().remove(0);
    assert_eq!((verify().damage, verify().repaired), (vec![], vec![]));

    let disk = store.rootfs(&image).await.unwrap();
    let layer = image.configuration.rootfs().diff_ids()[1].clone();
    let entries = store.entries(&layer).unwrap();
    for (path, what) in [(&disk.index, "index"), (&entries, layer.as_str())] {
        let whole = fs::read(path).unwrap();
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(path, changed).unwrap();
        let found = verify();
        assert_eq!(found.damage, Vec::<String>::new());
        assert_eq!(found.repaired.len(), 1);
        assert!(found.repaired[0].contains(what), "{found:?}");
        assert!(fs::read(path).unwrap() == whole);
        assert_eq!(verify().repaired, Vec::<String>::new());

        // What is missing is made when it is needed.
        fs::remove_file(path).unwrap();
        assert_eq!((verify().damage, verify().repaired), (vec![], vec![]));
        store.replace(file_of(&store, &whole), path).unwrap();
    }
    assert_eq!(fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
}

fn file_of(store: &Store, bytes: &[u8]) -> tempfile::TempPath {
    let path = store.temporary().unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_repositorys_digests_go_with_its_last_name() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let image = add(&store, "one", b"1");
    store.tag("one", &"one:2".parse().unwrap()).unwrap();
    store.tag("one", &"other:1".parse().unwrap()).unwrap();
    let digest = image.digests[0].clone();
    assert_eq!(
        store.remove("one:2", false, nobody).unwrap(),
        [Removed::Untagged("one:2".to_owned())]
    );
    assert_eq!(
        store.remove("one", false, nobody).unwrap(),
        [
            Removed::Untagged("one:latest".to_owned()),
            Removed::Untagged(digest)
        ]
    );
    let image = store.find("other:1").unwrap();
    assert_eq!(image.digests, Vec::<String>::new());
    assert_eq!(image.names, ["other:1"]);
}

#[test]
fn a_digest_goes_alone_while_anything_else_stands_for_its_image() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let image = add(&store, "one", b"1");
    let (digest, other) = (image.digests[0].clone(), format!("two@{}", digest_of(b"x")));
    store.add_digest(&image.id, &other).unwrap();
    assert_eq!(
        store.remove(&digest, false, nobody).unwrap(),
        untagged(&[&digest])
    );
    assert_eq!(store.find("one").unwrap().digests, std::slice::from_ref(&other));
    // A name goes without those of other repositories.
    assert_eq!(
        store.remove("one", false, nobody).unwrap(),
        untagged(&["one:latest"])
    );
    assert_eq!(store.find(&other).unwrap().id, image.id);
    let removed = store.remove(&other, false, nobody).unwrap();
    assert!(removed.contains(&Removed::Deleted(image.id.clone())));
    assert!(store.find(&image.id).is_err());
}

#[test]
fn an_image_stays_for_its_containers() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let image = add(&store, "one", b"1");
    let digest = image.digests[0].as_str();
    let conflict = |text: &str, force, is_running, why: &str| {
        let error = store.remove(text, force, somebody(is_running)).unwrap_err();
        assert!(matches!(error, Error::Conflict(_)), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    let why = "container c1 is using its referenced image";
    conflict("one", false, false, why);
    conflict("one", false, true, why);
    conflict(
        &image.id,
        false,
        false,
        "must be forced) - image is being used by stopped",
    );
    conflict(
        &image.id,
        true,
        true,
        "cannot be forced) - image is being used by running",
    );
    assert_eq!(
        store.remove(&image.id, true, somebody(false)).unwrap(),
        untagged(&["one:latest", digest])
    );
    conflict(&image.id, true, false, "has no name");
    let kept = store.find(&image.id).unwrap();
    assert_eq!((kept.names, kept.digests), (vec![], vec![]));
    assert!(store.collect_garbage().unwrap().is_empty());

    // By its name also while one runs.
    store.tag(&image.id, &"two".parse().unwrap()).unwrap();
    assert_eq!(
        store.remove("two", true, somebody(true)).unwrap(),
        untagged(&["two:latest"])
    );
    // When they are gone it goes as any other.
    let removed = store.remove(&image.id, false, nobody).unwrap();
    assert_eq!(removed[0], Removed::Deleted(image.id));
}

#[test]
fn only_an_image_that_nobody_wants_is_pruned() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let (named, nameless) = (add(&store, "named", b"1"), add(&store, "nameless", b"2"));
    assert!(store.prune(&named.id, false).unwrap().is_empty());
    store.tag(&named.id, &"nameless".parse().unwrap()).unwrap();
    assert!(store.find(&nameless.id).unwrap().names.is_empty());
    // Somebody is about to give it a name.
    let pin = store.pin(&[&nameless.id], &[]).unwrap();
    assert!(store.prune(&nameless.id, false).unwrap().is_empty());
    assert!(store.prune(&nameless.id, true).unwrap().is_empty());
    drop(pin);
    let removed = store.prune(&nameless.id, false).unwrap();
    let deleted = [&nameless.id, &digest_of(b"2")].map(|id| Removed::Deleted(id.clone()));
    assert_eq!(
        removed,
        [untagged(&[&nameless.digests[0]]), deleted.to_vec()].concat()
    );
    assert!(store.prune(&nameless.id, false).unwrap().is_empty());
    let removed = store.prune(&named.id, true).unwrap();
    assert!(removed.contains(&Removed::Deleted(named.id)));
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn garbage_is_collected_while_images_come() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| {
            for number in 0..50_u32 {
                let content = number.to_le_bytes();
                let diff_id = digest_of(&content);
                let id = digest_of(CONFIG.replace("DIFF", &diff_id).as_bytes());
                let pin = store.pin(&[&id, &digest_of(b"name")], &[diff_id]).unwrap();
                add(&store, "name", &content);
                drop(pin);
            }
        });
        while !adding.is_finished() {
            store.collect_garbage().unwrap();
        }
    });
    assert_eq!(store.list().unwrap().len(), 50);
}

#[test]
fn a_layer_that_is_there_stays() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    add(&store, "one", b"1");
    let inode = || {
        let path = store.layer(&digest_of(b"1")).unwrap();
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap())
    };
    let before = inode();
    add(&store, "two", b"1");
    assert_eq!(inode(), before);
    assert_eq!(fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
}
