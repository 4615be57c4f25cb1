//! Pulls and pushes against a registry that fails in all the ways it can.

use crate::archive::tests::member;
use crate::layer::digest_of;
use crate::registry::fake::{Fake, Lie};
use crate::{Credentials, Error, Mirror, Name, Progress, Registries, Retry, Store};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// So that nobody waits for a clock.
fn registries() -> Registries {
    Registries {
        retry: Retry {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(1),
            attempts: 4,
        },
        ..Registries::default()
    }
}

fn store() -> (tempfile::TempDir, Arc<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

/// A layer that does not become small.
fn tar(name: &str, bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (state >> 56) as u8
    };
    let content: Vec<u8> = (0..bytes).map(|_| random()).collect();
    [member(name.as_bytes(), b'0', &content, b""), vec![0; 1024]].concat()
}

async fn pull(store: &Arc<Store>, name: &Name) -> Result<crate::Image, Error> {
    store
        .pull(name, &registries(), Credentials::Anonymous, &|_| {})
        .await
}

async fn push(store: &Arc<Store>, name: &Name, credentials: Credentials) -> Result<Vec<Progress>, Error> {
    let reported = Mutex::new(Vec::new());
    let report = |progress| reported.lock().unwrap().push(progress);
    store.push(name, &registries(), credentials, &report).await?;
    Ok(reported.into_inner().unwrap())
}

fn me(password: &str) -> Credentials {
    Credentials::Basic {
        user: "me".to_owned(),
        password: password.to_owned(),
    }
}

