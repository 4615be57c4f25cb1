//! Mounting, and what docker mounts over /proc and /sys.

use crate::error::{Context, Failure, failure};
use guest_protocol::message::ErrorKind;
use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};
use std::fs;
use std::path::{Component, Path, PathBuf};

pub fn directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).context(format_args!("mkdir {}", path.display()))
}

pub fn mount_at(
    source: &str,
    target: &Path,
    kind: &str,
    flags: MountFlags,
    data: &str,
) -> Result<(), Failure> {
    let data =
        std::ffi::CString::new(data).map_err(|_| failure(ErrorKind::Invalid, "mount options have a NUL"))?;
    mount(source, target, kind, flags, data.as_c_str())
        .context(format_args!("mount {kind} at {}", target.display()))
}

/// `target` as a path below `root`, without `..`.
pub fn below(root: &Path, target: &str) -> Result<PathBuf, Failure> {
    let mut path = root.to_owned();
    for component in Path::new(target).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::CurDir => {}
            _ => {
                return Err(failure(
                    ErrorKind::Invalid,
                    format!("mount target {target:?} has a .."),
                ));
            }
        }
    }
    Ok(path)
}

/// Hides and protects the parts of /proc and /sys that docker does.
pub fn protect() -> Result<(), Failure> {
    for path in [
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys",
        "/proc/sysrq-trigger",
    ] {
        if Path::new(path).exists() {
            mount_bind(path, path).context(format_args!("bind {path}"))?;
            let flags = MountFlags::BIND
                | MountFlags::RDONLY
                | MountFlags::NOSUID
                | MountFlags::NODEV
                | MountFlags::NOEXEC;
            mount_remount(path, flags, "").context(format_args!("protect {path}"))?;
        }
    }
    for path in [
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/latency_stats",
    ] {
        if Path::new(path).exists() {
            mount_bind("/dev/null", path).context(format_args!("hide {path}"))?;
        }
    }
    for path in ["/proc/acpi", "/proc/scsi", "/sys/firmware"] {
        if Path::new(path).is_dir() {
            mount_at("tmpfs", Path::new(path), "tmpfs", MountFlags::RDONLY, "size=0")?;
        }
    }
    Ok(())
}

/// mount(8) options as flags and what is left for the file system.
pub fn options(options: &[String]) -> (MountFlags, String) {
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mut data = Vec::new();
    for option in options {
        match option.as_str() {
            "ro" => flags |= MountFlags::RDONLY,
            "rw" | "defaults" => {}
            "exec" => flags -= MountFlags::NOEXEC,
            "suid" => flags -= MountFlags::NOSUID,
            "dev" => flags -= MountFlags::NODEV,
            "noexec" | "nosuid" | "nodev" => {}
            "noatime" => flags |= MountFlags::NOATIME,
            other => data.push(other),
        }
    }
    (flags, data.join(","))
}
