//! Random stacks of layers: their roots beside what the kernel's own overlayfs makes of the same layers.

use super::support::{Dice, Dom0, Test, once};
use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

pub const TESTS: &[Test] = &[once("overlay::random_stacks", random_stacks)];

const STACKS: u64 = 5;
const LAYERS: usize = 4;
const SEED: u64 = 0x5eed;

/// Mounts the root of container `$1` on `$2`, as a guest whose layers are disks of their own does it, after
/// `fsck.erofs` has found nothing wrong with it.
const MOUNT: &str = r#"
mount_root() {
    local plan index devices=() options=ro part loop
    plan=$(hyper inspect --plan --format json "$1")
    mapfile -t parts < <(grep -o '"root":{[^}]*}' <<< "$plan" | grep -o '"/[^"]*"' | tr -d '"')
    index=$(losetup -rf --show "${parts[0]}"); loops+=("$index")
    for part in "${parts[@]:1}"; do
        loop=$(losetup -rf --show "$part"); loops+=("$loop")
        options+=,device=$loop; devices+=("--device=$loop")
    done
    fsck.erofs "${devices[@]}" "$index" > /var/tmp/overlay/fsck 2>&1 || { cat /var/tmp/overlay/fsck >&2; return 1; }
    mount -t erofs -o "$options" "$index" "$2"
}"#;

/// Puts the layers `$1/*.tar` on one another as containerd does: each into the upper directory of an overlay of those
/// below, and all of them mounted on `$2` at the end.
const OVERLAY: &str = r#"
mount_overlay() {
    local lower='' tar path type mode owner rest
    for tar in "$1"/*.tar; do
        local here=${tar%.tar}
        mkdir -p "$here" "$here.work" "$1/merged"
        if [ -n "$lower" ]; then
            mount -t overlay overlay -o "lowerdir=$lower,upperdir=$here,workdir=$here.work" "$1/merged"
        else
            mount --bind "$here" "$1/merged"
        fi
        tar -tf "$tar" | { grep '\.wh\.' || true; } | while read -r path; do
            case ${path##*/} in
                .wh..wh..opq) find "$1/merged/${path%/*}" -mindepth 1 -delete ;;
                *) rm -rf "$1/merged/$(dirname "$path")/$(basename "$path" | cut -c5-)" ;;
            esac
        done
        # What changes its type goes first.
        tar -tvf "$tar" --exclude='.wh.*' | while read -r type owner rest; do
            path=$1/merged/$(awk '{ print $4 }' <<< "$rest")
            case $type in
                d*) [ -d "$path" ] && [ ! -L "${path%/}" ] || rm -rf "${path%/}" ;;
                *) rm -rf "$path" ;;
            esac
        done
        tar -xpf "$tar" -C "$1/merged" --exclude='.wh.*' --xattrs --xattrs-include='*' --numeric-owner
        umount "$1/merged"
        lower=$here${lower:+:$lower}
    done
    mount -t overlay overlay -o "ro,lowerdir=$lower:$1/empty" "$2"
}"#;

/// What is at a path, as far as choosing what may come next needs it.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Directory,
    File,
    Other,
}

struct Stack {
    dice: Dice,
    /// All layers so far.
    tree: BTreeMap<String, Kind>,
}

