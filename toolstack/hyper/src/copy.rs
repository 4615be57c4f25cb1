//! Docker's rules of `cp`: what a source and a destination are, and what the copy is called where it lands.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, PipeReader, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use archive::{Root, Writer, pack, path};

/// As many links as docker follows to a destination.
const MAX_LINKS: usize = 10;

/// One end of a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    pub path: Vec<u8>,
    pub exists: bool,
    pub is_directory: bool,
    /// What it is called, where that is not the last part of its path.
    pub rebase: Option<Vec<u8>>,
}

/// Where a copy is unpacked, and which first part of its names becomes which.
#[derive(Debug, PartialEq, Eq)]
pub struct Placed {
    pub directory: Vec<u8>,
    pub rename: Option<(Vec<u8>, Vec<u8>)>,
}

/// Moby's `archive.PrepareArchiveCopy`.
pub fn place(source: &End, destination: &End) -> Result<Placed> {
    if destination.exists && destination.is_directory {
        return Ok(Placed {
            directory: destination.path.clone(),
            rename: None,
        });
    }
    if destination.exists && source.is_directory {
        bail!("cannot copy directory");
    }
    if !destination.exists
        && !source.is_directory
        && (path::has_slash(&destination.path) || path::is_current(&destination.path))
    {
        bail!("no such directory");
    }
    let (directory, name) = path::split(&destination.path);
    let old = source
        .rebase
        .clone()
        .unwrap_or_else(|| path::split(&source.path).1);
    // All names below the root begin with it.
    let old = if old == b"/" { Vec::new() } else { old };
    Ok(Placed {
        directory,
        rename: Some((old, name)),
    })
}

/// Where a link's target is, and what the copy is called after the link's name. Moby's `archive.GetRebaseName`.
pub fn follow(original: &[u8], target: Vec<u8>) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut target = target;
    if path::is_current(original) && !path::is_current(&target) {
        target.extend_from_slice(b"/.");
    }
    if path::has_slash(original) && !path::has_slash(&target) {
        target.push(b'/');
    }
    let rebase = (path::base(original) != path::base(&target)).then(|| path::base(original).to_vec());
    (target, rebase)
}

pub fn of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// A path of ours, absolute, with the end that it has.
pub fn local(given: &str) -> Result<Vec<u8>> {
    let absolute = match given.starts_with('/') {
        true => given.as_bytes().to_vec(),
        false => path::join(std::env::current_dir()?.as_os_str().as_bytes(), given.as_bytes()),
    };
    Ok(path::keep_end(path::clean(&absolute), given.as_bytes()))
}

fn lstat(path: &[u8]) -> io::Result<fs::Metadata> {
    fs::symlink_metadata(of(path))
}

fn real(path: &[u8]) -> io::Result<Vec<u8>> {
    fs::canonicalize(of(path))
        .map(PathBuf::into_os_string)
        .map(OsStringExt::into_vec)
}

/// What is copied from here. Moby's `archive.CopyInfoSourcePath`.
pub fn source(given: &[u8], follow_link: bool) -> Result<End> {
    let shown = || format!("cannot copy {}", of(given).display());
    let (path, rebase) = if follow_link {
        follow(given, real(given).with_context(shown)?)
    } else {
        let at = given.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (directory, name) = given.split_at(at + 1);
        let resolved = path::join(&real(directory).with_context(shown)?, name);
        let other = path::has_slash(given) && path::base(given) != path::base(&resolved);
        (resolved, other.then(|| path::base(given).to_vec()))
    };
    let found = lstat(&path).with_context(shown)?;
    Ok(End {
        is_directory: found.is_dir(),
        exists: true,
        path,
        rebase,
    })
}

/// Where something is copied to here. Moby's `archive.CopyInfoDestinationPath`.
pub fn destination(given: &[u8]) -> Result<End> {
    let mut at = given.to_vec();
    for _ in 0..=MAX_LINKS {
        let found = match lstat(&at) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (directory, _) = path::split(&at);
                if !fs::metadata(of(&directory))?.is_dir() {
                    bail!("not a directory");
                }
                return Ok(End {
                    path: at,
                    ..End::default()
                });
            }
            Err(error) => return Err(error).with_context(|| of(given).display().to_string()),
        };
        if !found.is_symlink() {
            return Ok(End {
                is_directory: found.is_dir(),
                exists: true,
                path: at,
                rebase: None,
            });
        }
        let target = fs::read_link(of(&at))?.into_os_string().into_vec();
        at = match target.starts_with(b"/") {
            true => target,
            false => path::clean(&path::join(&path::split(&at).0, &target)),
        };
    }
    bail!("too many symlinks in {}", of(given).display())
}

/// What docker's client checks before it asks for anything.
pub fn check_output(given: &[u8]) -> Result<()> {
    let shown = |path: &[u8]| format!("{:?}", of(path).display().to_string());
    let (directory, _) = path::split(&path::clean(given));
    if !of(&directory).exists() {
        bail!(
            "invalid output path: directory {} does not exist",
            shown(&directory)
        );
    }
    if let Ok(found) = fs::metadata(of(given))
        && !found.is_dir()
        && !found.is_file()
    {
        bail!(
            "invalid output path: {} must be a directory or a regular file",
            shown(given)
        );
    }
    Ok(())
}

/// A tar that a thread makes while it is read. What goes wrong there is an error of the reader.
pub struct Packed {
    pipe: PipeReader,
    thread: Option<JoinHandle<Result<(), archive::Error>>>,
}

