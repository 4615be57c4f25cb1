//! A container's root and mounts.
//!
//! [`Container::create`] runs in the agent and mounts the disks; [`Container::enter`] runs in the container's first
//! process, in its new namespaces, and makes the rest.

use crate::error::{Context, Failure, failure};
use guest_protocol::message::{ContainerSpec, ErrorKind, MountKind};
use rustix::fs::{CWD, FileType, Mode, mknodat, symlink};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_move, mount_remount, unmount,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

const CONTAINERS: &str = "/containers";
const CGROUPS: &str = "/sys/fs/cgroup";

pub struct Container {
    pub spec: ContainerSpec,
    home: PathBuf,
}

fn directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).context(format_args!("mkdir {}", path.display()))
}

fn mount_at(source: &str, target: &Path, kind: &str, flags: MountFlags, data: &str) -> Result<(), Failure> {
    let data =
        std::ffi::CString::new(data).map_err(|_| failure(ErrorKind::Invalid, "mount options have a NUL"))?;
    mount(source, target, kind, flags, data.as_c_str())
        .context(format_args!("mount {kind} at {}", target.display()))
}

fn make_private() -> Result<(), Failure> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("make mounts private")
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// `target` as a path below `root`, without `..`.
fn below(root: &Path, target: &str) -> Result<PathBuf, Failure> {
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

impl Container {
    /// Mounts the disks as the container's root.
    pub fn create(spec: ContainerSpec) -> Result<Self, Failure> {
        if !is_plain(&spec.id) {
            return Err(failure(ErrorKind::Invalid, "container id is not a plain name"));
        }
        let home = Path::new(CONTAINERS).join(&spec.id);
        let container = Self { spec, home };
        let (lower, upper) = (container.home.join("lower"), container.home.join("upper"));
        for path in [&lower, &upper, &container.root()] {
            directory(path)?;
        }
        let Some((first, others)) = container.spec.root.lower.split_first() else {
            return Err(failure(ErrorKind::Invalid, "the container has no root disk"));
        };
        for disk in &container.spec.root.lower {
            if !is_plain(disk) {
                return Err(failure(
                    ErrorKind::Invalid,
                    format!("disk {disk:?} is not a plain name"),
                ));
            }
        }
        let devices: Vec<_> = others.iter().map(|disk| format!("device=/dev/{disk}")).collect();
        mount_at(
            &format!("/dev/{first}"),
            &lower,
            "erofs",
            MountFlags::RDONLY,
            &devices.join(","),
        )?;
        match &container.spec.root.upper {
            Some(disk) if is_plain(disk) => {
                mount_at(&format!("/dev/{disk}"), &upper, "ext4", MountFlags::NOATIME, "")?;
            }
            Some(disk) => {
                return Err(failure(
                    ErrorKind::Invalid,
                    format!("disk {disk:?} is not a plain name"),
                ));
            }
            None => mount_at("tmpfs", &upper, "tmpfs", MountFlags::empty(), "mode=755")?,
        }
        let (layer, work) = (upper.join("layer"), upper.join("work"));
        if !layer.exists() {
            directory(&layer)?;
            // The root directory's mode and owner are the image's.
            let metadata = fs::metadata(&lower).context("stat root")?;
            fs::set_permissions(&layer, metadata.permissions()).context("chmod root")?;
            let (uid, gid) = {
                use std::os::unix::fs::MetadataExt;
                (metadata.uid(), metadata.gid())
            };
            std::os::unix::fs::chown(&layer, Some(uid), Some(gid)).context("chown root")?;
        }
        directory(&work)?;
        let options = format!(
            "lowerdir={},upperdir={},workdir={},index=off,metacopy=off",
            lower.display(),
            layer.display(),
            work.display()
        );
        mount_at(
            "overlay",
            &container.root(),
            "overlay",
            MountFlags::empty(),
            &options,
        )?;
        // Without the cgroup file system a container still runs.
        let _ = fs::create_dir(Path::new(CGROUPS).join(&container.spec.id));
        Ok(container)
    }

    fn root(&self) -> PathBuf {
        self.home.join("root")
    }

    /// Puts this process into the container's cgroup.
    pub fn join_cgroup(&self) {
        let _ = fs::write(Path::new(CGROUPS).join(&self.spec.id).join("cgroup.procs"), "0");
    }

    /// Makes the mounts of a container in the new namespaces of its first process, and enters its root.
    pub fn enter(&self) -> Result<(), Failure> {
        make_private()?;
        let root = self.root();
        mount_bind_recursive(&root, &root).context("bind root")?;
        self.system_mounts(&root)?;
        for mount in &self.spec.mounts {
            let target = below(&root, &mount.target)?;
            directory(&target)?;
            let MountKind::Tmpfs = mount.kind;
            let (flags, data) = options(&mount.options);
            mount_at("tmpfs", &target, "tmpfs", flags, &data)?;
        }
        self.files(&root)?;
        rustix::system::sethostname(self.spec.hostname.as_bytes()).context("sethostname")?;
        if !self.spec.domainname.is_empty() {
            rustix::system::setdomainname(self.spec.domainname.as_bytes()).context("setdomainname")?;
        }
        for (key, value) in &self.spec.sysctls {
            let path = below(Path::new("/proc/sys"), &key.replace('.', "/"))?;
            fs::write(&path, value).context(format_args!("sysctl {key}"))?;
        }
        self.pivot(&root)?;
        if !self.spec.privileged {
            protect()?;
        }
        if self.spec.root.read_only {
            mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, "")
                .context("remount root read-only")?;
        }
        Ok(())
    }

    fn system_mounts(&self, root: &Path) -> Result<(), Failure> {
        let usual = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
        let at = |name: &str| -> Result<PathBuf, Failure> {
            let path = root.join(name);
            directory(&path)?;
            Ok(path)
        };
        mount_at("proc", &at("proc")?, "proc", usual, "")?;
        let read_only = if self.spec.privileged {
            usual
        } else {
            usual | MountFlags::RDONLY
        };
        mount_at("sysfs", &at("sys")?, "sysfs", read_only, "")?;
        // Missing only in kernels without cgroups.
        let _ = mount("cgroup", root.join("sys/fs/cgroup"), "cgroup2", read_only, None);
        mount_at(
            "tmpfs",
            &at("dev")?,
            "tmpfs",
            MountFlags::NOSUID,
            "mode=755,size=65536k",
        )?;
        mount_at(
            "devpts",
            &at("dev/pts")?,
            "devpts",
            MountFlags::NOSUID | MountFlags::NOEXEC,
            "newinstance,ptmxmode=0666,mode=0620,gid=5",
        )?;
        let shm_bytes = if self.spec.shm_bytes == 0 {
            64 << 20
        } else {
            self.spec.shm_bytes
        };
        mount_at(
            "shm",
            &at("dev/shm")?,
            "tmpfs",
            usual,
            &format!("mode=1777,size={shm_bytes}"),
        )?;
        at("dev/mqueue")?;
        let _ = mount("mqueue", root.join("dev/mqueue"), "mqueue", usual, None);
        self.device_nodes(&root.join("dev"))
    }

    fn device_nodes(&self, dev: &Path) -> Result<(), Failure> {
        if self.spec.privileged {
            for entry in fs::read_dir("/dev").context("list /dev")?.flatten() {
                let name = entry.file_name();
                use std::os::unix::fs::{FileTypeExt, MetadataExt};
                if let Ok(metadata) = entry.metadata()
                    && (metadata.file_type().is_char_device() || metadata.file_type().is_block_device())
                    && name != "ptmx"
                {
                    let kind = FileType::from_raw_mode(metadata.mode());
                    let _ = mknodat(
                        CWD,
                        dev.join(name),
                        kind,
                        Mode::from_raw_mode(metadata.mode()),
                        metadata.rdev(),
                    );
                }
            }
        }
        let previous = rustix::process::umask(Mode::empty());
        for (name, minor) in [
            ("null", 3),
            ("zero", 5),
            ("full", 7),
            ("random", 8),
            ("urandom", 9),
        ] {
            let device = rustix::fs::makedev(1, minor);
            match mknodat(
                CWD,
                dev.join(name),
                FileType::CharacterDevice,
                Mode::from_raw_mode(0o666),
                device,
            ) {
                Err(rustix::io::Errno::EXIST) => {}
                made => made.context(format_args!("mknod {name}"))?,
            }
        }
        let terminal = rustix::fs::makedev(5, 0);
        let _ = mknodat(
            CWD,
            dev.join("tty"),
            FileType::CharacterDevice,
            Mode::from_raw_mode(0o666),
            terminal,
        );
        rustix::process::umask(previous);
        for (target, name) in [
            ("/proc/self/fd", "fd"),
            ("/proc/self/fd/0", "stdin"),
            ("/proc/self/fd/1", "stdout"),
            ("/proc/self/fd/2", "stderr"),
            ("/proc/kcore", "core"),
            ("pts/ptmx", "ptmx"),
        ] {
            let _ = symlink(target, dev.join(name));
        }
        Ok(())
    }

    /// Binds /etc/hosts and the like over the image's.
    fn files(&self, root: &Path) -> Result<(), Failure> {
        let own = self.home.join("files");
        directory(&own)?;
        for (index, file) in self.spec.files.iter().enumerate() {
            let target = below(root, &file.path)?;
            let source = own.join(index.to_string());
            fs::write(&source, &file.content).context(format_args!("write {}", file.path))?;
            fs::set_permissions(&source, fs::Permissions::from_mode(file.mode & 0o777)).context("chmod")?;
            if let Some(parent) = target.parent() {
                directory(parent)?;
            }
            // A link would lead out of the root; what stands there instead of a file is replaced.
            match fs::symlink_metadata(&target) {
                Ok(found) if found.is_symlink() => {
                    fs::remove_file(&target).context(format_args!("replace {}", file.path))?
                }
                _ => {}
            }
            if !target.exists() {
                fs::write(&target, "").context(format_args!("create {}", file.path))?;
            }
            mount_bind(&source, &target).context(format_args!("bind {}", file.path))?;
        }
        Ok(())
    }

    fn pivot(&self, root: &Path) -> Result<(), Failure> {
        std::env::set_current_dir(root).context("chdir to root")?;
        // With both names the same the old root is stacked below the new one and can be taken off.
        rustix::process::pivot_root(".", ".").context("pivot_root")?;
        unmount(".", UnmountFlags::DETACH).context("unmount the old root")?;
        std::env::set_current_dir("/").context("chdir to /")
    }
}

/// Hides and protects the parts of /proc and /sys that docker does.
fn protect() -> Result<(), Failure> {
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
fn options(options: &[String]) -> (MountFlags, String) {
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

/// The guest's own file systems, before anything else. The first root cannot be pivoted away from, so a tmpfs takes
/// its place.
pub fn mount_guest() -> Result<(), Failure> {
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