impl Stack {
    /// The next layer: each path is spoken of once, and what it builds on is there.
    fn layer(&mut self) -> Vec<u8> {
        let below = self.tree.clone();
        let mut tar = tar::Builder::new(Vec::new());
        let mut touched = BTreeSet::new();
        for _ in 0..6 + self.dice.roll(10) {
            let depth = 1 + self.dice.roll(3);
            let parts: Vec<_> = (0..depth)
                .map(|_| ["a", "b", "c", "d"][self.dice.roll(4)])
                .collect();
            let path = parts.join("/");
            let parents = parts.len() - 1;
            let parents = (1..=parents).map(|length| parts[..length].join("/"));
            let fits = parents.clone().all(|parent| {
                // One that is not there is made by its name alone; so it is named.
                self.tree.get(&parent).is_none_or(|kind| *kind == Kind::Directory)
            });
            let apart = touched.iter().all(|other: &String| {
                *other != path
                    && !other.starts_with(&format!("{path}/"))
                    && !path.starts_with(&format!("{other}/"))
            });
            if !fits || !apart {
                continue;
            }
            for parent in parents {
                if self.tree.insert(parent.clone(), Kind::Directory).is_none() {
                    directory(&mut tar, &parent, 0o755);
                }
            }
            self.entry(&mut tar, &path, below.get(&path).copied());
            touched.insert(path);
        }
        tar.into_inner().expect("a tar in memory")
    }

    fn entry(&mut self, tar: &mut tar::Builder<Vec<u8>>, path: &str, below: Option<Kind>) {
        let inside = format!("{path}/");
        let (parent, name) = path
            .rsplit_once('/')
            .map_or(("", path), |(parent, name)| (parent, name));
        let beside = |name: String| match parent {
            "" => name,
            parent => format!("{parent}/{name}"),
        };
        match (self.dice.roll(10), below) {
            (0..2, Some(_)) => {
                file(tar, &beside(format!(".wh.{name}")), b"");
                self.tree
                    .retain(|known, _| known != path && !known.starts_with(&inside));
            }
            (2..4, Some(Kind::Directory)) => {
                directory(tar, path, 0o750);
                file(tar, &format!("{inside}.wh..wh..opq"), b"");
                file(tar, &format!("{inside}new"), path.as_bytes());
                self.tree.retain(|known, _| !known.starts_with(&inside));
                self.tree.insert(format!("{inside}new"), Kind::File);
            }
            (0..4, _) | (4, _) => {
                let mode = [0o755, 0o700, 0o1777, 0o2755][self.dice.roll(4)];
                directory(tar, path, mode);
                if below != Some(Kind::Directory) {
                    self.tree.retain(|known, _| !known.starts_with(&inside));
                }
                self.tree.insert(path.to_owned(), Kind::Directory);
            }
            (kind, _) => {
                self.tree.retain(|known, _| !known.starts_with(&inside));
                self.tree
                    .insert(path.to_owned(), if kind < 8 { Kind::File } else { Kind::Other });
                match kind {
                    5..8 => {
                        let length = [0, 1, 511, 512, 5000][self.dice.roll(5)];
                        let content: Vec<u8> = (0..length).map(|_| b'a' + self.dice.roll(26) as u8).collect();
                        if self.dice.roll(3) == 0 {
                            attributes(tar, self.dice.roll(200));
                        }
                        file(tar, path, &content);
                        if self.dice.roll(3) == 0 {
                            let twin = beside(format!("{name}-twin"));
                            if self.tree.insert(twin.clone(), Kind::File).is_none() {
                                special(tar, &twin, tar::EntryType::Link, path);
                            }
                        }
                    }
                    8 => special(tar, path, tar::EntryType::Symlink, "../some/where"),
                    _ => special(tar, path, tar::EntryType::Fifo, ""),
                }
            }
        }
    }
}

fn header(kind: tar::EntryType, mode: u32, bytes: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(1000);
    header.set_gid(29);
    header.set_mtime(1_600_000_000);
    header.set_size(bytes as u64);
    header
}

fn file(tar: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    let mut header = header(tar::EntryType::Regular, 0o640, content.len());
    tar.append_data(&mut header, path, content)
        .expect("a tar in memory");
}

fn directory(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32) {
    let mut header = header(tar::EntryType::Directory, mode, 0);
    tar.append_data(&mut header, format!("{path}/"), &[][..])
        .expect("a tar in memory");
}

fn special(tar: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType, link: &str) {
    let mut header = header(kind, 0o640, 0);
    match link {
        "" => tar.append_data(&mut header, path, &[][..]),
        link => tar.append_link(&mut header, path, link),
    }
    .expect("a tar in memory");
}

