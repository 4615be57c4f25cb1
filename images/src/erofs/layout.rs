//! What stands where.
//!
//! ```text
//!   | superblock | devices | inodes | shared attributes | directories, links | copies | tar 1 | tar 2 | ...
//!   '----------------------------------- index ---------------------------------------'
//! ```
//!
//! The index and each tar begin at a block, one right behind the other: a device mapper puts them together. What a tar
//! has behind its last whole block is left out.

use super::inode::{self, SLOT_BYTES};
use super::superblock::{self, Device};
use super::xattr::Shared;
use super::{BLOCK_BYTES, Part, directory};
use crate::Error;
use crate::tree::{Kind, NodeId, ROOT, Tree};

/// Where the data of a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    None,
    /// Behind the inode and its attributes.
    Inline,
    /// Blocks of the index, for a directory or a symbolic link.
    Index(u64),
    /// A file's, copied from its tar into the index.
    Copied(u64),
    Tar(u64),
}

/// Where one node is, and how it is linked.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its inode.
    pub inode: u64,
    pub data: Data,
    pub size: u64,
    pub links: u32,
    /// Of a directory.
    pub parent: NodeId,
}

impl Place {
    pub fn number(&self) -> u64 {
        self.inode / SLOT_BYTES
    }

    pub fn data_block(&self) -> Result<u32, Error> {
        match self.data {
            Data::None | Data::Inline => Ok(0),
            Data::Index(at) | Data::Copied(at) | Data::Tar(at) => block(at),
        }
    }
}

#[derive(Debug)]
pub struct Layout {
    /// Nodes in the order of their inodes.
    pub order: Vec<NodeId>,
    /// By node.
    pub places: Vec<Place>,
    pub xattrs: u64,
    /// The tars behind the index.
    pub devices: Vec<Device>,
    /// Of the index.
    pub blocks: u32,
}

/// The next free byte.
struct Cursor(u64);

impl Cursor {
    fn align(&mut self, to: u64) -> Result<u64, Error> {
        self.0 = self.0.checked_next_multiple_of(to).ok_or_else(too_large)?;
        Ok(self.0)
    }

    /// Takes so many bytes from the next multiple on; gives where they begin.
    fn take(&mut self, bytes: u64, align: u64) -> Result<u64, Error> {
        let at = self.align(align)?;
        self.0 = at.checked_add(bytes).ok_or_else(too_large)?;
        Ok(at)
    }
}

pub fn too_large() -> Error {
    Error::Limit {
        what: "the root file system of the image".to_owned(),
        limit: format!("{} bytes", u64::from(u32::MAX) * BLOCK_BYTES),
    }
}

/// All nodes that have a name, the children of a directory one behind the other; and their links and parents.
fn walk(tree: &Tree) -> (Vec<NodeId>, Vec<Place>) {
    let nowhere = Place {
        inode: 0,
        data: Data::None,
        size: 0,
        links: 0,
        parent: ROOT,
    };
    let mut places = vec![nowhere; tree.nodes.len()];
    let (mut order, mut pending) = (vec![ROOT], vec![ROOT]);
    places[ROOT].links = 2;
    while let Some(directory) = pending.pop() {
        let Kind::Directory(children) = &tree.nodes[directory].kind else {
            continue;
        };
        let first = order.len();
        for child in children.values() {
            if places[child.node].links == 0 {
                order.push(child.node);
            }
            if let Kind::Directory(_) = tree.nodes[child.node].kind {
                // Its `.` and the `..` in it.
                places[child.node].links += 1;
                places[child.node].parent = directory;
                places[directory].links += 1;
            }
            places[child.node].links += 1;
        }
        let is_directory = |node: &&NodeId| matches!(tree.nodes[**node].kind, Kind::Directory(_));
        pending.extend(order[first..].iter().rev().filter(is_directory));
    }
    (order, places)
}

