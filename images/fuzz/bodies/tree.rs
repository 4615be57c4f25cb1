//! Layers, hostile ones, to one tree and on to the root file system, which is read again.
//!
//! The bytes are a script of two layers, so that a fuzzer has not to guess checksums: whole members with names of few
//! letters, and now and then raw bytes.

use super::erofs::{Image, What};
use super::script::{byte, take};
use super::ustar::sign;
use crate::archive::Archive;
use crate::error::Error;
use crate::layer::read_entries;
use crate::rootfs;
use crate::tree::{Kind, Meta, ROOT, Tree, TreeError};
use crate::{Staged, StoredLayer};
use std::collections::BTreeMap;
use std::io::Write;

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

pub fn member(name: &[u8], flag: u8, data: &[u8], link: &[u8], size: u64) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", size % (1 << 33)).as_bytes());
    header[156] = flag;
    header[157..157 + link.len().min(100)].copy_from_slice(&link[..link.len().min(100)]);
    header[257..265].copy_from_slice(b"ustar\x0000");
    sign(&mut header);
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
    compare(&layers);
}

/// The image of layers that merge at all says what the merged tree does.
pub fn compare(layers: &[Vec<u8>]) {
    let mut tree = Tree::default();
    for (index, layer) in layers.iter().enumerate() {
        if apply(&mut tree, index, layer).is_err() {
            return;
        }
    }
    match root(layers) {
        Ok(image) => assert_eq!(read(&image), listing(&tree, layers)),
        // Device numbers that Linux has not, attributes that are too much for an inode.
        Err(Error::Limit { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Applies all of a layer.
pub fn apply(tree: &mut Tree, layer: usize, tar: &[u8]) -> Result<(), TreeError> {
    let mut archive = Archive::new(tar);
    while let Some(entry) = archive.next_entry()? {
        tree.apply(layer, entry)?;
    }
    Ok(())
}

/// The root disk of these layers: the index and they themselves in whole blocks.
pub fn root(layers: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let (mut stored, mut staged) = (Vec::new(), Vec::new());
    for layer in layers {
        let files = Staged {
            tar: file(layer).into_temp_path(),
            entries: file(b"").into_temp_path(),
        };
        read_entries(&files.tar, &files.entries)?;
        stored.push(StoredLayer {
            diff_id: String::new(),
            tar: files.tar.to_path_buf(),
            entries: files.entries.to_path_buf(),
        });
        staged.push(files);
    }
    let out = file(b"");
    match rootfs::make(&stored, out.path()) {
        Ok(()) => {}
        Err(rootfs::Failure::Other(error)) => return Err(error),
        Err(other) => panic!("{other:?}"),
    }
    let disk = rootfs::disk(String::new(), out.path().to_owned(), &stored)?;
    let mut image = std::fs::read(&disk.index).expect("the index");
    for layer in disk.layers {
        let tar = std::fs::read(layer).expect("the layer");
        image.extend_from_slice(&tar[..tar.len() / 512 * 512]);
    }
    Ok(image)
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file");
    file
}

/// What is at a path, how it is linked, and the first path of the same file.
type Listing = BTreeMap<Vec<u8>, (What, Meta, u32, Vec<u8>)>;

/// What is in a root file system.
pub fn read(image: &[u8]) -> Listing {
    let mut first = BTreeMap::new();
    let all = Image::new(image).read();
    all.into_iter()
        .map(|(path, found)| {
            let first = first.entry(found.number).or_insert_with(|| path.clone());
            let first = first.clone();
            (path, (found.what, found.meta, found.links, first))
        })
        .collect()
}

/// The same of a tree.
pub fn listing(tree: &Tree, layers: &[Vec<u8>]) -> Listing {
    let mut found = BTreeMap::new();
    let mut links: BTreeMap<usize, u32> = BTreeMap::new();
    let mut pending = vec![(ROOT, b"/".to_vec())];
    while let Some((id, path)) = pending.pop() {
        let node = &tree.nodes[id];
        let what = match &node.kind {
            Kind::Directory(children) => {
                let slash: &[u8] = if id == ROOT { b"" } else { b"/" };
                for (name, child) in children {
                    let name = name.as_slice();
                    assert!(!name.is_empty() && name != b".." && name != b"." && !name.contains(&b'/'));
                    pending.push((child.node, [&path[..], slash, name].concat()));
                }
                let is_directory = |node: usize| matches!(tree.nodes[node].kind, Kind::Directory(_));
                let below = children.values().filter(|child| is_directory(child.node));
                // One is counted below, as for all that has a name.
                *links.entry(id).or_default() += 1 + below.count() as u32;
                What::Directory(children.keys().cloned().collect())
            }
            Kind::File {
                layer, offset, bytes, ..
            } => {
                let (offset, bytes) = (*offset as usize, *bytes as usize);
                What::File(layers[*layer][offset..offset + bytes].to_vec())
            }
            Kind::Symlink(target) => What::Symlink(target.clone()),
            Kind::Character(major, minor) => What::Character(*major, *minor),
            Kind::Block(major, minor) => What::Block(*major, *minor),
            Kind::Fifo => What::Fifo,
        };
        *links.entry(id).or_default() += 1;
        let mut meta = node.meta.clone();
        meta.xattrs.sort();
        found.insert(path, (what, meta, id));
    }
    let mut first = BTreeMap::new();
    found
        .into_iter()
        .map(|(path, (what, meta, id))| {
            let first = first.entry(id).or_insert_with(|| path.clone()).clone();
            (path, (what, meta, links[&id], first))
        })
        .collect()
}
