//! Devices that dom0 is still connecting. The guest's kernel starts the agent without waiting for them, and tells of each
//! that comes.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::io;
use std::time::{Duration, Instant};

/// After so long a device does not come any more. An engine that waits for less ends the guest.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the kernel itself sends, as opposed to udev.
const KERNEL_GROUP: u32 = 1;

fn events() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        flags,
        Some(KOBJECT_UEVENT),
    )?;
    bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

/// Asks `find` until it gives something, again with each event of a device. `None`: none that it wants has come.
pub fn until<T>(mut find: impl FnMut() -> io::Result<Option<T>>) -> io::Result<Option<T>> {
    if let Some(found) = find()? {
        return Ok(Some(found));
    }
    let events = events()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find()? {
            return Ok(Some(found));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let left = Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&events, PollFlags::IN)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // What the events say is of no interest; nor is it if there were too many.
        let mut bytes = [0; 4096];
        while matches!(
            recv(&events, &mut bytes, RecvFlags::empty()),
            Ok(_) | Err(Errno::INTR | Errno::NOBUFS)
        ) {}
    }
}
