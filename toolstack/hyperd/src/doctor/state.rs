//! The files that hyperd needs, and where it keeps its own.

use super::{Finding, fail, ok, warn};
use crate::config::Config;
use crate::listener;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

const GIB: u64 = 1 << 30;

pub fn findings(config: &Config) -> Vec<Finding> {
    vec![
        kernel_image(config),
        tools(),
        file_system(config),
        space(config),
        leftovers(&config.state_dir),
        group(config),
        socket(config),
        daemon(config),
    ]
}

fn kernel_image(config: &Config) -> Finding {
    let advice = "install Hyper again (scripts/install), or mend the config";
    for (what, path) in [("kernel", &config.kernel), ("initramfs", &config.initramfs)] {
        let mut magic = [0; 4];
        let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
        match read {
            Ok(()) if what == "kernel" && magic != *b"\x7fELF" && !is_compressed_kernel(path) => {
                return fail("guest", format!("{} is no kernel", path.display()), advice);
            }
            Ok(()) => {}
            Err(error) => return fail("guest", format!("{what} {}: {error}", path.display()), advice),
        }
    }
    ok(
        "guest",
        format!("{} and {}", config.kernel.display(), config.initramfs.display()),
    )
}

/// "HdrS" at 0x202: Documentation/arch/x86/boot.rst.
fn is_compressed_kernel(path: &Path) -> bool {
    let mut head = [0; 0x206];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head[0x202..] == *b"HdrS"
}

fn tools() -> Finding {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path
        .split(':')
        .chain(["/usr/sbin", "/sbin"])
        .any(|folder| Path::new(folder).join("mke2fs").exists());
    match found {
        true => ok("tools", "mke2fs is there"),
        false => fail("tools", "mke2fs is missing", "apt install e2fsprogs"),
    }
}

/// The folder itself, or what it will be made in.
fn existing(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|ancestor| ancestor.exists());
    there.unwrap_or(Path::new("/")).to_owned()
}

fn file_system(config: &Config) -> Finding {
    let folder = existing(&config.state_dir);
    match rustix::fs::statfs(&folder) {
        Ok(found) => file_system_finding(&config.state_dir, found.f_type as u64),
        Err(error) => fail(
            "state",
            format!("{}: {error}", folder.display()),
            "mount what belongs there",
        ),
    }
}

/// Numbers of linux/magic.h.
fn file_system_finding(state: &Path, kind: u64) -> Finding {
    let state = state.display();
    match kind {
        0xEF53 => ok("state", format!("{state} on ext4")),
        0x5846_5342 => ok("state", format!("{state} on xfs")),
        0x9123_683E => ok("state", format!("{state} on btrfs")),
        0x2FC1_2FC1 => ok("state", format!("{state} on zfs")),
        0xF2F5_2010 => ok("state", format!("{state} on f2fs")),
        0x0102_1994 | 0x8584_58F6 => warn(
            "state",
            format!("{state} is in memory: images and containers are gone after a boot"),
            "put state-dir on a disk",
        ),
        0x6969 | 0xFF53_4D42 | 0xFE53_4D42 | 0x6573_5546 => fail(
            "state",
            format!("{state} is on a network or FUSE: guests' disks would depend on it"),
            "put state-dir on a local disk",
        ),
        0x794C_7630 => fail(
            "state",
            format!("{state} is on overlayfs"),
            "put state-dir on a disk",
        ),
        other => warn(
            "state",
            format!("{state} is on a file system that is not known here ({other:#x})"),
            "ext4, xfs and btrfs are",
        ),
    }
}

fn space(config: &Config) -> Finding {
    let folder = existing(&config.state_dir);
    match rustix::fs::statvfs(&folder) {
        Ok(found) => space_finding(
            found.f_bavail.saturating_mul(found.f_frsize),
            found.f_files,
            found.f_favail,
        ),
        Err(error) => fail(
            "space",
            format!("{}: {error}", folder.display()),
            "mount what belongs there",
        ),
    }
}

fn space_finding(free_bytes: u64, inodes: u64, free_inodes: u64) -> Finding {
    let advice = "hyper system prune -a, or a larger disk";
    let message = format!("{} MiB are free", free_bytes >> 20);
    if free_bytes < 100 << 20 {
        return fail("space", message, advice);
    }
    if inodes > 0 && free_inodes < 1000 {
        return fail("space", format!("{free_inodes} inodes are free"), advice);
    }
    match free_bytes < 2 * GIB {
        true => warn("space", message, advice),
        false => ok("space", message),
    }
}

