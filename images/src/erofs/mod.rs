//! Writes the merged tree of an image as the index of an EROFS, whose files' data stays in the tars of the layers.
//!
//! The index and the tars, one behind the other, are the whole file system: in a tar each file's data is contiguous and
//! begins at a multiple of 512 bytes, so with blocks of that size an inode can point there. The tars also stand in the
//! index as its devices: a kernel that is given them one by one puts them where it would find them on the whole disk.
//! The same tree and layers always give the same bytes.
//!
//! The format is that of Linux' `fs/erofs/erofs_fs.h` and `Documentation/filesystems/erofs.rst`, of which this uses
//! extended inodes, flat data and inline and shared attributes; the rules that only its reader has are in `inode.c`,
//! `dir.c`, `namei.c`, `xattr.c` and `data.c` beside it. All numbers are little-endian.

mod directory;
mod inode;
mod layout;
mod superblock;
mod xattr;

use crate::Error;
use crate::tree::{Kind, NodeId, ROOT, Tree};
use inode::Inode;
use layout::{Data, Layout, block, too_large};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use superblock::Superblock;
pub use superblock::parts;
use xattr::Shared;

const BLOCK_BITS: u8 = 9;
pub const BLOCK_BYTES: u64 = 1 << BLOCK_BITS;
/// Of the index while it is written.
const BUFFER_BYTES: usize = 1 << 20;

/// A layer's tar.
#[derive(Debug, Clone)]
pub struct Part {
    pub path: PathBuf,
    pub bytes: u64,
}

impl Part {
    pub fn of(path: &Path) -> Result<Self, Error> {
        let bytes = path.metadata().map_err(Error::read(path))?.len();
        Ok(Self {
            path: path.to_owned(),
            bytes,
        })
    }

    /// Whole blocks of it; what is behind them is no part of a disk.
    pub fn blocks(&self) -> u64 {
        self.bytes / BLOCK_BYTES
    }
}

/// What is written from beginning to end.
struct Index<'a> {
    out: BufWriter<&'a File>,
    at: u64,
    path: &'a Path,
}

impl Index<'_> {
    /// Writes at a position, zeros up to it.
    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let gap = at.checked_sub(self.at);
        let gap = gap.ok_or_else(|| Error::write(self.path)(io::ErrorKind::InvalidInput.into()))?;
        io::copy(&mut io::repeat(0).take(gap), &mut self.out)
            .and_then(|_| self.out.write_all(bytes))
            .map_err(Error::write(self.path))?;
        self.at = at + bytes.len() as u64;
        Ok(())
    }

    fn inode(
        &mut self,
        (tree, layout, shared): (&Tree, &Layout, &Shared<'_>),
        node: NodeId,
        number: u32,
    ) -> Result<(), Error> {
        let (place, found) = (&layout.places[node], &tree.nodes[node]);
        let xattrs = shared.body(&found.meta)?;
        let inode = Inode {
            kind: &found.kind,
            meta: &found.meta,
            inline: place.data == Data::Inline,
            xattrs: xattrs.len(),
            size: place.size,
            block: place.data_block()?,
            number,
            links: place.links,
        };
        self.put(place.inode, &inode.to_bytes()?)?;
        self.put(self.at, &xattrs)?;
        if place.data == Data::Inline {
            self.put(self.at, &data(tree, layout, node))?;
        }
        Ok(())
    }
}

/// What a directory or a symbolic link holds.
fn data(tree: &Tree, layout: &Layout, node: NodeId) -> Vec<u8> {
    match &tree.nodes[node].kind {
        Kind::Directory(_) => directory::data(tree, node, layout.places[node].parent, |node| {
            layout.places[node].number()
        }),
        Kind::Symlink(target) => target.clone(),
        _ => Vec::new(),
    }
}

/// Copies a file's data out of its tar.
fn copy(part: &Part, offset: u64, bytes: u64, index: &mut Index<'_>, at: u64) -> Result<(), Error> {
    let mut from = File::open(&part.path).map_err(Error::read(&part.path))?;
    from.seek(SeekFrom::Start(offset))
        .map_err(Error::read(&part.path))?;
    index.put(at, &[])?;
    let copied = io::copy(&mut from.take(bytes), &mut index.out).map_err(Error::write(index.path))?;
    index.at += copied;
    if copied != bytes {
        let cut = io::ErrorKind::UnexpectedEof.into();
        return Err(Error::read(&part.path)(cut));
    }
    Ok(())
}

/// Writes an index to an empty file.
pub fn write(tree: &Tree, parts: &[Part], uuid: [u8; 16], out: &File, path: &Path) -> Result<(), Error> {
    let (layout, shared) = Layout::of(tree, parts)?;
    let superblock = Superblock {
        root: u16::try_from(layout.places[ROOT].number()).map_err(|_| too_large())?,
        inodes: layout.order.len() as u64,
        blocks: layout.blocks,
        xattr_block: block(layout.xattrs)?,
        devices: layout.devices.len() as u16,
        uuid,
    };
    let mut index = Index {
        out: BufWriter::with_capacity(BUFFER_BYTES, out),
        at: 0,
        path,
    };
    index.put(superblock::OFFSET, &superblock.to_bytes())?;
    for device in &layout.devices {
        index.put(index.at, &device.to_bytes())?;
    }
    for (number, &node) in (1..).zip(&layout.order) {
        index.inode((tree, &layout, &shared), node, number)?;
    }
    index.put(layout.xattrs, &shared.area)?;
    for &node in &layout.order {
        if let Data::Index(at) = layout.places[node].data {
            index.put(at, &data(tree, &layout, node))?;
        }
    }
    for &node in &layout.order {
        if let Kind::File {
            layer, offset, bytes, ..
        } = tree.nodes[node].kind
            && let Data::Copied(at) = layout.places[node].data
        {
            copy(&parts[layer], offset, bytes, &mut index, at)?;
        }
    }
    index.put(u64::from(layout.blocks) * BLOCK_BYTES, &[])?;
    index.out.flush().map_err(Error::write(path))
}

#[cfg(test)]
mod tests;
