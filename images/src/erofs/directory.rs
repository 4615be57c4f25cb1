//! Directories: blocks of `struct erofs_dirent` of Linux' `fs/erofs/erofs_fs.h`, with the names behind them.
//!
//! ```text
//!   | dirent 1 | dirent 2 | ... | dirent n | name 1 | name 2 | ... | name n | zeros |
//! ```
//!
//! Each block is for itself, and says with the first `nameoff` how many entries it has. A name ends where the next
//! begins; the last of a block at a zero, or with the block or the directory. Names are sorted by their bytes in a
//! block and from block to block, `.` and `..` among them: the kernel searches by halves.

use super::BLOCK_BYTES;
use super::inode::file_type;
use crate::tree::{Kind, NodeId, Tree};

const DIRENT_BYTES: usize = 12;

/// All names of a directory in order.
fn entries(tree: &Tree, directory: NodeId, parent: NodeId) -> Vec<(&[u8], NodeId)> {
    let mut entries: Vec<(&[u8], NodeId)> = vec![(b".", directory), (b"..", parent)];
    if let Kind::Directory(children) = &tree.nodes[directory].kind {
        entries.extend(children.iter().map(|(name, child)| (&name[..], child.node)));
    }
    entries.sort_unstable_by_key(|(name, _)| *name);
    entries
}

/// The entries that go into one block, and what they take.
fn fit(entries: &[(&[u8], NodeId)]) -> (usize, usize) {
    let mut used = 0;
    for (count, (name, _)) in entries.iter().enumerate() {
        let bytes = DIRENT_BYTES + name.len();
        if used + bytes > BLOCK_BYTES as usize {
            return (count, used);
        }
        used += bytes;
    }
    (entries.len(), used)
}

/// How long a directory is: up to the end of its last name.
pub fn size(tree: &Tree, directory: NodeId, parent: NodeId) -> u64 {
    let all = entries(tree, directory, parent);
    let (mut rest, mut blocks) = (&all[..], 0);
    loop {
        let (count, used) = fit(rest);
        rest = &rest[count..];
        if rest.is_empty() {
            return blocks * BLOCK_BYTES + used as u64;
        }
        blocks += 1;
    }
}

/// A directory's data; `number` gives the inode number of a node.
pub fn data(tree: &Tree, directory: NodeId, parent: NodeId, number: impl Fn(NodeId) -> u64) -> Vec<u8> {
    let all = entries(tree, directory, parent);
    let (mut rest, mut bytes) = (&all[..], Vec::new());
    while !rest.is_empty() {
        let (count, _) = fit(rest);
        let block;
        (block, rest) = rest.split_at(count);
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES as usize), 0);
        let mut name_at = count * DIRENT_BYTES;
        for (name, node) in block {
            bytes.extend(number(*node).to_le_bytes());
            // Below the size of a block.
            bytes.extend((name_at as u16).to_le_bytes());
            bytes.extend([file_type(&tree.nodes[*node].kind), 0]);
            name_at += name.len();
        }
        for (name, _) in block {
            bytes.extend_from_slice(name);
        }
    }
    bytes
}
