//! A container's own disk: a sparse clone of an empty ext4 that is made once.

use crate::error::{Error, ErrorKind};
use rustix::fs::{FallocateFlags, SeekFrom, copy_file_range, fallocate, ftruncate, ioctl_ficlone, seek};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Bumped when the template is made in another way.
const FORMAT: &str = "2";

fn failed(what: String) -> impl FnOnce(io::Error) -> Error {
    move |error| {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Unavailable,
            _ => ErrorKind::Failed,
        };
        Error::from_source(kind, &what, &error)
    }
}

/// The template of this size, made if it is not there.
pub fn template(state_dir: &Path, disk_mib: u64) -> Result<PathBuf, Error> {
    let path = state_dir.join(format!("disk-{disk_mib}m-{FORMAT}.ext4"));
    if path.exists() {
        return Ok(path);
    }
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let what = || format!("cannot make {}", new.display());
    let file = File::create(&new).map_err(failed(what()))?;
    ftruncate(&file, disk_mib << 20).map_err(|error| failed(what())(error.into()))?;
    // Tables of a sparse file are zero as they are: nothing is left for the guest's kernel to initialise. What is set aside
    // for growing would be 4 MiB in each container; without it a grown disk keeps the rest of its descriptors elsewhere.
    let output = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-m", "0", "-J", "size=16", "-O", "^resize_inode"])
        .args(["-E", "lazy_itable_init=0,lazy_journal_init=1,root_owner=0:0"])
        .arg(&new)
        .stdin(Stdio::null())
        .output()
        .map_err(failed("cannot run mkfs.ext4: install e2fsprogs".to_owned()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or("no reason given");
        return Err(Error::failed(format!("mkfs.ext4 failed: {last}")));
    }
    file.sync_all().map_err(failed(what()))?;
    fs::rename(&new, &path).map_err(failed(what()))?;
    Ok(path)
}

/// Clones the template: shares its blocks where the file system can, copies only its data where not.
pub fn clone(template: &Path, to: &Path) -> Result<(), Error> {
    let what = || format!("cannot make the disk {}", to.display());
    // Whoever has the name already keeps it.
    let file = File::options().write(true).create_new(true).open(to);
    let file = file.map_err(failed(what()))?;
    let copied = (|| {
        let from = File::open(template)?;
        if ioctl_ficlone(&file, &from).is_ok() {
            return Ok(());
        }
        let length = from.metadata()?.len();
        ftruncate(&file, length)?;
        copy_data(&from, &file, length)
    })();
    copied.map_err(|error| {
        let _ = fs::remove_file(to);
        failed(what())(error)
    })
}

/// What a disk takes of the host beyond what an empty one does; 0 when there is none.
pub fn written_bytes(template: &Path, disk: &Path) -> u64 {
    let allocated = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.blocks() * 512);
    allocated(disk).saturating_sub(allocated(template))
}

/// Copies the parts of a sparse file that hold data.
fn copy_data(from: &File, to: &File, length: u64) -> io::Result<()> {
    let mut at = 0;
    while at < length {
        let start = match seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data after this.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(from, SeekFrom::Hole(start))?;
        // Room is taken at once, so that a full disk is found here and not halfway.
        fallocate(to, FallocateFlags::empty(), start, end - start)?;
        let (mut read_at, mut write_at) = (start, start);
        while read_at < end {
            let copied = copy_file_range(
                from,
                Some(&mut read_at),
                to,
                Some(&mut write_at),
                (end - start) as usize,
            )?;
            if copied == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        at = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_clone_has_the_same_bytes_and_no_more_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let file = File::create(&from).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(&[7; 10_000], 1 << 20).unwrap();
        file.write_all_at(&[9; 5], (40 << 20) + 3).unwrap();
        file.sync_all().unwrap();
        clone(&from, &to).unwrap();
        assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap());
        assert!(fs::metadata(&to).unwrap().blocks() <= fs::metadata(&from).unwrap().blocks() + 64);
        assert!(clone(&from, &to).is_err(), "a disk is never overwritten");

        let file = File::options().write(true).open(&to).unwrap();
        file.write_all_at(&[1; 1 << 20], 8 << 20).unwrap();
        file.sync_all().unwrap();
        // File systems keep some blocks for themselves, not as many in each file.
        let written = written_bytes(&from, &to);
        assert!((900 << 10..2 << 20).contains(&written), "{written}");
        assert_eq!(written_bytes(&from, &folder.path().join("none")), 0);
    }
}
