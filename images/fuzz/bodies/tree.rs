//! Layers, hostile ones, to one tree and on to the tar that mkfs.erofs is given.
//!
//! The bytes are a script of two layers, so that a fuzzer has not to guess checksums: whole members with names of few
//! letters, and now and then raw bytes.

use crate::rootfs::write_tar;
use crate::tree::{Kind, ROOT, Tree};
use std::io::{Cursor, Write};

/// Takes so many bytes, and what there is when there are less.
fn take<'a>(script: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = script.split_at(most.min(script.len()));
    *script = rest;
    taken
}

fn byte(script: &mut &[u8]) -> u8 {
    take(script, 1).first().copied().unwrap_or(0)
}

/// Mostly short paths of parts that other entries use too.
fn path(script: &mut &[u8]) -> Vec<u8> {
    const PARTS: &[&[u8]] = &[
        b"a",
        b"b",
        b"c",
        b"/",
        b"/",
        b"..",
        b".",
        b".wh.a",
        b".wh.b",
        b".wh..wh..opq",
        b"\xff",
        b"",
    ];
    let parts = usize::from(byte(script) % 8);
    let mut path = Vec::new();
    for part in take(script, parts) {
        path.extend_from_slice(PARTS[usize::from(*part) % PARTS.len()]);
        path.push(b'/');
    }
    if byte(script) > 32 {
        path.pop();
    }
    path
}

fn member(name: &[u8], flag: u8, data: &[u8], link: &[u8], size: u64) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", size % (1 << 33)).as_bytes());
    header[156] = flag;
    header[157..157 + link.len().min(100)].copy_from_slice(&link[..link.len().min(100)]);
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn layer(script: &mut &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    for _ in 0..byte(script) % 24 {
        let kind = byte(script);
        match kind % 16 {
            0..6 => {
                let length = usize::from(byte(script));
                let (name, data) = (path(script), take(script, length));
                tar.extend(member(&name, b'0', data, b"", data.len() as u64));
            }
            6..9 => tar.extend(member(&path(script), b'5', b"", b"", 0)),
            9 | 10 => tar.extend(member(&path(script), b'1', b"", &path(script), 0)),
            11 | 12 => tar.extend(member(&path(script), b'2', b"", &path(script), 0)),
            13 => {
                let flag = [b'3', b'4', b'6', b'7', b'S', b'g', b'x', b'L', b'K', b'?']
                    [usize::from(byte(script)) % 10];
                let length = usize::from(byte(script));
                let data = take(script, length);
                tar.extend(member(&path(script), flag, data, b"", data.len() as u64));
            }
            14 => {
                // A size that does not fit its data.
                let size = u64::from(byte(script)) << (byte(script) % 40);
                tar.extend(member(&path(script), b'0', b"", b"", size));
            }
            _ => {
                let length = usize::from(byte(script)) * 4;
                tar.extend_from_slice(take(script, length));
            }
        }
    }
    if byte(script) > 64 {
        tar.extend([0; 1024]);
    }
    tar
}

pub fn run(mut script: &[u8]) {
    let layers = match byte(&mut script) % 8 {
        // As it comes.
        0 => vec![script.to_vec()],
        _ => vec![layer(&mut script), layer(&mut script)],
    };
    let mut tree = Tree::default();
    for (index, layer) in layers.iter().enumerate() {
        if tree.apply(index, Cursor::new(layer)).is_err() {
            return;
        }
    }
    let files: Vec<_> = layers.iter().map(|layer| file(layer)).collect();
    let paths: Vec<_> = files
        .iter()
        .map(|file| (String::new(), file.path().to_owned()))
        .collect();
    let mut tar = Vec::new();
    write_tar(&tree, &paths, &mut tar).expect("a tar of what was understood");

    // It is the same tree.
    let mut again = Tree::default();
    again.apply(0, Cursor::new(&tar)).expect("our own tar");
    let flat = [tar];
    assert_eq!(listing(&again, &flat), listing(&tree, &layers));
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file");
    file
}

/// Each path with what it is, and with the first path of the same file.
fn listing(tree: &Tree, layers: &[Vec<u8>]) -> Vec<(Vec<u8>, String)> {
    let mut lines = Vec::new();
    let mut first = std::collections::BTreeMap::new();
    let mut pending = vec![(ROOT, Vec::new())];
    while let Some((id, path)) = pending.pop() {
        let node = &tree.nodes[id];
        let what = match &node.kind {
            Kind::Directory(children) => {
                for (name, child) in children.iter().rev() {
                    let name = name.as_slice();
                    assert!(!name.is_empty() && name != b".." && name != b"." && !name.contains(&b'/'));
                    pending.push((child.node, [&path[..], b"/", name].concat()));
                }
                "directory".to_owned()
            }
            Kind::File { layer, offset, bytes } => {
                let (offset, bytes) = (*offset as usize, *bytes as usize);
                format!("{:?}", &layers[*layer][offset..offset + bytes])
            }
            other => format!("{other:?}"),
        };
        let first = first.entry(id).or_insert_with(|| path.clone());
        lines.push((path, format!("{what} {:?} {first:?}", node.meta)));
    }
    lines
}
