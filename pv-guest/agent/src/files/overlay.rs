//! How a container's files differ from its image's, read from the directories that an overlay is made of: the
//! container's own above, the image's below.

use archive::{Error, MAX_DEPTH, Stat, Writer, list, open_directory, path, xattrs, xattrs_at};
use guest_protocol::files::{Change, ChangeKind};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, fgetxattr};
use std::io::Write;

/// How OCI's layers say that a file is gone, and that a directory hides the one below it.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

pub struct Overlay {
    pub upper: OwnedFd,
    pub lower: OwnedFd,
}

struct Level {
    upper: OwnedFd,
    /// The image's directory of the same path, if it has one.
    lower: Option<OwnedFd>,
    names: std::vec::IntoIter<Vec<u8>>,
    /// In the level above, and from the root.
    name: Vec<u8>,
    path: Vec<u8>,
    /// Nothing has been said of this directory, which is as the image has it but for what is in it.
    unsaid: bool,
    /// The image's files of this path are hidden, unless they are here too.
    opaque: bool,
}

/// What stands under a name in one of the directories.
#[derive(Clone)]
enum Found {
    Nothing,
    Whiteout,
    File(Stat),
}

fn look(directory: impl AsFd, name: &[u8]) -> Result<Found, Error> {
    match Stat::at(directory, name) {
        Ok(stat) if stat.kind() == FileType::CharacterDevice && (stat.major, stat.minor) == (0, 0) => {
            Ok(Found::Whiteout)
        }
        Ok(stat) => Ok(Found::File(stat)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(source) => Err(Error::Io {
            what: "stat",
            path: String::from_utf8_lossy(name).into_owned(),
            source,
        }),
    }
}

/// What docker compares: of directories neither size nor time.
fn differs(new: &Stat, old: &Stat) -> bool {
    let same_time = (new.mtime, new.mtime_ns) == (old.mtime, old.mtime_ns)
        || (new.mtime == old.mtime && (new.mtime_ns == 0 || old.mtime_ns == 0));
    (new.mode, new.uid, new.gid) != (old.mode, old.uid, old.gid)
        || (new.major, new.minor) != (old.major, old.minor)
        || (!new.is_directory() && (!same_time || new.bytes != old.bytes))
}

fn is_opaque(directory: &OwnedFd) -> bool {
    let mut value = [0; 1];
    fgetxattr(directory, "trusted.overlay.opaque", &mut value).is_ok_and(|length| value[..length] == *b"y")
}

/// Overlay's own marks say nothing outside of it.
pub fn is_kept(name: &str) -> bool {
    !name.starts_with("trusted.overlay.") && !name.starts_with("user.overlay.")
}

impl Overlay {
    /// What the agent makes for its mounts where the image has nothing: docker has such files in a layer that nobody
    /// sees. `stat` is of the upper directory, and the image has nothing there.
    fn is_scaffold(&self, path: &[u8], stat: &Stat) -> bool {
        let is_empty = |allowed: &[&[u8]]| {
            let opened = open_directory(&self.upper, path, path).ok().flatten();
            let names = opened.and_then(|directory| list(&directory, path).ok());
            names.is_some_and(|names| {
                names.iter().all(|name| {
                    let below = path::join(path, name);
                    allowed.contains(&&below[..])
                        && matches!(look(&self.upper, &below), Ok(Found::File(stat)) if self.is_scaffold(&below, &stat))
                })
            })
        };
        const FILES: &[&[u8]] = &[b"etc/hostname", b"etc/hosts", b"etc/resolv.conf"];
        match path {
            b"dev" | b"proc" | b"sys" => stat.is_directory() && is_empty(&[]),
            b"etc" => stat.is_directory() && is_empty(FILES),
            other => FILES.contains(&other) && stat.kind() == FileType::RegularFile && stat.bytes == 0,
        }
    }

    fn top(&self) -> Result<Level, Error> {
        let own = |directory: &OwnedFd| open_directory(directory, b".", b"/");
        let (Some(upper), lower) = (own(&self.upper)?, own(&self.lower)?) else {
            return Err(Error::NotADirectory);
        };
        Ok(Level {
            names: list(&upper, b"/")?.into_iter(),
            upper,
            lower,
            name: b".".to_vec(),
            path: Vec::new(),
            unsaid: false,
            opaque: false,
        })
    }

    /// Calls `each` for every path that is not as the image has it, in order; a directory in which something is not
    /// is one, too.
    pub fn changes(&self, each: &mut dyn FnMut(Change) -> Result<(), Error>) -> Result<(), Error> {
        let mut levels = vec![self.top()?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            let path = path::join(&level.path, &name);
            let new = look(&level.upper, &name)?;
            let old = match &level.lower {
                Some(lower) => look(lower, &name)?,
                None => Found::Nothing,
            };
            let kind = match (&new, &old) {
                (Found::Whiteout | Found::Nothing, Found::File(_)) => Some(ChangeKind::Deleted),
                (Found::Whiteout | Found::Nothing, _) => None,
                (Found::File(new), Found::Nothing | Found::Whiteout) => match self.is_scaffold(&path, new) {
                    true => continue,
                    false => Some(ChangeKind::Added),
                },
                (Found::File(new), Found::File(old)) => (differs(new, old)
                    || level.has_other_capability(new, &name))
                .then_some(ChangeKind::Modified),
            };
            let below = match &new {
                Found::File(stat) if stat.is_directory() => level.below(&name, &path)?,
                _ => None,
            };
            if let Some(kind) = kind {
                for above in levels.iter_mut().filter(|level| level.unsaid) {
                    above.unsaid = false;
                    each(changed(ChangeKind::Modified, &above.path))?;
                }
                each(changed(kind, &path))?;
            }
            if let Some(mut below) = below {
                below.unsaid = kind.is_none();
                if below.opaque
                    && let Some(lower) = &below.lower
                {
                    let mut names: Vec<_> = below.names.chain(list(lower, &below.path)?).collect();
                    names.sort();
                    names.dedup();
                    below.names = names.into_iter();
                }
                push(&mut levels, below)?;
            }
        }
        Ok(())
    }

    /// Writes the same as a layer.
    pub fn layer(&self, writer: &mut Writer<impl Write>) -> Result<(), Error> {
        let top = self.top()?;
        let of_root = |directory: &OwnedFd| Stat::at(directory, b".");
        if let (Ok(new), Some(Ok(old))) = (of_root(&top.upper), top.lower.as_ref().map(of_root))
            && differs(&new, &old)
        {
            writer.add(&top.upper, b".", b".")?;
        }
        let mut levels = vec![top];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            let path = path::join(&level.path, &name);
            let old = match &level.lower {
                Some(lower) => look(lower, &name)?,
                None => Found::Nothing,
            };
            let new = match look(&level.upper, &name)? {
                Found::Nothing => continue,
                Found::Whiteout => {
                    let hidden = path::join(&level.path, &[WHITEOUT, &name].concat());
                    say(writer, &mut levels)?;
                    writer.mark(&hidden)?;
                    continue;
                }
                Found::File(stat) => stat,
            };
            if matches!(old, Found::Nothing) && self.is_scaffold(&path, &new) {
                continue;
            }
            let below = match new.is_directory() {
                true => level.below(&name, &path)?,
                false => None,
            };
            let Some(mut below) = below else {
                say(writer, &mut levels)?;
                if let Some(level) = levels.last() {
                    writer.add(&level.upper, &name, &path)?;
                }
                continue;
            };
            below.unsaid = match (&old, &below.lower) {
                (Found::File(old), Some(lower)) => {
                    !differs(&new, old)
                        && !below.opaque
                        && xattrs(&below.upper, is_kept) == xattrs(lower, is_kept)
                }
                _ => false,
            };
            let (hides, unsaid) = (
                below.opaque && !level.opaque && below.lower.is_some(),
                below.unsaid,
            );
            push(&mut levels, below)?;
            if !unsaid {
                say(writer, &mut levels)?;
                if let [.., above, own] = &levels[..] {
                    writer.add(&above.upper, &own.name, &own.path)?;
                }
            }
            if hides {
                writer.mark(&path::join(&path, OPAQUE))?;
            }
        }
        Ok(())
    }
}

