//! One end of an event channel whose other end a guest offered.

use crate::DomId;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::io;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use xen_sys::stable;

struct Handle {
    functions: Arc<stable::Evtchn>,
    handle: *mut stable::xenevtchn_handle,
}

// SAFETY: the kernel's file behind the handle may be used from any thread; libxenevtchn keeps no other state.
unsafe impl Send for Handle {}
// SAFETY: as above; every call is one ioctl, read or write on the file.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: opened by xenevtchn_open, closed once; closing unbinds.
        unsafe { self.functions.xenevtchn_close(self.handle) };
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the handle.
        unsafe { BorrowedFd::borrow_raw(self.functions.xenevtchn_fd(self.handle)) }
    }
}

impl AsRawFd for Handle {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

pub struct EventChannel {
    handle: AsyncFd<Handle>,
    port: u32,
}

impl EventChannel {
    pub fn bind(functions: Arc<stable::Evtchn>, domid: DomId, remote_port: u32) -> io::Result<Self> {
        // SAFETY: a null logger is allowed.
        let handle = unsafe { functions.xenevtchn_open(std::ptr::null_mut(), 0) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        let handle = Handle { functions, handle };
        // SAFETY: the handle is open.
        let port = unsafe {
            handle
                .functions
                .xenevtchn_bind_interdomain(handle.handle, domid, remote_port)
        };
        let port = u32::try_from(port).map_err(|_| io::Error::last_os_error())?;
        let flags = rustix::fs::fcntl_getfl(&handle)?;
        rustix::fs::fcntl_setfl(&handle, flags | rustix::fs::OFlags::NONBLOCK)?;
        // SAFETY: the handle's descriptor stays the same and open for as long as the handle lives.
        let handle = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }?;
        Ok(Self { handle, port })
    }

    pub fn notify(&self) -> io::Result<()> {
        let Handle { functions, handle } = self.handle.get_ref();
        // SAFETY: the handle is open and the port is ours.
        match unsafe { functions.xenevtchn_notify(*handle, self.port) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits until the other side has notified since the last time.
    pub async fn notified(&self) -> io::Result<()> {
        loop {
            let mut guard = self.handle.readable().await?;
            let Handle { functions, handle } = self.handle.get_ref();
            // SAFETY: the handle is open; the descriptor does not block.
            let pending = unsafe { functions.xenevtchn_pending(*handle) };
            if let Ok(port) = u32::try_from(pending) {
                // SAFETY: as above, with the port that was reported.
                unsafe { functions.xenevtchn_unmask(*handle, port) };
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(error);
            }
            guard.clear_ready();
        }
    }
}