/// Loop devices whose files are gone hold their space until they are detached.
fn leftovers(state: &Path) -> Finding {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let left: Vec<String> = entries
        .filter_map(|entry| {
            let file = fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
            is_left(file.trim(), state).then(|| format!("/dev/{}", entry.file_name().to_string_lossy()))
        })
        .collect();
    match left.is_empty() {
        true => ok("leftovers", "none"),
        false => warn(
            "leftovers",
            format!("devices of files that are gone: {}", left.join(", ")),
            format!("unless a guest still uses them: losetup -d {}", left.join(" ")),
        ),
    }
}

fn is_left(file: &str, state: &Path) -> bool {
    file.strip_suffix(" (deleted)")
        .is_some_and(|file| Path::new(file).starts_with(state))
}

fn group(config: &Config) -> Finding {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    match listener::group_id(&config.group, &groups) {
        Some(_) => ok(
            "group",
            format!("{}: its members may use the socket", config.group),
        ),
        None => ok(
            "group",
            format!("there is no group {}: only root may use the socket", config.group),
        ),
    }
}

fn socket(config: &Config) -> Finding {
    let path = &config.socket;
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return ok("socket", format!("{} is made when hyperd starts", path.display()));
        }
        Err(error) => return fail("socket", format!("{}: {error}", path.display()), "be root"),
    };
    let (mode, owner) = (metadata.permissions().mode() & 0o777, metadata.uid());
    let folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
    let open = folder.is_some_and(|folder| folder.permissions().mode() & 0o022 != 0);
    if mode & 0o007 != 0 || owner != 0 || open {
        return fail(
            "socket",
            format!(
                "{} (mode {mode:o}, owner {owner}): others than root and the group can use or replace it",
                path.display()
            ),
            "systemctl restart hyperd; chmod 755 its folder",
        );
    }
    ok("socket", format!("{}, mode {mode:o}", path.display()))
}

fn daemon(config: &Config) -> Finding {
    match UnixStream::connect(&config.socket) {
        Ok(_) => ok("hyperd", "runs"),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => warn(
            "hyperd",
            "its socket may not be used by you",
            "be root or a member of the group",
        ),
        Err(_) => warn(
            "hyperd",
            "does not run",
            "systemctl enable --now hyperd; journalctl -u hyperd says why not",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn file_systems_and_space() {
        let kind = |kind| file_system_finding(Path::new("/x"), kind).level;
        assert_eq!(kind(0xEF53), Level::Ok);
        assert_eq!(kind(0x0102_1994), Level::Warn);
        assert_eq!(kind(0x6969), Level::Fail);
        assert_eq!(kind(1), Level::Warn);
        assert_eq!(space_finding(10 * GIB, 0, 0).level, Level::Ok);
        assert_eq!(space_finding(GIB, 0, 0).level, Level::Warn);
        assert_eq!(space_finding(1, 0, 0).level, Level::Fail);
        assert_eq!(space_finding(10 * GIB, 100_000, 10).level, Level::Fail);
        assert_eq!(existing(Path::new("/nonexistent/deep/down")), Path::new("/"));
    }

    #[test]
    fn files_that_are_gone_are_ours_or_not() {
        let state = Path::new("/var/lib/hyper");
        assert!(is_left("/var/lib/hyper/containers/a/disk.ext4 (deleted)", state));
        assert!(!is_left("/var/lib/hyper/containers/a/disk.ext4", state));
        assert!(!is_left("/home/disk (deleted)", state));
    }

    #[test]
    fn images_of_guests_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let (kernel, initramfs) = (folder.path().join("k"), folder.path().join("i"));
        fs::write(&kernel, b"\x7fELFxxxx").unwrap();
        fs::write(&initramfs, b"070701xx").unwrap();
        let config = |kernel: &Path| Config {
            kernel: kernel.to_owned(),
            initramfs: initramfs.clone(),
            ..Config::default()
        };
        assert_eq!(kernel_image(&config(&kernel)).level, Level::Ok);
        assert_eq!(kernel_image(&config(&initramfs)).level, Level::Fail);
        assert_eq!(
            kernel_image(&config(&folder.path().join("no"))).level,
            Level::Fail
        );
    }
}
