//! Layers that are too much, or that reach out of the image.

use super::{Bench, USUAL_MIB, peak_kib};
use crate::archive::tests::{header, member, pax};
use crate::archive::{Entry, EntryKind};
use crate::fuzz_tests::bodies::ustar::sign;
use crate::tree::Tree;
use crate::{Error, Store};
use std::io::{self, Read};
use std::sync::Arc;

/// More than a tree can have.
const ENTRIES: usize = 10_000_000;

/// A tar of so many empty files, made as it is read.
struct Files {
    next: usize,
    count: usize,
    block: io::Cursor<[u8; 512]>,
}

impl Files {
    fn new(count: usize) -> Self {
        Self {
            next: 0,
            count,
            block: io::Cursor::new([0; 512]),
        }
    }
}

fn name(number: usize) -> String {
    format!("folder-{}/file-{number}", number / 1000)
}

impl Read for Files {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.block.position().is_multiple_of(512) {
            if self.next == self.count {
                return Ok(0);
            }
            self.block = io::Cursor::new(header(name(self.next).as_bytes(), b'0', 0, b""));
            self.next += 1;
        }
        self.block.read(to)
    }
}

/// In the other process: a layer of so many files, or what is in a file.
pub fn add(store: &Arc<Store>, what: &str) -> Result<String, Error> {
    let added = match what.parse() {
        Ok(count) => store.add_layer(Files::new(count))?,
        Err(_) => store.add_layer(std::fs::File::open(what).map_err(Error::read(what))?)?,
    };
    Ok(added.diff_id)
}

/// In the other process: bytes of memory that each of so many files takes in a tree.
pub fn merge(what: &str) -> Result<String, Error> {
    let count: usize = what.parse().unwrap();
    let before = peak_kib();
    let mut tree = Tree::default();
    for number in 0..count {
        let entry = Entry {
            kind: EntryKind::File,
            path: name(number).into_bytes(),
            link: Vec::new(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 1,
            mtime_ns: 0,
            device: (0, 0),
            xattrs: Vec::new(),
            offset: 0,
            bytes: 0,
            filled: true,
        };
        tree.apply(0, entry)
            .map_err(|error| Error::Archive(error.to_string()))?;
    }
    let bytes = (peak_kib() - before) * 1024;
    drop(tree);
    Ok((bytes / count as u64).to_string())
}

#[tokio::test]
async fn ten_million_entries_are_too_many() {
    let bench = Bench::new().await;
    bench.refused("layer", &[ENTRIES.to_string()], "too many entries", USUAL_MIB);
}

/// docs/architecture.md has this number.
#[tokio::test]
async fn a_file_takes_no_more_memory_than_told() {
    let bench = Bench::new().await;
    let met = bench.meet("merge", &["1000000".to_owned()]);
    let each: u64 = met.said[0].parse().unwrap();
    println!("{each} bytes for each file");
    assert!(each <= 250, "{each}");
}

/// Members of a tar, and why they are refused.
pub fn tricks() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let file = |name: &[u8]| member(name, b'0', b"x", b"");
    let long = [&b"d/".repeat(1200)[..], b"x"].concat();
    let sized = |field: &[u8; 12]| {
        let mut head = header(b"file", b'0', 0, b"");
        head[124..136].copy_from_slice(field);
        sign(&mut head);
        head.to_vec()
    };
    vec![
        ("leaves the root", vec![file(b"../../../../etc/cron.d/x")]),
        ("leaves the root", vec![file(b"a/../../x")]),
        ("leaves the root", vec![file(b"/../x")]),
        ("leaves the root", vec![file(b"../.wh.etc")]),
        (
            "leaves the root",
            vec![member(b"link", b'1', b"", b"../../../etc/shadow")],
        ),
        ("leaves the root", vec![pax(&[("path", b"a\0b")]), file(b"x")]),
        (
            "which is no file",
            vec![member(b"link", b'1', b"", b"etc/shadow")],
        ),
        (
            "which is no file",
            vec![member(b"d/", b'5', b"", b""), member(b"link", b'1', b"", b"d")],
        ),
        (
            "too many symbolic links",
            vec![
                member(b"a", b'2', b"", b"b"),
                member(b"b", b'2', b"", b"a"),
                file(b"a/x"),
            ],
        ),
        ("no directory", vec![file(b"a"), file(b"a/b")]),
        (
            "no directory",
            vec![member(b"a", b'2', b"", b"/nowhere"), file(b"a/b")],
        ),
        ("too deep", vec![pax(&[("path", &long)]), file(b"x")]),
        (
            "a name that is too long",
            vec![pax(&[("path", &[b'n'; 300])]), file(b"x")],
        ),
        (
            "a name that is too long",
            vec![
                pax(&[("path", &[&b"d/".repeat(3000)[..], b"x"].concat())]),
                file(b"x"),
            ],
        ),
        ("it is cut off", vec![sized(b"77777777777\0")]),
        (
            "it is cut off",
            vec![pax(&[("size", b"18446744073709551615")]), file(b"x")],
        ),
        (
            "a number is negative",
            vec![sized(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")],
        ),
        (
            "no number",
            vec![sized(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")],
        ),
        ("is too long", vec![header(b"x", b'x', 1 << 30, b"").to_vec()]),
        (
            "pax header",
            vec![
                member(b"x", b'x', b"99999999999999999999 path=x\n", b""),
                file(b"x"),
            ],
        ),
        ("sparse", vec![member(b"x", b'S', b"", b"")]),
        ("unsupported kind", vec![member(b"x", b'Z', b"", b"")]),
        (
            "extended attribute",
            vec![pax(&[("SCHILY.xattr.user.a", &[0; 70_000])]), file(b"x")],
        ),
        ("owner", vec![pax(&[("uid", b"9999999999")]), file(b"x")]),
        ("checksum", vec![vec![b'x'; 512]]),
    ]
}
