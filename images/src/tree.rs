//! The tree that the layers of an image make together.
//!
//! Layers are applied from the lowest up, as the OCI image specification says (layer.md): a whiteout removes what lower
//! layers have, an opaque whiteout empties a directory of it, a directory over a directory keeps its children, and
//! everything else replaces. A directory that a layer does not name but needs stays as the layers below have it.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use thiserror::Error;

/// Entries of all layers together.
const MAX_ENTRIES: usize = 4 << 20;
/// Directories one below the other.
const MAX_DEPTH: usize = 1000;
const MAX_NAME_BYTES: usize = 255;
const MAX_PATH_BYTES: usize = 4096;
/// Linux's limit for one attribute's value, and a generous one for all of a file.
const MAX_XATTR_BYTES: usize = 64 << 10;
const MAX_XATTRS: usize = 256;
/// As the kernel follows.
const MAX_LINKS: usize = 40;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum TreeError {
    #[error("not a tar: {0}")]
    Tar(String),
    #[error("entry {0:?} has a name that is too long")]
    NameTooLong(String),
    #[error("too many entries")]
    TooManyEntries,
    #[error("entry {0:?} is too deep")]
    TooDeep(String),
    #[error("entry {0:?} leaves the root")]
    Escapes(String),
    #[error("hard link {link:?} to {target:?}, which is no file")]
    BadLink { link: String, target: String },
    #[error("entry {0:?} goes through something that is no directory")]
    NotADirectory(String),
    #[error("too many symbolic links on the way to {0:?}")]
    Loop(String),
    #[error("entry {path:?} is of the unsupported kind {kind:?}")]
    Kind { path: String, kind: char },
    #[error("entry {0:?} has too many or too large extended attributes")]
    Xattrs(String),
}

pub type NodeId = usize;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: u64,
    pub xattrs: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Children by name.
    Directory(BTreeMap<Vec<u8>, NodeId>),
    /// Where its bytes are: layer, offset in that layer's tar, length.
    File {
        layer: usize,
        offset: u64,
        bytes: u64,
    },
    Symlink(Vec<u8>),
    Character(u32, u32),
    Block(u32, u32),
    Fifo,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub meta: Meta,
    pub kind: Kind,
    /// The layer that named it last.
    layer: usize,
}

#[derive(Debug)]
pub struct Tree {
    pub nodes: Vec<Node>,
    entries: usize,
}

pub const ROOT: NodeId = 0;

impl Default for Tree {
    fn default() -> Self {
        let meta = Meta {
            mode: 0o755,
            ..Meta::default()
        };
        Self {
            nodes: vec![Node {
                meta,
                kind: Kind::Directory(BTreeMap::new()),
                layer: 0,
            }],
            entries: 0,
        }
    }
}

fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(200)]).into_owned()
}

fn tar_error(error: std::io::Error) -> TreeError {
    TreeError::Tar(error.to_string())
}

/// Components of a name in a tar, without `.` and leading slashes.
fn components(path: &[u8]) -> Result<Vec<&[u8]>, TreeError> {
    if path.len() > MAX_PATH_BYTES {
        return Err(TreeError::NameTooLong(show(path)));
    }
    let mut parts = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(TreeError::Escapes(show(path))),
            _ if part.len() > MAX_NAME_BYTES => return Err(TreeError::NameTooLong(show(path))),
            _ if part.contains(&0) => return Err(TreeError::Escapes(show(path))),
            _ => parts.push(part),
        }
    }
    if parts.len() > MAX_DEPTH {
        return Err(TreeError::TooDeep(show(path)));
    }
    Ok(parts)
}

impl Tree {
    /// Applies the next layer, a tar.
    pub fn apply(&mut self, layer: usize, tar: impl Read + Seek) -> Result<(), TreeError> {
        let mut archive = tar::Archive::new(tar);
        for entry in archive.entries_with_seek().map_err(tar_error)? {
            self.entry(layer, entry.map_err(tar_error)?)?;
        }
        Ok(())
    }