fn digest_of_push(reported: &[Progress]) -> String {
    match reported.last() {
        Some(Progress::Pushed { digest, .. }) => digest.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_pull_that_breaks_off_goes_on() {
    for (lies, gets) in [
        (&[][..], 1),
        // The rest alone.
        (&[Lie::BreaksOff], 2),
        // All of it, and what is known is skipped.
        (&[Lie::BreaksOff, Lie::IgnoresRanges], 2),
        (&[Lie::BreaksOff, Lie::WrongRange], 3),
    ] {
        let fake = Fake::start().await;
        fake.put_image("a", "1", &[tar("file", 100_000)]);
        fake.lie(lies);
        let (_folder, store) = store();
        let image = pull(&store, &fake.name("a:1")).await.unwrap();
        let form = &store.forms(&image.configuration.rootfs().diff_ids()[0])[0];
        let layer = format!("GET /v2/a/blobs/{}", form.digest);
        assert_eq!(fake.count(&layer), gets, "{lies:?}");
    }
}

#[tokio::test]
async fn a_registry_that_never_ends_or_always_breaks_is_left() {
    for lie in [Lie::Endless, Lie::EndlessManifest, Lie::BreaksAlways] {
        let fake = Fake::start().await;
        fake.put_image("a", "1", &[tar("file", 5_000)]);
        fake.lie(&[lie]);
        let (folder, store) = store();
        let error = pull(&store, &fake.name("a:1")).await.unwrap_err();
        let expected = match lie {
            Lie::BreaksAlways => matches!(error, Error::Registry { .. }),
            Lie::Endless => matches!(error, Error::Size { .. }),
            _ => matches!(error, Error::Limit { .. }),
        };
        assert!(expected, "{lie:?}: {error:?}");
        let left = |name: &str| std::fs::read_dir(folder.path().join(name)).unwrap().count();
        assert_eq!((left("layers"), left("tmp"), left("blobs/sha256")), (0, 0, 0));
    }
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_ends() {
    let fake = Fake::start().await;
    fake.put_image("a", "1", &[tar("file", 100_000)]);
    fake.lie(&[Lie::Stalls]);
    let (_folder, store) = store();
    let stall = Arc::clone(&fake.state().stalled);
    let name = fake.name("a:1");
    tokio::select! {
        pulled = pull(&store, &name) => panic!("{pulled:?}"),
        () = stall.half_given.notified() => {}
    }
    let gone = tokio::time::timeout(Duration::from_secs(10), stall.reader_gone.notified()).await;
    assert!(gone.is_ok(), "it is still being read");
}

type Pulling = tokio::task::JoinHandle<Result<Vec<Progress>, Error>>;

/// A pull that has got some of a layer.
async fn pulling(fake: &Fake, store: &Arc<Store>, name: &str) -> Pulling {
    let (store, name) = (Arc::clone(store), fake.name(name));
    let (begun, begins) = tokio::sync::oneshot::channel();
    let pulling = tokio::spawn(async move {
        let (begun, reported) = (Mutex::new(Some(begun)), Mutex::new(Vec::new()));
        let report = |progress| {
            if matches!(progress, Progress::LayerBytes { current: 1.., .. })
                && let Some(begun) = begun.lock().unwrap().take()
            {
                begun.send(()).unwrap();
            }
            reported.lock().unwrap().push(progress);
        };
        let credentials = Credentials::Anonymous;
        store.pull(&name, &registries(), credentials, &report).await?;
        Ok(reported.into_inner().unwrap())
    });
    begins.await.unwrap();
    pulling
}

fn goes_on(fake: &Fake) {
    fake.lie(&[]);
    fake.state().stalled.rest_may_go.notify_one();
}

#[tokio::test]
async fn pulls_fetch_a_layer_together() {
    let fake = Fake::start().await;
    for name in ["a", "b"] {
        fake.put_image(name, "1", &[tar("file", 100_000)]);
    }
    fake.lie(&[Lie::Stalls]);
    let (folder, store) = store();
    let first = pulling(&fake, &store, "a:1").await;
    let second = pulling(&fake, &store, "b:1").await;
    goes_on(&fake);
    for pulled in [first, second] {
        let reported = pulled.await.unwrap().unwrap();
        let is_done = |progress: &Progress| matches!(progress, Progress::LayerDone { .. });
        assert!(reported.iter().any(is_done), "{reported:?}");
    }
    let image = store.find(&fake.name("b:1").to_string()).unwrap();
    let form = &store.forms(&image.configuration.rootfs().diff_ids()[0])[0];
    let gets = |name: &str| fake.count(&format!("GET /v2/{name}/blobs/{}", form.digest));
    assert_eq!((gets("a"), gets("b")), (1, 0));
    assert_eq!(form.repositories.len(), 2, "{form:?}");
    assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_pull_goes_on_when_the_one_that_it_joined_ends() {
    for is_cancelled in [true, false] {
        let fake = Fake::start().await;
        for name in ["a", "b"] {
            fake.put_image(name, "1", &[tar("file", 100_000)]);
        }
        let blobs = fake.state().blobs.clone();
        let (_, digest) = blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap().0;
        if !is_cancelled {
            let mut state = fake.state();
            let blob = state.blobs.get_mut(&("a".to_owned(), digest.clone())).unwrap();
            let (last, rest) = blob.split_last().unwrap();
            *blob = [rest, &[!last]].concat().into();
        }
        fake.lie(&[Lie::Stalls]);
        let (_folder, store) = store();
        let first = pulling(&fake, &store, "a:1").await;
        let second = pulling(&fake, &store, "b:1").await;
        if is_cancelled {
            first.abort();
            assert!(first.await.unwrap_err().is_cancelled());
            goes_on(&fake);
        } else {
            goes_on(&fake);
            let failed = first.await.unwrap();
            assert!(matches!(failed, Err(Error::Digest { .. })), "{failed:?}");
        }
        second.await.unwrap().unwrap();
        let gets = |name: &str| fake.count(&format!("GET /v2/{name}/blobs/{digest}"));
        assert_eq!((gets("a"), gets("b")), (1, usize::from(!is_cancelled)));
        assert!(store.find(&fake.name("b:1").to_string()).is_ok());
        assert!(store.find(&fake.name("a:1").to_string()).is_err());
    }
}

#[tokio::test]
async fn pulls_of_the_same_layers_in_any_order_end() {
    let fake = Fake::start().await;
    let mut tars: Vec<_> = (0..8).map(|number| tar(&number.to_string(), 50_000)).collect();
    // One twice in an image, too.
    tars.push(tars[0].clone());
    fake.put_image("a", "1", &tars);
    tars.reverse();
    fake.put_image("a", "2", &tars);
    let (_folder, store) = store();
    let names = [fake.name("a:1"), fake.name("a:2")];
    let (first, second) = tokio::join!(pull(&store, &names[0]), pull(&store, &names[1]));
    let diff_ids = first.unwrap().configuration.rootfs().diff_ids().clone();
    second.unwrap();
    for diff_id in &diff_ids {
        let layer = format!("GET /v2/a/blobs/{}", store.forms(diff_id)[0].digest);
        assert_eq!(fake.count(&layer), 1);
    }
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_and_one_that_refuses_is_not() {
    let fake = Fake::start().await;
    fake.put_image("a", "1", &[tar("file", 10)]);
    fake.state().busy = 2;
    let (_folder, store) = store();
    pull(&store, &fake.name("a:1")).await.unwrap();
    assert_eq!(fake.count("GET /v2/a/manifests/1"), 3);
    let unknown = pull(&store, &fake.name("a:2")).await.unwrap_err();
    assert!(matches!(unknown, Error::UnknownManifest(_)));
    assert_eq!(fake.count("GET /v2/a/manifests/2"), 1);
    fake.lie(&[Lie::WantsPassword]);
    let denied = pull(&store, &fake.name("a:1")).await.unwrap_err();
    assert!(matches!(denied, Error::Denied(_)));
    assert_eq!(fake.count("GET /v2/a/manifests/1"), 4);
    fake.lie(&[]);
    fake.state().busy = 100;
    assert!(pull(&store, &fake.name("a:1")).await.is_err());
    assert_eq!(fake.count("GET /v2/a/manifests/1"), 8);
}

#[tokio::test]
async fn a_redirect_takes_no_password_along() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    fake.put_image("a", "1", &[tar("file", 10)]);
    other.put_image("a", "1", &[tar("file", 10)]);
    fake.redirect_to(&other);
    fake.state().lies.insert(Lie::WantsPassword);
    let (_folder, store) = store();
    store
        .pull(&fake.name("a:1"), &registries(), me("geheim"), &|_| {})
        .await
        .unwrap();
    assert!(fake.state().log.iter().any(|line| line.ends_with('!')));
    let log = other.state().log.clone();
    assert!(
        !log.is_empty() && !log.iter().any(|line| line.ends_with('!')),
        "{log:?}"
    );
    // One that asks for a password there gets none either.
    other.lie(&[Lie::WantsPassword]);
    store
        .remove(&fake.name("a:1").to_string(), true, |_| Vec::new())
        .unwrap();
    let denied = store
        .pull(&fake.name("a:1"), &registries(), me("geheim"), &|_| {})
        .await;
    assert!(matches!(denied, Err(Error::Denied(_))));
    assert!(!other.state().log.iter().any(|line| line.ends_with('!')));
}

#[tokio::test]
async fn logins_are_checked() {
    for lie in [Lie::WantsPassword, Lie::WantsToken] {
        let fake = Fake::start().await;
        assert!(registries().login(&fake.host, me("wrong")).await.is_ok());
        fake.lie(&[lie]);
        assert!(
            registries().login(&fake.host, me("geheim")).await.is_ok(),
            "{lie:?}"
        );
        let refused = registries().login(&fake.host, me("wrong")).await;
        assert!(
            matches!(refused, Err(Error::LoginRefused(_))),
            "{lie:?} {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_token_stands_for_a_password() {
    let identity = |token: &str| Credentials::Identity {
        token: token.to_owned(),
    };
    let token = |token: &str| Credentials::Token {
        token: token.to_owned(),
    };
    let fake = Fake::start().await;
    fake.put_image("a", "1", &[tar("file", 10)]);
    fake.lie(&[Lie::WantsToken]);
    for (good, bad) in [
        (identity("its/me"), identity("other")),
        (token("t0"), token("t1")),
    ] {
        assert!(
            registries().login(&fake.host, good.clone()).await.is_ok(),
            "{good:?}"
        );
        let refused = registries().login(&fake.host, bad.clone()).await;
        assert!(matches!(refused, Err(Error::LoginRefused(_))), "{refused:?}");
        for (credentials, is_good) in [(good, true), (bad, false)] {
            let (_folder, store) = store();
            let pulled = store
                .pull(&fake.name("a:1"), &registries(), credentials, &|_| {})
                .await;
            assert_eq!(pulled.is_ok(), is_good, "{pulled:?}");
        }
    }
    let (_folder, store) = store();
    store
        .pull(&fake.name("a:1"), &registries(), identity("its/me"), &|_| {})
        .await
        .unwrap();
    let form = fake.state().scopes().remove(0);
    assert!(form.ends_with("&service=s&scope=repository%3Aa%3Apull"), "{form}");
}

#[tokio::test]
async fn all_tags_come() {
    let fake = Fake::start().await;
    for tag in ["1", "2", "latest"] {
        fake.put_image("a/b", tag, &[tar(tag, 10)]);
    }
    let (_folder, store) = store();
    let reported = Mutex::new(Vec::new());
    let report = |progress| reported.lock().unwrap().push(progress);
    let images = store
        .pull_all(&fake.name("a/b"), &registries(), Credentials::Anonymous, &report)
        .await
        .unwrap();
    assert_eq!(images.len(), 3);
    let last = reported.into_inner().unwrap().pop();
    let repository = fake.name("a/b").repository();
    assert_eq!(
        last,
        Some(Progress::AllDone {
            repository,
            changed: true
        })
    );
    fake.put_image("a/b", "zz@sha256", &[tar("x", 10)]);
    let odd = store
        .pull_all(&fake.name("a/b"), &registries(), Credentials::Anonymous, &|_| {})
        .await;
    assert!(matches!(odd, Err(Error::Name(_))), "{odd:?}");
}

#[tokio::test]
async fn mirrors_are_asked_first() {
    let (mirror, origin) = (Fake::start().await, Fake::start().await);
    origin.put_image("a", "1", &[tar("origin", 10)]);
    let digest = mirror.put_image("proxy/a", "1", &[tar("mirror", 10)]);
    let mut registries = registries();
    let urls = [
        "http://127.0.0.1:1".to_owned(),
        format!("http://{}/proxy", mirror.host),
    ];
    let mirrors: Vec<Mirror> = urls.iter().map(|url| url.parse().unwrap()).collect();
    registries.mirrors.insert(origin.host.clone(), mirrors);
    let (_folder, store) = store();
    let name = origin.name("a:1");
    let pull = || store.pull(&name, &registries, me("geheim"), &|_| {});
    assert_eq!(
        pull().await.unwrap().digests,
        [format!("{}/a@{digest}", origin.host)]
    );
    assert!(origin.state().log.is_empty());
    // The password is the registry's.
    mirror.lie(&[Lie::WantsPassword]);
    pull().await.unwrap();
    assert!(!mirror.state().log.iter().any(|line| line.ends_with('!')));
    assert_eq!(origin.count("GET /v2/a/manifests/1"), 1);
}

#[tokio::test]
async fn what_was_pulled_is_pushed_as_it_is() {
    let (first, second) = (Fake::start().await, Fake::start().await);
    let digest = first.put_image("a", "1", &[tar("small", 10), tar("large", 20 << 20)]);
    let (_folder, store) = store();
    pull(&store, &first.name("a:1")).await.unwrap();
    for (target, repository, lies) in [
        // Mounted.
        (&first, "b", &[][..]),
        // From one of its repositories to another.
        (&first, "c", &[Lie::NoMounts]),
        // From one registry to the other.
        (&second, "a", &[Lie::LosesHalfABody]),
        (
            &second,
            "b",
            &[Lie::NoMounts, Lie::ForgetsAnUpload, Lie::WantsToken],
        ),
    ] {
        target.lie(lies);
        target.state().next_upload_from_zero();
        let name = target.name(&format!("{repository}:2"));
        store.tag(&first.name("a:1").to_string(), &name).unwrap();
        let reported = push(&store, &name, me("geheim")).await.unwrap();
        assert_eq!(digest_of_push(&reported), digest, "{repository} {lies:?}");
        let mounted = reported
            .iter()
            .filter(|progress| matches!(progress, Progress::LayerMounted { .. }));
        assert_eq!(mounted.count() > 0, lies.is_empty(), "{reported:?}");
        // And once more: it is all there.
        let reported = push(&store, &name, me("geheim")).await.unwrap();
        let there = |progress: &&Progress| matches!(progress, Progress::LayerExists { .. });
        assert_eq!(reported.iter().filter(there).count(), 2);
        let image = store.find(&name.to_string()).unwrap();
        let pushed = format!("{}@{digest}", name.repository());
        assert!(image.digests.contains(&pushed), "{:?}", image.digests);
        target.lie(&[]);
    }
    let scopes = second.state().scopes();
    let repositories = ["repository:b:pull,push", "repository:a:pull"];
    assert_eq!(scopes, repositories);
}

#[tokio::test]
async fn a_layer_goes_at_once_and_what_a_break_cut_in_chunks() {
    let first = Fake::start().await;
    first.put_image("a", "1", &[tar("large", 20 << 20)]);
    let (_folder, store) = store();
    let image = pull(&store, &first.name("a:1")).await.unwrap();
    for (lies, uploads, patches) in [
        (&[][..], 1, 1),
        (&[Lie::NoChunks, Lie::StaleRange], 1, 1),
        // Ten MiB are missing.
        (&[Lie::LosesHalfABody, Lie::SmallChunks], 1, 4),
        (&[Lie::LosesHalfABody, Lie::StaleRange], 1, 4),
        // The first chunk is refused, and all of it goes once more.
        (&[Lie::LosesHalfABody, Lie::NoChunks], 2, 3),
    ] {
        let target = Fake::start().await;
        target.lie(lies);
        let name = target.name("b:1");
        store.tag(&image.id, &name).unwrap();
        push(&store, &name, Credentials::Anonymous).await.unwrap();
        // One more is the config's.
        assert_eq!(target.count("POST /v2/b/blobs/uploads"), uploads + 1, "{lies:?}");
        let sent = target.count("PATCH /v2/b/blobs/uploads");
        assert_eq!(sent, patches, "{lies:?}");
        let (_other_folder, other) = self::store();
        assert_eq!(pull(&other, &name).await.unwrap().id, image.id);
    }
}

#[tokio::test]
async fn what_is_not_to_be_had_any_more_is_compressed() {
    let (gone, target) = (Fake::start().await, Fake::start().await);
    let before = gone.put_image("a", "1", &[tar("large", 9 << 20)]);
    let (folder, store) = store();
    let image = pull(&store, &gone.name("a:1")).await.unwrap();
    gone.state().blobs.clear();
    let name = target.name("a:1");
    store.tag(&image.id, &name).unwrap();
    let digest = digest_of_push(&push(&store, &name, Credentials::Anonymous).await.unwrap());
    assert_ne!(digest, before);
    // The same again, and its layers are found.
    let reported = push(&store, &name, Credentials::Anonymous).await.unwrap();
    assert_eq!(digest_of_push(&reported), digest);
    assert!(
        matches!(reported[2], Progress::LayerExists { .. }),
        "{reported:?}"
    );
    let (_other_folder, other) = self::store();
    let pulled = pull(&other, &name).await.unwrap();
    assert_eq!(pulled.id, image.id);

    // What a disk has damaged stays here.
    let diff_id = &image.configuration.rootfs().diff_ids()[0];
    let path = folder
        .path()
        .join(format!("layers/{}.tar", &diff_id["sha256:".len()..]));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let third = Fake::start().await;
    let name = third.name("a:1");
    store.tag(&image.id, &name).unwrap();
    target.state().blobs.clear();
    let damaged = push(&store, &name, Credentials::Anonymous).await;
    assert!(matches!(damaged, Err(Error::Damaged { .. })), "{damaged:?}");
    assert!(third.state().blobs.is_empty());
}

#[tokio::test]
async fn a_local_image_is_pushed() {
    let fake = Fake::start().await;
    let (_folder, store) = store();
    let tar = tar("file", 1000);
    let layer = store.add_layer(&tar[..]).unwrap();
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id, layer.diff_id] } });
    let names = [
        fake.name("made:1"),
        fake.name("made:2"),
        "other:1".parse().unwrap(),
    ];
    let config = config.to_string();
    let image = store.add_image(config.as_bytes(), &names, 7).await.unwrap();
    let unknown = push(&store, &fake.name("made:3"), Credentials::Anonymous).await;
    assert!(matches!(unknown, Err(Error::NotTagged(_))));
    let by_digest = fake.name(&format!("made@{}", digest_of(b"")));
    let refused = push(&store, &by_digest, Credentials::Anonymous).await;
    assert!(matches!(refused, Err(Error::PushByDigest(_))));
    store
        .push_all(&names[0], &registries(), Credentials::Anonymous, &|_| {})
        .await
        .unwrap();
    let (_other_folder, other) = self::store();
    for name in &names[..2] {
        assert_eq!(pull(&other, name).await.unwrap().id, image.id);
    }
    let state = fake.state();
    let (kind, bytes) = &state.manifests[&("made".to_owned(), "1".to_owned())];
    assert_eq!(kind, crate::manifest::OCI_MANIFEST);
    assert!(std::str::from_utf8(bytes).unwrap().contains("tar+gzip"));
}

#[tokio::test]
async fn a_push_that_is_denied_says_so() {
    let fake = Fake::start().await;
    let (_folder, store) = store();
    fake.put_image("a", "1", &[tar("file", 10)]);
    let image = pull(&store, &fake.name("a:1")).await.unwrap();
    store.tag(&image.id, &fake.name("b:1")).unwrap();
    for lie in [Lie::WantsPassword, Lie::WantsToken] {
        fake.lie(&[lie]);
        let denied = push(&store, &fake.name("b:1"), me("wrong")).await;
        assert!(matches!(denied, Err(Error::PushDenied(_))), "{denied:?}");
    }
}

#[tokio::test]
async fn repositories_are_found_where_that_is_offered() {
    let fake = Fake::start().await;
    let search = |term: String| async move {
        let registries = registries();
        registries.search(&term, 25, Credentials::Anonymous).await
    };
    let found = search(format!("{}/busybox", fake.host)).await.unwrap();
    assert_eq!((found[0].name.as_str(), found[0].star_count), ("busybox", 7));
    fake.state().busy = 100;
    assert!(search(format!("{}/busybox", fake.host)).await.is_err());
}
