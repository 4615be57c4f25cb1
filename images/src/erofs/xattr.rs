//! Extended attributes: `struct erofs_xattr_ibody_header` and `struct erofs_xattr_entry` of Linux'
//! `fs/erofs/erofs_fs.h`.
//!
//! Those of an inode stand behind it. One that several inodes have, or that is large, stands once in an area of its
//! own, and the inodes have its number: its position there in steps of four bytes.

use crate::Error;
use crate::tree::{Meta, NodeId, Tree};
use std::collections::HashMap;

/// Of the attributes of one inode.
pub const HEADER_BYTES: usize = 12;
/// Larger ones go into the shared area, so that those of one inode stay within what it can say of them.
const MAX_INLINE_BYTES: usize = 256;
/// How many of the shared ones an inode can name.
const MAX_SHARED: usize = u8::MAX as usize;

/// Namespaces, by their numbers in the format. A complete name among them has nothing behind it.
const NAMESPACES: &[(&str, u8)] = &[
    ("user.", 1),
    ("system.posix_acl_access", 2),
    ("system.posix_acl_default", 3),
    ("trusted.", 4),
    ("security.", 6),
];

type Xattr<'a> = (&'a str, &'a [u8]);

/// The attributes that several inodes have, and where each stands.
#[derive(Default)]
pub struct Shared<'a> {
    pub area: Vec<u8>,
    numbers: HashMap<Xattr<'a>, u32>,
}

/// A name as the format has it. `None` for one of another namespace: no file system of the kernel would take it either.
fn split(name: &str) -> Option<(u8, &str)> {
    NAMESPACES.iter().find_map(|(prefix, index)| {
        let rest = name.strip_prefix(prefix)?;
        (prefix.ends_with('.') != rest.is_empty()).then_some((*index, rest))
    })
}

fn append((name, value): Xattr<'_>, to: &mut Vec<u8>) -> Result<(), Error> {
    let Some((index, rest)) = split(name) else {
        return Ok(());
    };
    let limit = |what: &str, most: usize| Error::Limit {
        what: format!("the {what} of the extended attribute {name:?}"),
        limit: format!("{most} bytes"),
    };
    let name_bytes = u8::try_from(rest.len()).map_err(|_| limit("name", u8::MAX.into()))?;
    let value_bytes = u16::try_from(value.len()).map_err(|_| limit("value", u16::MAX.into()))?;
    to.extend([name_bytes, index]);
    to.extend(value_bytes.to_le_bytes());
    to.extend(rest.bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
    Ok(())
}

fn of(meta: &Meta) -> impl Iterator<Item = Xattr<'_>> {
    let all = meta.xattrs.iter();
    all.map(|(name, value)| (name.as_str(), value.as_slice()))
        .filter(|(name, _)| split(name).is_some())
}

impl<'a> Shared<'a> {
    /// Finds what to share among these nodes.
    pub fn of(tree: &'a Tree, nodes: &[NodeId]) -> Result<Self, Error> {
        let all = || nodes.iter().flat_map(|node| of(&tree.nodes[*node].meta));
        let mut uses: HashMap<Xattr<'_>, u32> = HashMap::new();
        for xattr in all() {
            *uses.entry(xattr).or_default() += 1;
        }
        let mut shared = Self::default();
        // In the order of the nodes, so that the same tree always gives the same bytes.
        for xattr in all() {
            let large = xattr.0.len() + xattr.1.len() > MAX_INLINE_BYTES;
            if (large || uses[&xattr] > 1) && !shared.numbers.contains_key(&xattr) {
                let number = u32::try_from(shared.area.len() / 4).map_err(|_| Error::Limit {
                    what: "all extended attributes".to_owned(),
                    limit: format!("{} bytes", u64::from(u32::MAX) * 4),
                })?;
                shared.numbers.insert(xattr, number);
                append(xattr, &mut shared.area)?;
            }
        }
        Ok(shared)
    }

    /// What stands behind the inode: nothing when it has no attributes.
    pub fn body(&self, meta: &Meta) -> Result<Vec<u8>, Error> {
        let (mut numbers, mut entries) = (Vec::new(), Vec::new());
        for xattr in of(meta) {
            match self.numbers.get(&xattr) {
                Some(number) if numbers.len() < MAX_SHARED => numbers.push(*number),
                _ => append(xattr, &mut entries)?,
            }
        }
        if numbers.is_empty() && entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; HEADER_BYTES];
        // The filter before it, of names that are surely not there, is not used.
        bytes[4] = numbers.len() as u8;
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(entries);
        Ok(bytes)
    }
}