    fn entry<R: Read>(&mut self, layer: usize, mut entry: tar::Entry<'_, R>) -> Result<(), TreeError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(TreeError::TooManyEntries);
        }
        let path = entry.path_bytes().into_owned();
        let parts = components(&path)?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let Some((name, parents)) = parts.split_last() else {
            // The root itself.
            if kind.is_dir() {
                self.nodes[ROOT].meta = meta(&mut entry, &path)?;
            }
            return Ok(());
        };
        if *name == b".wh..wh..opq" {
            let directory = self.directory(layer, parents, &path)?;
            return Ok(self.make_opaque(layer, directory));
        }
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            // Others than those above are reserved by aufs and mean nothing here.
            if !hidden.starts_with(b".wh.") {
                let directory = self.directory(layer, parents, &path)?;
                self.whiteout(layer, directory, hidden);
            }
            return Ok(());
        }
        let directory = self.directory(layer, parents, &path)?;
        let node = if kind.is_hard_link() {
            self.hard_link(&path, &entry)?
        } else {
            let made = Node {
                meta: meta(&mut entry, &path)?,
                kind: node_kind(layer, &entry, &path)?,
                layer,
            };
            self.place(directory, name, made)
        };
        if let Kind::Directory(children) = &mut self.nodes[directory].kind {
            children.insert(name.to_vec(), node);
        }
        Ok(())
    }

    /// A new node, or the directory that stands there with new metadata.
    fn place(&mut self, directory: NodeId, name: &[u8], made: Node) -> NodeId {
        let Kind::Directory(children) = &self.nodes[directory].kind else {
            return ROOT;
        };
        if let Some(&standing) = children.get(name)
            && matches!(made.kind, Kind::Directory(_))
            && matches!(self.nodes[standing].kind, Kind::Directory(_))
        {
            self.nodes[standing].meta = made.meta;
            self.nodes[standing].layer = made.layer;
            return standing;
        }
        self.nodes.push(made);
        self.nodes.len() - 1
    }

    fn hard_link<R: Read>(&self, path: &[u8], entry: &tar::Entry<'_, R>) -> Result<NodeId, TreeError> {
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
        let bad = || TreeError::BadLink {
            link: show(path),
            target: show(&target),
        };
        let parts = components(&target)?;
        let mut at = ROOT;
        for (index, part) in parts.iter().enumerate() {
            let Kind::Directory(children) = &self.nodes[at].kind else {
                return Err(bad());
            };
            at = *children.get(*part).ok_or_else(bad)?;
            if index + 1 < parts.len()
                && let Kind::Symlink(_) = &self.nodes[at].kind
            {
                at = self.resolve(&parts[..=index], path)?.ok_or_else(bad)?;
            }
        }
        if matches!(self.nodes[at].kind, Kind::Directory(_)) {
            Err(bad())
        } else {
            Ok(at)
        }
    }

    /// The directory of these names, following symbolic links inside the root, if all exist.
    fn resolve(&self, parts: &[&[u8]], path: &[u8]) -> Result<Option<NodeId>, TreeError> {
        let mut pending: Vec<Vec<u8>> = parts.iter().rev().map(|part| part.to_vec()).collect();
        let mut trail = vec![ROOT];
        let mut links = 0;
        while let Some(part) = pending.pop() {
            let at = trail[trail.len() - 1];
            if part == b".." {
                if trail.len() > 1 {
                    trail.pop();
                }
                continue;
            }
            let Kind::Directory(children) = &self.nodes[at].kind else {
                return Ok(None);
            };
            let Some(&next) = children.get(&part) else {
                return Ok(None);
            };
            match &self.nodes[next].kind {
                Kind::Directory(_) => trail.push(next),
                Kind::Symlink(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(TreeError::Loop(show(path)));
                    }
                    if target.starts_with(b"/") {
                        trail.truncate(1);
                    }
                    let steps = target
                        .split(|byte| *byte == b'/')
                        .filter(|step| !step.is_empty() && *step != b".");
                    pending.extend(steps.rev().map(<[u8]>::to_vec));
                    if pending.len() > MAX_DEPTH {
                        return Err(TreeError::TooDeep(show(path)));
                    }
                }
                _ => return Ok(None),
            }
        }
        Ok(trail.last().copied())
    }

    /// The directory that a new entry goes into; what is missing on the way is made.
    fn directory(&mut self, layer: usize, parents: &[&[u8]], path: &[u8]) -> Result<NodeId, TreeError> {
        let mut at = ROOT;
        for (index, part) in parents.iter().enumerate() {
            let Kind::Directory(children) = &self.nodes[at].kind else {
                return Err(TreeError::NotADirectory(show(path)));
            };
            at = match children.get(*part).copied() {
                None => {
                    let meta = Meta {
                        mode: 0o755,
                        ..Meta::default()
                    };
                    self.nodes.push(Node {
                        meta,
                        kind: Kind::Directory(BTreeMap::new()),
                        layer,
                    });
                    let made = self.nodes.len() - 1;
                    if let Kind::Directory(children) = &mut self.nodes[at].kind {
                        children.insert(part.to_vec(), made);
                    }
                    made
                }
                Some(next) => match self.nodes[next].kind {
                    Kind::Directory(_) => next,
                    Kind::Symlink(_) => self
                        .resolve(&parents[..=index], path)?
                        .ok_or_else(|| TreeError::NotADirectory(show(path)))?,
                    _ => return Err(TreeError::NotADirectory(show(path))),
                },
            };
        }
        Ok(at)
    }

    /// Removes what lower layers have under a name.
    fn whiteout(&mut self, layer: usize, directory: NodeId, name: &[u8]) {
        let Kind::Directory(children) = &self.nodes[directory].kind else {
            return;
        };
        let Some(&standing) = children.get(name) else {
            return;
        };
        if self.nodes[standing].layer == layer {
            // This layer has made it anew: only what is below it may be lower layers'.
            self.make_opaque(layer, standing);
        } else if let Kind::Directory(children) = &mut self.nodes[directory].kind {
            children.remove(name);
        }
    }

    /// Removes what lower layers have in a directory, and keeps what this layer has put there.
    fn make_opaque(&mut self, layer: usize, directory: NodeId) {
        let mut pending = vec![directory];
        while let Some(at) = pending.pop() {
            let Kind::Directory(children) = &self.nodes[at].kind else {
                continue;
            };
            let own: BTreeMap<_, _> = children
                .iter()
                .filter(|(_, child)| self.nodes[**child].layer == layer)
                .map(|(name, child)| (name.clone(), *child))
                .collect();
            pending.extend(own.values());
            if let Kind::Directory(children) = &mut self.nodes[at].kind {
                *children = own;
            }
        }
    }
}

