use super::*;
use crate::fuzz_tests::bodies::tree::apply;

enum E<'a> {
    Dir(&'a str, u32),
    File(&'a str, &'a str),
    Link(&'a str, &'a str),
    Sym(&'a str, &'a str),
}

fn layer(entries: &[E<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        let mut name =
            |path: &str| header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        match entry {
            E::Dir(path, _) | E::File(path, _) | E::Link(path, _) | E::Sym(path, _) => name(path),
        }
        let mut data: &[u8] = &[];
        match entry {
            E::Dir(_, mode) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(*mode);
            }
            E::File(_, content) => {
                data = content.as_bytes();
                header.set_size(data.len() as u64);
            }
            E::Link(_, target) => {
                header.set_entry_type(tar::EntryType::Link);
                header.set_link_name_literal(target).unwrap();
            }
            E::Sym(_, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_link_name_literal(target).unwrap();
            }
        }
        header.set_cksum();
        builder.append(&header, data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn tree(layers: &[Vec<u8>]) -> Result<Tree, TreeError> {
    let mut tree = Tree::default();
    for (index, layer) in layers.iter().enumerate() {
        apply(&mut tree, index, layer)?;
    }
    Ok(tree)
}

/// All paths with a word on what each is.
fn listing(layers: &[Vec<u8>]) -> Vec<String> {
    let tree = tree(layers).unwrap();
    let mut lines = Vec::new();
    fn walk(tree: &Tree, at: NodeId, path: &str, lines: &mut Vec<String>) {
        let Kind::Directory(children) = &tree.nodes[at].kind else {
            return;
        };
        for (name, child) in children {
            let path = format!("{path}/{}", String::from_utf8_lossy(name));
            let node = &tree.nodes[child.node];
            lines.push(match &node.kind {
                Kind::Directory(_) => format!("{path}/ {:o}", node.meta.mode),
                Kind::File { layer, .. } => format!("{path} layer {layer} node {}", child.node),
                Kind::Symlink(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
                other => format!("{path} {other:?}"),
            });
            walk(tree, child.node, &path, lines);
        }
    }
    walk(&tree, ROOT, "", &mut lines);
    lines
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let lower = layer(&[
        E::Dir("a/", 0o700),
        E::File("a/x", "1"),
        E::File("a/y", "2"),
        E::File("b", "3"),
    ]);
    let upper = layer(&[E::File("a/.wh.x", ""), E::File("b", "new"), E::File(".wh.b", "")]);
    assert_eq!(
        listing(&[lower, upper]),
        ["/a/ 700", "/a/y layer 0 node 3", "/b layer 1 node 5"]
    );
}

#[test]
fn an_opaque_directory_keeps_its_own_whatever_the_order() {
    let lower = layer(&[
        E::Dir("d/", 0o755),
        E::File("d/old", ""),
        E::Dir("d/s/", 0o755),
        E::File("d/s/old", ""),
    ]);
    for upper in [
        layer(&[
            E::Dir("d/", 0o711),
            E::File("d/.wh..wh..opq", ""),
            E::File("d/new", ""),
        ]),
        layer(&[
            E::Dir("d/", 0o711),
            E::File("d/new", ""),
            E::File("d/.wh..wh..opq", ""),
        ]),
    ] {
        let lines = listing(&[lower.clone(), upper]);
        assert_eq!(lines[0], "/d/ 711");
        assert!(lines[1].starts_with("/d/new layer 1"));
        assert_eq!(lines.len(), 2);
    }
}

#[test]
fn an_unnamed_directory_stays_as_it_was() {
    let lower = layer(&[E::Dir("tmp/", 0o1777)]);
    let upper = layer(&[E::File("tmp/f", ""), E::File("fresh/f", "")]);
    let lines = listing(&[lower, upper]);
    assert_eq!(
        (lines[0].as_str(), lines[2].as_str()),
        ("/fresh/ 755", "/tmp/ 1777")
    );
}

#[test]
fn hard_links_share_a_node_across_layers() {
    let lower = layer(&[E::File("a", "1")]);
    let upper = layer(&[E::Link("b", "a"), E::File("a", "2")]);
    assert_eq!(
        listing(&[lower, upper]),
        ["/a layer 1 node 2", "/b layer 0 node 1"]
    );
}

#[test]
fn links_on_the_way_are_followed_inside_the_root() {
    let lower = layer(&[
        E::Dir("usr/", 0o755),
        E::Dir("usr/bin/", 0o755),
        E::Sym("bin", "usr/bin"),
        E::Sym("up", "../../.."),
    ]);
    let upper = layer(&[E::File("bin/sh", ""), E::File("up/usr/bin/x", "")]);
    let lines = listing(&[lower, upper]);
    assert!(
        lines.iter().any(|line| line.starts_with("/usr/bin/sh ")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with("/usr/bin/x ")),
        "{lines:?}"
    );
}

#[test]
fn hostile_layers_are_refused() {
    let refuse = |entries: &[E<'_>]| tree(&[layer(entries)]).unwrap_err();
    assert!(matches!(
        refuse(&[E::File("../../etc/passwd", "")]),
        TreeError::Escapes(_)
    ));
    assert!(matches!(
        refuse(&[E::Link("a", "missing")]),
        TreeError::BadLink { .. }
    ));
    assert!(matches!(
        refuse(&[E::Dir("d/", 0o755), E::Link("a", "d")]),
        TreeError::BadLink { .. }
    ));
    assert!(matches!(
        refuse(&[E::File("f", ""), E::File("f/x", "")]),
        TreeError::NotADirectory(_)
    ));
    assert!(matches!(
        refuse(&[E::Sym("a", "b"), E::Sym("b", "a"), E::File("a/x", "")]),
        TreeError::Loop(_)
    ));
    assert!(matches!(
        tree(&[b"not a tar at all".repeat(100)]),
        Err(TreeError::Tar(_))
    ));
}

#[test]
fn a_whiteout_spares_the_link_that_its_layer_makes() {
    let lower = layer(&[
        E::File("a", "1"),
        E::File("b", "2"),
        E::Dir("d/", 0o700),
        E::File("d/old", ""),
    ]);
    for upper in [
        [
            E::Link("b", "a"),
            E::File(".wh.b", ""),
            E::Link("d/a", "a"),
            E::File("d/.wh..wh..opq", ""),
        ],
        [
            E::File(".wh.b", ""),
            E::Link("b", "a"),
            E::File("d/.wh..wh..opq", ""),
            E::Link("d/a", "a"),
        ],
    ] {
        assert_eq!(
            listing(&[lower.clone(), layer(&upper)]),
            [
                "/a layer 0 node 1",
                "/b layer 0 node 1",
                "/d/ 700",
                "/d/a layer 0 node 1"
            ]
        );
    }
}

#[test]
fn a_whiteout_of_a_directory_spares_what_its_layer_puts_there() {
    let lower = layer(&[E::Dir("d/", 0o700), E::Dir("d/s/", 0o711), E::File("d/s/old", "")]);
    for upper in [
        [E::File("d/s/new", ""), E::File(".wh.d", "")],
        [E::File(".wh.d", ""), E::File("d/s/new", "")],
    ] {
        let lines = listing(&[lower.clone(), layer(&upper)]);
        assert_eq!(lines[..2], ["/d/ 755", "/d/s/ 755"]);
        assert!(lines[2].starts_with("/d/s/new layer 1"), "{lines:?}");
    }
}

#[test]
fn work_has_a_limit() {
    // A long way of links, walked by every entry.
    let mut entries = vec![E::Dir("d/", 0o755)];
    let names: Vec<_> = (0..39).map(|index| format!("l{index}")).collect();
    let detour = format!("{}l", "d/../".repeat(18));
    let targets: Vec<_> = (0..39).map(|index| format!("{detour}{}", index + 1)).collect();
    for (name, target) in names.iter().zip(&targets) {
        entries.push(E::Sym(name, target));
    }
    entries.push(E::Dir("l39", 0o755));
    let start = layer(&entries);
    let mut tree = Tree::default();
    apply(&mut tree, 0, &start).unwrap();
    tree.steps = MAX_STEPS - 2000;
    let follow = layer(&[E::File("l0/x", ""), E::File("l0/y", "")]);
    assert!(matches!(apply(&mut tree, 1, &follow), Err(TreeError::Loop(_))));
    tree.steps = 0;
    tree.bytes = MAX_TREE_BYTES - 10;
    let more = layer(&[E::File("z", "")]);
    assert_eq!(apply(&mut tree, 2, &more), Err(TreeError::TooManyEntries));
}

#[test]
fn what_leaves_nothing_costs_its_way() {
    let nothing = layer(&[E::File("a/b/c/.wh.x", "")]);
    let mut tree = Tree::default();
    apply(&mut tree, 0, &nothing).unwrap();
    tree.steps = MAX_STEPS - 13;
    for _ in 0..3 {
        apply(&mut tree, 1, &nothing).unwrap();
    }
    assert_eq!(apply(&mut tree, 1, &nothing), Err(TreeError::TooManyEntries));
    // As many files as a tree can have, each deeper than any image has them.
    assert!(MAX_ENTRIES as u64 * 75 < MAX_STEPS);
}
