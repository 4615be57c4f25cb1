//! A container's root and mounts.
//!
//! [`Container::create`] runs in the agent and mounts the disks; [`Container::enter`] runs in the container's first
//! process, in its new namespaces, and makes the rest.

use crate::arrivals;
use crate::cgroup;
use crate::error::{Context, Failure, failure};
use crate::kmsg;
use crate::mounts::{below, directory, mount_at, options, protect};
use crate::sys;
use guest_protocol::message::{ContainerSpec, ErrorKind, FileSpec, MountKind};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, mknodat, symlink};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_bind_recursive, mount_change, mount_remount, move_mount, open_tree, unmount,
};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub const CONTAINERS: &str = "/containers";
const CGROUPS: &str = "/sys/fs/cgroup";

pub struct Container {
    pub spec: ContainerSpec,
    home: PathBuf,
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

/// The device of a disk, as soon as it is there.
fn device(disk: &str) -> Result<String, Failure> {
    if !is_plain(disk) {
        let message = format!("disk {disk:?} is not a plain name");
        return Err(failure(ErrorKind::Invalid, message));
    }
    let device = format!("/dev/{disk}");
    // Its node comes a moment before there is something behind it.
    let here = || match fs::File::open(&device) {
        Ok(_) => Ok(Some(())),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENXIO)) => Ok(None),
        Err(error) => Err(error),
    };
    match arrivals::until(here).context(format_args!("wait for {disk}"))? {
        Some(()) => Ok(device),
        None => Err(failure(ErrorKind::Guest, format!("there is no disk {disk}"))),
    }
}

/// Makes an ext4 as large as its disk.
fn grow(disk: &str, mounted: &Path) -> io::Result<()> {
    let sectors: u64 = fs::read_to_string(format!("/sys/class/block/{disk}/size"))?
        .trim()
        .parse()
        .map_err(io::Error::other)?;
    let block_bytes = rustix::fs::statvfs(mounted)?.f_bsize;
    sys::grow_ext4(&fs::File::open(mounted)?, sectors * 512 / block_bytes)
}

/// A tmpfs as docker's `--tmpfs` makes it. Over a directory that was there it has that one's mode, as with runc.
fn mount_tmpfs(target: &Path, wanted: &[String]) -> Result<(), Failure> {
    let (flags, mut data) = options(wanted);
    match fs::metadata(target) {
        Ok(found) => {
            let mode = format!("mode={:o}", found.permissions().mode() & 0o7777);
            // An own mode comes later and wins.
            data = if data.is_empty() {
                mode
            } else {
                format!("{mode},{data}")
            };
        }
        Err(_) => directory(target)?,
    }
    mount_at("tmpfs", target, "tmpfs", flags, &data)
}

