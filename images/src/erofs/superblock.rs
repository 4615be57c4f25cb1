//! The superblock, `struct erofs_super_block` of Linux' `fs/erofs/erofs_fs.h`, and the devices behind it, `struct
//! erofs_deviceslot`.

use super::BLOCK_BITS;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where it stands, so that a boot sector fits before it.
pub const OFFSET: u64 = 1024;
pub const BYTES: usize = 128;
const MAGIC: u32 = 0xe0f5_e1e2;
/// The times of extended inodes are those of modification.
const COMPAT_MTIME: u32 = 2;
/// There are devices.
const INCOMPAT_DEVICE_TABLE: u32 = 8;
/// Of a device, and the step in which their place is told.
pub const SLOT_BYTES: usize = 128;

/// What differs from one of our file systems to the next. Metadata begins at block 0, so an inode's number is its
/// position in slots of the whole. Linux mounts it since 6.4, which has blocks smaller than a page, and devices that
/// stand one behind the other on one disk.
pub struct Superblock {
    pub root: u16,
    pub inodes: u64,
    pub blocks: u32,
    pub xattr_block: u32,
    /// Behind the superblock.
    pub devices: u16,
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
        if self.devices > 0 {
            put(80, &INCOMPAT_DEVICE_TABLE.to_le_bytes());
            put(86, &self.devices.to_le_bytes());
            put(88, &((OFFSET as usize + BYTES) / SLOT_BYTES).to_le_bytes()[..2]);
        }
        bytes
    }
}

/// A tar: its blocks, and where they stand behind the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    pub number: u16,
    pub blocks: u32,
    pub at_block: u32,
}

impl Device {
    pub fn to_bytes(self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        // A name is asked for; what the kernel would open by it is given to it when it mounts.
        let tag = format!("layer{}", self.number);
        bytes[..tag.len()].copy_from_slice(tag.as_bytes());
        bytes[64..68].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[68..72].copy_from_slice(&self.at_block.to_le_bytes());
        bytes
    }
}

/// What an index says of the disk that it is the beginning of, in blocks.
pub struct Parts {
    pub index_blocks: u32,
    pub part_blocks: Vec<u32>,
}

/// Reads an index of ours again.
pub fn parts(index: &File) -> io::Result<Parts> {
    let mut bytes = [0; BYTES];
    index.read_exact_at(&mut bytes, OFFSET)?;
    let word = |bytes: &[u8], at: usize| {
        let mut word = [0; 4];
        word.copy_from_slice(&bytes[at..at + 4]);
        u32::from_le_bytes(word)
    };
    if word(&bytes, 0) != MAGIC || bytes[12] != BLOCK_BITS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is no index of a root",
        ));
    }
    let devices = usize::from(u16::from_le_bytes([bytes[86], bytes[87]]));
    let mut slots = vec![0; devices * SLOT_BYTES];
    index.read_exact_at(&mut slots, OFFSET + BYTES as u64)?;
    Ok(Parts {
        index_blocks: word(&bytes, 36),
        part_blocks: slots.chunks(SLOT_BYTES).map(|slot| word(slot, 64)).collect(),
    })
}
