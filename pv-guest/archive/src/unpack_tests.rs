use super::*;
use crate::{Writer, pack};
use proptest::collection::vec;
use proptest::prelude::*;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

const PLAIN: Options = Options {
    no_overwrite_dir_non_dir: true,
    owner: Owner::Caller,
    rename: None,
};

fn root(path: &Path) -> Root {
    Root::of_container(Root::directory(path.as_os_str().as_bytes()).unwrap())
}

fn tar_of(path: &Path, file: &str, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, |_| true);
    let directory = Root::directory(path.as_os_str().as_bytes()).unwrap();
    pack(&mut writer, &directory, file.as_bytes(), name.as_bytes()).unwrap();
    let count = writer.finish().unwrap();
    assert_eq!(count, bytes.len() as u64);
    bytes
}

/// A tar of entries: kind, name, link, content.
fn tar(entries: &[(tar::EntryType, &str, &str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, link, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tree = from.path().join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("sub/file"), "content").unwrap();
    fs::set_permissions(tree.join("sub/file"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::hard_link(tree.join("sub/file"), tree.join("zlink")).unwrap();
    let long = "l".repeat(150);
    fs::write(tree.join(&long), vec![7; 100_000]).unwrap();
    symlink(format!("/to/{long}"), tree.join("symlink")).unwrap();
    fs::write(tree.join(std::ffi::OsStr::from_bytes(b"odd-\xff")), "").unwrap();
    let _ = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
    let time = Timespec {
        tv_sec: 1_700_000_000,
        tv_nsec: 123_456_789,
    };
    let sub = fs::File::open(tree.join("sub")).unwrap();
    rustix::fs::futimens(&sub, &times(time)).unwrap();

    let bytes = tar_of(from.path(), "tree", "other");
    unpack(&root(to.path()), b"/", &bytes[..], &PLAIN).unwrap();
    let back = to.path().join("other");
    let meta = |name: &str| fs::symlink_metadata(back.join(name)).unwrap();
    assert_eq!(fs::read(back.join("sub/file")).unwrap(), b"content");
    assert_eq!(meta("sub/file").mode() & 0o7777, 0o640);
    assert_eq!(meta("sub/file").ino(), meta("zlink").ino());
    assert_eq!(fs::read(back.join(&long)).unwrap(), vec![7; 100_000]);
    assert_eq!(
        fs::read_link(back.join("symlink")).unwrap().to_str().unwrap(),
        format!("/to/{long}")
    );
    assert!(back.join(std::ffi::OsStr::from_bytes(b"odd-\xff")).exists());
    assert!(!back.join("socket").exists());
    assert_eq!(
        (meta("sub").mtime(), meta("sub").mtime_nsec()),
        (1_700_000_000, 123_456_789)
    );
}

#[test]
fn nothing_leaves_the_root() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("root");
    fs::create_dir_all(inner.join("etc")).unwrap();
    symlink("../../../../../..", inner.join("up")).unwrap();
    let file = tar::EntryType::Regular;
    let unpack =
        |entries: &[_], into: &str| unpack(&root(&inner), into.as_bytes(), &tar(entries)[..], &PLAIN);
    for name in ["../evil", "a/../../evil", "/../evil"] {
        let failed = unpack(&[(file, name, "", "x")], "/etc");
        assert!(matches!(failed, Err(Error::Outside(_))), "{name}: {failed:?}");
    }
    // By a link of the tree, and by one of the tar.
    unpack(&[(file, "up/evil", "", "x")], "/").unwrap();
    let abs = outer.path().to_str().unwrap();
    unpack(
        &[
            (tar::EntryType::Symlink, "own", abs, ""),
            (file, "own/evil2", "", "x"),
        ],
        "/etc",
    )
    .unwrap_err();
    unpack(&[(tar::EntryType::Link, "hard", "../../secret", "")], "/etc").unwrap_err();
    assert!(inner.join("evil").exists());
    let left: Vec<_> = fs::read_dir(outer.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["root"]);
}

#[test]
fn what_is_in_the_way_follows_dockers_rules() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("dir/sub")).unwrap();
    fs::write(at("dir/kept"), "kept").unwrap();
    fs::write(at("file"), "old").unwrap();
    fs::write(at("target"), "target").unwrap();
    symlink("target", at("link")).unwrap();
    let (file, directory) = (tar::EntryType::Regular, tar::EntryType::Directory);
    let go =
        |entries: &[_], options: &Options| unpack(&root(folder.path()), b"/", &tar(entries)[..], options);
    assert!(matches!(
        go(&[(file, "dir", "", "x")], &PLAIN),
        Err(Error::DirectoryInTheWay(_))
    ));
    assert!(matches!(
        go(&[(directory, "file", "", "")], &PLAIN),
        Err(Error::FileInTheWay(_))
    ));
    go(
        &[
            (directory, "dir/", "", ""),
            (file, "dir/new", "", "x"),
            (file, "file", "", "new"),
        ],
        &PLAIN,
    )
    .unwrap();
    assert_eq!(fs::read(at("dir/kept")).unwrap(), b"kept");
    assert_eq!(fs::read(at("file")).unwrap(), b"new");
    // A link is replaced, not followed.
    go(&[(file, "link", "", "x")], &PLAIN).unwrap();
    assert_eq!(fs::read(at("target")).unwrap(), b"target");
    let free = Options {
        no_overwrite_dir_non_dir: false,
        ..PLAIN
    };
    go(&[(file, "dir", "", "x"), (directory, "file", "", "")], &free).unwrap();
    assert!(at("dir").is_file() && at("file").is_dir());
    assert!(matches!(
        unpack(&root(folder.path()), b"/dir", &tar(&[])[..], &PLAIN),
        Err(Error::NotADirectory)
    ));
    assert!(
        unpack(&root(folder.path()), b"/none", &tar(&[])[..], &PLAIN)
            .unwrap_err()
            .is_not_found()
    );
    let renamed = Options {
        rename: Some((b"a".to_vec(), b"x/b".to_vec())),
        ..PLAIN
    };
    go(
        &[
            (directory, "a/", "", ""),
            (file, "a/a", "", "1"),
            (tar::EntryType::Link, "a/h", "a/a", ""),
        ],
        &renamed,
    )
    .unwrap();
    assert!(at("x/b/a").is_file() && at("x/b/h").is_file());
}

