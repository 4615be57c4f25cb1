//! The headers of a tar and of its extensions, in any order and with anything in them.
//!
//! The first byte of each block says what it is: as it comes, a header whose checksum is made right, or records of an
//! extension whose lengths are.

use super::script::{byte, take};
use super::ustar::{record, record_bytes, sign};
use crate::archive::{Archive, Entry, EntryKind};
use crate::tree::Tree;

const BLOCK: usize = 512;

/// A header with fields from the script and a right checksum.
fn header(script: &mut &[u8], flag: u8, size: u64) -> Vec<u8> {
    let mut header = [0; BLOCK];
    let name = usize::from(byte(script) % 100);
    let name = take(script, name);
    header[..name.len()].copy_from_slice(name);
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[156] = flag;
    header[257..265].copy_from_slice(b"ustar\x0000");
    // Some bytes anywhere, the size too.
    for _ in 0..byte(script) % 8 {
        let at = usize::from(byte(script)) << 1 | usize::from(byte(script) & 1);
        header[at] = byte(script);
    }
    sign(&mut header);
    header.to_vec()
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// Records with the right length, and now and then with a wrong one.
fn records(script: &mut &[u8]) -> Vec<u8> {
    const KEYS: &[&str] = &[
        "path",
        "linkpath",
        "size",
        "uid",
        "gid",
        "mtime",
        "SCHILY.xattr.user.a",
        "SCHILY.xattr.",
        "SCHILY.xattr.trusted.overlay.opaque",
        "GNU.sparse.major",
        "",
    ];
    let mut bytes = Vec::new();
    for _ in 0..byte(script) % 6 {
        let key = KEYS[usize::from(byte(script)) % KEYS.len()];
        let length = usize::from(byte(script)) * 4;
        let value = take(script, length);
        let wrong = usize::from(byte(script)).saturating_sub(250);
        bytes.extend(record(record_bytes(key, value) + wrong, key, value));
    }
    bytes
}

fn tar(mut script: &[u8]) -> Vec<u8> {
    let script = &mut script;
    let mut tar = Vec::new();
    while !script.is_empty() && tar.len() < 64 << 10 {
        match byte(script) % 8 {
            0 => tar.extend_from_slice(take(script, BLOCK)),
            1 | 2 => {
                let body = records(script);
                tar.extend(header(script, b'x', body.len() as u64));
                tar.extend(padded(body));
            }
            3 => {
                let length = usize::from(byte(script)) * 8;
                let body = take(script, length).to_vec();
                let flag = [b'L', b'K', b'g', b'x', b'X'][usize::from(byte(script)) % 5];
                tar.extend(header(script, flag, body.len() as u64));
                tar.extend(padded(body));
            }
            _ => {
                let flag = b"0012345675S\0"[usize::from(byte(script)) % 12];
                let length = usize::from(byte(script));
                let data = take(script, length).to_vec();
                tar.extend(header(script, flag, data.len() as u64));
                tar.extend(padded(data));
            }
        }
    }
    tar
}

pub fn run(script: &[u8]) {
    let tar = tar(script);
    let mut archive = Archive::new(&tar[..]);
    let mut tree = Tree::default();
    while let Ok(Some(entry)) = archive.next_entry() {
        is_sound(&entry, tar.len() as u64);
        // What the tree refuses is not gone on with.
        if tree.apply(0, entry).is_err() {
            return;
        }
    }
}

fn is_sound(entry: &Entry, tar_bytes: u64) {
    let end = entry.offset.checked_add(entry.bytes);
    assert!(end.is_some_and(|end| end <= tar_bytes), "{entry:?}");
    assert!(entry.kind == EntryKind::File || entry.bytes == 0, "{entry:?}");
    assert!(
        entry.mode <= 0o7777 && entry.mtime_ns < 1_000_000_000,
        "{entry:?}"
    );
    assert!(entry.uid <= u64::from(u32::MAX) && entry.gid <= u64::from(u32::MAX));
    assert!(entry.xattrs.len() <= 256);
    for (name, value) in &entry.xattrs {
        assert!(!name.is_empty() && name.len() <= 255 && value.len() <= 64 << 10);
        assert!(!name.starts_with("trusted.overlay."));
    }
}
