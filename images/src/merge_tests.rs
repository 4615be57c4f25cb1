//! Random layers: the merged tree against a plain reading of the specification, and the root file system made of it.

use crate::archive::tests::{member, pax};
use crate::fuzz_tests::bodies::erofs::What;
use crate::fuzz_tests::bodies::tree::{apply, listing, read, root};
use crate::tree::{Kind, NodeId, ROOT, Tree};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
enum Item {
    Directory(u32),
    File(String),
    Whiteout,
    Opaque,
}

/// Names of few parts, so that layers meet. A name that is a file stays one within its layer.
fn entry() -> impl Strategy<Value = (String, Item)> {
    let name = vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..4).prop_map(|parts| parts.join("/"));
    let item = prop_oneof![
        3 => prop_oneof![Just(0o755), Just(0o1777), Just(0o700)].prop_map(Item::Directory),
        4 => "[a-z]{0,700}".prop_map(Item::File),
        2 => Just(Item::Whiteout),
        1 => Just(Item::Opaque),
    ];
    (name, item)
}

type Layer = Vec<(String, Item)>;

/// Takes out what contradicts itself: twice the same, a file with something in it.
fn consistent(layer: Layer) -> Layer {
    let mut kept: Layer = Vec::new();
    for (name, item) in layer {
        let brings = |item: &Item| matches!(item, Item::Directory(_) | Item::File(_));
        let below = |upper: &str, lower: &str| {
            lower
                .strip_prefix(upper)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let clash = kept.iter().any(|(other, kind)| {
            (*other == name && brings(kind) == brings(&item))
                || (matches!(kind, Item::File(_)) && (below(other, &name) || *other == name))
                || (matches!(item, Item::File(_)) && (below(&name, other) || *other == name))
                // Whether one that hides below another makes a directory depends on their order; so no such.
                || (!brings(kind) && !brings(&item) && (below(other, &name) || below(&name, other)))
        });
        if !clash {
            kept.push((name, item));
        }
    }
    kept
}

fn tar(layer: &Layer) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, item) in layer {
        let (parent, last) = name.rsplit_once('/').map_or(("", name.as_str()), |(p, l)| (p, l));
        let slash = if parent.is_empty() { "" } else { "/" };
        bytes.extend(match item {
            Item::Directory(mode) => {
                let mut directory = member(format!("{name}/").as_bytes(), b'5', b"", b"");
                directory[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
                directory[148..156].copy_from_slice(b"        ");
                let sum: u64 = directory[..512].iter().map(|byte| u64::from(*byte)).sum();
                directory[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                directory
            }
            Item::File(content) => member(name.as_bytes(), b'0', content.as_bytes(), b""),
            Item::Whiteout => member(format!("{parent}{slash}.wh.{last}").as_bytes(), b'0', b"", b""),
            Item::Opaque => member(format!("{name}/.wh..wh..opq").as_bytes(), b'0', b"", b""),
        });
    }
    bytes.extend([0; 1024]);
    bytes
}

/// The specification, read plainly: first all that a layer hides, then all that it brings.
fn expected(layers: &[Layer]) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    for layer in layers {
        for (name, item) in layer {
            let below = format!("{name}/");
            match item {
                Item::Whiteout => {
                    tree.retain(|path: &String, _| path != name && !path.starts_with(&below));
                    make_parents(&mut tree, name);
                }
                Item::Opaque => {
                    tree.retain(|path, _| !path.starts_with(&below));
                    make_parents(&mut tree, &below);
                }
                _ => {}
            }
        }
        for (name, item) in layer {
            make_parents(&mut tree, name);
            match item {
                Item::Directory(mode) => drop(tree.insert(name.clone(), format!("{mode:o}"))),
                Item::File(content) => {
                    tree.retain(|path, _| !path.starts_with(&format!("{name}/")));
                    tree.insert(name.clone(), format!("={content}"));
                }
                _ => {}
            }
        }
    }
    tree
}

fn make_parents(tree: &mut BTreeMap<String, String>, name: &str) {
    for (at, _) in name.match_indices('/') {
        tree.entry(name[..at].to_owned())
            .or_insert_with(|| "755".to_owned());
    }
}

