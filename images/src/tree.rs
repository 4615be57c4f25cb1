//! The tree that the layers of an image make together.
//!
//! Layers are applied from the lowest up, as the OCI image specification says (layer.md): a whiteout removes what lower
//! layers have, an opaque whiteout empties a directory of it, a directory over a directory keeps its children, and
//! everything else replaces. Whiteouts never hide what their own layer brings, wherever in it they stand. A directory
//! that a layer does not name but needs stays as the layers below have it.

use crate::archive::{Entry, EntryKind, show};
use std::collections::BTreeMap;
use thiserror::Error;

/// What a tree may keep in memory: names, metadata and attributes of all that it has had.
const MAX_TREE_BYTES: usize = 1 << 30;
/// What one more file costs beside its name.
const NODE_BYTES: usize = size_of::<Node>() + 64;
/// No tree has more, so no layer needs more.
pub const MAX_ENTRIES: usize = MAX_TREE_BYTES / NODE_BYTES;
/// Directories one below the other.
const MAX_DEPTH: usize = 1000;
const MAX_NAME_BYTES: usize = 255;
pub const MAX_PATH_BYTES: usize = 4096;
const SYMLINK_MODE: u32 = 0o777;
/// As the kernel follows.
const MAX_LINKS: usize = 40;
/// Steps to entries, along symbolic links and through directories that become opaque, for all layers together: some eighty
/// for each file that a tree can have.
const MAX_STEPS: u64 = 512 << 20;

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
    #[error("entry {0:?} is a sparse file, which is not supported: pack the layer without --sparse")]
    Sparse(String),
    #[error("extended attribute {0:?} is too long, or one too many")]
    Xattrs(String),
}

pub type NodeId = usize;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: i64,
    pub mtime_ns: u32,
    pub xattrs: Vec<(String, Vec<u8>)>,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    pub node: NodeId,
    /// The layer that named it last. Not the node's: a hard link may be younger than its file.
    layer: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Children by name.
    Directory(BTreeMap<Vec<u8>, Child>),
    /// Where its bytes are: layer, offset in that layer's tar, length.
    File {
        layer: usize,
        offset: u64,
        bytes: u64,
        /// The tar has all of its last block, and zeros behind it.
        filled: bool,
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
}

#[derive(Debug)]
pub struct Tree {
    pub nodes: Vec<Node>,
    bytes: usize,
    steps: u64,
}

pub const ROOT: NodeId = 0;

