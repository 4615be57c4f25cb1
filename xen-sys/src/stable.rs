// Made by scripts/bindings from Xen's headers. Not to be edited.

pub type evtchn_port_t = u32;
pub type xenevtchn_port_or_error_t = ::std::os::raw::c_int;
#[repr(C)]
#[derive(Debug)]
pub struct xenevtchn_handle {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct xentoollog_logger {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct xengntdev_handle {
    _unused: [u8; 0],
}
pub type xengnttab_handle = xengntdev_handle;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct xengnttab_grant_copy_segment {
    pub source: xengnttab_grant_copy_segment_xengnttab_copy_ptr,
    pub dest: xengnttab_grant_copy_segment_xengnttab_copy_ptr,
    pub len: u16,
    pub flags: u16,
    pub status: i16,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union xengnttab_grant_copy_segment_xengnttab_copy_ptr {
    pub virt: *mut ::std::os::raw::c_void,
    pub foreign: xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1 {
    pub ref_: u32,
    pub offset: u16,
    pub domid: u16,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1"]
        [::std::mem::size_of::<xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1>() - 8usize];
    ["Alignment of xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1"]
        [::std::mem::align_of::<xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1>() - 4usize];
    ["Offset of field: xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1::ref_"][::std::mem::offset_of!(
        xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1,
        ref_
    ) - 0usize];
    ["Offset of field: xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1::offset"][::std::mem::offset_of!(
        xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1,
        offset
    ) - 4usize];
    ["Offset of field: xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1::domid"][::std::mem::offset_of!(
        xengnttab_grant_copy_segment_xengnttab_copy_ptr__bindgen_ty_1,
        domid
    ) - 6usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xengnttab_grant_copy_segment_xengnttab_copy_ptr"]
        [::std::mem::size_of::<xengnttab_grant_copy_segment_xengnttab_copy_ptr>() - 8usize];
    ["Alignment of xengnttab_grant_copy_segment_xengnttab_copy_ptr"]
        [::std::mem::align_of::<xengnttab_grant_copy_segment_xengnttab_copy_ptr>() - 8usize];
    ["Offset of field: xengnttab_grant_copy_segment_xengnttab_copy_ptr::virt"]
        [::std::mem::offset_of!(xengnttab_grant_copy_segment_xengnttab_copy_ptr, virt) - 0usize];
    ["Offset of field: xengnttab_grant_copy_segment_xengnttab_copy_ptr::foreign"]
        [::std::mem::offset_of!(xengnttab_grant_copy_segment_xengnttab_copy_ptr, foreign) - 0usize];
};
impl Default for xengnttab_grant_copy_segment_xengnttab_copy_ptr {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xengnttab_grant_copy_segment"][::std::mem::size_of::<xengnttab_grant_copy_segment>() - 24usize];
    ["Alignment of xengnttab_grant_copy_segment"]
        [::std::mem::align_of::<xengnttab_grant_copy_segment>() - 8usize];
    ["Offset of field: xengnttab_grant_copy_segment::source"]
        [::std::mem::offset_of!(xengnttab_grant_copy_segment, source) - 0usize];
    ["Offset of field: xengnttab_grant_copy_segment::dest"]
        [::std::mem::offset_of!(xengnttab_grant_copy_segment, dest) - 8usize];
    ["Offset of field: xengnttab_grant_copy_segment::len"]
        [::std::mem::offset_of!(xengnttab_grant_copy_segment, len) - 16usize];
    ["Offset of field: xengnttab_grant_copy_segment::flags"]
        [::std::mem::offset_of!(xengnttab_grant_copy_segment, flags) - 18usize];
    ["Offset of field: xengnttab_grant_copy_segment::status"]
        [::std::mem::offset_of!(xengnttab_grant_copy_segment, status) - 20usize];
};
impl Default for xengnttab_grant_copy_segment {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub type xengnttab_grant_copy_segment_t = xengnttab_grant_copy_segment;
pub mod xs_watch_type {
    #[allow(unused_imports)]
    use super::*;
    pub type Type = ::std::os::raw::c_uint;
    pub const XS_WATCH_PATH: Type = 0;
    pub const XS_WATCH_TOKEN: Type = 1;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xs_permissions {
    pub id: ::std::os::raw::c_uint,
    pub perms: ::std::os::raw::c_uint,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xs_permissions"][::std::mem::size_of::<xs_permissions>() - 8usize];
    ["Alignment of xs_permissions"][::std::mem::align_of::<xs_permissions>() - 4usize];
    ["Offset of field: xs_permissions::id"][::std::mem::offset_of!(xs_permissions, id) - 0usize];
    ["Offset of field: xs_permissions::perms"][::std::mem::offset_of!(xs_permissions, perms) - 4usize];
};
#[repr(C)]
#[derive(Debug)]
pub struct xs_handle {
    _unused: [u8; 0],
}
pub type xs_transaction_t = u32;
pub struct Evtchn {
    __library: ::libloading::Library,
    pub xenevtchn_open: unsafe extern "C" fn(
        logger: *mut xentoollog_logger,
        flags: ::std::os::raw::c_uint,
    ) -> *mut xenevtchn_handle,
    pub xenevtchn_close: unsafe extern "C" fn(xce: *mut xenevtchn_handle) -> ::std::os::raw::c_int,
    pub xenevtchn_fd: unsafe extern "C" fn(xce: *mut xenevtchn_handle) -> ::std::os::raw::c_int,
    pub xenevtchn_notify:
        unsafe extern "C" fn(xce: *mut xenevtchn_handle, port: evtchn_port_t) -> ::std::os::raw::c_int,
    pub xenevtchn_bind_interdomain: unsafe extern "C" fn(
        xce: *mut xenevtchn_handle,
        domid: u32,
        remote_port: evtchn_port_t,
    ) -> xenevtchn_port_or_error_t,
    pub xenevtchn_unbind:
        unsafe extern "C" fn(xce: *mut xenevtchn_handle, port: evtchn_port_t) -> ::std::os::raw::c_int,
    pub xenevtchn_pending: unsafe extern "C" fn(xce: *mut xenevtchn_handle) -> xenevtchn_port_or_error_t,
    pub xenevtchn_unmask:
        unsafe extern "C" fn(xce: *mut xenevtchn_handle, port: evtchn_port_t) -> ::std::os::raw::c_int,
}
impl Evtchn {
    pub unsafe fn new<P>(path: P) -> Result<Self, ::libloading::Error>
    where
        P: AsRef<::std::ffi::OsStr>,
    {
        let path = path.as_ref();
        let library = unsafe { ::libloading::Library::new(path) }?;
        unsafe { Self::from_library(library) }
    }
    pub unsafe fn from_library<L>(library: L) -> Result<Self, ::libloading::Error>
    where
        L: Into<::libloading::Library>,
    {
        let __library = library.into();
        let xenevtchn_open = unsafe { __library.get(b"xenevtchn_open\0") }.map(|sym| *sym)?;
        let xenevtchn_close = unsafe { __library.get(b"xenevtchn_close\0") }.map(|sym| *sym)?;
        let xenevtchn_fd = unsafe { __library.get(b"xenevtchn_fd\0") }.map(|sym| *sym)?;
        let xenevtchn_notify = unsafe { __library.get(b"xenevtchn_notify\0") }.map(|sym| *sym)?;
        let xenevtchn_bind_interdomain =
            unsafe { __library.get(b"xenevtchn_bind_interdomain\0") }.map(|sym| *sym)?;
        let xenevtchn_unbind = unsafe { __library.get(b"xenevtchn_unbind\0") }.map(|sym| *sym)?;
        let xenevtchn_pending = unsafe { __library.get(b"xenevtchn_pending\0") }.map(|sym| *sym)?;
        let xenevtchn_unmask = unsafe { __library.get(b"xenevtchn_unmask\0") }.map(|sym| *sym)?;
        Ok(Evtchn {
            __library,
            xenevtchn_open,
            xenevtchn_close,
            xenevtchn_fd,
            xenevtchn_notify,
            xenevtchn_bind_interdomain,
            xenevtchn_unbind,
            xenevtchn_pending,
            xenevtchn_unmask,
        })
    }
    pub unsafe fn xenevtchn_open(
        &self,
        logger: *mut xentoollog_logger,
        flags: ::std::os::raw::c_uint,
    ) -> *mut xenevtchn_handle {
        unsafe { (self.xenevtchn_open)(logger, flags) }
    }
    pub unsafe fn xenevtchn_close(&self, xce: *mut xenevtchn_handle) -> ::std::os::raw::c_int {
        unsafe { (self.xenevtchn_close)(xce) }
    }
    pub unsafe fn xenevtchn_fd(&self, xce: *mut xenevtchn_handle) -> ::std::os::raw::c_int {
        unsafe { (self.xenevtchn_fd)(xce) }
    }
    pub unsafe fn xenevtchn_notify(
        &self,
        xce: *mut xenevtchn_handle,
        port: evtchn_port_t,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xenevtchn_notify)(xce, port) }
    }
    pub unsafe fn xenevtchn_bind_interdomain(
        &self,
        xce: *mut xenevtchn_handle,
        domid: u32,
        remote_port: evtchn_port_t,
    ) -> xenevtchn_port_or_error_t {
        unsafe { (self.xenevtchn_bind_interdomain)(xce, domid, remote_port) }
    }
    pub unsafe fn xenevtchn_unbind(
        &self,
        xce: *mut xenevtchn_handle,
        port: evtchn_port_t,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xenevtchn_unbind)(xce, port) }
    }
    pub unsafe fn xenevtchn_pending(&self, xce: *mut xenevtchn_handle) -> xenevtchn_port_or_error_t {
        unsafe { (self.xenevtchn_pending)(xce) }
    }
    pub unsafe fn xenevtchn_unmask(
        &self,
        xce: *mut xenevtchn_handle,
        port: evtchn_port_t,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xenevtchn_unmask)(xce, port) }
    }
}
pub struct Gnttab {
    __library: ::libloading::Library,
    pub xengnttab_open: unsafe extern "C" fn(
        logger: *mut xentoollog_logger,
        open_flags: ::std::os::raw::c_uint,
    ) -> *mut xengnttab_handle,
    pub xengnttab_close: unsafe extern "C" fn(xgt: *mut xengnttab_handle) -> ::std::os::raw::c_int,
    pub xengnttab_map_domain_grant_refs: unsafe extern "C" fn(
        xgt: *mut xengnttab_handle,
        count: u32,
        domid: u32,
        refs: *mut u32,
        prot: ::std::os::raw::c_int,
    ) -> *mut ::std::os::raw::c_void,
    pub xengnttab_unmap: unsafe extern "C" fn(
        xgt: *mut xengnttab_handle,
        start_address: *mut ::std::os::raw::c_void,
        count: u32,
    ) -> ::std::os::raw::c_int,
}
impl Gnttab {
    pub unsafe fn new<P>(path: P) -> Result<Self, ::libloading::Error>
    where
        P: AsRef<::std::ffi::OsStr>,
    {
        let path = path.as_ref();
        let library = unsafe { ::libloading::Library::new(path) }?;
        unsafe { Self::from_library(library) }
    }
    pub unsafe fn from_library<L>(library: L) -> Result<Self, ::libloading::Error>
    where
        L: Into<::libloading::Library>,
    {
        let __library = library.into();
        let xengnttab_open = unsafe { __library.get(b"xengnttab_open\0") }.map(|sym| *sym)?;
        let xengnttab_close = unsafe { __library.get(b"xengnttab_close\0") }.map(|sym| *sym)?;
        let xengnttab_map_domain_grant_refs =
            unsafe { __library.get(b"xengnttab_map_domain_grant_refs\0") }.map(|sym| *sym)?;
        let xengnttab_unmap = unsafe { __library.get(b"xengnttab_unmap\0") }.map(|sym| *sym)?;
        Ok(Gnttab {
            __library,
            xengnttab_open,
            xengnttab_close,
            xengnttab_map_domain_grant_refs,
            xengnttab_unmap,
        })
    }
    pub unsafe fn xengnttab_open(
        &self,
        logger: *mut xentoollog_logger,
        open_flags: ::std::os::raw::c_uint,
    ) -> *mut xengnttab_handle {
        unsafe { (self.xengnttab_open)(logger, open_flags) }
    }
    pub unsafe fn xengnttab_close(&self, xgt: *mut xengnttab_handle) -> ::std::os::raw::c_int {
        unsafe { (self.xengnttab_close)(xgt) }
    }
    pub unsafe fn xengnttab_map_domain_grant_refs(
        &self,
        xgt: *mut xengnttab_handle,
        count: u32,
        domid: u32,
        refs: *mut u32,
        prot: ::std::os::raw::c_int,
    ) -> *mut ::std::os::raw::c_void {
        unsafe { (self.xengnttab_map_domain_grant_refs)(xgt, count, domid, refs, prot) }
    }
    pub unsafe fn xengnttab_unmap(
        &self,
        xgt: *mut xengnttab_handle,
        start_address: *mut ::std::os::raw::c_void,
        count: u32,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xengnttab_unmap)(xgt, start_address, count) }
    }
}
pub struct Store {
    __library: ::libloading::Library,
    pub xs_open: unsafe extern "C" fn(flags: ::std::os::raw::c_ulong) -> *mut xs_handle,
    pub xs_close: unsafe extern "C" fn(xsh: *mut xs_handle),
    pub xs_write: unsafe extern "C" fn(
        h: *mut xs_handle,
        t: xs_transaction_t,
        path: *const ::std::os::raw::c_char,
        data: *const ::std::os::raw::c_void,
        len: ::std::os::raw::c_uint,
    ) -> bool,
    pub xs_rm: unsafe extern "C" fn(
        h: *mut xs_handle,
        t: xs_transaction_t,
        path: *const ::std::os::raw::c_char,
    ) -> bool,
    pub xs_set_permissions: unsafe extern "C" fn(
        h: *mut xs_handle,
        t: xs_transaction_t,
        path: *const ::std::os::raw::c_char,
        perms: *mut xs_permissions,
        num_perms: ::std::os::raw::c_uint,
    ) -> bool,
    pub xs_transaction_start: unsafe extern "C" fn(h: *mut xs_handle) -> xs_transaction_t,
    pub xs_transaction_end: unsafe extern "C" fn(h: *mut xs_handle, t: xs_transaction_t, abort: bool) -> bool,
    pub xs_introduce_domain: unsafe extern "C" fn(
        h: *mut xs_handle,
        domid: ::std::os::raw::c_uint,
        mfn: ::std::os::raw::c_ulong,
        eventchn: ::std::os::raw::c_uint,
    ) -> bool,
    pub xs_release_domain: unsafe extern "C" fn(h: *mut xs_handle, domid: ::std::os::raw::c_uint) -> bool,
}
impl Store {
    pub unsafe fn new<P>(path: P) -> Result<Self, ::libloading::Error>
    where
        P: AsRef<::std::ffi::OsStr>,
    {
        let path = path.as_ref();
        let library = unsafe { ::libloading::Library::new(path) }?;
        unsafe { Self::from_library(library) }
    }
    pub unsafe fn from_library<L>(library: L) -> Result<Self, ::libloading::Error>
    where
        L: Into<::libloading::Library>,
    {
        let __library = library.into();
        let xs_open = unsafe { __library.get(b"xs_open\0") }.map(|sym| *sym)?;
        let xs_close = unsafe { __library.get(b"xs_close\0") }.map(|sym| *sym)?;
        let xs_write = unsafe { __library.get(b"xs_write\0") }.map(|sym| *sym)?;
        let xs_rm = unsafe { __library.get(b"xs_rm\0") }.map(|sym| *sym)?;
        let xs_set_permissions = unsafe { __library.get(b"xs_set_permissions\0") }.map(|sym| *sym)?;
        let xs_transaction_start = unsafe { __library.get(b"xs_transaction_start\0") }.map(|sym| *sym)?;
        let xs_transaction_end = unsafe { __library.get(b"xs_transaction_end\0") }.map(|sym| *sym)?;
        let xs_introduce_domain = unsafe { __library.get(b"xs_introduce_domain\0") }.map(|sym| *sym)?;
        let xs_release_domain = unsafe { __library.get(b"xs_release_domain\0") }.map(|sym| *sym)?;
        Ok(Store {
            __library,
            xs_open,
            xs_close,
            xs_write,
            xs_rm,
            xs_set_permissions,
            xs_transaction_start,
            xs_transaction_end,
            xs_introduce_domain,
            xs_release_domain,
        })
    }
    pub unsafe fn xs_open(&self, flags: ::std::os::raw::c_ulong) -> *mut xs_handle {
        unsafe { (self.xs_open)(flags) }
    }
    pub unsafe fn xs_close(&self, xsh: *mut xs_handle) {
        unsafe { (self.xs_close)(xsh) }
    }
    pub unsafe fn xs_write(
        &self,
        h: *mut xs_handle,
        t: xs_transaction_t,
        path: *const ::std::os::raw::c_char,
        data: *const ::std::os::raw::c_void,
        len: ::std::os::raw::c_uint,
    ) -> bool {
        unsafe { (self.xs_write)(h, t, path, data, len) }
    }
    pub unsafe fn xs_rm(
        &self,
        h: *mut xs_handle,
        t: xs_transaction_t,
        path: *const ::std::os::raw::c_char,
    ) -> bool {
        unsafe { (self.xs_rm)(h, t, path) }
    }
    pub unsafe fn xs_set_permissions(
        &self,
        h: *mut xs_handle,
        t: xs_transaction_t,
        path: *const ::std::os::raw::c_char,
        perms: *mut xs_permissions,
        num_perms: ::std::os::raw::c_uint,
    ) -> bool {
        unsafe { (self.xs_set_permissions)(h, t, path, perms, num_perms) }
    }
    pub unsafe fn xs_transaction_start(&self, h: *mut xs_handle) -> xs_transaction_t {
        unsafe { (self.xs_transaction_start)(h) }
    }
    pub unsafe fn xs_transaction_end(&self, h: *mut xs_handle, t: xs_transaction_t, abort: bool) -> bool {
        unsafe { (self.xs_transaction_end)(h, t, abort) }
    }
    pub unsafe fn xs_introduce_domain(
        &self,
        h: *mut xs_handle,
        domid: ::std::os::raw::c_uint,
        mfn: ::std::os::raw::c_ulong,
        eventchn: ::std::os::raw::c_uint,
    ) -> bool {
        unsafe { (self.xs_introduce_domain)(h, domid, mfn, eventchn) }
    }
    pub unsafe fn xs_release_domain(&self, h: *mut xs_handle, domid: ::std::os::raw::c_uint) -> bool {
        unsafe { (self.xs_release_domain)(h, domid) }
    }
}
