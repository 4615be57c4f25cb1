use super::*;
use crate::archive::tests::{member, pax};
use crate::fuzz_tests::bodies::erofs::{BLOCK, Image, What};
use crate::fuzz_tests::bodies::tree::{apply, listing, read, root};
use crate::fuzz_tests::bodies::ustar::sign;
use crate::layer::digest_of;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn end() -> Vec<u8> {
    vec![0; 1024]
}

fn tree(layers: &[Vec<u8>]) -> Tree {
    let mut tree = Tree::default();
    for (index, layer) in layers.iter().enumerate() {
        apply(&mut tree, index, layer).unwrap();
    }
    tree
}

/// Makes a root of one layer, and sees that it has what the layer has.
fn checked(parts: &[Vec<u8>]) -> Vec<u8> {
    let layers = [parts.concat()];
    let image = root(&layers).unwrap();
    assert_eq!(read(&image), listing(&tree(&layers), &layers));
    image
}

fn limit(parts: &[Vec<u8>]) -> String {
    match root(&[parts.concat()]) {
        Err(error @ Error::Limit { .. }) => error.to_string(),
        other => panic!("{:?}", other.map(drop)),
    }
}

fn content(image: &[u8], path: &str) -> Vec<u8> {
    match &read(image)[path.as_bytes()].0 {
        What::File(content) => content.clone(),
        other => panic!("{other:?}"),
    }
}

/// An entry of any kind, with a header that says much about it.
fn entry() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        8 => "[!-.0-~]{1,12}".prop_map(String::into_bytes),
        1 => vec(prop_oneof![1..=b'.', b'0'..=255], 1..=255),
        1 => "[a-c]/[a-c]/[a-c]{1,3}".prop_map(String::into_bytes),
    ];
    let xattr_name = prop_oneof![
        4 => "(user|trusted|security)\\.[a-z]{1,9}",
        1 => Just("system.posix_acl_access".to_owned()),
        1 => "user\\.[a-z]{200,250}",
        // Nothing can hold these.
        1 => Just("user.".to_owned()),
        1 => "[a-z]{1,9}\\.[a-z]{1,9}",
    ];
    let value = prop_oneof![
        3 => Just(b"the same".to_vec()),
        3 => vec(any::<u8>(), 0..40),
        1 => vec(any::<u8>(), 0..2000),
    ];
    let kind = prop_oneof![
        4 => vec(any::<u8>(), 0..1500).prop_map(|data| (b'0', data, Vec::new())),
        2 => Just((b'5', Vec::new(), Vec::new())),
        2 => vec(1..=255_u8, 1..700).prop_map(|target| (b'2', Vec::new(), target)),
        1 => Just((b'6', Vec::new(), Vec::new())),
    ];
    let owners = (any::<u32>(), any::<u32>(), any::<i64>(), 0..1_000_000_000_u32);
    (name, btree_map(xattr_name, value, 0..4), kind, owners).prop_map(
        |(name, xattrs, (flag, data, link), (uid, gid, mtime, ns))| {
            let numbers = [uid.to_string(), gid.to_string(), format!("{mtime}.{ns:09}")];
            let xattrs: Vec<_> = xattrs
                .into_iter()
                .map(|(name, value)| (format!("SCHILY.xattr.{name}"), value))
                .collect();
            let mut records = vec![
                ("path", &name[..]),
                ("linkpath", &link),
                ("uid", numbers[0].as_bytes()),
                ("gid", numbers[1].as_bytes()),
                ("mtime", numbers[2].as_bytes()),
            ];
            records.extend(xattrs.iter().map(|(name, value)| (name.as_str(), &value[..])));
            [pax(&records), member(b"x", flag, &data, b"")].concat()
        },
    )
}