/// Gives files their place in the index or, for now without where that begins, in their tars: there a file can be read
/// when it is in whole blocks, the last of them zero behind the file, since the kernel shows all of it to who maps the
/// file into memory.
fn place_files(
    tree: &Tree,
    parts: &[Part],
    order: &[NodeId],
    places: &mut [Place],
    cursor: &mut Cursor,
) -> Result<(), Error> {
    for &node in order {
        let Kind::File {
            layer,
            offset,
            bytes,
            filled,
        } = tree.nodes[node].kind
        else {
            continue;
        };
        let part = &parts[layer];
        if offset.checked_add(bytes).is_none_or(|end| end > part.bytes) {
            return Err(Error::Damaged {
                path: part.path.clone(),
                why: "a file reaches beyond its end".to_owned(),
            });
        }
        places[node].size = bytes;
        places[node].data = if bytes == 0 {
            Data::None
        } else if filled && offset.is_multiple_of(BLOCK_BYTES) {
            Data::Tar(offset)
        } else {
            Data::Copied(cursor.take(bytes, BLOCK_BYTES)?)
        };
    }
    Ok(())
}

impl Layout {
    pub fn of<'a>(tree: &'a Tree, parts: &[Part]) -> Result<(Self, Shared<'a>), Error> {
        let (order, mut places) = walk(tree);
        let shared = Shared::of(tree, &order)?;
        let present = parts.iter().filter(|part| part.blocks() > 0).count();
        // More than an image may have layers.
        let present = u16::try_from(present).map_err(|_| too_large())?;
        let table = usize::from(present) * superblock::SLOT_BYTES;
        let mut cursor = Cursor(superblock::OFFSET + (superblock::BYTES + table) as u64);
        let mut in_blocks = Vec::new();
        for &node in &order {
            let place = &mut places[node];
            let found = &tree.nodes[node];
            let in_index = match &found.kind {
                Kind::Directory(_) => directory::size(tree, node, place.parent),
                Kind::Symlink(target) => target.len() as u64,
                _ => 0,
            };
            let inode = inode::BYTES as u64;
            let fixed = inode + shared.body(&found.meta)?.len() as u64;
            // Data behind an inode has to be in one block; an inode in two would cost the kernel a copy.
            let (mut bytes, mut together) = (fixed, inode);
            place.size = in_index;
            if in_index > BLOCK_BYTES.saturating_sub(fixed) {
                in_blocks.push(node);
            } else if in_index > 0 {
                place.data = Data::Inline;
                bytes += in_index;
                together = bytes;
            }
            if cursor.align(SLOT_BYTES)? % BLOCK_BYTES + together > BLOCK_BYTES {
                cursor.align(BLOCK_BYTES)?;
            }
            place.inode = cursor.take(bytes, SLOT_BYTES)?;
        }
        let xattrs = cursor.take(shared.area.len() as u64, BLOCK_BYTES)?;
        for node in in_blocks {
            places[node].data = Data::Index(cursor.take(places[node].size, BLOCK_BYTES)?);
        }
        place_files(tree, parts, &order, &mut places, &mut cursor)?;
        let blocks = block(cursor.align(BLOCK_BYTES)?)?;
        let (mut devices, mut starts) = (Vec::new(), Vec::with_capacity(parts.len()));
        for part in parts {
            let start = cursor.take(part.blocks() * BLOCK_BYTES, BLOCK_BYTES)?;
            starts.push(start);
            if part.blocks() > 0 {
                devices.push(Device {
                    number: devices.len() as u16,
                    blocks: u32::try_from(part.blocks()).map_err(|_| too_large())?,
                    at_block: block(start)?,
                });
            }
        }
        // The last block has to have a number, too.
        block(cursor.0)?;
        for &node in &order {
            if let Kind::File { layer, .. } = tree.nodes[node].kind
                && let Data::Tar(at) = &mut places[node].data
            {
                *at = at.checked_add(starts[layer]).ok_or_else(too_large)?;
            }
        }
        let layout = Self {
            order,
            places,
            xattrs,
            devices,
            blocks,
        };
        Ok((layout, shared))
    }
}

/// The number of the block at a position.
pub fn block(at: u64) -> Result<u32, Error> {
    u32::try_from(at / BLOCK_BYTES).map_err(|_| too_large())
}