/// A directory that nothing says more about.
fn plain_directory() -> Node {
    Node {
        meta: Meta {
            mode: 0o755,
            ..Meta::default()
        },
        kind: Kind::Directory(BTreeMap::new()),
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![plain_directory()],
            bytes: 0,
            steps: 0,
        }
    }
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
    /// Applies the next entry of a layer; the layers one after the other.
    pub fn apply(&mut self, layer: usize, mut entry: Entry) -> Result<(), TreeError> {
        let path = std::mem::take(&mut entry.path);
        let parts = components(&path)?;
        // Also for a whiteout of nothing, which leaves nothing to be charged for.
        self.step(1)?;
        let Some((name, parents)) = parts.split_last() else {
            // The root itself.
            if entry.kind == EntryKind::Directory {
                self.nodes[ROOT].meta = meta(entry);
            }
            return Ok(());
        };
        // Names that the specification keeps for whiteouts are no directory's; aufs used some for itself.
        if parents.iter().any(|parent| parent.starts_with(b".wh.")) {
            return Ok(());
        }
        if *name == b".wh..wh..opq" {
            let directory = self.directory(layer, parents, &path)?;
            return self.strip_lower(layer, directory).map(drop);
        }
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            // Others than those above are reserved by aufs and mean nothing here.
            if !hidden.starts_with(b".wh.") {
                let directory = self.directory(layer, parents, &path)?;
                self.whiteout(layer, directory, hidden)?;
            }
            return Ok(());
        }
        let directory = self.directory(layer, parents, &path)?;
        let node = if entry.kind == EntryKind::HardLink {
            self.hard_link(&path, &entry.link)?
        } else {
            let kind = node_kind(layer, &mut entry, &path)?;
            let mut meta = meta(entry);
            if matches!(kind, Kind::Symlink(_)) {
                // Whatever its header says: no file system of the kernel keeps another.
                meta.mode = SYMLINK_MODE;
            }
            self.place(directory, name, Node { meta, kind })?
        };
        self.insert(directory, name, Child { node, layer })
    }

    fn children(&self, directory: NodeId) -> Option<&BTreeMap<Vec<u8>, Child>> {
        match &self.nodes[directory].kind {
            Kind::Directory(children) => Some(children),
            _ => None,
        }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), TreeError> {
        self.bytes += bytes;
        if self.bytes > MAX_TREE_BYTES {
            return Err(TreeError::TooManyEntries);
        }
        Ok(())
    }

    fn step(&mut self, steps: u64) -> Result<(), TreeError> {
        self.steps += steps;
        match self.steps > MAX_STEPS {
            true => Err(TreeError::TooManyEntries),
            false => Ok(()),
        }
    }

    fn insert(&mut self, directory: NodeId, name: &[u8], child: Child) -> Result<(), TreeError> {
        self.charge(NODE_BYTES + name.len())?;
        if let Kind::Directory(children) = &mut self.nodes[directory].kind {
            children.insert(name.to_vec(), child);
        }
        Ok(())
    }

    /// A new node, or the directory that stands there with new metadata.
    fn place(&mut self, directory: NodeId, name: &[u8], made: Node) -> Result<NodeId, TreeError> {
        let xattrs = made.meta.xattrs.iter();
        let mut cost: usize = xattrs.map(|(name, value)| 64 + name.len() + value.len()).sum();
        if let Kind::Symlink(target) = &made.kind {
            cost += target.len();
        }
        self.charge(cost)?;
        let standing = self.children(directory).and_then(|children| children.get(name));
        if let Some(&Child { node, .. }) = standing
            && matches!(made.kind, Kind::Directory(_))
            && matches!(self.nodes[node].kind, Kind::Directory(_))
        {
            self.nodes[node].meta = made.meta;
            return Ok(node);
        }
        self.nodes.push(made);
        Ok(self.nodes.len() - 1)
    }

    /// The file that a hard link names; symbolic links on the way to it are followed, itself not.
    fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<NodeId, TreeError> {
        let bad = || TreeError::BadLink {
            link: show(path),
            target: show(target),
        };
        let parts = components(target)?;
        let (name, parents) = parts.split_last().ok_or_else(bad)?;
        let directory = self.walk(None, parents, path)?.ok_or_else(bad)?;
        let found = self.children(directory).and_then(|children| children.get(*name));
        let node = found.ok_or_else(bad)?.node;
        match self.nodes[node].kind {
            Kind::Directory(_) => Err(bad()),
            _ => Ok(node),
        }
    }

    /// The directory that a new entry goes into; what is missing on the way is made.
    fn directory(&mut self, layer: usize, parents: &[&[u8]], path: &[u8]) -> Result<NodeId, TreeError> {
        self.walk(Some(layer), parents, path)?
            .ok_or_else(|| TreeError::NotADirectory(show(path)))
    }

    /// The directory of these names, following symbolic links inside the root; `None` when it does not exist. Missing
    /// directories that are named themselves, not by a link, are made for a layer.
    fn walk(
        &mut self,
        make: Option<usize>,
        parts: &[&[u8]],
        path: &[u8],
    ) -> Result<Option<NodeId>, TreeError> {
        let mut trail = vec![ROOT];
        let mut links = 0;
        for part in parts {
            // What is left of the links that this name led to.
            let mut pending = vec![part.to_vec()];
            let mut through_link = false;
            while let Some(step) = pending.pop() {
                self.step(1).map_err(|too_many| match through_link {
                    true => TreeError::Loop(show(path)),
                    false => too_many,
                })?;
                if trail.len() > MAX_DEPTH {
                    return Err(TreeError::TooDeep(show(path)));
                }
                if step == b".." {
                    if trail.len() > 1 {
                        trail.pop();
                    }
                    continue;
                }
                let at = trail[trail.len() - 1];
                let Some(children) = self.children(at) else {
                    return Ok(None);
                };
                let Some(&Child { node, .. }) = children.get(&step) else {
                    let Some(layer) = make.filter(|_| !through_link) else {
                        return Ok(None);
                    };
                    self.nodes.push(plain_directory());
                    let node = self.nodes.len() - 1;
                    self.insert(at, &step, Child { node, layer })?;
                    trail.push(node);
                    continue;
                };
                match &self.nodes[node].kind {
                    Kind::Directory(_) => trail.push(node),
                    Kind::Symlink(target) => {
                        links += 1;
                        through_link = true;
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
                    }
                    _ => return Ok(None),
                }
            }
        }
        Ok(trail.last().copied())
    }

    /// Removes what lower layers have under a name.
    fn whiteout(&mut self, layer: usize, directory: NodeId, name: &[u8]) -> Result<(), TreeError> {
        let standing = self.children(directory).and_then(|children| children.get(name));
        let Some(child) = standing.copied() else {
            return Ok(());
        };
        let own_below = self.strip_lower(layer, child.node)?;
        if own_below && child.layer != layer {
            self.nodes[child.node].meta = plain_directory().meta;
        } else if child.layer != layer
            && let Kind::Directory(children) = &mut self.nodes[directory].kind
        {
            children.remove(name);
        }
        Ok(())
    }

    /// Removes what lower layers have in a directory, and says whether this layer has put something there. A lower
    /// layer's directory in which it has stays as one that nothing says more about.
    fn strip_lower(&mut self, layer: usize, directory: NodeId) -> Result<bool, TreeError> {
        // Parents before children, then worked off from the end: what is below a directory is done before it is.
        let mut order = vec![directory];
        let mut next = 0;
        while let Some(&at) = order.get(next) {
            next += 1;
            let Some(children) = self.children(at) else {
                continue;
            };
            let is_directory = |node: &NodeId| matches!(self.nodes[*node].kind, Kind::Directory(_));
            order.extend(children.values().map(|child| child.node).filter(is_directory));
            let below = children.len() as u64;
            self.step(below)?;
        }
        let mut any = false;
        for at in order.into_iter().rev() {
            let Kind::Directory(children) = &mut self.nodes[at].kind else {
                continue;
            };
            let mut children = std::mem::take(children);
            children.retain(|_, child| {
                let own_below = self.children(child.node).is_some_and(|below| !below.is_empty());
                if own_below && child.layer != layer {
                    self.nodes[child.node].meta = plain_directory().meta;
                }
                own_below || child.layer == layer
            });
            any = !children.is_empty();
            self.nodes[at].kind = Kind::Directory(children);
        }
        Ok(any)
    }
}

fn meta(entry: Entry) -> Meta {
    Meta {
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        mtime_ns: entry.mtime_ns,
        xattrs: entry.xattrs,
    }
}

fn node_kind(layer: usize, entry: &mut Entry, path: &[u8]) -> Result<Kind, TreeError> {
    let (major, minor) = entry.device;
    Ok(match entry.kind {
        EntryKind::Directory => Kind::Directory(BTreeMap::new()),
        EntryKind::Symlink => {
            let target = std::mem::take(&mut entry.link);
            if target.is_empty() || target.len() >= MAX_PATH_BYTES || target.contains(&0) {
                return Err(TreeError::NameTooLong(show(path)));
            }
            Kind::Symlink(target)
        }
        EntryKind::Character => Kind::Character(major, minor),
        EntryKind::Block => Kind::Block(major, minor),
        EntryKind::Fifo => Kind::Fifo,
        EntryKind::File | EntryKind::HardLink => Kind::File {
            layer,
            offset: entry.offset,
            bytes: entry.bytes,
            filled: entry.filled,
        },
    })
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