/// Of the next entry.
fn attributes(tar: &mut tar::Builder<Vec<u8>>, length: usize) {
    let value = vec![b'v'; length];
    tar.append_pax_extensions([
        ("SCHILY.xattr.user.kind", &value[..]),
        ("SCHILY.xattr.trusted.t", b"x"),
    ])
    .expect("a tar in memory");
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(bytes)))
}

fn random_stacks(dom0: &Dom0<'_>) {
    let mut archive = tar::Builder::new(Vec::new());
    let mut manifest = Vec::new();
    for number in 0..STACKS {
        let mut stack = Stack {
            dice: Dice(SEED + number),
            tree: BTreeMap::new(),
        };
        let layers: Vec<_> = (0..LAYERS).map(|_| stack.layer()).collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
        let config = json!({ "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/none"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        file(
            &mut archive,
            &format!("{number}/config.json"),
            config.to_string().as_bytes(),
        );
        let names: Vec<_> = (0..LAYERS).map(|layer| format!("{number}/{layer}.tar")).collect();
        for (name, layer) in names.iter().zip(&layers) {
            file(&mut archive, name, layer);
        }
        manifest.push(
            json!({ "Config": format!("{number}/config.json"), "RepoTags": [format!("stack:{number}")],
            "Layers": names }),
        );
    }
    file(
        &mut archive,
        "manifest.json",
        json!(manifest).to_string().as_bytes(),
    );
    let archive = archive.into_inner().expect("a tar in memory");

    dom0.sh("rm -rf /var/tmp/overlay; mkdir -p /var/tmp/overlay/ours /var/tmp/overlay/theirs")
        .ok();
    let mut unpack = dom0.spawn_sh("cat > /var/tmp/overlay/all.tar && tar -C /var/tmp/overlay -xf /var/tmp/overlay/all.tar && hyper load -q -i /var/tmp/overlay/all.tar");
    unpack.send(&archive).end_of_input();
    unpack.finish().ok();
    for number in 0..STACKS {
        let script = format!(
            r#"set -eo pipefail; loops=()
            {MOUNT}
            {OVERLAY}
            cd /var/tmp/overlay; mkdir {number}/empty
            finish() {{ umount ours theirs 2> /dev/null || true; [ ${{#loops[@]}} = 0 ] || losetup -d "${{loops[@]}}"; hyper rm stack > /dev/null; }}
            hyper create --name stack stack:{number} > /dev/null; trap finish EXIT
            mount_root stack ours; mount_overlay "$PWD/{number}" theirs
            /usr/lib/hyper-tests/tree ours; echo ---; /usr/lib/hyper-tests/tree theirs"#
        );
        let listed = dom0.sh(&script).ok().text();
        let (ours, theirs) = listed.split_once("---\n").expect("two lists");
        let (ours, theirs) = (without_folders_times(ours), without_folders_times(theirs));
        assert!(
            ours.len() > 5,
            "stack {number} of seed {SEED:#x} is nearly empty: {ours:?}"
        );
        let wrong: Vec<_> = ours.symmetric_difference(&theirs).collect();
        assert!(wrong.is_empty(), "stack {number} of seed {SEED:#x}: {wrong:#?}");
    }
    dom0.sh(&format!(
        "rm -rf /var/tmp/overlay; for number in $(seq 0 {}); do hyper rmi stack:$number; done",
        STACKS - 1
    ))
    .ok();
}

/// The overlay's folders have the times at which something was put into them. The top is made by nobody's layer.
fn without_folders_times(list: &str) -> BTreeSet<String> {
    let lines = list.lines().filter(|line| !line.starts_with("/ "));
    lines
        .map(|line| match line.contains(" type=d ") {
            true => line
                .split(' ')
                .filter(|word| !word.starts_with("mtime="))
                .collect::<Vec<_>>()
                .join(" "),
            false => line.to_owned(),
        })
        .collect()
}
