//! Things that are slow to make are made once and kept under a hash of what they were made from.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// `$HYPER_LAB_CACHE`, else `~/.cache/hyper-lab`.
pub fn root() -> Result<PathBuf> {
    let path = match std::env::var_os("HYPER_LAB_CACHE") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache/hyper-lab"),
    };
    fs::create_dir_all(&path).with_context(|| format!("cannot make the cache folder {}", path.display()))?;
    Ok(path)
}

/// A hash over names and contents, in the order given.
#[derive(Default)]
pub struct Key(Sha256);

impl Key {
    pub fn text(mut self, text: &str) -> Self {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
        self
    }

    /// A file, or every file below a folder.
    pub fn path(mut self, path: &Path) -> Result<Self> {
        if path.is_dir() {
            let mut entries: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
            entries.sort_by_key(|entry| entry.file_name());
            for entry in entries {
                self = self.path(&entry.path())?;
            }
            return Ok(self);
        }
        self = self.text(&path.file_name().unwrap_or_default().to_string_lossy());
        let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        std::io::copy(&mut file, &mut HashWriter(&mut self.0))?;
        Ok(self)
    }

    pub fn finish(self) -> String {
        let mut hex = data_encoding::HEXLOWER.encode(&self.0.finalize());
        hex.truncate(16);
        hex
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The folder `kind-key` of the cache, made by `make` in a temporary folder beside it when it is not there.
/// Two processes that want the same thing make it once. Older folders of the same kind go.
pub fn once(kind: &str, key: &str, what: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let root = root()?;
    let done = root.join(format!("{kind}-{key}"));
    if done.is_dir() {
        return Ok(done);
    }
    let lock = File::create(root.join(format!("{kind}.lock")))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    if done.is_dir() {
        return Ok(done);
    }
    eprintln!("==> {what}");
    let started = Instant::now();
    let new = root.join(format!("{kind}-{key}.new"));
    remove(&new)?;
    fs::create_dir(&new)?;
    make(&new)
        .inspect_err(|_| drop(remove(&new)))
        .with_context(|| format!("{what} failed"))?;
    for old in fs::read_dir(&root)?.flatten() {
        let name = old.file_name();
        if is_generation(&name, kind) && old.path() != new {
            remove(&old.path())?;
        }
    }
    fs::rename(&new, &done)?;
    eprintln!("    {what}: {} s", started.elapsed().as_secs());
    Ok(done)
}

/// `kind-` and a key of 16 digits.
fn is_generation(name: &OsStr, kind: &str) -> bool {
    name.to_str()
        .and_then(|name| name.strip_prefix(kind)?.strip_prefix('-'))
        .is_some_and(|key| key.len() == 16 && key.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_tells_contents_and_boundaries_apart() {
        let key = |a: &str, b: &str| Key::default().text(a).text(b).finish();
        assert_eq!(key("a", "b"), key("a", "b"));
        assert_ne!(key("ab", ""), key("a", "b"));
    }

    #[test]
    fn only_generations_of_the_same_kind_are_old() {
        assert!(is_generation(
            OsStr::new("dom0-4.20-0123456789abcdef"),
            "dom0-4.20"
        ));
        assert!(!is_generation(OsStr::new("dom0-4.20-0123456789abcdef"), "dom0"));
        assert!(!is_generation(OsStr::new("dom0-4.20.lock"), "dom0-4.20"));
    }
}
