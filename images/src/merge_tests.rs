//! Random layers: the merged tree against a plain reading of the specification, and the root file system made of it.

use crate::archive::tests::{member, pax};
use crate::fuzz_tests::bodies::erofs::What;
use crate::fuzz_tests::bodies::tree::{apply, listing, read, root};
use crate::fuzz_tests::bodies::ustar::sign;
use crate::tree::{Kind, NodeId, ROOT, Tree};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
enum Item {
    Directory(u32),
    File(String),
    Symlink,
    /// To a file that a layer below or the same has.
    Link(String),
    Whiteout,
    Opaque,
}

impl Item {
    fn brings(&self) -> bool {
        !matches!(self, Self::Whiteout | Self::Opaque)
    }

    /// Has nothing in it.
    fn is_leaf(&self) -> bool {
        self.brings() && !matches!(self, Self::Directory(_))
    }
}

/// Names of few parts, so that layers meet. A name that is a file stays one within its layer.
fn name() -> impl Strategy<Value = String> {
    vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..4).prop_map(|parts| parts.join("/"))
}

fn entry() -> impl Strategy<Value = (String, Item)> {
    let item = prop_oneof![
        3 => prop_oneof![Just(0o755), Just(0o1777), Just(0o700)].prop_map(Item::Directory),
        4 => "[a-z]{0,700}".prop_map(Item::File),
        1 => Just(Item::Symlink),
        4 => name().prop_map(Item::Link),
        2 => Just(Item::Whiteout),
        1 => Just(Item::Opaque),
    ];
    (name(), item)
}

type Layer = Vec<(String, Item)>;

fn below(upper: &str, lower: &str) -> bool {
    lower
        .strip_prefix(upper)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Takes out what contradicts itself: twice the same, a file with something in it.
fn consistent(layer: Layer) -> Layer {
    let mut kept: Layer = Vec::new();
    for (name, item) in layer {
        let clash = kept.iter().any(|(other, kind)| {
            (*other == name && kind.brings() == item.brings())
                || (kind.is_leaf() && (below(other, &name) || *other == name))
                || (item.is_leaf() && (below(&name, other) || *other == name))
                // Whether one that hides below another makes a directory depends on their order; so no such.
                || (!kind.brings() && !item.brings() && (below(other, &name) || below(&name, other)))
        });
        if !clash {
            kept.push((name, item));
        }
    }
    kept
}

/// Points links at files that the layers below have and their own does not speak of.
fn linked(mut layers: Vec<Layer>) -> Vec<Layer> {
    for at in 0..layers.len() {
        let tree = naive(&layers[..at]).unwrap_or_default();
        let layer = layers[at].clone();
        let apart = |path: &&String| {
            layer.iter().all(|(other, kind)| {
                let is_above = below(other, path) && matches!(kind, Item::Directory(_));
                is_above || (other != *path && !below(other, path) && !below(path, other))
            })
        };
        let files = tree.iter().filter(|(_, (_, file))| *file > 0);
        let files: Vec<_> = files.map(|(path, _)| path).filter(apart).collect();
        layers[at].retain_mut(|(name, item)| {
            let Item::Link(target) = item else { return true };
            let wanted: usize = name.bytes().chain(target.bytes()).map(usize::from).sum();
            if let Some(&found) = files.get(wanted % files.len().max(1)) {
                found.clone_into(target);
            }
            !files.is_empty()
        });
    }
    layers
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
                sign(&mut directory);
                directory
            }
            Item::File(content) => member(name.as_bytes(), b'0', content.as_bytes(), b""),
            Item::Symlink => member(name.as_bytes(), b'2', b"", b"/nowhere"),
            Item::Link(target) => member(name.as_bytes(), b'1', b"", target.as_bytes()),
            Item::Whiteout => member(format!("{parent}{slash}.wh.{last}").as_bytes(), b'0', b"", b""),
            Item::Opaque => member(format!("{name}/.wh..wh..opq").as_bytes(), b'0', b"", b""),
        });
    }
    bytes.extend([0; 1024]);
    bytes
}

/// What is at a path, and which file it is: the same for all links to it.
type Naive = BTreeMap<String, (String, usize)>;

/// The same with the first path of each file.
type Shown = BTreeMap<String, (String, String)>;

