//! Inodes: `struct erofs_inode_extended` of Linux' `fs/erofs/erofs_fs.h`, the larger of the two kinds, which has a time
//! and 32-bit owners.

use crate::Error;
use crate::tree::{Kind, Meta};

pub const BYTES: usize = 64;
/// Inodes are numbered by the slots of this size before them.
pub const SLOT_BYTES: u64 = 32;

const VERSION_EXTENDED: u16 = 1;
/// `EROFS_INODE_FLAT_PLAIN` and `EROFS_INODE_FLAT_INLINE`, behind the bit of the version.
const FLAT_PLAIN: u16 = 0 << 1;
const FLAT_INLINE: u16 = 2 << 1;
/// What `new_encode_dev` of Linux' `kdev_t.h` has room for.
const MAX_MAJOR: u32 = (1 << 12) - 1;
const MAX_MINOR: u32 = (1 << 20) - 1;

pub struct Inode<'a> {
    pub kind: &'a Kind,
    pub meta: &'a Meta,
    /// Its data is behind it and its attributes, less than a block; otherwise in contiguous blocks.
    pub inline: bool,
    /// Bytes of its attributes.
    pub xattrs: usize,
    pub size: u64,
    /// The first block of its data.
    pub block: u32,
    /// From 1, for what wants small numbers.
    pub number: u32,
    pub links: u32,
}

/// The type of a node in its mode.
fn type_bits(kind: &Kind) -> u16 {
    match kind {
        Kind::Fifo => 0o010_000,
        Kind::Character(..) => 0o020_000,
        Kind::Directory(_) => 0o040_000,
        Kind::Block(..) => 0o060_000,
        Kind::File { .. } => 0o100_000,
        Kind::Symlink(_) => 0o120_000,
    }
}

/// The type of a node in the directory that names it: `FT_*` of Linux' `fs_types.h`.
pub fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::File { .. } => 1,
        Kind::Directory(_) => 2,
        Kind::Character(..) => 3,
        Kind::Block(..) => 4,
        Kind::Fifo => 5,
        Kind::Symlink(_) => 7,
    }
}

fn device(major: u32, minor: u32) -> Result<u32, Error> {
    if major > MAX_MAJOR || minor > MAX_MINOR {
        return Err(Error::Limit {
            what: format!("device number {major}:{minor}"),
            limit: format!("{MAX_MAJOR}:{MAX_MINOR}"),
        });
    }
    Ok((minor & 0xff) | major << 8 | (minor & !0xff) << 12)
}

fn owner(id: u64) -> Result<[u8; 4], Error> {
    let id = u32::try_from(id).map_err(|_| Error::Limit {
        what: format!("owner {id}"),
        limit: u32::MAX.to_string(),
    })?;
    Ok(id.to_le_bytes())
}

/// What an inode says about the size of its attributes: their header is one, and each four bytes behind it one more.
fn xattr_count(bytes: usize) -> Result<u16, Error> {
    let count = match bytes {
        0 => 0,
        bytes => (bytes - super::xattr::HEADER_BYTES) / 4 + 1,
    };
    u16::try_from(count).map_err(|_| Error::Limit {
        what: "the extended attributes of a file".to_owned(),
        limit: format!("{} bytes", usize::from(u16::MAX) * 4),
    })
}

impl Inode<'_> {
    pub fn to_bytes(&self) -> Result<[u8; BYTES], Error> {
        let address = match self.kind {
            Kind::Character(major, minor) | Kind::Block(major, minor) => device(*major, *minor)?,
            _ => self.block,
        };
        let format = VERSION_EXTENDED | if self.inline { FLAT_INLINE } else { FLAT_PLAIN };
        let mode = type_bits(self.kind) | (self.meta.mode & 0o7777) as u16;
        let mut bytes = [0; BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &format.to_le_bytes());
        put(2, &xattr_count(self.xattrs)?.to_le_bytes());
        put(4, &mode.to_le_bytes());
        put(8, &self.size.to_le_bytes());
        put(16, &address.to_le_bytes());
        put(20, &self.number.to_le_bytes());
        put(24, &owner(self.meta.uid)?);
        put(28, &owner(self.meta.gid)?);
        put(32, &self.meta.mtime.to_le_bytes());
        put(40, &self.meta.mtime_ns.to_le_bytes());
        put(44, &self.links.to_le_bytes());
        Ok(bytes)
    }
}