/// Whether the format has a place for an attribute.
fn has_place(name: &str) -> bool {
    let spaces = ["user.", "trusted.", "security."];
    let in_space = |space: &str| name.strip_prefix(space).is_some_and(|rest| !rest.is_empty());
    name == "system.posix_acl_access" || spaces.into_iter().any(in_space)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_layers_have_is_read_again(layers in vec(vec(entry(), 0..40), 1..4)) {
        let mut tree = Tree::default();
        let mut kept = Vec::new();
        for layer in layers {
            // What contradicts the rest is left out.
            let mut all = Vec::new();
            for entry in layer {
                let layer = [&all[..], &entry, &end()].concat();
                let mut tried = Tree::default();
                let lower = kept.iter().chain([&layer]).enumerate();
                if lower.map(|(index, tar)| apply(&mut tried, index, tar)).all(|done| done.is_ok()) {
                    tree = tried;
                    all.extend(entry);
                }
            }
            all.extend(end());
            kept.push(all);
        }
        for node in &mut tree.nodes {
            node.meta.xattrs.retain(|(name, _)| has_place(name));
        }
        let image = root(&kept).unwrap();
        prop_assert_eq!(read(&image), listing(&tree, &kept));
        prop_assert_eq!(root(&kept).unwrap(), image);
    }
}

#[test]
fn a_large_directory_is_searched_by_its_bytes() {
    let mut names: Vec<Vec<u8>> = (0..3000_u32)
        .map(|n| (n * 7919).to_string().into_bytes())
        .collect();
    names.extend(
        (1..=255_u8)
            .filter(|byte| !b"./\0".contains(byte))
            .map(|byte| vec![byte]),
    );
    names.extend((200..=255).map(|length| vec![b'n'; length]));
    names.extend([
        b"...".to_vec(),
        b".a".to_vec(),
        b"..-".to_vec(),
        b".\xff".to_vec(),
    ]);
    let mut parts: Vec<_> = names
        .iter()
        .flat_map(|name| [pax(&[("path", name)]), member(b"x", b'0', name, b"")])
        .collect();
    parts.push(end());
    // The reader looks each up.
    checked(&parts);
}

#[test]
fn data_around_the_end_of_a_block() {
    let sizes = (300..560).chain([1023, 1024, 1025, 4094, 4095]);
    let mut parts = Vec::new();
    for size in sizes {
        let target = vec![b't'; size];
        let name = format!("link-{size}");
        parts.extend([
            pax(&[("linkpath", &target)]),
            member(name.as_bytes(), b'2', b"", b"x"),
        ]);
        parts.push(member(format!("file-{size}").as_bytes(), b'0', &target, b""));
        parts.push(member(format!("d{size}/").as_bytes(), b'5', b"", b""));
        // A directory of about as many bytes.
        for at in 0..size / 100 {
            let name = format!("d{size}/{}{at}", "n".repeat(70 + size % 30));
            parts.push(member(name.as_bytes(), b'0', b"", b""));
        }
    }
    parts.push(end());
    checked(&parts);
}

#[test]
fn files_that_a_tar_does_not_fill_up_with_zeros_are_copied() {
    let mut dirty = member(b"dirty", b'0', b"content", b"");
    dirty[512 + 7..].fill(b'!');
    let cut = [dirty, member(b"cut", b'0', &[b'c'; 700], b"")].concat();
    let cut = &cut[..cut.len() - 324];
    // The reader refuses bytes behind the end of a file.
    let image = checked(&[cut.to_vec()]);
    assert_eq!(content(&image, "/dirty"), b"content");
    assert_eq!(content(&image, "/cut"), [b'c'; 700]);
}

#[test]
fn attributes_that_files_share_stand_once() {
    let label = ("SCHILY.xattr.security.selinux", &b"system_u:object_r:file:s0"[..]);
    let files = (0..50).flat_map(|n| {
        let name = format!("file{n}");
        [pax(&[label]), member(name.as_bytes(), b'0', b"", b"")]
    });
    let parts: Vec<_> = files.chain([end()]).collect();
    let image = checked(&parts);
    let index = &image[..image.len() - parts.concat().len()];
    let count = |bytes: &[u8]| bytes.windows(25).filter(|window| *window == label.1).count();
    assert_eq!(count(index), 1);
}

#[test]
fn as_many_and_as_large_attributes_as_a_layer_may_have() {
    let name = |n: usize| format!("SCHILY.xattr.user.{n:0>240}");
    let many: Vec<_> = (0..256).map(|n| (name(n), vec![b'v'; 2000])).collect();
    let large: Vec<_> = (0..14).map(|n| (name(n), vec![n as u8; 65535])).collect();
    let records = |all: &[(String, Vec<u8>)]| {
        let records: Vec<_> = all
            .iter()
            .map(|(name, value)| (name.as_str(), &value[..]))
            .collect();
        pax(&records)
    };
    checked(&[
        records(&many),
        member(b"many", b'0', b"", b""),
        records(&large),
        member(b"large", b'5', b"", b""),
        end(),
    ]);
    let too_large = [("SCHILY.xattr.user.large", &[0; 65536][..])];
    let told = limit(&[pax(&too_large), member(b"x", b'0', b"", b""), end()]);
    assert!(told.contains("user.large") && told.contains("65535"), "{told}");
}