/// The specification, read plainly: first all that a layer hides, then all that it brings. `None` when a layer asks for
/// what the ones below have not: a link to nothing, a directory where a file is.
fn naive(layers: &[Layer]) -> Option<Naive> {
    let mut tree = Naive::new();
    let mut next = 0;
    for layer in layers {
        for (name, item) in layer {
            let below = format!("{name}/");
            match item {
                Item::Whiteout => {
                    tree.retain(|path, _| path != name && !path.starts_with(&below));
                    make_parents(&mut tree, name)?;
                }
                Item::Opaque => {
                    tree.retain(|path, _| !path.starts_with(&below));
                    make_parents(&mut tree, &below)?;
                }
                _ => {}
            }
        }
        for (name, item) in layer.iter().filter(|(_, item)| item.brings()) {
            make_parents(&mut tree, name)?;
            next += 1;
            let (shown, file) = match item {
                Item::Directory(mode) => (format!("{mode:o}"), 0),
                Item::File(content) => (format!("={content}"), next),
                Item::Link(target) => {
                    let found = tree.get(target).filter(|(_, file)| *file > 0)?;
                    found.clone()
                }
                _ => ("-> /nowhere".to_owned(), next),
            };
            if item.is_leaf() {
                tree.retain(|path, _| !path.starts_with(&format!("{name}/")));
            }
            tree.insert(name.clone(), (shown, file));
        }
    }
    Some(tree)
}

/// Of each file, its first path instead of its number.
fn first_paths(tree: Naive) -> Shown {
    let mut first = BTreeMap::new();
    let paths = tree.into_iter().map(|(path, (shown, file))| {
        let first = match file {
            0 => path.clone(),
            file => first.entry(file).or_insert_with(|| path.clone()).clone(),
        };
        (path, (shown, first))
    });
    paths.collect()
}

fn make_parents(tree: &mut Naive, name: &str) -> Option<()> {
    for (at, _) in name.match_indices('/') {
        let parent = tree
            .entry(name[..at].to_owned())
            .or_insert_with(|| ("755".to_owned(), 0));
        // Files and links have nothing in them.
        if parent.1 > 0 {
            return None;
        }
    }
    Some(())
}

/// The tree as the model shows it; `None` when a layer does not fit on the ones below.
fn merged(layers: &[Vec<u8>]) -> Option<(Tree, Shown)> {
    let mut tree = Tree::default();
    for (index, layer) in layers.iter().enumerate() {
        apply(&mut tree, index, layer).ok()?;
    }
    let mut found = BTreeMap::new();
    list(&tree, layers, ROOT, "", &mut found);
    Some((tree, first_paths(found)))
}

fn list(tree: &Tree, layers: &[Vec<u8>], at: NodeId, path: &str, found: &mut Naive) {
    let Kind::Directory(children) = &tree.nodes[at].kind else {
        return;
    };
    for (name, child) in children {
        let path = format!("{path}{}", String::from_utf8_lossy(name));
        let node = &tree.nodes[child.node];
        let shown = match &node.kind {
            Kind::Directory(_) => (format!("{:o}", node.meta.mode), 0),
            Kind::File {
                layer, offset, bytes, ..
            } => {
                let (offset, bytes) = (*offset as usize, *bytes as usize);
                let content = &layers[*layer][offset..offset + bytes];
                (format!("={}", String::from_utf8_lossy(content)), child.node)
            }
            Kind::Symlink(target) => (format!("-> {}", String::from_utf8_lossy(target)), child.node),
            other => (format!("{other:?} {:?}", node.meta), child.node),
        };
        found.insert(path.clone(), shown);
        list(tree, layers, child.node, &format!("{path}/"), found);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn layers_merge_as_specified_in_any_order(
        layers in vec(vec(entry(), 0..9).prop_map(consistent), 1..5).prop_map(linked),
        seed in any::<u64>(),
    ) {
        // What the specification does not tell is an error or not; both are right.
        let tars: Vec<_> = layers.iter().map(tar).collect();
        let (Some((tree, found)), Some(expected)) = (merged(&tars), naive(&layers).map(first_paths)) else { return Ok(()) };
        prop_assert_eq!(&found, &expected);

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

/// Most of the random layers say something, or nothing would be tested.
#[test]
fn most_random_layers_fit() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let layers = vec(vec(entry(), 0..9).prop_map(consistent), 1..5).prop_map(linked);
    let mut runner = TestRunner::deterministic();
    let (mut fit, mut links) = (0, 0);
    for _ in 0..300 {
        let layers = layers.new_tree(&mut runner).unwrap().current();
        let tars: Vec<_> = layers.iter().map(tar).collect();
        if let (Some((_, found)), Some(_)) = (merged(&tars), naive(&layers).map(first_paths)) {
            fit += 1;
            links += usize::from(found.iter().any(|(path, (_, first))| path != first));
        }
    }
    assert!(fit > 100 && links > 20, "{fit} {links}");
}

#[test]
fn all_kinds_are_in_the_root() {
    let long = "d/".repeat(90) + "name-with-\u{fc}-and-more";
    let target = "t".repeat(200);
    let mut device = member(b"dev", b'3', b"", b"");
    device[329..336].copy_from_slice(b"0000005");
    device[337..344].copy_from_slice(b"0000001");
    sign(&mut device);
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
