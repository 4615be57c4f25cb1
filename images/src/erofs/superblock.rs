//! The superblock: `struct erofs_super_block` of Linux' `fs/erofs/erofs_fs.h`.

use super::BLOCK_BITS;

/// Where it stands, so that a boot sector fits before it.
pub const OFFSET: u64 = 1024;
pub const BYTES: usize = 128;
const MAGIC: u32 = 0xe0f5_e1e2;
/// The times of extended inodes are those of modification.
const COMPAT_MTIME: u32 = 2;

/// What differs from one of our file systems to the next. Metadata begins at block 0, so an inode's number is its
/// position in slots of the whole; no incompatible feature is used, so Linux since 6.4 mounts it (blocks smaller
/// than a page are what needs that).
pub struct Superblock {
    pub root: u16,
    pub inodes: u64,
    pub blocks: u32,
    pub xattr_block: u32,
    pub uuid: [u8; 16],
}

impl Superblock {
    pub fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC.to_le_bytes());
        put(8, &COMPAT_MTIME.to_le_bytes());
        put(12, &[BLOCK_BITS]);
        put(14, &self.root.to_le_bytes());
        put(16, &self.inodes.to_le_bytes());
        put(36, &self.blocks.to_le_bytes());
        put(44, &self.xattr_block.to_le_bytes());
        put(48, &self.uuid);
        bytes
    }
}
