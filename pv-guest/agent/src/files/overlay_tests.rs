use super::*;
use archive::Root;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

struct Trees {
    folder: tempfile::TempDir,
}

impl Trees {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["upper", "lower"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn directory(&self, path: &str) {
        fs::create_dir_all(self.folder.path().join(path)).unwrap();
    }

    /// Anyone may make the device that stands for nothing.
    fn whiteout(&self, path: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let kind = FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, rustix::fs::Mode::empty(), 0).unwrap();
    }

    fn overlay(&self) -> Overlay {
        let open =
            |name: &str| Root::directory(self.folder.path().join(name).as_os_str().as_bytes()).unwrap();
        Overlay {
            upper: open("upper"),
            lower: open("lower"),
        }
    }

    fn changes(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut each = |change: Change| {
            let kind = match change.kind {
                ChangeKind::Modified => 'C',
                ChangeKind::Added => 'A',
                ChangeKind::Deleted => 'D',
            };
            all.push(format!("{kind} {}", String::from_utf8_lossy(&change.path)));
            Ok(())
        };
        self.overlay().changes(&mut each).unwrap();
        all
    }

    /// Names and contents.
    fn layer(&self) -> BTreeMap<String, String> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, is_kept);
        self.overlay().layer(&mut writer).unwrap();
        writer.finish().unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = String::new();
            std::io::Read::read_to_string(&mut entry, &mut content).unwrap();
            (name, content)
        });
        entries.collect()
    }
}

fn copy_time(from: &Path, to: &Path) {
    let time = fs::metadata(from).unwrap().modified().unwrap();
    fs::File::open(to).unwrap().set_modified(time).unwrap();
}

#[test]
fn changes_are_told_as_docker_tells_them() {
    let trees = Trees::new();
    trees.write("lower/etc/passwd", "root");
    trees.write("lower/etc/gone", "x");
    trees.write("lower/var/lib/deep/file", "x");
    trees.write("lower/same/file", "x");
    trees.write("upper/etc/passwd", "root and me");
    trees.whiteout("upper/etc/gone");
    trees.whiteout("upper/var/never");
    trees.write("upper/var/lib/deep/new", "x");
    trees.write("upper/new/dir/file", "x");
    // Copied up and as it was.
    trees.write("upper/same/file", "x");
    let folder = trees.folder.path();
    copy_time(&folder.join("lower/same/file"), &folder.join("upper/same/file"));
    assert_eq!(
        trees.changes(),
        [
            "C /etc",
            "D /etc/gone",
            "C /etc/passwd",
            "A /new",
            "A /new/dir",
            "A /new/dir/file",
            "C /var",
            "C /var/lib",
            "C /var/lib/deep",
            "A /var/lib/deep/new",
        ]
    );
    let layer = trees.layer();
    let names: Vec<_> = layer.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "etc/",
            "etc/.wh.gone",
            "etc/passwd",
            "new/",
            "new/dir/",
            "new/dir/file",
            "same/",
            "same/file",
            "var/",
            "var/.wh.never",
            "var/lib/",
            "var/lib/deep/",
            "var/lib/deep/new",
        ]
    );
    assert_eq!(layer["etc/passwd"], "root and me");
}

#[test]
fn mount_points_of_ours_are_nobodys_change() {
    let trees = Trees::new();
    for name in ["dev", "proc", "sys"] {
        trees.directory(&format!("upper/{name}"));
    }
    for name in ["hosts", "hostname", "resolv.conf"] {
        trees.write(&format!("upper/etc/{name}"), "");
    }
    assert!(trees.changes().is_empty() && trees.layer().is_empty());
    trees.write("upper/etc/own", "");
    trees.write("upper/dev/null", "");
    assert_eq!(trees.changes(), ["A /dev", "A /dev/null", "A /etc", "A /etc/own"]);
    trees.write("lower/etc/hosts", "x");
    assert_eq!(
        trees.changes(),
        ["A /dev", "A /dev/null", "C /etc", "C /etc/hosts", "A /etc/own"]
    );
}

#[test]
fn a_directory_that_only_was_copied_up_is_no_change() {
    let trees = Trees::new();
    trees.directory("lower/a/b");
    trees.directory("upper/a/b");
    assert!(trees.changes().is_empty() && trees.layer().is_empty());
    let path = trees.folder.path().join("upper/a/b");
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(trees.changes(), ["C /a", "C /a/b"]);
    let layer = trees.layer();
    assert_eq!(
        layer.keys().map(String::as_str).collect::<Vec<_>>(),
        ["a/", "a/b/"]
    );
}

#[test]
fn what_an_opaque_directory_hides_is_deleted() {
    let trees = Trees::new();
    trees.write("lower/d/old", "x");
    trees.write("lower/d/both/old", "x");
    trees.write("upper/d/new", "x");
    trees.directory("upper/d/both");
    let opened = fs::File::open(trees.folder.path().join("upper/d")).unwrap();
    let set = rustix::fs::fsetxattr(
        &opened,
        "trusted.overlay.opaque",
        b"y",
        rustix::fs::XattrFlags::empty(),
    );
    if set.is_err() {
        // Only root may, and only where the file system has attributes.
        return;
    }
    assert_eq!(
        trees.changes(),
        ["C /d", "C /d/both", "D /d/both/old", "A /d/new", "D /d/old"]
    );
    let names: Vec<_> = trees.layer().into_keys().collect();
    assert_eq!(names, ["d/", "d/.wh..wh..opq", "d/both/", "d/new"]);
}
