// Made by scripts/bindings from Xen's headers. Not to be edited.

pub const XENSTORE_PAYLOAD_MAX: u32 = 4096;
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
pub mod xsd_sockmsg_type {
    #[allow(unused_imports)]
    use super::*;
    pub type Type = ::std::os::raw::c_uint;
    pub const XS_CONTROL: Type = 0;
    pub const XS_DIRECTORY: Type = 1;
    pub const XS_READ: Type = 2;
    pub const XS_GET_PERMS: Type = 3;
    pub const XS_WATCH: Type = 4;
    pub const XS_UNWATCH: Type = 5;
    pub const XS_TRANSACTION_START: Type = 6;
    pub const XS_TRANSACTION_END: Type = 7;
    pub const XS_INTRODUCE: Type = 8;
    pub const XS_RELEASE: Type = 9;
    pub const XS_GET_DOMAIN_PATH: Type = 10;
    pub const XS_WRITE: Type = 11;
    pub const XS_MKDIR: Type = 12;
    pub const XS_RM: Type = 13;
    pub const XS_SET_PERMS: Type = 14;
    pub const XS_WATCH_EVENT: Type = 15;
    pub const XS_ERROR: Type = 16;
    pub const XS_IS_DOMAIN_INTRODUCED: Type = 17;
    pub const XS_RESUME: Type = 18;
    pub const XS_SET_TARGET: Type = 19;
    pub const XS_RESET_WATCHES: Type = 21;
    pub const XS_DIRECTORY_PART: Type = 22;
    pub const XS_TYPE_COUNT: Type = 23;
    pub const XS_INVALID: Type = 65535;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xsd_sockmsg {
    pub type_: u32,
    pub req_id: u32,
    pub tx_id: u32,
    pub len: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xsd_sockmsg"][::std::mem::size_of::<xsd_sockmsg>() - 16usize];
    ["Alignment of xsd_sockmsg"][::std::mem::align_of::<xsd_sockmsg>() - 4usize];
    ["Offset of field: xsd_sockmsg::type_"][::std::mem::offset_of!(xsd_sockmsg, type_) - 0usize];
    ["Offset of field: xsd_sockmsg::req_id"][::std::mem::offset_of!(xsd_sockmsg, req_id) - 4usize];
    ["Offset of field: xsd_sockmsg::tx_id"][::std::mem::offset_of!(xsd_sockmsg, tx_id) - 8usize];
    ["Offset of field: xsd_sockmsg::len"][::std::mem::offset_of!(xsd_sockmsg, len) - 12usize];
};
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
