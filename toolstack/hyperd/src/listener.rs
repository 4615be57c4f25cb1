//! The daemon's socket and the locks that keep it the only daemon.

use anyhow::{Context, bail, ensure};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::{Path, PathBuf};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Held as long as the daemon lives; the kernel lets go of it, however the daemon ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Fails when another process has it.
pub fn lock(path: &Path) -> anyhow::Result<Lock> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open the lock {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => bail!("another hyperd runs already: it holds {}", path.display()),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

pub fn make_folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("cannot make the folder {}", path.display()))
}

/// The lock that belongs to a socket.
pub fn lock_path(socket: &Path) -> PathBuf {
    socket.with_extension("lock")
}

/// Listens. The caller has the socket's lock: whatever lies there is stale.
pub fn listen(path: &Path, group: Option<u32>) -> anyhow::Result<std::os::unix::net::UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(there) => {
            ensure!(
                there.file_type().is_socket(),
                "{} is in the way: it is not a socket",
                path.display()
            );
            fs::remove_file(path)
                .with_context(|| format!("cannot remove the stale socket {}", path.display()))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
    let bind = || -> io::Result<_> {
        let address = SocketAddrUnix::new(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // Linux gives the file the mode of the socket: at no moment can somebody else open it.
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o660))?;
        rustix::net::bind(&socket, &address)?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o660))?;
        if let Some(group) = group {
            std::os::unix::fs::chown(path, None, Some(group))?;
        }
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(socket.into())
    };
    bind().with_context(|| format!("cannot listen on {}", path.display()))
}

/// The socket that systemd listens on for us, if it does.
pub fn inherited() -> anyhow::Result<Option<std::os::unix::net::UnixListener>> {
    let mut sockets = listenfd::ListenFd::from_env();
    ensure!(
        sockets.len() <= 1,
        "systemd gave {} sockets: hyperd takes one",
        sockets.len()
    );
    match sockets.len() {
        0 => Ok(None),
        _ => sockets
            .take_unix_listener(0)
            .context("what systemd gave is no unix socket that listens"),
    }
}

/// Makes such a socket ready for us, and lets the group have it.
pub fn adopt(
    socket: std::os::unix::net::UnixListener,
    group: Option<u32>,
) -> anyhow::Result<std::os::unix::net::UnixListener> {
    socket
        .set_nonblocking(true)
        .context("cannot use the socket that systemd gave")?;
    let address = socket.local_addr().context("cannot tell where systemd listens")?;
    if let (Some(group), Some(path)) = (group, address.as_pathname()) {
        std::os::unix::fs::chown(path, None, Some(group))
            .with_context(|| format!("cannot give {} to its group", path.display()))?;
    }
    Ok(socket)
}

/// The number of a group, from the text of /etc/group.
pub fn group_id(name: &str, groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_one_holds_a_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = lock_path(&folder.path().join("hyperd.sock"));
        let held = lock(&path).unwrap();
        let error = lock(&path).unwrap_err().to_string();
        assert!(error.starts_with("another hyperd runs already"), "{error}");
        drop(held);
        lock(&path).unwrap();
    }

    #[test]
    fn a_stale_socket_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hyperd.sock");
        drop(listen(&path, None).unwrap());
        assert!(UnixStream::connect(&path).is_err());
        let _listener = listen(&path, None).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);

        let file = folder.path().join("precious");
        fs::write(&file, "data").unwrap();
        let error = listen(&file, None).unwrap_err().to_string();
        assert!(error.contains("not a socket"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "data");
    }

    #[test]
    fn groups() {
        let text = "root:x:0:\nhyperx:x:9:\nhyper:x:995:ann,bob\nbad:x\n";
        assert_eq!(group_id("hyper", text), Some(995));
        assert_eq!(group_id("root", text), Some(0));
        assert_eq!(group_id("bad", text), None);
        assert_eq!(group_id("nobody", text), None);
    }
}