#[test]
fn a_time_before_the_epoch_is_kept() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = fs::File::create(from.path().join("old")).unwrap();
    for (tv_sec, tv_nsec) in [(-1_000_000, 0), (-1_000_000, 250_000_000)] {
        rustix::fs::futimens(&file, &times(Timespec { tv_sec, tv_nsec })).unwrap();
        let bytes = tar_of(from.path(), "old", "old");
        unpack(&root(to.path()), b"/", &bytes[..], &PLAIN).unwrap();
        let found = fs::metadata(to.path().join("old")).unwrap();
        assert_eq!((found.mtime(), found.mtime_nsec()), (tv_sec, tv_nsec));
    }
}

#[test]
fn names_are_changed_by_whole_parts() {
    let shown = |name: &str, old: &str, new: &str| {
        String::from_utf8(inside(&renamed(name.as_bytes(), old.as_bytes(), new.as_bytes())).unwrap()).unwrap()
    };
    assert_eq!(shown("a/b", "a", "c"), "c/b");
    assert_eq!(shown("ab/b", "a", "c"), "ab/b");
    assert_eq!(shown("./b", ".", "c"), "c/b");
    assert_eq!(shown("/b", "", "c"), "c/b");
    assert_eq!(shown("./", ".", "c"), "c");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a tar says and a tree has, nothing outside of the root changes.
    #[test]
    fn any_names_and_links_stay_inside(
        entries in vec((0..4_usize, "[./ab]{0,8}", "[./ab]{0,12}"), 0..12),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("root");
        fs::create_dir_all(inner.join("a")).unwrap();
        symlink("../..", inner.join("b")).unwrap();
        let kinds = [tar::EntryType::Regular, tar::EntryType::Directory, tar::EntryType::Symlink, tar::EntryType::Link];
        let list: Vec<_> = entries.iter().map(|(kind, name, link)| (kinds[*kind], name.as_str(), link.as_str(), "")).collect();
        let mut bytes = tar(&list);
        if let Some((at, to)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        let options = Options { no_overwrite_dir_non_dir: false, ..PLAIN };
        let _ = unpack(&root(&inner), b"/a", &bytes[..], &options);
        prop_assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    }
}