/// Packs a source under the name that it is to have.
pub fn packed(source: &End, rename: Option<&(Vec<u8>, Vec<u8>)>) -> Result<Packed> {
    let (directory, file) = path::split(&source.path);
    let name = match rename {
        Some((_, new)) => new.clone(),
        None => source.rebase.clone().unwrap_or_else(|| file.clone()),
    };
    let directory = Root::directory(&directory)?;
    let file = if file == b"/" { b".".to_vec() } else { file };
    let (pipe, writer) = io::pipe()?;
    let thread = std::thread::spawn(move || {
        // As docker's client: other attributes say something only on the host that they come from.
        let mut tar = Writer::new(io::BufWriter::with_capacity(64 << 10, writer), |name| {
            name == "security.capability"
        });
        pack(&mut tar, &directory, &file, &name)?;
        tar.finish().map(drop)
    });
    Ok(Packed {
        pipe,
        thread: Some(thread),
    })
}

impl Read for Packed {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.pipe.read(to)?;
        if length == 0
            && let Some(thread) = self.thread.take()
        {
            let ended = thread.join().map_err(|_| io::Error::other("packing failed"))?;
            ended.map_err(io::Error::other)?;
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn end(path: &str, kind: Option<bool>) -> End {
        End {
            path: path.as_bytes().to_vec(),
            exists: kind.is_some(),
            is_directory: kind == Some(true),
            rebase: None,
        }
    }

    fn placed(source: End, destination: End) -> Result<String, String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let placed = place(&source, &destination).map_err(|error| error.to_string())?;
        let rename = placed
            .rename
            .map(|(old, new)| format!(" {}->{}", text(&old), text(&new)));
        Ok(format!(
            "{}{}",
            text(&placed.directory),
            rename.unwrap_or_default()
        ))
    }

    /// The table of docker's documentation of `cp`.
    #[test]
    fn copies_are_placed_as_dockers() {
        let (file, directory) = (Some(false), Some(true));
        let ok = |text: &str| Ok(text.to_owned());
        let failed = |text: &str| Err(text.to_owned());
        assert_eq!(placed(end("/s/f", file), end("/d/x", None)), ok("/d f->x"));
        assert_eq!(
            placed(end("/s/f", file), end("/d/x/", None)),
            failed("no such directory")
        );
        assert_eq!(placed(end("/s/f", file), end("/d/x", file)), ok("/d f->x"));
        assert_eq!(placed(end("/s/f", file), end("/d/x", directory)), ok("/d/x"));
        assert_eq!(placed(end("/s/t", directory), end("/d/x", None)), ok("/d t->x"));
        assert_eq!(placed(end("/s/t/.", directory), end("/d/x", None)), ok("/d .->x"));
        assert_eq!(
            placed(end("/s/t", directory), end("/d/x", file)),
            failed("cannot copy directory")
        );
        assert_eq!(
            placed(end("/s/t", directory), end("/d/x/", directory)),
            ok("/d/x/")
        );
        assert_eq!(placed(end("/s/t/", directory), end("/d/x/", None)), ok("/d t->x"));
        assert_eq!(placed(end("/", directory), end("/d/x", None)), ok("/d ->x"));
        let renamed = End {
            rebase: Some(b"link".to_vec()),
            ..end("/s/f", file)
        };
        assert_eq!(placed(renamed, end("/d/x", None)), ok("/d link->x"));
    }

    #[test]
    fn links_are_followed_where_docker_does() {
        let folder = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(folder.path()).unwrap();
        let at = |name: &str| [base.as_os_str().as_bytes(), b"/", name.as_bytes()].concat();
        fs::create_dir(base.join("dir")).unwrap();
        fs::write(base.join("dir/file"), "x").unwrap();
        symlink("dir/file", base.join("link")).unwrap();
        symlink("dir", base.join("to-dir")).unwrap();
        symlink("missing", base.join("to-nothing")).unwrap();
        let own = source(&at("link"), false).unwrap();
        assert_eq!(
            (own.path, own.is_directory, own.rebase),
            (at("link"), false, None)
        );
        let followed = source(&at("link"), true).unwrap();
        assert_eq!(
            (followed.path, followed.rebase),
            (at("dir/file"), Some(b"link".to_vec()))
        );
        assert!(!source(&at("to-dir"), false).unwrap().is_directory);
        let inside = source(&at("to-dir/"), false).unwrap();
        assert!(inside.is_directory);
        assert!(source(&at("none"), false).is_err());
        assert_eq!(destination(&at("link")).unwrap().path, at("dir/file"));
        assert!(destination(&at("to-dir")).unwrap().is_directory);
        let missing = destination(&at("to-nothing")).unwrap();
        assert_eq!((missing.path, missing.exists), (at("missing"), false));
        assert!(destination(&at("none/x")).is_err());
        assert!(check_output(&at("none/x")).is_err());
        assert!(check_output(&at("dir")).is_ok());
    }

    #[test]
    fn a_tar_is_read_to_its_end_or_its_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("f"), vec![1; 300_000]).unwrap();
        let found = source(&local(folder.path().join("f").to_str().unwrap()).unwrap(), false).unwrap();
        let mut bytes = Vec::new();
        packed(&found, Some(&(b"f".to_vec(), b"g".to_vec())))
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        let name = bytes.windows(2).position(|part| part == b"g\0");
        assert!(name.is_some() && bytes.len() > 300_000);
    }
}
