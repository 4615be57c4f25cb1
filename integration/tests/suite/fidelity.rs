//! A guest sees exactly the tree that umoci, the reference, unpacks from the same image.

use super::support::{DEBIAN, Dom0, Test, pv};
use integration::{dist, reference};
use std::collections::BTreeMap;
use std::process::Command;

pub const TESTS: &[Test] = &[
    pv("fidelity::busybox_odd", |dom0| {
        compare(dom0, "localhost:5000/busybox:odd", "busybox-odd")
    })
    .offline(),
    pv("fidelity::layers_as_disks", |dom0| {
        dom0.with_config("root-device = \"layers\"", || {
            compare(dom0, "localhost:5000/busybox:odd", "busybox-odd");
            compare(dom0, DEBIAN, "debian-trixie");
            assert_eq!(dom0.root_devices(), 0);
        });
    })
    .offline(),
    pv("fidelity::debian_trixie", |dom0| {
        compare(dom0, DEBIAN, "debian-trixie")
    })
    .offline(),
    pv("fidelity::capabilities_work", capabilities_work).offline(),
];

/// Differences that are right, each with its reason. `None` as value: the key or the entry is missing.
fn accepted(path: &str, key: &str, guest: Option<&str>, umoci: Option<&str>) -> Option<&'static str> {
    let is_time = key == "mtime";
    match path {
        "/proc" | "/sys" | "/dev" => return Some("a container has a file system of its own there"),
        "/tmp" => return Some("the test mounts a tmpfs for the lister there"),
        "/etc/hosts" | "/etc/hostname" | "/etc/resolv.conf" => {
            return Some("the container's own file is bound over it, as docker does it");
        }
        "/" | "/etc" if is_time => {
            return Some(
                "mount points and files that are bound over, and that the image lacks, are made in it",
            );
        }
        _ => {}
    }
    let of_now = umoci.is_some_and(|time| time.len() > 10 && time > "1735689600.");
    if is_time && of_now {
        return Some(
            "umoci leaves the time of unpacking on folders that no entry names, or that a later layer changes in",
        );
    }
    if key.starts_with("xattr:") && umoci.is_none() && guest == Some("") {
        return Some("umoci's tar reader drops attributes with an empty value");
    }
    None
}

type Tree = BTreeMap<String, BTreeMap<String, String>>;

fn parse(listing: &str) -> Tree {
    listing
        .lines()
        .map(|line| {
            let mut words = line.split(' ');
            let path = words.next().unwrap_or("").to_owned();
            let pairs = words.filter_map(|word| word.split_once('='));
            (
                path,
                pairs
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect(),
            )
        })
        .collect()
}

fn compare(dom0: &Dom0<'_>, image: &str, tree: &str) {
    let tool = dist().join("tests/tree");
    let trees = reference().expect("umoci's trees");
    let output = Command::new(&tool)
        .arg(trees.join(tree))
        .output()
        .expect("the lister runs here");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let umoci = parse(&String::from_utf8_lossy(&output.stdout));

    dom0.detached("tree", &["--tmpfs", "/tmp:exec", image, "sleep", "1000000"]);
    dom0.sh("hyper exec -i tree sh -c 'cat > /tmp/tree && chmod 755 /tmp/tree' < /usr/lib/hyper-tests/tree")
        .ok();
    let guest = parse(&dom0.exec("tree", &["/tmp/tree", "/"]).ok().text());
    dom0.remove("tree");

    assert!(
        umoci.len() > 100 && guest.len() > 100,
        "a list is short: {} {}",
        umoci.len(),
        guest.len()
    );
    let mut wrong = Vec::new();
    let nothing = BTreeMap::new();
    let paths: std::collections::BTreeSet<_> = umoci.keys().chain(guest.keys()).collect();
    for path in paths {
        let (ours, theirs) = (
            guest.get(path).unwrap_or(&nothing),
            umoci.get(path).unwrap_or(&nothing),
        );
        let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for key in keys {
            let (our, their) = (
                ours.get(key).map(String::as_str),
                theirs.get(key).map(String::as_str),
            );
            if our != their && accepted(path, key, our, their).is_none() {
                wrong.push(format!("{path}: {key}: guest {our:?}, umoci {their:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
}

/// The attribute does in the guest what it is for.
fn capabilities_work(dom0: &Dom0<'_>) {
    dom0.idle("caps", DEBIAN);
    dom0.exec("caps", &["getcap", "/odd/setcap"])
        .ok()
        .stdout("/odd/setcap cap_net_bind_service=ep\n");
    dom0.exec("caps", &["getfattr", "-d", "--absolute-names", "/odd/user-xattr"])
        .ok()
        .out_has("user.colour");
    dom0.hyper(&["exec", "-u", "1000", "caps", "cat", "/odd/no-access"])
        .code(1)
        .err_has("Permission denied");
    dom0.exec(
        "caps",
        &["sh", "-c", "ls /odd/gone /odd/gone-file /odd/opaque/hidden-a"],
    )
    .code(2);
    dom0.remove("caps");
}
