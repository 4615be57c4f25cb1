//! Mapping pages that a guest granted.

use crate::DomId;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use xen_sys::stable;

#[derive(Clone)]
pub struct Grants(Arc<Handle>);

struct Handle {
    functions: stable::Gnttab,
    handle: *mut stable::xengnttab_handle,
}

// SAFETY: libxengnttab's calls on one handle are single ioctls and mmaps on one file; any thread may make them.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: opened by xengnttab_open and closed once; every mapping holds an `Arc` of this.
            unsafe { self.functions.xengnttab_close(self.handle) };
        }
    }
}

impl Grants {
    pub fn open(library: &str) -> Result<Self, xen_sys::LoadError> {
        // SAFETY: a library of Xen's with a stable interface and no unsound initialisers.
        let functions = unsafe { stable::Gnttab::new(library) }?;
        // SAFETY: a null logger is allowed; a null handle is told apart in `map`.
        let handle = unsafe { functions.xengnttab_open(std::ptr::null_mut(), 0) };
        Ok(Self(Arc::new(Handle { functions, handle })))
    }

    /// Maps pages of one guest side by side, writable.
    pub fn map(&self, domid: DomId, references: &[u32]) -> io::Result<Mapping> {
        if self.0.handle.is_null() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "/dev/xen/gntdev cannot be opened",
            ));
        }
        let mut references = references.to_vec();
        let count = references.len() as u32;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: `references` has `count` entries; the function only reads them.
        let address = unsafe {
            self.0.functions.xengnttab_map_domain_grant_refs(
                self.0.handle,
                count,
                domid,
                references.as_mut_ptr(),
                protection,
            )
        };
        let start = NonNull::new(address.cast::<u8>()).ok_or_else(io::Error::last_os_error)?;
        Ok(Mapping {
            grants: self.clone(),
            start,
            pages: count,
        })
    }
}

/// Mapped pages; unmapped when dropped.
pub struct Mapping {
    grants: Grants,
    start: NonNull<u8>,
    pages: u32,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: nothing here gives out references into the pages.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub fn bytes(&self) -> usize {
        self.pages as usize * 4096
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let Handle { functions, handle } = &*self.grants.0;
        // SAFETY: mapped by the same handle with so many pages, unmapped once.
        unsafe { functions.xengnttab_unmap(*handle, self.start.as_ptr().cast(), self.pages) };
    }
}
