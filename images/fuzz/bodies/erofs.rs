//! A reader of EROFS for tests, as strict as Linux' is (`fs/erofs`), and stricter where our writer promises more.
//! Written from the format alone, and apart from the writer.

use crate::tree::Meta;
use std::collections::BTreeMap;

pub const BLOCK: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Directory(Vec<Vec<u8>>),
    File(Vec<u8>),
    Symlink(Vec<u8>),
    Character(u32, u32),
    Block(u32, u32),
    Fifo,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub what: What,
    /// Attributes sorted by name.
    pub meta: Meta,
    pub links: u32,
    /// Two paths of one file have the same.
    pub number: u64,
}

pub struct Image<'a> {
    bytes: &'a [u8],
    xattr_area: usize,
    root: u64,
    inodes: u64,
    /// Where each begins and how long it is, in blocks.
    pub devices: Vec<(usize, usize)>,
}

struct Inode {
    mode: u16,
    size: usize,
    address: u32,
    meta: Meta,
    links: u32,
    data_at: Option<usize>,
}

fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    (0..width).fold(0, |value, byte| value | u64::from(bytes[at + byte]) << (8 * byte))
}

impl<'a> Image<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let superblock = &bytes[1024..1152];
        assert_eq!(number(superblock, 0, 4), 0xe0f5_e1e2);
        assert_eq!(superblock[12], 9, "block size");
        assert_eq!(superblock[13], 0, "extension slots");
        let features = number(superblock, 80, 4);
        assert_eq!(number(superblock, 40, 4), 0, "where metadata begins");
        let blocks = number(superblock, 36, 4) as usize;
        let devices: Vec<_> = (0..number(superblock, 86, 2) as usize)
            .map(|device| {
                let slot = &bytes[(number(superblock, 88, 2) as usize + device) * 128..][..128];
                assert_ne!(slot[0], 0, "a device's tag");
                (number(slot, 68, 4) as usize, number(slot, 64, 4) as usize)
            })
            .collect();
        let table = if devices.is_empty() { 0 } else { 8 };
        assert_eq!(features, table, "incompatible features");
        let mut end = blocks;
        for (start, blocks) in &devices {
            assert_eq!(*start, end, "where a device begins");
            end += blocks;
        }
        assert_eq!(bytes.len(), end * BLOCK);
        Self {
            bytes,
            devices,
            xattr_area: number(superblock, 44, 4) as usize * BLOCK,
            root: number(superblock, 14, 2),
            inodes: number(superblock, 16, 8),
        }
    }

    fn inode(&self, nid: u64) -> Inode {
        let at = nid as usize * 32;
        let inode = &self.bytes[at..at + 64];
        let format = number(inode, 0, 2);
        assert_eq!(format & !0b0101, 0, "only extended and flat");
        assert_eq!(format & 1, 1, "extended");
        assert!(at % BLOCK + 64 <= BLOCK, "an inode in two blocks");
        let icount = number(inode, 2, 2) as usize;
        let xattr_bytes = if icount == 0 { 0 } else { 12 + 4 * (icount - 1) };
        let mode = number(inode, 4, 2) as u16;
        let size = number(inode, 8, 8) as usize;
        let address = number(inode, 16, 4) as u32;
        let data_at = match format >> 1 {
            0 if size == 0 => None,
            0 => Some(address as usize * BLOCK),
            _ => {
                let inline = at + 64 + xattr_bytes;
                assert!(
                    size > 0 && inline % BLOCK + size <= BLOCK,
                    "data over the end of a block"
                );
                Some(inline)
            }
        };
        Inode {
            mode,
            size,
            address,
            links: number(inode, 44, 4) as u32,
            meta: Meta {
                mode: u32::from(mode & 0o7777),
                uid: number(inode, 24, 4),
                gid: number(inode, 28, 4),
                mtime: number(inode, 32, 8).cast_signed(),
                mtime_ns: number(inode, 40, 4) as u32,
                xattrs: self.xattrs(at + 64, xattr_bytes),
            },
            data_at: data_at.inspect(|data| {
                let to = data + size;
                assert!(to <= self.bytes.len());
                if format >> 1 == 0 {
                    let behind = &self.bytes[to..to.next_multiple_of(BLOCK)];
                    assert!(behind.iter().all(|byte| *byte == 0), "bytes behind the end");
                }
            }),
        }
    }

    fn xattrs(&self, at: usize, bytes: usize) -> Vec<(String, Vec<u8>)> {
        let mut xattrs = Vec::new();
        if bytes == 0 {
            return xattrs;
        }
        assert!(bytes > 12, "a header alone is not defined");
        let shared = usize::from(self.bytes[at + 4]);
        for index in 0..shared {
            let id = number(self.bytes, at + 12 + 4 * index, 4) as usize;
            xattrs.push(self.xattr(self.xattr_area + 4 * id).0);
        }
        let mut next = at + 12 + 4 * shared;
        while next < at + bytes {
            let (xattr, length) = self.xattr(next);
            xattrs.push(xattr);
            next += length;
        }
        assert_eq!(next, at + bytes);
        xattrs.sort();
        xattrs
    }

    fn xattr(&self, at: usize) -> ((String, Vec<u8>), usize) {
        let name_bytes = usize::from(self.bytes[at]);
        let prefix = match self.bytes[at + 1] {
            1 => "user.",
            2 => "system.posix_acl_access",
            3 => "system.posix_acl_default",
            4 => "trusted.",
            6 => "security.",
            other => panic!("namespace {other}"),
        };
        let value_bytes = number(self.bytes, at + 2, 2) as usize;
        let value_at = at + 4 + name_bytes;
        let name = std::str::from_utf8(&self.bytes[at + 4..value_at]).expect("a name");
        let value = self.bytes[value_at..value_at + value_bytes].to_vec();
        let length = (4 + name_bytes + value_bytes).next_multiple_of(4);
        ((format!("{prefix}{name}"), value), length)
    }

    /// Name, inode number and file type of each entry of a block.
    fn block(block: &[u8]) -> Vec<(&[u8], u64, u8)> {
        let first = number(block, 8, 2) as usize;
        assert!(first > 0 && first < BLOCK && first.is_multiple_of(12));
        let offset = |index: usize| number(block, index * 12 + 8, 2) as usize;
        (0..first / 12)
            .map(|index| {
                let from = offset(index);
                let to = if (index + 1) * 12 < first {
                    offset(index + 1)
                } else {
                    let rest = &block[from..];
                    from + rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len())
                };
                assert!(from < to && to - from <= 255 && to <= block.len());
                (
                    &block[from..to],
                    number(block, index * 12, 8),
                    block[index * 12 + 10],
                )
            })
            .collect()
    }

    fn entries(data: &[u8]) -> Vec<(&[u8], u64, u8)> {
        let entries: Vec<_> = data.chunks(BLOCK).flat_map(Self::block).collect();
        assert!(entries.is_sorted_by(|one, next| one.0 < next.0), "names in order");
        entries
    }

    /// Finds a name as the kernel does: by halves among the first names of blocks, then in one block.
    fn look_up(data: &[u8], name: &[u8]) -> Option<u64> {
        let blocks: Vec<_> = data.chunks(BLOCK).collect();
        let block = blocks.partition_point(|block| Self::block(block)[0].0 <= name);
        let entries = Self::block(blocks[block.checked_sub(1)?]);
        let index = entries.binary_search_by_key(&name, |entry| entry.0).ok()?;
        Some(entries[index].1)
    }

    fn file_type(mode: u16) -> u8 {
        match mode >> 12 {
            0o10 => 1,
            0o4 => 2,
            0o2 => 3,
            0o6 => 4,
            0o1 => 5,
            0o12 => 7,
            other => panic!("type {other:o}"),
        }
    }

    /// All paths, from `/` on.
    pub fn read(&self) -> BTreeMap<Vec<u8>, Found> {
        let mut all = BTreeMap::new();
        let mut numbers = std::collections::BTreeSet::new();
        let mut pending = vec![(b"/".to_vec(), self.root, self.root)];
        while let Some((path, nid, parent)) = pending.pop() {
            let inode = self.inode(nid);
            numbers.insert(nid);
            let data = inode
                .data_at
                .map_or(&[][..], |at| &self.bytes[at..at + inode.size]);
            let device = || {
                let word = inode.address;
                ((word >> 8) & 0xfff, (word & 0xff) | ((word >> 12) & 0xfff00))
            };
            let what = match Self::file_type(inode.mode) {
                1 => What::File(data.to_vec()),
                2 => {
                    let mut names = Vec::new();
                    for (name, child, file_type) in Self::entries(data) {
                        assert_eq!(Self::look_up(data, name), Some(child));
                        assert_eq!(file_type, Self::file_type(self.inode(child).mode));
                        match name {
                            b"." => assert_eq!(child, nid),
                            b".." => assert_eq!(child, parent),
                            _ => {
                                assert!(!name.contains(&b'/'));
                                let slash: &[u8] = if path == b"/" { b"" } else { b"/" };
                                pending.push(([&path[..], slash, name].concat(), child, nid));
                                names.push(name.to_vec());
                            }
                        }
                    }
                    for name in [&b"."[..], b".."] {
                        assert!(Self::look_up(data, name).is_some());
                    }
                    assert_eq!(Self::look_up(data, b"no such name"), None);
                    What::Directory(names)
                }
                3 => What::Character(device().0, device().1),
                4 => What::Block(device().0, device().1),
                5 => What::Fifo,
                _ => What::Symlink(data.to_vec()),
            };
            let found = Found {
                what,
                meta: inode.meta,
                links: inode.links,
                number: nid,
            };
            assert!(all.insert(path, found).is_none());
        }
        assert_eq!(numbers.len() as u64, self.inodes);
        all
    }
}
