//! A directory that nothing leads out of.

use crate::error::{Context, Error};
use crate::metadata::Stat;
use crate::path;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2, readlinkat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io;

/// Linux's limit is 40; docker's is 255.
const MAX_LINKS: usize = 255;

pub struct Root {
    directory: OwnedFd,
    resolve: ResolveFlags,
}

impl Root {
    /// The root of a container: a link in it leads to where it does for the container.
    pub fn of_container(directory: OwnedFd) -> Self {
        Self {
            directory,
            resolve: ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        }
    }

    /// A directory of ours: a link that leads out of it is an error.
    pub fn beneath(directory: OwnedFd) -> Self {
        Self {
            directory,
            resolve: ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        }
    }

    /// Opens a directory that is ours to choose.
    pub fn directory(path: &[u8]) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::empty()).context("open", path)
    }

    /// Follows links, a last one too, and never leaves the root.
    pub fn open(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let path = match path.iter().position(|byte| *byte != b'/') {
            Some(start) => &path[start..],
            None => b".",
        };
        loop {
            let flags = flags | OFlags::CLOEXEC;
            match openat2(&self.directory, path, flags, Mode::empty(), self.resolve) {
                // Something was renamed meanwhile, or a signal came: neither says anything about the path.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    /// The directory in which a path's last component is, and its name in it: `.` of what cannot be a link, such as
    /// `a/` and `/`.
    pub fn find(&self, path: &[u8]) -> Result<(OwnedFd, Vec<u8>), Error> {
        let whole = path::has_slash(path) || path::is_current(path);
        let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
            _ if whole => (path, &b"."[..]),
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        let opened = self
            .open(directory, OFlags::PATH | OFlags::DIRECTORY)
            .context("find", path)?;
        Ok((opened, name.to_vec()))
    }

    /// A path's own status.
    pub fn stat(&self, path: &[u8]) -> Result<Stat, Error> {
        let (directory, name) = self.find(path)?;
        Stat::at(&directory, &name).context("find", path)
    }

    /// Where a path leads in the end, by all its links, from the root. What is not there is kept as it is.
    pub fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        let mut left: VecDeque<Vec<u8>> = parts(path).collect();
        let mut resolved: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(part) = left.pop_front() {
            if part == b".." {
                resolved.pop();
                continue;
            }
            let directory = resolved.join(&b'/');
            let target = self
                .open(&directory, OFlags::PATH | OFlags::DIRECTORY)
                .and_then(|directory| Ok(readlinkat(&directory, &part[..], Vec::new())?));
            let Ok(target) = target else {
                resolved.push(part);
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::Io {
                    what: "resolve",
                    path: crate::error::shown(path),
                    source: Errno::LOOP.into(),
                });
            }
            let target = target.into_bytes();
            if target.starts_with(b"/") {
                resolved.clear();
            }
            for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                left.push_front(part);
            }
        }
        Ok([b"/", &resolved.join(&b'/')[..]].concat())
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

fn parts(path: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    path.split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_link_leads_out() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("root");
        fs::create_dir_all(inner.join("etc")).unwrap();
        fs::write(outer.path().join("secret"), "x").unwrap();
        for (name, target) in [
            ("up", "../../../../../.."),
            ("root", "/"),
            ("etc/secret", "../../secret"),
            ("abs", "/etc"),
            ("loop", "loop"),
            ("gone", "/etc/../nothing/here"),
        ] {
            symlink(target, inner.join(name)).unwrap();
        }
        let root = Root::of_container(Root::directory(inner.as_os_str().as_bytes()).unwrap());
        let own = Stat::of(&root).unwrap().inode;
        let inode = |path: &str| {
            Stat::of(root.open(path.as_bytes(), OFlags::PATH).unwrap())
                .unwrap()
                .inode
        };
        for path in ["/", "", "up", "root", "abs/..", "../..", "up/up"] {
            assert_eq!(inode(path), own, "{path}");
        }
        assert!(root.open(b"etc/secret", OFlags::PATH).is_err());
        for (path, resolved) in [
            ("/up/abs", "/etc"),
            ("abs/x/../y", "/etc/y"),
            ("gone", "/nothing/here"),
            ("etc/secret", "/secret"),
        ] {
            assert_eq!(
                root.resolve(path.as_bytes()).unwrap(),
                resolved.as_bytes(),
                "{path}"
            );
        }
        assert!(root.resolve(b"loop").is_err());
        assert!(root.stat(b"/abs").unwrap().kind().is_symlink());
        assert!(root.stat(b"/abs/").unwrap().is_directory());
        assert!(root.stat(b"/none").unwrap_err().is_not_found());
        let beneath = Root::beneath(Root::directory(inner.as_os_str().as_bytes()).unwrap());
        assert!(beneath.open(b"up", OFlags::PATH).is_err());
        assert!(beneath.open(b"abs", OFlags::PATH).is_err());
    }
}
