//! The guest itself: its file systems, its loopback, its limits, its end.

use crate::container::CONTAINERS;
use crate::error::{Context, Failure};
use crate::kmsg;
use crate::mounts::{directory, mount_at};
use crate::sys;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_move, unmount};
use std::path::Path;

/// Open files of one process, as docker's daemon has them and gives them on; the kernel's limit for any process.
pub const OPEN_FILES: u64 = 1 << 20;

/// What every guest needs before it can be of use.
pub fn prepare() -> Result<(), Failure> {
    mount_file_systems()?;
    // The agent has several descriptors for each process, and its children inherit the limits.
    sys::set_limit(libc::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES).context("raise the limit of open files")?;
    sys::set_limit(libc::RLIMIT_NPROC, libc::RLIM_INFINITY, libc::RLIM_INFINITY)
        .context("raise the limit of processes")?;
    // A kernel without a network still runs containers.
    if let Err(error) = sys::interface_up("lo") {
        kmsg::log(&format!("no loopback: {error}"));
    }
    Ok(())
}

pub fn power_off() -> ! {
    rustix::fs::sync();
    let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    loop {
        std::thread::park();
    }
}

/// The guest's own file systems, before anything else. The first root cannot be pivoted away from, so a tmpfs takes
/// its place.
fn mount_file_systems() -> Result<(), Failure> {
    let root = Path::new("/guest");
    directory(root)?;
    mount_at("tmpfs", root, "tmpfs", MountFlags::empty(), "mode=755")?;
    for (name, kind) in [("dev", "devtmpfs"), ("proc", "proc"), ("sys", "sysfs")] {
        let path = root.join(name);
        directory(&path)?;
        mount_at(kind, &path, kind, MountFlags::empty(), "")?;
    }
    let _ = mount(
        "cgroup",
        root.join("sys/fs/cgroup"),
        "cgroup2",
        MountFlags::empty(),
        None,
    );
    // What containers use is counted, and can be limited; one by one, since a kernel may lack one.
    for controller in ["+memory", "+pids", "+cpu", "+io"] {
        let _ = std::fs::write(root.join("sys/fs/cgroup/cgroup.subtree_control"), controller);
    }
    std::env::set_current_dir(root).context("chdir to the guest's root")?;
    mount_move(".", "/").context("move the guest's root")?;
    rustix::process::chroot(".").context("chroot")?;
    std::env::set_current_dir("/").context("chdir to /")?;
    directory(Path::new(CONTAINERS))
}

/// Takes off everything that holds data, for a clean power-off.
pub fn unmount_all(containers: impl Iterator<Item = String>) {
    rustix::fs::sync();
    for id in containers {
        let home = Path::new(CONTAINERS).join(id);
        for name in ["root", "upper"] {
            let _ = unmount(home.join(name), UnmountFlags::DETACH);
        }
    }
    rustix::fs::sync();
}