/// The tree as the model shows it; `None` when a layer does not fit on the ones below.
fn merged(layers: &[Vec<u8>]) -> Option<(Tree, BTreeMap<String, String>)> {
    let mut tree = Tree::default();
    for (index, layer) in layers.iter().enumerate() {
        apply(&mut tree, index, layer).ok()?;
    }
    let mut found = BTreeMap::new();
    list(&tree, layers, ROOT, "", &mut found);
    Some((tree, found))
}

fn list(tree: &Tree, layers: &[Vec<u8>], at: NodeId, path: &str, found: &mut BTreeMap<String, String>) {
    let Kind::Directory(children) = &tree.nodes[at].kind else {
        return;
    };
    for (name, child) in children {
        let path = format!("{path}{}", String::from_utf8_lossy(name));
        let node = &tree.nodes[child.node];
        let shown = match &node.kind {
            Kind::Directory(_) => format!("{:o}", node.meta.mode),
            Kind::File {
                layer, offset, bytes, ..
            } => {
                let (offset, bytes) = (*offset as usize, *bytes as usize);
                format!(
                    "={}",
                    String::from_utf8_lossy(&layers[*layer][offset..offset + bytes])
                )
            }
            other => format!("{other:?} {:?}", node.meta),
        };
        found.insert(path.clone(), shown);
        list(tree, layers, child.node, &format!("{path}/"), found);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn layers_merge_as_specified_in_any_order(
        layers in vec(vec(entry(), 0..9).prop_map(consistent), 1..4),
        seed in any::<u64>(),
    ) {
        // A lower layer's file where an upper one wants a directory is an error, not a merge.
        let tars: Vec<_> = layers.iter().map(tar).collect();
        let Some((tree, found)) = merged(&tars) else { return Ok(()) };
        prop_assert_eq!(&found, &expected(&layers));

        // Entries of a layer in another order: the same, where it is not an error.
        let mut turned = layers.clone();
        for layer in &mut turned {
            let length = layer.len().max(1);
            layer.rotate_left(seed as usize % length);
        }
        let turned: Vec<_> = turned.iter().map(tar).collect();
        if let Some((_, again)) = merged(&turned) {
            prop_assert_eq!(&again, &found);
        }

        prop_assert_eq!(read(&root(&tars).unwrap()), listing(&tree, &tars));
    }
}

#[test]
fn all_kinds_are_in_the_root() {
    let long = "d/".repeat(90) + "name-with-\u{fc}-and-more";
    let target = "t".repeat(200);
    let mut device = member(b"dev", b'3', b"", b"");
    device[329..336].copy_from_slice(b"0000005");
    device[337..344].copy_from_slice(b"0000001");
    device[148..156].copy_from_slice(b"        ");
    let sum: u64 = device.iter().map(|byte| u64::from(*byte)).sum();
    device[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let layer = [
        pax(&[
            ("path", long.as_bytes()),
            ("SCHILY.xattr.security.capability", b"\x01\n=\0"),
            ("uid", b"4000000000"),
        ]),
        member(b"x", b'0', b"content", b""),
        pax(&[("linkpath", long.as_bytes())]),
        member(b"again", b'1', b"", b"x"),
        pax(&[("linkpath", target.as_bytes())]),
        member(b"link", b'2', b"", b"x"),
        device,
        member(b"fifo", b'6', b"", b""),
        member(b"bytes-\xff\xfe", b'0', b"", b""),
        vec![0; 1024],
    ]
    .concat();
    let layers = [layer];
    let (tree, _) = merged(&layers).unwrap();
    let again = read(&root(&layers).unwrap());
    assert_eq!(again, listing(&tree, &layers));
    assert_eq!(again[&b"/dev"[..]].0, What::Character(5, 1));
    // The hard link is one, and the attributes and owner are the file's.
    let (what, meta, links, first) = &again[&b"/again"[..]];
    assert_eq!((what, *links), (&What::File(b"content".to_vec()), 2));
    assert_eq!(meta.uid, 4_000_000_000);
    let capability = ("security.capability".to_owned(), b"\x01\n=\0".to_vec());
    assert_eq!(meta.xattrs, [capability]);
    assert_eq!(again[&[b"/", long.as_bytes()].concat()].3, *first);
    assert_eq!(again[&b"/link"[..]].0, What::Symlink(target.into_bytes()));
}