fn device(major: &str, minor: &str) -> Vec<u8> {
    let mut device = member(b"dev", b'4', b"", b"");
    device[329..336].copy_from_slice(major.as_bytes());
    device[337..344].copy_from_slice(minor.as_bytes());
    sign(&mut device);
    device
}

#[test]
fn device_numbers_are_linux_ones() {
    let image = checked(&[device("0007777", "3777777"), end()]);
    assert_eq!(read(&image)[&b"/dev"[..]].0, What::Block(0xfff, 0xfffff));
    assert!(limit(&[device("0010000", "0000000"), end()]).contains("4096:0"));
    assert!(limit(&[device("0000000", "4000000"), end()]).contains("0:1048576"));
}

#[test]
fn more_than_blocks_can_be_numbered_is_refused_before_it_is_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let part = |bytes| Part {
        path: file.path().to_owned(),
        bytes,
    };
    let tree = Tree::default();
    let all = BLOCK as u64 * (1 << 32);
    for parts in [
        vec![part(all)],
        vec![part(all / 2), part(all / 2)],
        vec![part(u64::MAX)],
    ] {
        let result = Layout::of(&tree, &parts).map(drop);
        assert!(matches!(result, Err(Error::Limit { .. })), "{result:?}");
    }
    assert!(Layout::of(&tree, &[part(all - 4096)]).is_ok());
}

#[test]
fn a_layer_that_became_shorter_is_an_error() {
    let mut dirty = member(b"dirty", b'0', b"content", b"");
    dirty[512 + 7..].fill(b'!');
    let tree = tree(&[dirty]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let written = |bytes| {
        let part = Part {
            path: file.path().to_owned(),
            bytes,
        };
        let out = tempfile::NamedTempFile::new().unwrap();
        write(&tree, &[part], [0; 16], out.as_file(), out.path())
    };
    let result = written(1024);
    assert!(matches!(result, Err(Error::Read { .. })), "{result:?}");
    let result = written(512);
    assert!(matches!(result, Err(Error::Damaged { .. })), "{result:?}");
}

#[test]
fn tars_stand_behind_the_index_in_whole_blocks() {
    let layers = [
        [member(b"a", b'0', b"1", b""), end()].concat(),
        b"".to_vec(),
        [member(b"b", b'0', b"2", b""), vec![0; 9 << 10], b"odd".to_vec()].concat(),
    ];
    let image = root(&layers).unwrap();
    let second = image.len() - layers[2].len() / 512 * 512;
    let first = second - layers[0].len();
    assert_eq!(image[first..second], layers[0]);
    assert_eq!(image[second..], layers[2][..layers[2].len() / 512 * 512]);
    // The reader compares the devices with what is there.
    assert_eq!(Image::new(&image).devices.len(), 2);
}

/// Changes here mean that a new format has to be named in the store.
#[test]
fn the_same_layers_always_give_the_same_bytes() {
    let acl = ("SCHILY.xattr.system.posix_acl_access", &[2, 0, 0, 0][..]);
    let target = [b't'; 600];
    let layers = [
        [
            member(b"etc/", b'5', b"", b""),
            pax(&[acl, ("mtime", b"1700000000"), ("uid", b"70000")]),
            member(b"etc/file", b'0', b"content", b""),
            member(b"etc/hard", b'1', b"", b"etc/file"),
            pax(&[("linkpath", &target)]),
            member(b"long", b'2', b"", b"x"),
            member(b"short", b'2', b"", b"etc"),
            device("0000010", "0000001"),
            end(),
        ]
        .concat(),
        [pax(&[acl]), member(b"upper", b'0', &[7; 3000], b""), end()].concat(),
    ];
    let image = root(&layers).unwrap();
    assert_eq!(
        digest_of(&image),
        "sha256:569aff89957aa3a56c362d70c872edf2bab428901eeb88a71ce5a00196711647"
    );
}
