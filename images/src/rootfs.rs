//! The read-only root file system of an image: its merged tree as EROFS.
//!
//! `mkfs.erofs` makes the file system for now, from one tar that is written to it as a stream. Every directory is named
//! in that tar, since mkfs.erofs would give one that is not mode 0777.

use crate::Error;
use crate::tree::{Kind, MAX_PATH_BYTES, Meta, NodeId, ROOT, Tree};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is kept of what mkfs.erofs says.
const MAX_MESSAGE_BYTES: usize = 4096;

/// Merges layers, lowest first, and writes their EROFS to `out`.
pub fn make(layers: &[(String, PathBuf)], out: &Path) -> Result<(), Error> {
    let mut tree = Tree::default();
    for (index, (digest, path)) in layers.iter().enumerate() {
        let file = File::open(path).map_err(Error::read(path))?;
        tree.apply(index, BufReader::with_capacity(64 << 10, file))
            .map_err(|error| Error::Layer {
                layer: digest.clone(),
                why: error.to_string(),
            })?;
    }
    let mut child = Command::new("mkfs.erofs")
        .args(["--tar=f", "--quiet", "-Enoinline_data", "-Uclear"])
        .arg(out)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::NoMakeRoot)?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let (written, message) = std::thread::scope(|scope| {
        // Read while the tar is written: a mkfs.erofs that has much to say would wait for us, and we for it.
        let message = scope.spawn(|| stderr.map_or_else(Vec::new, end_of));
        let written = stdin.map_or(Ok(()), |stdin| write_tar(&tree, layers, stdin));
        (written, message.join().unwrap_or_default())
    });
    let message = String::from_utf8_lossy(&message);
    let status = child.wait().map_err(Error::NoMakeRoot)?;
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(Error::MakeRoot(format!("its input broke off: {error}")));
    }
    if !status.success() {
        let last = message
            .trim()
            .lines()
            .last()
            .unwrap_or("no reason given")
            .to_owned();
        return Err(Error::MakeRoot(last));
    }
    let file = File::open(out).map_err(Error::read(out))?;
    file.sync_all().map_err(Error::write(out))
}

/// The last bytes of a stream.
fn end_of(mut stream: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; MAX_MESSAGE_BYTES];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..length]);
        kept.drain(..kept.len().saturating_sub(MAX_MESSAGE_BYTES));
    }
    kept
}

/// How many names each node has.
fn count_names(tree: &Tree) -> Vec<u32> {
    let mut names = vec![0; tree.nodes.len()];
    let mut pending = vec![ROOT];
    while let Some(id) = pending.pop() {
        names[id] += 1;
        if let Kind::Directory(children) = &tree.nodes[id].kind {
            pending.extend(children.values().map(|child| child.node));
        }
    }
    names
}

/// The whole tree as one tar, each file's bytes taken from its layer.
pub(crate) fn write_tar(tree: &Tree, layers: &[(String, PathBuf)], out: impl Write) -> io::Result<()> {
    let mut files = layers
        .iter()
        .map(|(_, path)| File::open(path))
        .collect::<io::Result<Vec<_>>>()?;
    let mut builder = tar::Builder::new(BufWriter::with_capacity(1 << 20, out));
    let names = count_names(tree);
    let mut first_paths = HashMap::new();
    // Directories before what is in them, names in order.
    let mut pending = vec![(ROOT, b"./".to_vec())];
    while let Some((id, path)) = pending.pop() {
        // Deeper than any entry was named: built through symbolic links.
        if path.len() > MAX_PATH_BYTES {
            return Err(io::Error::other("a path in the image is too long"));
        }
        let linked = names[id] > 1;
        write_node(
            tree,
            id,
            &path,
            &mut files,
            &mut builder,
            linked.then_some(&mut first_paths),
        )?;
        if let Kind::Directory(children) = &tree.nodes[id].kind {
            for (name, child) in children.iter().rev() {
                let mut child_path = path.clone();
                child_path.extend_from_slice(name);
                if matches!(tree.nodes[child.node].kind, Kind::Directory(_)) {
                    child_path.push(b'/');
                }
                pending.push((child.node, child_path));
            }
        }
    }
    builder.into_inner()?.flush()
}

fn write_node(
    tree: &Tree,
    id: NodeId,
    path: &[u8],
    files: &mut [File],
    builder: &mut tar::Builder<impl Write>,
    first_paths: Option<&mut HashMap<NodeId, Vec<u8>>>,
) -> io::Result<()> {
    let node = &tree.nodes[id];
    let mut header = tar::Header::new_ustar();
    set_meta(&mut header, &node.meta);
    header.set_size(0);
    let mut extensions: Vec<(String, Vec<u8>)> = Vec::new();
    put(&mut header, path, &mut extensions, "path", |ustar| {
        &mut ustar.name
    });
    if let Some(first_paths) = first_paths {
        if let Some(first) = first_paths.get(&id) {
            header.set_entry_type(tar::EntryType::Link);
            put(&mut header, first, &mut extensions, "linkpath", |ustar| {
                &mut ustar.linkname
            });
            return finish(builder, &mut header, &extensions, io::empty());
        }
        first_paths.insert(id, path.to_vec());
    }
    extensions.extend(
        node.meta
            .xattrs
            .iter()
            .map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.clone())),
    );
    match &node.kind {
        Kind::Directory(_) => header.set_entry_type(tar::EntryType::Directory),
        Kind::File { layer, offset, bytes } => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(*bytes);
            let file = &mut files[*layer];
            file.seek(SeekFrom::Start(*offset))?;
            let mut data = file.take(*bytes);
            finish(builder, &mut header, &extensions, &mut data)?;
            // What follows would be read as something else.
            return match data.limit() {
                0 => Ok(()),
                _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            };
        }
        Kind::Symlink(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            put(&mut header, target, &mut extensions, "linkpath", |ustar| {
                &mut ustar.linkname
            });
        }
        Kind::Character(major, minor) | Kind::Block(major, minor) => {
            let kind = match node.kind {
                Kind::Block(..) => tar::EntryType::Block,
                _ => tar::EntryType::Char,
            };
            header.set_entry_type(kind);
            header.set_device_major(*major)?;
            header.set_device_minor(*minor)?;
        }
        Kind::Fifo => header.set_entry_type(tar::EntryType::Fifo),
    }
    finish(builder, &mut header, &extensions, io::empty())
}

fn set_meta(header: &mut tar::Header, meta: &Meta) {
    header.set_mode(meta.mode);
    header.set_uid(meta.uid);
    header.set_gid(meta.gid);
    header.set_mtime(meta.mtime);
}

/// Sets a name in its field of the header or, when it is too long for that, as an extension.
fn put(
    header: &mut tar::Header,
    name: &[u8],
    extensions: &mut Vec<(String, Vec<u8>)>,
    key: &str,
    field: impl Fn(&mut tar::UstarHeader) -> &mut [u8; 100],
) {
    let Some(ustar) = header.as_ustar_mut() else {
        return;
    };
    let field = field(ustar);
    if name.len() < field.len() {
        field[..name.len()].copy_from_slice(name);
    } else {
        extensions.push((key.to_owned(), name.to_vec()));
    }
}

fn finish(
    builder: &mut tar::Builder<impl Write>,
    header: &mut tar::Header,
    extensions: &[(String, Vec<u8>)],
    data: impl Read,
) -> io::Result<()> {
    if !extensions.is_empty() {
        builder.append_pax_extensions(
            extensions
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_slice())),
        )?;
    }
    header.set_cksum();
    builder.append(header, data)
}