impl Level {
    /// The level of a directory; nothing when it is gone.
    fn below(&self, name: &[u8], path: &[u8]) -> Result<Option<Self>, Error> {
        let Some(upper) = open_directory(&self.upper, name, path)? else {
            return Ok(None);
        };
        let lower = match &self.lower {
            Some(lower) => open_directory(lower, name, path)?,
            None => None,
        };
        Ok(Some(Self {
            names: list(&upper, path)?.into_iter(),
            opaque: self.opaque || is_opaque(&upper),
            upper,
            lower,
            name: name.to_vec(),
            path: path.to_vec(),
            unsaid: false,
        }))
    }

    /// Whether a file has other capabilities than the image's.
    fn has_other_capability(&self, stat: &Stat, name: &[u8]) -> bool {
        let of = |directory: &OwnedFd| xattrs_at(directory, name, |name| name == "security.capability");
        stat.kind() == FileType::RegularFile
            && self
                .lower
                .as_ref()
                .is_some_and(|lower| of(&self.upper) != of(lower))
    }
}

fn changed(kind: ChangeKind, path: &[u8]) -> Change {
    Change {
        kind,
        path: [b"/", path].concat(),
    }
}

/// Adds the directories above that were put off until something in them has changed.
fn say(writer: &mut Writer<impl Write>, levels: &mut [Level]) -> Result<(), Error> {
    for at in 1..levels.len() {
        if std::mem::take(&mut levels[at].unsaid) {
            writer.add(&levels[at - 1].upper, &levels[at].name, &levels[at].path)?;
        }
    }
    Ok(())
}

fn push(levels: &mut Vec<Level>, level: Level) -> Result<(), Error> {
    if levels.len() >= MAX_DEPTH {
        return Err(Error::TooDeep(String::from_utf8_lossy(&level.path).into_owned()));
    }
    levels.push(level);
    Ok(())
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