fn meta<R: Read>(entry: &mut tar::Entry<'_, R>, path: &[u8]) -> Result<Meta, TreeError> {
    let header = entry.header();
    let mut meta = Meta {
        mode: header.mode().map_err(tar_error)? & 0o7777,
        uid: header.uid().map_err(tar_error)?,
        gid: header.gid().map_err(tar_error)?,
        mtime: header.mtime().map_err(tar_error)?,
        xattrs: Vec::new(),
    };
    let Some(extensions) = entry.pax_extensions().map_err(tar_error)? else {
        return Ok(meta);
    };
    for extension in extensions {
        let extension = extension.map_err(tar_error)?;
        let Ok(key) = extension.key() else { continue };
        let number = || {
            extension
                .value()
                .ok()
                .and_then(|value| value.split('.').next()?.parse().ok())
        };
        match key {
            "uid" => meta.uid = number().unwrap_or(meta.uid),
            "gid" => meta.gid = number().unwrap_or(meta.gid),
            "mtime" => meta.mtime = number().unwrap_or(meta.mtime),
            _ => {
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    let value = extension.value_bytes();
                    if value.len() > MAX_XATTR_BYTES
                        || name.len() > MAX_NAME_BYTES
                        || meta.xattrs.len() >= MAX_XATTRS
                    {
                        return Err(TreeError::Xattrs(show(path)));
                    }
                    meta.xattrs.push((name.to_owned(), value.to_vec()));
                }
            }
        }
    }
    if meta.uid > u64::from(u32::MAX) || meta.gid > u64::from(u32::MAX) {
        return Err(TreeError::Tar(format!(
            "{:?} has an owner that is no 32-bit number",
            show(path)
        )));
    }
    Ok(meta)
}

fn node_kind<R: Read>(layer: usize, entry: &tar::Entry<'_, R>, path: &[u8]) -> Result<Kind, TreeError> {
    use tar::EntryType;
    let header = entry.header();
    let device = || -> Result<(u32, u32), TreeError> {
        let major = header.device_major().map_err(tar_error)?.unwrap_or(0);
        let minor = header.device_minor().map_err(tar_error)?.unwrap_or(0);
        Ok((major, minor))
    };
    Ok(match header.entry_type() {
        EntryType::Directory => Kind::Directory(BTreeMap::new()),
        EntryType::Regular | EntryType::Continuous => Kind::File {
            layer,
            offset: entry.raw_file_position(),
            bytes: entry.size(),
        },
        EntryType::Symlink => {
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            if target.is_empty() || target.len() >= MAX_PATH_BYTES || target.contains(&0) {
                return Err(TreeError::NameTooLong(show(path)));
            }
            Kind::Symlink(target)
        }
        EntryType::Char => {
            let (major, minor) = device()?;
            Kind::Character(major, minor)
        }
        EntryType::Block => {
            let (major, minor) = device()?;
            Kind::Block(major, minor)
        }
        EntryType::Fifo => Kind::Fifo,
        other => {
            return Err(TreeError::Kind {
                path: show(path),
                kind: char::from(other.as_byte()),
            });
        }
    })
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