/// Puts a file of ours over the image's, or where the image has none.
fn place(file: &FileSpec, mount: &OwnedFd) -> Result<(), Failure> {
    let target = below(Path::new("/"), &file.path)?;
    if let Some(parent) = target.parent() {
        directory(parent)?;
    }
    if !target.exists() {
        // A link to nothing is in the way of a file.
        if fs::symlink_metadata(&target).is_ok() {
            fs::remove_file(&target).context(format_args!("replace {}", file.path))?;
        }
        fs::write(&target, "").context(format_args!("create {}", file.path))?;
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    move_mount(mount, "", CWD, &target, flags).context(format_args!("bind {}", file.path))
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
        let disks = container.spec.root.lower.iter().map(|disk| device(disk));
        let disks = disks.collect::<Result<Vec<_>, _>>()?;
        let Some((first, others)) = disks.split_first() else {
            return Err(failure(ErrorKind::Invalid, "the container has no root disk"));
        };
        let others: Vec<_> = others.iter().map(|disk| format!("device={disk}")).collect();
        mount_at(first, &lower, "erofs", MountFlags::RDONLY, &others.join(","))?;
        match &container.spec.root.upper {
            Some(disk) => {
                mount_at(&device(disk)?, &upper, "ext4", MountFlags::NOATIME, "")?;
                if let Err(error) = grow(disk, &upper) {
                    kmsg::log(&format!("{disk} stays as small as it is: {error}"));
                }
            }
            None => mount_at("tmpfs", &upper, "tmpfs", MountFlags::empty(), "mode=755")?,
        }
        let (layer, work) = (upper.join("layer"), upper.join("work"));
        if !layer.exists() {
            // Under another name until it is right, in case the power goes meanwhile.
            let fresh = upper.join("fresh");
            directory(&fresh)?;
            // The root directory's mode and owner are the image's.
            let metadata = fs::metadata(&lower).context("stat root")?;
            std::os::unix::fs::chown(&fresh, Some(metadata.uid()), Some(metadata.gid()))
                .context("chown root")?;
            fs::set_permissions(&fresh, metadata.permissions()).context("chmod root")?;
            fs::rename(&fresh, &layer).context("rename root")?;
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
        let _ = fs::create_dir(container.cgroup());
        if container.spec.nano_cpus > 0
            && let Err(error) = cgroup::limit_cpus(&container.cgroup(), container.spec.nano_cpus)
        {
            kmsg::log(&format!("no limit of processors: {error}"));
        }
        Ok(container)
    }

    /// Where its root is put together, outside of its own mounts.
    pub fn root(&self) -> PathBuf {
        self.home.join("root")
    }

    /// The image's files.
    pub fn lower(&self) -> PathBuf {
        self.home.join("lower")
    }

    /// What differs from them.
    pub fn upper(&self) -> PathBuf {
        self.home.join("upper").join("layer")
    }

    pub fn cgroup(&self) -> PathBuf {
        Path::new(CGROUPS).join(&self.spec.id)
    }

    /// Puts this process into the container's cgroup.
    pub fn join_cgroup(&self) {
        let _ = fs::write(self.cgroup().join("cgroup.procs"), "0");
    }

    /// Makes the mounts of a container in the new namespaces of its first process, and enters its root.
    pub fn enter(&self, cwd: &str) -> Result<(), Failure> {
        make_private()?;
        let root = self.root();
        mount_bind_recursive(&root, &root).context("bind root")?;
        self.system_mounts(&root)?;
        let files = self.files()?;
        rustix::system::sethostname(self.spec.hostname.as_bytes()).context("sethostname")?;
        if !self.spec.domainname.is_empty() {
            rustix::system::setdomainname(self.spec.domainname.as_bytes()).context("setdomainname")?;
        }
        for (key, value) in &self.spec.sysctls {
            let path = below(Path::new("/proc/sys"), &key.replace('.', "/"))?;
            fs::write(&path, value).context(format_args!("sysctl {key}"))?;
        }
        self.pivot(&root)?;
        // Only now do absolute links in the image, /var/run for one, lead where they do for the container.
        for mount in &self.spec.mounts {
            let MountKind::Tmpfs = mount.kind;
            mount_tmpfs(&below(Path::new("/"), &mount.target)?, &mount.options)?;
        }
        for (file, mount) in self.spec.files.iter().zip(files) {
            place(file, &mount)?;
        }
        if !self.spec.privileged {
            protect()?;
        }
        // As docker makes it with the container; that it cannot be entered is said when it is entered.
        if !cwd.is_empty() {
            let _ = fs::create_dir_all(cwd);
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
        let previous = rustix::process::umask(Mode::empty());
        if self.spec.privileged {
            for entry in fs::read_dir("/dev").context("list /dev")?.flatten() {
                let name = entry.file_name();
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

    /// Writes /etc/hosts and the like outside of the container's root, each as a mount that has no place yet.
    fn files(&self) -> Result<Vec<OwnedFd>, Failure> {
        let own = self.home.join("files");
        directory(&own)?;
        let files = self.spec.files.iter().enumerate();
        let mounts = files.map(|(index, file)| {
            let source = own.join(index.to_string());
            fs::write(&source, &file.content).context(format_args!("write {}", file.path))?;
            fs::set_permissions(&source, fs::Permissions::from_mode(file.mode & 0o777)).context("chmod")?;
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            open_tree(CWD, &source, flags).context(format_args!("open {}", file.path))
        });
        mounts.collect()
    }

    /// Gives files of ours new content where they are, so that processes that run see it.
    pub fn replace_files(&mut self, files: &[FileSpec]) -> Result<(), Failure> {
        for file in files {
            let Some(index) = self.spec.files.iter().position(|known| known.path == file.path) else {
                continue;
            };
            let source = self.home.join("files").join(index.to_string());
            fs::write(&source, &file.content).context(format_args!("write {}", file.path))?;
            self.spec.files[index].content.clone_from(&file.content);
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
