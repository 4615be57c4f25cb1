// Made by scripts/bindings from Xen's headers. Not to be edited.

#[repr(C)]
#[derive(Default)]
pub struct __IncompleteArrayField<T>(::std::marker::PhantomData<T>, [T; 0]);
impl<T> __IncompleteArrayField<T> {
    #[inline]
    pub const fn new() -> Self {
        __IncompleteArrayField(::std::marker::PhantomData, [])
    }
    #[inline]
    pub fn as_ptr(&self) -> *const T {
        self as *const _ as *const T
    }
    #[inline]
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self as *mut _ as *mut T
    }
    #[inline]
    pub unsafe fn as_slice(&self, len: usize) -> &[T] {
        unsafe { ::std::slice::from_raw_parts(self.as_ptr(), len) }
    }
    #[inline]
    pub unsafe fn as_mut_slice(&mut self, len: usize) -> &mut [T] {
        unsafe { ::std::slice::from_raw_parts_mut(self.as_mut_ptr(), len) }
    }
}
impl<T> ::std::fmt::Debug for __IncompleteArrayField<T> {
    fn fmt(&self, fmt: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
        fmt.write_str("__IncompleteArrayField")
    }
}
pub const XEN_X86_EMU_LAPIC: u32 = 1;
pub const XEN_DOMCTL_CDF_hvm: u32 = 1;
pub const XEN_DOMCTL_CDF_hap: u32 = 2;
pub const XEN_DOMCTL_CDF_s3_integrity: u32 = 4;
pub const XEN_DOMCTL_CDF_oos_off: u32 = 8;
pub const XEN_DOMCTL_CDF_xs_domain: u32 = 16;
pub const XEN_DOMCTL_CDF_iommu: u32 = 32;
pub const XEN_DOMCTL_CDF_nested_virt: u32 = 64;
pub const XEN_DOMCTL_CDF_vpmu: u32 = 128;
pub const XEN_DOMCTL_CDF_MAX: u32 = 128;
pub const XEN_DOMINF_dying: u32 = 1;
pub const XEN_DOMINF_hvm_guest: u32 = 2;
pub const XEN_DOMINF_shutdown: u32 = 4;
pub const XEN_DOMINF_paused: u32 = 8;
pub const XEN_DOMINF_blocked: u32 = 16;
pub const XEN_DOMINF_running: u32 = 32;
pub const XEN_DOMINF_debugged: u32 = 64;
pub const XEN_DOMINF_xs_domain: u32 = 128;
pub const XEN_DOMINF_hap: u32 = 256;
pub const XEN_DOMINF_shutdownmask: u32 = 255;
pub const XEN_DOMINF_shutdownshift: u32 = 16;
pub const XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION: u32 = 31;
pub const XEN_SYSCTL_PHYSCAP_hvm: u32 = 1;
pub const XEN_SYSCTL_PHYSCAP_pv: u32 = 2;
pub const XEN_SYSCTL_PHYSCAP_directio: u32 = 4;
pub const XEN_SYSCTL_PHYSCAP_hap: u32 = 8;
pub const XEN_SYSCTL_PHYSCAP_shadow: u32 = 16;
pub const XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share: u32 = 32;
pub const XEN_SYSCTL_PHYSCAP_vmtrace: u32 = 64;
pub const XEN_SYSCTL_PHYSCAP_vpmu: u32 = 128;
pub const XEN_SYSCTL_PHYSCAP_gnttab_v1: u32 = 256;
pub const XEN_SYSCTL_PHYSCAP_gnttab_v2: u32 = 512;
pub const XEN_SYSCTL_PHYSCAP_MAX: u32 = 512;
pub const SHUTDOWN_poweroff: u32 = 0;
pub const SHUTDOWN_reboot: u32 = 1;
pub const SHUTDOWN_suspend: u32 = 2;
pub const SHUTDOWN_crash: u32 = 3;
pub const SHUTDOWN_watchdog: u32 = 4;
pub const SHUTDOWN_soft_reset: u32 = 5;
pub const SHUTDOWN_MAX: u32 = 5;
pub const HVM_PARAM_STORE_PFN: u32 = 1;
pub const HVM_PARAM_STORE_EVTCHN: u32 = 2;
pub const HVM_PARAM_CONSOLE_PFN: u32 = 17;
pub const HVM_PARAM_CONSOLE_EVTCHN: u32 = 18;
pub const E820_RAM: u32 = 1;
pub const E820_RESERVED: u32 = 2;
pub const E820_ACPI: u32 = 3;
pub const E820_NVS: u32 = 4;
pub const E820_UNUSABLE: u32 = 5;
pub const X86_HVM_NR_SPECIAL_PAGES: u32 = 8;
pub const X86_HVM_END_SPECIAL_REGION: u32 = 1044480;
pub const XEN_HVM_MEMMAP_TYPE_RAM: u32 = 1;
pub const XEN_HVM_MEMMAP_TYPE_RESERVED: u32 = 2;
pub const XEN_HVM_MEMMAP_TYPE_ACPI: u32 = 3;
pub const XEN_HVM_MEMMAP_TYPE_NVS: u32 = 4;
pub const XEN_HVM_MEMMAP_TYPE_UNUSABLE: u32 = 5;
pub const XEN_HVM_MEMMAP_TYPE_DISABLED: u32 = 6;
pub const XEN_HVM_MEMMAP_TYPE_PMEM: u32 = 7;
pub type va_list = __builtin_va_list;
pub type xen_pfn_t = ::std::os::raw::c_ulong;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_arch_domainconfig {
    pub emulation_flags: u32,
    pub misc_flags: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xen_arch_domainconfig"][::std::mem::size_of::<xen_arch_domainconfig>() - 8usize];
    ["Alignment of xen_arch_domainconfig"][::std::mem::align_of::<xen_arch_domainconfig>() - 4usize];
    ["Offset of field: xen_arch_domainconfig::emulation_flags"]
        [::std::mem::offset_of!(xen_arch_domainconfig, emulation_flags) - 0usize];
    ["Offset of field: xen_arch_domainconfig::misc_flags"]
        [::std::mem::offset_of!(xen_arch_domainconfig, misc_flags) - 4usize];
};
pub type domid_t = u16;
pub type xen_domain_handle_t = [u8; 16usize];
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_vmemrange {
    pub start: u64,
    pub end: u64,
    pub flags: ::std::os::raw::c_uint,
    pub nid: ::std::os::raw::c_uint,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xen_vmemrange"][::std::mem::size_of::<xen_vmemrange>() - 24usize];
    ["Alignment of xen_vmemrange"][::std::mem::align_of::<xen_vmemrange>() - 8usize];
    ["Offset of field: xen_vmemrange::start"][::std::mem::offset_of!(xen_vmemrange, start) - 0usize];
    ["Offset of field: xen_vmemrange::end"][::std::mem::offset_of!(xen_vmemrange, end) - 8usize];
    ["Offset of field: xen_vmemrange::flags"][::std::mem::offset_of!(xen_vmemrange, flags) - 16usize];
    ["Offset of field: xen_vmemrange::nid"][::std::mem::offset_of!(xen_vmemrange, nid) - 20usize];
};
pub type xen_vmemrange_t = xen_vmemrange;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_domctl_createdomain {
    pub ssidref: u32,
    pub handle: xen_domain_handle_t,
    pub flags: u32,
    pub iommu_opts: u32,
    pub max_vcpus: u32,
    pub max_evtchn_port: u32,
    pub max_grant_frames: i32,
    pub max_maptrack_frames: i32,
    pub grant_opts: u32,
    pub vmtrace_size: u32,
    pub cpupool_id: u32,
    pub arch: xen_arch_domainconfig,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xen_domctl_createdomain"][::std::mem::size_of::<xen_domctl_createdomain>() - 64usize];
    ["Alignment of xen_domctl_createdomain"][::std::mem::align_of::<xen_domctl_createdomain>() - 4usize];
    ["Offset of field: xen_domctl_createdomain::ssidref"]
        [::std::mem::offset_of!(xen_domctl_createdomain, ssidref) - 0usize];
    ["Offset of field: xen_domctl_createdomain::handle"]
        [::std::mem::offset_of!(xen_domctl_createdomain, handle) - 4usize];
    ["Offset of field: xen_domctl_createdomain::flags"]
        [::std::mem::offset_of!(xen_domctl_createdomain, flags) - 20usize];
    ["Offset of field: xen_domctl_createdomain::iommu_opts"]
        [::std::mem::offset_of!(xen_domctl_createdomain, iommu_opts) - 24usize];
    ["Offset of field: xen_domctl_createdomain::max_vcpus"]
        [::std::mem::offset_of!(xen_domctl_createdomain, max_vcpus) - 28usize];
    ["Offset of field: xen_domctl_createdomain::max_evtchn_port"]
        [::std::mem::offset_of!(xen_domctl_createdomain, max_evtchn_port) - 32usize];
    ["Offset of field: xen_domctl_createdomain::max_grant_frames"]
        [::std::mem::offset_of!(xen_domctl_createdomain, max_grant_frames) - 36usize];
    ["Offset of field: xen_domctl_createdomain::max_maptrack_frames"]
        [::std::mem::offset_of!(xen_domctl_createdomain, max_maptrack_frames) - 40usize];
    ["Offset of field: xen_domctl_createdomain::grant_opts"]
        [::std::mem::offset_of!(xen_domctl_createdomain, grant_opts) - 44usize];
    ["Offset of field: xen_domctl_createdomain::vmtrace_size"]
        [::std::mem::offset_of!(xen_domctl_createdomain, vmtrace_size) - 48usize];
    ["Offset of field: xen_domctl_createdomain::cpupool_id"]
        [::std::mem::offset_of!(xen_domctl_createdomain, cpupool_id) - 52usize];
    ["Offset of field: xen_domctl_createdomain::arch"]
        [::std::mem::offset_of!(xen_domctl_createdomain, arch) - 56usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_domctl_getdomaininfo {
    pub domain: domid_t,
    pub pad1: u16,
    pub flags: u32,
    pub tot_pages: u64,
    pub max_pages: u64,
    pub outstanding_pages: u64,
    pub shr_pages: u64,
    pub paged_pages: u64,
    pub shared_info_frame: u64,
    pub cpu_time: u64,
    pub nr_online_vcpus: u32,
    pub max_vcpu_id: u32,
    pub ssidref: u32,
    pub handle: xen_domain_handle_t,
    pub cpupool: u32,
    pub gpaddr_bits: u8,
    pub pad2: [u8; 7usize],
    pub arch_config: xen_arch_domainconfig,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xen_domctl_getdomaininfo"][::std::mem::size_of::<xen_domctl_getdomaininfo>() - 112usize];
    ["Alignment of xen_domctl_getdomaininfo"][::std::mem::align_of::<xen_domctl_getdomaininfo>() - 8usize];
    ["Offset of field: xen_domctl_getdomaininfo::domain"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, domain) - 0usize];
    ["Offset of field: xen_domctl_getdomaininfo::pad1"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, pad1) - 2usize];
    ["Offset of field: xen_domctl_getdomaininfo::flags"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, flags) - 4usize];
    ["Offset of field: xen_domctl_getdomaininfo::tot_pages"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, tot_pages) - 8usize];
    ["Offset of field: xen_domctl_getdomaininfo::max_pages"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, max_pages) - 16usize];
    ["Offset of field: xen_domctl_getdomaininfo::outstanding_pages"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, outstanding_pages) - 24usize];
    ["Offset of field: xen_domctl_getdomaininfo::shr_pages"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, shr_pages) - 32usize];
    ["Offset of field: xen_domctl_getdomaininfo::paged_pages"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, paged_pages) - 40usize];
    ["Offset of field: xen_domctl_getdomaininfo::shared_info_frame"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, shared_info_frame) - 48usize];
    ["Offset of field: xen_domctl_getdomaininfo::cpu_time"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, cpu_time) - 56usize];
    ["Offset of field: xen_domctl_getdomaininfo::nr_online_vcpus"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, nr_online_vcpus) - 64usize];
    ["Offset of field: xen_domctl_getdomaininfo::max_vcpu_id"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, max_vcpu_id) - 68usize];
    ["Offset of field: xen_domctl_getdomaininfo::ssidref"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, ssidref) - 72usize];
    ["Offset of field: xen_domctl_getdomaininfo::handle"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, handle) - 76usize];
    ["Offset of field: xen_domctl_getdomaininfo::cpupool"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, cpupool) - 92usize];
    ["Offset of field: xen_domctl_getdomaininfo::gpaddr_bits"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, gpaddr_bits) - 96usize];
    ["Offset of field: xen_domctl_getdomaininfo::pad2"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, pad2) - 97usize];
    ["Offset of field: xen_domctl_getdomaininfo::arch_config"]
        [::std::mem::offset_of!(xen_domctl_getdomaininfo, arch_config) - 104usize];
};
pub type xen_domctl_getdomaininfo_t = xen_domctl_getdomaininfo;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_sysctl_physinfo {
    pub threads_per_core: u32,
    pub cores_per_socket: u32,
    pub nr_cpus: u32,
    pub max_cpu_id: u32,
    pub nr_nodes: u32,
    pub max_node_id: u32,
    pub cpu_khz: u32,
    pub capabilities: u32,
    pub arch_capabilities: u32,
    pub pad: u32,
    pub total_pages: u64,
    pub free_pages: u64,
    pub scrub_pages: u64,
    pub outstanding_pages: u64,
    pub max_mfn: u64,
    pub hw_cap: [u32; 8usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xen_sysctl_physinfo"][::std::mem::size_of::<xen_sysctl_physinfo>() - 112usize];
    ["Alignment of xen_sysctl_physinfo"][::std::mem::align_of::<xen_sysctl_physinfo>() - 8usize];
    ["Offset of field: xen_sysctl_physinfo::threads_per_core"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, threads_per_core) - 0usize];
    ["Offset of field: xen_sysctl_physinfo::cores_per_socket"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, cores_per_socket) - 4usize];
    ["Offset of field: xen_sysctl_physinfo::nr_cpus"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, nr_cpus) - 8usize];
    ["Offset of field: xen_sysctl_physinfo::max_cpu_id"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, max_cpu_id) - 12usize];
    ["Offset of field: xen_sysctl_physinfo::nr_nodes"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, nr_nodes) - 16usize];
    ["Offset of field: xen_sysctl_physinfo::max_node_id"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, max_node_id) - 20usize];
    ["Offset of field: xen_sysctl_physinfo::cpu_khz"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, cpu_khz) - 24usize];
    ["Offset of field: xen_sysctl_physinfo::capabilities"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, capabilities) - 28usize];
    ["Offset of field: xen_sysctl_physinfo::arch_capabilities"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, arch_capabilities) - 32usize];
    ["Offset of field: xen_sysctl_physinfo::pad"][::std::mem::offset_of!(xen_sysctl_physinfo, pad) - 36usize];
    ["Offset of field: xen_sysctl_physinfo::total_pages"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, total_pages) - 40usize];
    ["Offset of field: xen_sysctl_physinfo::free_pages"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, free_pages) - 48usize];
    ["Offset of field: xen_sysctl_physinfo::scrub_pages"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, scrub_pages) - 56usize];
    ["Offset of field: xen_sysctl_physinfo::outstanding_pages"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, outstanding_pages) - 64usize];
    ["Offset of field: xen_sysctl_physinfo::max_mfn"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, max_mfn) - 72usize];
    ["Offset of field: xen_sysctl_physinfo::hw_cap"]
        [::std::mem::offset_of!(xen_sysctl_physinfo, hw_cap) - 80usize];
};
pub type xen_capabilities_info_t = [::std::os::raw::c_char; 1024usize];
pub mod xentoollog_level {
    #[allow(unused_imports)]
    use super::*;
    pub type Type = ::std::os::raw::c_uint;
    pub const XTL_NONE: Type = 0;
    pub const XTL_DEBUG: Type = 1;
    pub const XTL_VERBOSE: Type = 2;
    pub const XTL_DETAIL: Type = 3;
    pub const XTL_PROGRESS: Type = 4;
    pub const XTL_INFO: Type = 5;
    pub const XTL_NOTICE: Type = 6;
    pub const XTL_WARN: Type = 7;
    pub const XTL_ERROR: Type = 8;
    pub const XTL_CRITICAL: Type = 9;
    pub const XTL_NUM_LEVELS: Type = 10;
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xentoollog_logger {
    pub vmessage: ::std::option::Option<
        unsafe extern "C" fn(
            logger: *mut xentoollog_logger,
            level: xentoollog_level::Type,
            errnoval: ::std::os::raw::c_int,
            context: *const ::std::os::raw::c_char,
            format: *const ::std::os::raw::c_char,
            al: *mut __va_list_tag,
        ),
    >,
    pub progress: ::std::option::Option<
        unsafe extern "C" fn(
            logger: *mut xentoollog_logger,
            context: *const ::std::os::raw::c_char,
            doing_what: *const ::std::os::raw::c_char,
            percent: ::std::os::raw::c_int,
            done: ::std::os::raw::c_ulong,
            total: ::std::os::raw::c_ulong,
        ),
    >,
    pub destroy: ::std::option::Option<unsafe extern "C" fn(logger: *mut xentoollog_logger)>,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xentoollog_logger"][::std::mem::size_of::<xentoollog_logger>() - 24usize];
    ["Alignment of xentoollog_logger"][::std::mem::align_of::<xentoollog_logger>() - 8usize];
    ["Offset of field: xentoollog_logger::vmessage"]
        [::std::mem::offset_of!(xentoollog_logger, vmessage) - 0usize];
    ["Offset of field: xentoollog_logger::progress"]
        [::std::mem::offset_of!(xentoollog_logger, progress) - 8usize];
    ["Offset of field: xentoollog_logger::destroy"]
        [::std::mem::offset_of!(xentoollog_logger, destroy) - 16usize];
};
#[repr(C)]
#[derive(Debug)]
pub struct xc_interface_core {
    _unused: [u8; 0],
}
pub type xc_interface = xc_interface_core;
pub type xc_domaininfo_t = xen_domctl_getdomaininfo_t;
pub type xc_evtchn_port_or_error_t = ::std::os::raw::c_int;
pub type xc_physinfo_t = xen_sysctl_physinfo;
#[repr(C, packed)]
#[derive(Debug, Default, Copy, Clone)]
pub struct e820entry {
    pub addr: u64,
    pub size: u64,
    pub type_: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of e820entry"][::std::mem::size_of::<e820entry>() - 20usize];
    ["Alignment of e820entry"][::std::mem::align_of::<e820entry>() - 1usize];
    ["Offset of field: e820entry::addr"][::std::mem::offset_of!(e820entry, addr) - 0usize];
    ["Offset of field: e820entry::size"][::std::mem::offset_of!(e820entry, size) - 8usize];
    ["Offset of field: e820entry::type_"][::std::mem::offset_of!(e820entry, type_) - 16usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct xc_xend_cpuid {
    pub __bindgen_anon_1: xc_xend_cpuid__bindgen_ty_1,
    pub policy: [*mut ::std::os::raw::c_char; 4usize],
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union xc_xend_cpuid__bindgen_ty_1 {
    pub __bindgen_anon_1: xc_xend_cpuid__bindgen_ty_1__bindgen_ty_1,
    pub input: [u32; 2usize],
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xc_xend_cpuid__bindgen_ty_1__bindgen_ty_1 {
    pub leaf: u32,
    pub subleaf: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xc_xend_cpuid__bindgen_ty_1__bindgen_ty_1"]
        [::std::mem::size_of::<xc_xend_cpuid__bindgen_ty_1__bindgen_ty_1>() - 8usize];
    ["Alignment of xc_xend_cpuid__bindgen_ty_1__bindgen_ty_1"]
        [::std::mem::align_of::<xc_xend_cpuid__bindgen_ty_1__bindgen_ty_1>() - 4usize];
    ["Offset of field: xc_xend_cpuid__bindgen_ty_1__bindgen_ty_1::leaf"]
        [::std::mem::offset_of!(xc_xend_cpuid__bindgen_ty_1__bindgen_ty_1, leaf) - 0usize];
    ["Offset of field: xc_xend_cpuid__bindgen_ty_1__bindgen_ty_1::subleaf"]
        [::std::mem::offset_of!(xc_xend_cpuid__bindgen_ty_1__bindgen_ty_1, subleaf) - 4usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xc_xend_cpuid__bindgen_ty_1"][::std::mem::size_of::<xc_xend_cpuid__bindgen_ty_1>() - 8usize];
    ["Alignment of xc_xend_cpuid__bindgen_ty_1"]
        [::std::mem::align_of::<xc_xend_cpuid__bindgen_ty_1>() - 4usize];
    ["Offset of field: xc_xend_cpuid__bindgen_ty_1::input"]
        [::std::mem::offset_of!(xc_xend_cpuid__bindgen_ty_1, input) - 0usize];
};
impl Default for xc_xend_cpuid__bindgen_ty_1 {
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
    ["Size of xc_xend_cpuid"][::std::mem::size_of::<xc_xend_cpuid>() - 40usize];
    ["Alignment of xc_xend_cpuid"][::std::mem::align_of::<xc_xend_cpuid>() - 8usize];
    ["Offset of field: xc_xend_cpuid::policy"][::std::mem::offset_of!(xc_xend_cpuid, policy) - 8usize];
};
impl Default for xc_xend_cpuid {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct xc_msr {
    pub index: u32,
    pub policy: [::std::os::raw::c_char; 65usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xc_msr"][::std::mem::size_of::<xc_msr>() - 72usize];
    ["Alignment of xc_msr"][::std::mem::align_of::<xc_msr>() - 4usize];
    ["Offset of field: xc_msr::index"][::std::mem::offset_of!(xc_msr, index) - 0usize];
    ["Offset of field: xc_msr::policy"][::std::mem::offset_of!(xc_msr, policy) - 4usize];
};
impl Default for xc_msr {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub type xen_vaddr_t = u64;
pub type xen_paddr_t = u64;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xc_dom_seg {
    pub vstart: xen_vaddr_t,
    pub vend: xen_vaddr_t,
    pub pfn: xen_pfn_t,
    pub pages: xen_pfn_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xc_dom_seg"][::std::mem::size_of::<xc_dom_seg>() - 32usize];
    ["Alignment of xc_dom_seg"][::std::mem::align_of::<xc_dom_seg>() - 8usize];
    ["Offset of field: xc_dom_seg::vstart"][::std::mem::offset_of!(xc_dom_seg, vstart) - 0usize];
    ["Offset of field: xc_dom_seg::vend"][::std::mem::offset_of!(xc_dom_seg, vend) - 8usize];
    ["Offset of field: xc_dom_seg::pfn"][::std::mem::offset_of!(xc_dom_seg, pfn) - 16usize];
    ["Offset of field: xc_dom_seg::pages"][::std::mem::offset_of!(xc_dom_seg, pages) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct xc_hvm_firmware_module {
    pub data: *mut u8,
    pub length: u32,
    pub guest_addr_out: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xc_hvm_firmware_module"][::std::mem::size_of::<xc_hvm_firmware_module>() - 24usize];
    ["Alignment of xc_hvm_firmware_module"][::std::mem::align_of::<xc_hvm_firmware_module>() - 8usize];
    ["Offset of field: xc_hvm_firmware_module::data"]
        [::std::mem::offset_of!(xc_hvm_firmware_module, data) - 0usize];
    ["Offset of field: xc_hvm_firmware_module::length"]
        [::std::mem::offset_of!(xc_hvm_firmware_module, length) - 8usize];
    ["Offset of field: xc_hvm_firmware_module::guest_addr_out"]
        [::std::mem::offset_of!(xc_hvm_firmware_module, guest_addr_out) - 16usize];
};
impl Default for xc_hvm_firmware_module {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug)]
pub struct xc_dom_mem {
    pub next: *mut xc_dom_mem,
    pub ptr: *mut ::std::os::raw::c_void,
    pub type_: xc_dom_mem__bindgen_ty_1::Type,
    pub len: usize,
    pub memory: __IncompleteArrayField<::std::os::raw::c_uchar>,
}
pub mod xc_dom_mem__bindgen_ty_1 {
    #[allow(unused_imports)]
    use super::*;
    pub type Type = ::std::os::raw::c_uint;
    pub const XC_DOM_MEM_TYPE_MALLOC_INTERNAL: Type = 0;
    pub const XC_DOM_MEM_TYPE_MALLOC_EXTERNAL: Type = 1;
    pub const XC_DOM_MEM_TYPE_MMAP: Type = 2;
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xc_dom_mem"][::std::mem::size_of::<xc_dom_mem>() - 32usize];
    ["Alignment of xc_dom_mem"][::std::mem::align_of::<xc_dom_mem>() - 8usize];
    ["Offset of field: xc_dom_mem::next"][::std::mem::offset_of!(xc_dom_mem, next) - 0usize];
    ["Offset of field: xc_dom_mem::ptr"][::std::mem::offset_of!(xc_dom_mem, ptr) - 8usize];
    ["Offset of field: xc_dom_mem::type_"][::std::mem::offset_of!(xc_dom_mem, type_) - 16usize];
    ["Offset of field: xc_dom_mem::len"][::std::mem::offset_of!(xc_dom_mem, len) - 24usize];
    ["Offset of field: xc_dom_mem::memory"][::std::mem::offset_of!(xc_dom_mem, memory) - 32usize];
};
impl Default for xc_dom_mem {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct xc_dom_phys {
    pub next: *mut xc_dom_phys,
    pub ptr: *mut ::std::os::raw::c_void,
    pub first: xen_pfn_t,
    pub count: xen_pfn_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xc_dom_phys"][::std::mem::size_of::<xc_dom_phys>() - 32usize];
    ["Alignment of xc_dom_phys"][::std::mem::align_of::<xc_dom_phys>() - 8usize];
    ["Offset of field: xc_dom_phys::next"][::std::mem::offset_of!(xc_dom_phys, next) - 0usize];
    ["Offset of field: xc_dom_phys::ptr"][::std::mem::offset_of!(xc_dom_phys, ptr) - 8usize];
    ["Offset of field: xc_dom_phys::first"][::std::mem::offset_of!(xc_dom_phys, first) - 16usize];
    ["Offset of field: xc_dom_phys::count"][::std::mem::offset_of!(xc_dom_phys, count) - 24usize];
};
impl Default for xc_dom_phys {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct xc_dom_module {
    pub blob: *mut ::std::os::raw::c_void,
    pub size: usize,
    pub cmdline: *mut ::std::os::raw::c_void,
    pub seg: xc_dom_seg,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xc_dom_module"][::std::mem::size_of::<xc_dom_module>() - 56usize];
    ["Alignment of xc_dom_module"][::std::mem::align_of::<xc_dom_module>() - 8usize];
    ["Offset of field: xc_dom_module::blob"][::std::mem::offset_of!(xc_dom_module, blob) - 0usize];
    ["Offset of field: xc_dom_module::size"][::std::mem::offset_of!(xc_dom_module, size) - 8usize];
    ["Offset of field: xc_dom_module::cmdline"][::std::mem::offset_of!(xc_dom_module, cmdline) - 16usize];
    ["Offset of field: xc_dom_module::seg"][::std::mem::offset_of!(xc_dom_module, seg) - 24usize];
};
impl Default for xc_dom_module {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct xc_dom_image {
    pub kernel_blob: *mut ::std::os::raw::c_void,
    pub kernel_size: usize,
    pub num_modules: ::std::os::raw::c_uint,
    pub modules: [xc_dom_module; 2usize],
    pub devicetree_blob: *mut ::std::os::raw::c_void,
    pub devicetree_size: usize,
    pub max_kernel_size: usize,
    pub max_module_size: usize,
    pub max_devicetree_size: usize,
    pub cmdline: *mut ::std::os::raw::c_char,
    pub cmdline_size: usize,
    pub f_requested: [u32; 1usize],
    pub parms: *mut elf_dom_parms,
    pub guest_type: *const ::std::os::raw::c_char,
    pub kernel_seg: xc_dom_seg,
    pub p2m_seg: xc_dom_seg,
    pub pgtables_seg: xc_dom_seg,
    pub devicetree_seg: xc_dom_seg,
    pub start_info_seg: xc_dom_seg,
    pub start_info_pfn: xen_pfn_t,
    pub console_pfn: xen_pfn_t,
    pub xenstore_pfn: xen_pfn_t,
    pub shared_info_pfn: xen_pfn_t,
    pub bootstack_pfn: xen_pfn_t,
    pub pfn_alloc_end: xen_pfn_t,
    pub virt_alloc_end: xen_vaddr_t,
    pub bsd_symtab_start: xen_vaddr_t,
    pub initrd_start: u64,
    pub initrd_len: u64,
    pub alloc_bootstack: ::std::os::raw::c_uint,
    pub virt_pgtab_end: xen_vaddr_t,
    pub f_active: [u32; 1usize],
    pub pv_p2m: *mut xen_pfn_t,
    pub p2m_size: xen_pfn_t,
    pub rambase_pfn: xen_pfn_t,
    pub total_pages: xen_pfn_t,
    pub phys_pages: *mut xc_dom_phys,
    pub memblocks: *mut xc_dom_mem,
    pub alloc_malloc: usize,
    pub alloc_mem_map: usize,
    pub alloc_file_map: usize,
    pub alloc_domU_map: usize,
    pub flags: ::std::os::raw::c_ulong,
    pub console_evtchn: ::std::os::raw::c_uint,
    pub xenstore_evtchn: ::std::os::raw::c_uint,
    pub console_domid: u32,
    pub xenstore_domid: u32,
    pub shared_info_mfn: xen_pfn_t,
    pub xch: *mut xc_interface,
    pub guest_domid: u32,
    pub claim_enabled: ::std::os::raw::c_int,
    pub xen_version: ::std::os::raw::c_int,
    pub xen_caps: xen_capabilities_info_t,
    pub kernel_loader: *mut xc_dom_loader,
    pub private_loader: *mut ::std::os::raw::c_void,
    pub vmemranges: *mut xen_vmemrange_t,
    pub nr_vmemranges: ::std::os::raw::c_uint,
    pub vnode_to_pnode: *mut ::std::os::raw::c_uint,
    pub nr_vnodes: ::std::os::raw::c_uint,
    pub arch_private: *mut ::std::os::raw::c_void,
    pub arch_hooks: *mut xc_dom_arch,
    pub allocate:
        ::std::option::Option<unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int>,
    pub container_type: xc_dom_image__bindgen_ty_1::Type,
    pub target_pages: xen_pfn_t,
    pub mmio_start: xen_paddr_t,
    pub mmio_size: xen_paddr_t,
    pub lowmem_end: xen_paddr_t,
    pub highmem_end: xen_paddr_t,
    pub vga_hole_size: xen_pfn_t,
    pub device_model: bool,
    pub system_firmware_module: xc_hvm_firmware_module,
    pub acpi_modules: [xc_hvm_firmware_module; 4usize],
    pub smbios_module: xc_hvm_firmware_module,
    pub e820: *mut e820entry,
    pub e820_entries: ::std::os::raw::c_uint,
    pub vuart_gfn: xen_pfn_t,
    pub max_vcpus: ::std::os::raw::c_uint,
}
pub mod xc_dom_image__bindgen_ty_1 {
    #[allow(unused_imports)]
    use super::*;
    pub type Type = ::std::os::raw::c_uint;
    pub const XC_DOM_PV_CONTAINER: Type = 0;
    pub const XC_DOM_HVM_CONTAINER: Type = 1;
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xc_dom_image"][::std::mem::size_of::<xc_dom_image>() - 1952usize];
    ["Alignment of xc_dom_image"][::std::mem::align_of::<xc_dom_image>() - 8usize];
    ["Offset of field: xc_dom_image::kernel_blob"]
        [::std::mem::offset_of!(xc_dom_image, kernel_blob) - 0usize];
    ["Offset of field: xc_dom_image::kernel_size"]
        [::std::mem::offset_of!(xc_dom_image, kernel_size) - 8usize];
    ["Offset of field: xc_dom_image::num_modules"]
        [::std::mem::offset_of!(xc_dom_image, num_modules) - 16usize];
    ["Offset of field: xc_dom_image::modules"][::std::mem::offset_of!(xc_dom_image, modules) - 24usize];
    ["Offset of field: xc_dom_image::devicetree_blob"]
        [::std::mem::offset_of!(xc_dom_image, devicetree_blob) - 136usize];
    ["Offset of field: xc_dom_image::devicetree_size"]
        [::std::mem::offset_of!(xc_dom_image, devicetree_size) - 144usize];
    ["Offset of field: xc_dom_image::max_kernel_size"]
        [::std::mem::offset_of!(xc_dom_image, max_kernel_size) - 152usize];
    ["Offset of field: xc_dom_image::max_module_size"]
        [::std::mem::offset_of!(xc_dom_image, max_module_size) - 160usize];
    ["Offset of field: xc_dom_image::max_devicetree_size"]
        [::std::mem::offset_of!(xc_dom_image, max_devicetree_size) - 168usize];
    ["Offset of field: xc_dom_image::cmdline"][::std::mem::offset_of!(xc_dom_image, cmdline) - 176usize];
    ["Offset of field: xc_dom_image::cmdline_size"]
        [::std::mem::offset_of!(xc_dom_image, cmdline_size) - 184usize];
    ["Offset of field: xc_dom_image::f_requested"]
        [::std::mem::offset_of!(xc_dom_image, f_requested) - 192usize];
    ["Offset of field: xc_dom_image::parms"][::std::mem::offset_of!(xc_dom_image, parms) - 200usize];
    ["Offset of field: xc_dom_image::guest_type"]
        [::std::mem::offset_of!(xc_dom_image, guest_type) - 208usize];
    ["Offset of field: xc_dom_image::kernel_seg"]
        [::std::mem::offset_of!(xc_dom_image, kernel_seg) - 216usize];
    ["Offset of field: xc_dom_image::p2m_seg"][::std::mem::offset_of!(xc_dom_image, p2m_seg) - 248usize];
    ["Offset of field: xc_dom_image::pgtables_seg"]
        [::std::mem::offset_of!(xc_dom_image, pgtables_seg) - 280usize];
    ["Offset of field: xc_dom_image::devicetree_seg"]
        [::std::mem::offset_of!(xc_dom_image, devicetree_seg) - 312usize];
    ["Offset of field: xc_dom_image::start_info_seg"]
        [::std::mem::offset_of!(xc_dom_image, start_info_seg) - 344usize];
    ["Offset of field: xc_dom_image::start_info_pfn"]
        [::std::mem::offset_of!(xc_dom_image, start_info_pfn) - 376usize];
    ["Offset of field: xc_dom_image::console_pfn"]
        [::std::mem::offset_of!(xc_dom_image, console_pfn) - 384usize];
    ["Offset of field: xc_dom_image::xenstore_pfn"]
        [::std::mem::offset_of!(xc_dom_image, xenstore_pfn) - 392usize];
    ["Offset of field: xc_dom_image::shared_info_pfn"]
        [::std::mem::offset_of!(xc_dom_image, shared_info_pfn) - 400usize];
    ["Offset of field: xc_dom_image::bootstack_pfn"]
        [::std::mem::offset_of!(xc_dom_image, bootstack_pfn) - 408usize];
    ["Offset of field: xc_dom_image::pfn_alloc_end"]
        [::std::mem::offset_of!(xc_dom_image, pfn_alloc_end) - 416usize];
    ["Offset of field: xc_dom_image::virt_alloc_end"]
        [::std::mem::offset_of!(xc_dom_image, virt_alloc_end) - 424usize];
    ["Offset of field: xc_dom_image::bsd_symtab_start"]
        [::std::mem::offset_of!(xc_dom_image, bsd_symtab_start) - 432usize];
    ["Offset of field: xc_dom_image::initrd_start"]
        [::std::mem::offset_of!(xc_dom_image, initrd_start) - 440usize];
    ["Offset of field: xc_dom_image::initrd_len"]
        [::std::mem::offset_of!(xc_dom_image, initrd_len) - 448usize];
    ["Offset of field: xc_dom_image::alloc_bootstack"]
        [::std::mem::offset_of!(xc_dom_image, alloc_bootstack) - 456usize];
    ["Offset of field: xc_dom_image::virt_pgtab_end"]
        [::std::mem::offset_of!(xc_dom_image, virt_pgtab_end) - 464usize];
    ["Offset of field: xc_dom_image::f_active"][::std::mem::offset_of!(xc_dom_image, f_active) - 472usize];
    ["Offset of field: xc_dom_image::pv_p2m"][::std::mem::offset_of!(xc_dom_image, pv_p2m) - 480usize];
    ["Offset of field: xc_dom_image::p2m_size"][::std::mem::offset_of!(xc_dom_image, p2m_size) - 488usize];
    ["Offset of field: xc_dom_image::rambase_pfn"]
        [::std::mem::offset_of!(xc_dom_image, rambase_pfn) - 496usize];
    ["Offset of field: xc_dom_image::total_pages"]
        [::std::mem::offset_of!(xc_dom_image, total_pages) - 504usize];
    ["Offset of field: xc_dom_image::phys_pages"]
        [::std::mem::offset_of!(xc_dom_image, phys_pages) - 512usize];
    ["Offset of field: xc_dom_image::memblocks"][::std::mem::offset_of!(xc_dom_image, memblocks) - 520usize];
    ["Offset of field: xc_dom_image::alloc_malloc"]
        [::std::mem::offset_of!(xc_dom_image, alloc_malloc) - 528usize];
    ["Offset of field: xc_dom_image::alloc_mem_map"]
        [::std::mem::offset_of!(xc_dom_image, alloc_mem_map) - 536usize];
    ["Offset of field: xc_dom_image::alloc_file_map"]
        [::std::mem::offset_of!(xc_dom_image, alloc_file_map) - 544usize];
    ["Offset of field: xc_dom_image::alloc_domU_map"]
        [::std::mem::offset_of!(xc_dom_image, alloc_domU_map) - 552usize];
    ["Offset of field: xc_dom_image::flags"][::std::mem::offset_of!(xc_dom_image, flags) - 560usize];
    ["Offset of field: xc_dom_image::console_evtchn"]
        [::std::mem::offset_of!(xc_dom_image, console_evtchn) - 568usize];
    ["Offset of field: xc_dom_image::xenstore_evtchn"]
        [::std::mem::offset_of!(xc_dom_image, xenstore_evtchn) - 572usize];
    ["Offset of field: xc_dom_image::console_domid"]
        [::std::mem::offset_of!(xc_dom_image, console_domid) - 576usize];
    ["Offset of field: xc_dom_image::xenstore_domid"]
        [::std::mem::offset_of!(xc_dom_image, xenstore_domid) - 580usize];
    ["Offset of field: xc_dom_image::shared_info_mfn"]
        [::std::mem::offset_of!(xc_dom_image, shared_info_mfn) - 584usize];
    ["Offset of field: xc_dom_image::xch"][::std::mem::offset_of!(xc_dom_image, xch) - 592usize];
    ["Offset of field: xc_dom_image::guest_domid"]
        [::std::mem::offset_of!(xc_dom_image, guest_domid) - 600usize];
    ["Offset of field: xc_dom_image::claim_enabled"]
        [::std::mem::offset_of!(xc_dom_image, claim_enabled) - 604usize];
    ["Offset of field: xc_dom_image::xen_version"]
        [::std::mem::offset_of!(xc_dom_image, xen_version) - 608usize];
    ["Offset of field: xc_dom_image::xen_caps"][::std::mem::offset_of!(xc_dom_image, xen_caps) - 612usize];
    ["Offset of field: xc_dom_image::kernel_loader"]
        [::std::mem::offset_of!(xc_dom_image, kernel_loader) - 1640usize];
    ["Offset of field: xc_dom_image::private_loader"]
        [::std::mem::offset_of!(xc_dom_image, private_loader) - 1648usize];
    ["Offset of field: xc_dom_image::vmemranges"]
        [::std::mem::offset_of!(xc_dom_image, vmemranges) - 1656usize];
    ["Offset of field: xc_dom_image::nr_vmemranges"]
        [::std::mem::offset_of!(xc_dom_image, nr_vmemranges) - 1664usize];
    ["Offset of field: xc_dom_image::vnode_to_pnode"]
        [::std::mem::offset_of!(xc_dom_image, vnode_to_pnode) - 1672usize];
    ["Offset of field: xc_dom_image::nr_vnodes"][::std::mem::offset_of!(xc_dom_image, nr_vnodes) - 1680usize];
    ["Offset of field: xc_dom_image::arch_private"]
        [::std::mem::offset_of!(xc_dom_image, arch_private) - 1688usize];
    ["Offset of field: xc_dom_image::arch_hooks"]
        [::std::mem::offset_of!(xc_dom_image, arch_hooks) - 1696usize];
    ["Offset of field: xc_dom_image::allocate"][::std::mem::offset_of!(xc_dom_image, allocate) - 1704usize];
    ["Offset of field: xc_dom_image::container_type"]
        [::std::mem::offset_of!(xc_dom_image, container_type) - 1712usize];
    ["Offset of field: xc_dom_image::target_pages"]
        [::std::mem::offset_of!(xc_dom_image, target_pages) - 1720usize];
    ["Offset of field: xc_dom_image::mmio_start"]
        [::std::mem::offset_of!(xc_dom_image, mmio_start) - 1728usize];
    ["Offset of field: xc_dom_image::mmio_size"][::std::mem::offset_of!(xc_dom_image, mmio_size) - 1736usize];
    ["Offset of field: xc_dom_image::lowmem_end"]
        [::std::mem::offset_of!(xc_dom_image, lowmem_end) - 1744usize];
    ["Offset of field: xc_dom_image::highmem_end"]
        [::std::mem::offset_of!(xc_dom_image, highmem_end) - 1752usize];
    ["Offset of field: xc_dom_image::vga_hole_size"]
        [::std::mem::offset_of!(xc_dom_image, vga_hole_size) - 1760usize];
    ["Offset of field: xc_dom_image::device_model"]
        [::std::mem::offset_of!(xc_dom_image, device_model) - 1768usize];
    ["Offset of field: xc_dom_image::system_firmware_module"]
        [::std::mem::offset_of!(xc_dom_image, system_firmware_module) - 1776usize];
    ["Offset of field: xc_dom_image::acpi_modules"]
        [::std::mem::offset_of!(xc_dom_image, acpi_modules) - 1800usize];
    ["Offset of field: xc_dom_image::smbios_module"]
        [::std::mem::offset_of!(xc_dom_image, smbios_module) - 1896usize];
    ["Offset of field: xc_dom_image::e820"][::std::mem::offset_of!(xc_dom_image, e820) - 1920usize];
    ["Offset of field: xc_dom_image::e820_entries"]
        [::std::mem::offset_of!(xc_dom_image, e820_entries) - 1928usize];
    ["Offset of field: xc_dom_image::vuart_gfn"][::std::mem::offset_of!(xc_dom_image, vuart_gfn) - 1936usize];
    ["Offset of field: xc_dom_image::max_vcpus"][::std::mem::offset_of!(xc_dom_image, max_vcpus) - 1944usize];
};
impl Default for xc_dom_image {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct xc_dom_arch {
    pub alloc_magic_pages:
        ::std::option::Option<unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int>,
    pub alloc_pgtables:
        ::std::option::Option<unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int>,
    pub alloc_p2m_list:
        ::std::option::Option<unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int>,
    pub setup_pgtables:
        ::std::option::Option<unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int>,
    pub start_info:
        ::std::option::Option<unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int>,
    pub shared_info: ::std::option::Option<
        unsafe extern "C" fn(
            dom: *mut xc_dom_image,
            shared_info: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub vcpu: ::std::option::Option<unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int>,
    pub bootearly:
        ::std::option::Option<unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int>,
    pub bootlate:
        ::std::option::Option<unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int>,
    pub meminit: ::std::option::Option<unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int>,
    pub guest_type: *const ::std::os::raw::c_char,
    pub native_protocol: *const ::std::os::raw::c_char,
    pub page_shift: ::std::os::raw::c_int,
    pub sizeof_pfn: ::std::os::raw::c_int,
    pub p2m_base_supported: ::std::os::raw::c_int,
    pub arch_private_size: ::std::os::raw::c_int,
    pub next: *mut xc_dom_arch,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xc_dom_arch"][::std::mem::size_of::<xc_dom_arch>() - 120usize];
    ["Alignment of xc_dom_arch"][::std::mem::align_of::<xc_dom_arch>() - 8usize];
    ["Offset of field: xc_dom_arch::alloc_magic_pages"]
        [::std::mem::offset_of!(xc_dom_arch, alloc_magic_pages) - 0usize];
    ["Offset of field: xc_dom_arch::alloc_pgtables"]
        [::std::mem::offset_of!(xc_dom_arch, alloc_pgtables) - 8usize];
    ["Offset of field: xc_dom_arch::alloc_p2m_list"]
        [::std::mem::offset_of!(xc_dom_arch, alloc_p2m_list) - 16usize];
    ["Offset of field: xc_dom_arch::setup_pgtables"]
        [::std::mem::offset_of!(xc_dom_arch, setup_pgtables) - 24usize];
    ["Offset of field: xc_dom_arch::start_info"][::std::mem::offset_of!(xc_dom_arch, start_info) - 32usize];
    ["Offset of field: xc_dom_arch::shared_info"][::std::mem::offset_of!(xc_dom_arch, shared_info) - 40usize];
    ["Offset of field: xc_dom_arch::vcpu"][::std::mem::offset_of!(xc_dom_arch, vcpu) - 48usize];
    ["Offset of field: xc_dom_arch::bootearly"][::std::mem::offset_of!(xc_dom_arch, bootearly) - 56usize];
    ["Offset of field: xc_dom_arch::bootlate"][::std::mem::offset_of!(xc_dom_arch, bootlate) - 64usize];
    ["Offset of field: xc_dom_arch::meminit"][::std::mem::offset_of!(xc_dom_arch, meminit) - 72usize];
    ["Offset of field: xc_dom_arch::guest_type"][::std::mem::offset_of!(xc_dom_arch, guest_type) - 80usize];
    ["Offset of field: xc_dom_arch::native_protocol"]
        [::std::mem::offset_of!(xc_dom_arch, native_protocol) - 88usize];
    ["Offset of field: xc_dom_arch::page_shift"][::std::mem::offset_of!(xc_dom_arch, page_shift) - 96usize];
    ["Offset of field: xc_dom_arch::sizeof_pfn"][::std::mem::offset_of!(xc_dom_arch, sizeof_pfn) - 100usize];
    ["Offset of field: xc_dom_arch::p2m_base_supported"]
        [::std::mem::offset_of!(xc_dom_arch, p2m_base_supported) - 104usize];
    ["Offset of field: xc_dom_arch::arch_private_size"]
        [::std::mem::offset_of!(xc_dom_arch, arch_private_size) - 108usize];
    ["Offset of field: xc_dom_arch::next"][::std::mem::offset_of!(xc_dom_arch, next) - 112usize];
};
impl Default for xc_dom_arch {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug)]
pub struct xc_cpu_policy {
    _unused: [u8; 0],
}
pub type xc_cpu_policy_t = xc_cpu_policy;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct hvm_start_info {
    pub magic: u32,
    pub version: u32,
    pub flags: u32,
    pub nr_modules: u32,
    pub modlist_paddr: u64,
    pub cmdline_paddr: u64,
    pub rsdp_paddr: u64,
    pub memmap_paddr: u64,
    pub memmap_entries: u32,
    pub reserved: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of hvm_start_info"][::std::mem::size_of::<hvm_start_info>() - 56usize];
    ["Alignment of hvm_start_info"][::std::mem::align_of::<hvm_start_info>() - 8usize];
    ["Offset of field: hvm_start_info::magic"][::std::mem::offset_of!(hvm_start_info, magic) - 0usize];
    ["Offset of field: hvm_start_info::version"][::std::mem::offset_of!(hvm_start_info, version) - 4usize];
    ["Offset of field: hvm_start_info::flags"][::std::mem::offset_of!(hvm_start_info, flags) - 8usize];
    ["Offset of field: hvm_start_info::nr_modules"]
        [::std::mem::offset_of!(hvm_start_info, nr_modules) - 12usize];
    ["Offset of field: hvm_start_info::modlist_paddr"]
        [::std::mem::offset_of!(hvm_start_info, modlist_paddr) - 16usize];
    ["Offset of field: hvm_start_info::cmdline_paddr"]
        [::std::mem::offset_of!(hvm_start_info, cmdline_paddr) - 24usize];
    ["Offset of field: hvm_start_info::rsdp_paddr"]
        [::std::mem::offset_of!(hvm_start_info, rsdp_paddr) - 32usize];
    ["Offset of field: hvm_start_info::memmap_paddr"]
        [::std::mem::offset_of!(hvm_start_info, memmap_paddr) - 40usize];
    ["Offset of field: hvm_start_info::memmap_entries"]
        [::std::mem::offset_of!(hvm_start_info, memmap_entries) - 48usize];
    ["Offset of field: hvm_start_info::reserved"][::std::mem::offset_of!(hvm_start_info, reserved) - 52usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct hvm_modlist_entry {
    pub paddr: u64,
    pub size: u64,
    pub cmdline_paddr: u64,
    pub reserved: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of hvm_modlist_entry"][::std::mem::size_of::<hvm_modlist_entry>() - 32usize];
    ["Alignment of hvm_modlist_entry"][::std::mem::align_of::<hvm_modlist_entry>() - 8usize];
    ["Offset of field: hvm_modlist_entry::paddr"][::std::mem::offset_of!(hvm_modlist_entry, paddr) - 0usize];
    ["Offset of field: hvm_modlist_entry::size"][::std::mem::offset_of!(hvm_modlist_entry, size) - 8usize];
    ["Offset of field: hvm_modlist_entry::cmdline_paddr"]
        [::std::mem::offset_of!(hvm_modlist_entry, cmdline_paddr) - 16usize];
    ["Offset of field: hvm_modlist_entry::reserved"]
        [::std::mem::offset_of!(hvm_modlist_entry, reserved) - 24usize];
};
pub type __builtin_va_list = [__va_list_tag; 1usize];
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct __va_list_tag {
    pub gp_offset: ::std::os::raw::c_uint,
    pub fp_offset: ::std::os::raw::c_uint,
    pub overflow_arg_area: *mut ::std::os::raw::c_void,
    pub reg_save_area: *mut ::std::os::raw::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of __va_list_tag"][::std::mem::size_of::<__va_list_tag>() - 24usize];
    ["Alignment of __va_list_tag"][::std::mem::align_of::<__va_list_tag>() - 8usize];
    ["Offset of field: __va_list_tag::gp_offset"][::std::mem::offset_of!(__va_list_tag, gp_offset) - 0usize];
    ["Offset of field: __va_list_tag::fp_offset"][::std::mem::offset_of!(__va_list_tag, fp_offset) - 4usize];
    ["Offset of field: __va_list_tag::overflow_arg_area"]
        [::std::mem::offset_of!(__va_list_tag, overflow_arg_area) - 8usize];
    ["Offset of field: __va_list_tag::reg_save_area"]
        [::std::mem::offset_of!(__va_list_tag, reg_save_area) - 16usize];
};
impl Default for __va_list_tag {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct elf_dom_parms {
    pub _address: u8,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xc_dom_loader {
    pub _address: u8,
}
pub struct Guest {
    __library: ::libloading::Library,
    pub xc_cpuid_apply_policy: unsafe extern "C" fn(
        xch: *mut xc_interface,
        domid: u32,
        restore: bool,
        featureset: *const u32,
        nr_features: ::std::os::raw::c_uint,
        pae: bool,
        itsc: bool,
        nested_virt: bool,
        xend: *const xc_xend_cpuid,
        msr: *const xc_msr,
    ) -> ::std::os::raw::c_int,
    pub xc_dom_allocate: unsafe extern "C" fn(
        xch: *mut xc_interface,
        cmdline: *const ::std::os::raw::c_char,
        features: *const ::std::os::raw::c_char,
    ) -> *mut xc_dom_image,
    pub xc_dom_release: unsafe extern "C" fn(dom: *mut xc_dom_image),
    pub xc_dom_mem_init:
        unsafe extern "C" fn(dom: *mut xc_dom_image, mem_mb: ::std::os::raw::c_uint) -> ::std::os::raw::c_int,
    pub xc_dom_kernel_mem: unsafe extern "C" fn(
        dom: *mut xc_dom_image,
        mem: *const ::std::os::raw::c_void,
        memsize: usize,
    ) -> ::std::os::raw::c_int,
    pub xc_dom_module_mem: unsafe extern "C" fn(
        dom: *mut xc_dom_image,
        mem: *const ::std::os::raw::c_void,
        memsize: usize,
        cmdline: *const ::std::os::raw::c_char,
    ) -> ::std::os::raw::c_int,
    pub xc_dom_parse_image: unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int,
    pub xc_dom_build_image: unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int,
    pub xc_dom_boot_xen_init: unsafe extern "C" fn(
        dom: *mut xc_dom_image,
        xch: *mut xc_interface,
        domid: u32,
    ) -> ::std::os::raw::c_int,
    pub xc_dom_boot_mem_init: unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int,
    pub xc_dom_boot_image: unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int,
    pub xc_dom_gnttab_init: unsafe extern "C" fn(dom: *mut xc_dom_image) -> ::std::os::raw::c_int,
}
impl Guest {
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
        let xc_cpuid_apply_policy = unsafe { __library.get(b"xc_cpuid_apply_policy\0") }.map(|sym| *sym)?;
        let xc_dom_allocate = unsafe { __library.get(b"xc_dom_allocate\0") }.map(|sym| *sym)?;
        let xc_dom_release = unsafe { __library.get(b"xc_dom_release\0") }.map(|sym| *sym)?;
        let xc_dom_mem_init = unsafe { __library.get(b"xc_dom_mem_init\0") }.map(|sym| *sym)?;
        let xc_dom_kernel_mem = unsafe { __library.get(b"xc_dom_kernel_mem\0") }.map(|sym| *sym)?;
        let xc_dom_module_mem = unsafe { __library.get(b"xc_dom_module_mem\0") }.map(|sym| *sym)?;
        let xc_dom_parse_image = unsafe { __library.get(b"xc_dom_parse_image\0") }.map(|sym| *sym)?;
        let xc_dom_build_image = unsafe { __library.get(b"xc_dom_build_image\0") }.map(|sym| *sym)?;
        let xc_dom_boot_xen_init = unsafe { __library.get(b"xc_dom_boot_xen_init\0") }.map(|sym| *sym)?;
        let xc_dom_boot_mem_init = unsafe { __library.get(b"xc_dom_boot_mem_init\0") }.map(|sym| *sym)?;
        let xc_dom_boot_image = unsafe { __library.get(b"xc_dom_boot_image\0") }.map(|sym| *sym)?;
        let xc_dom_gnttab_init = unsafe { __library.get(b"xc_dom_gnttab_init\0") }.map(|sym| *sym)?;
        Ok(Guest {
            __library,
            xc_cpuid_apply_policy,
            xc_dom_allocate,
            xc_dom_release,
            xc_dom_mem_init,
            xc_dom_kernel_mem,
            xc_dom_module_mem,
            xc_dom_parse_image,
            xc_dom_build_image,
            xc_dom_boot_xen_init,
            xc_dom_boot_mem_init,
            xc_dom_boot_image,
            xc_dom_gnttab_init,
        })
    }
    pub unsafe fn xc_cpuid_apply_policy(
        &self,
        xch: *mut xc_interface,
        domid: u32,
        restore: bool,
        featureset: *const u32,
        nr_features: ::std::os::raw::c_uint,
        pae: bool,
        itsc: bool,
        nested_virt: bool,
        xend: *const xc_xend_cpuid,
        msr: *const xc_msr,
    ) -> ::std::os::raw::c_int {
        unsafe {
            (self.xc_cpuid_apply_policy)(
                xch,
                domid,
                restore,
                featureset,
                nr_features,
                pae,
                itsc,
                nested_virt,
                xend,
                msr,
            )
        }
    }
    pub unsafe fn xc_dom_allocate(
        &self,
        xch: *mut xc_interface,
        cmdline: *const ::std::os::raw::c_char,
        features: *const ::std::os::raw::c_char,
    ) -> *mut xc_dom_image {
        unsafe { (self.xc_dom_allocate)(xch, cmdline, features) }
    }
    pub unsafe fn xc_dom_release(&self, dom: *mut xc_dom_image) {
        unsafe { (self.xc_dom_release)(dom) }
    }
    pub unsafe fn xc_dom_mem_init(
        &self,
        dom: *mut xc_dom_image,
        mem_mb: ::std::os::raw::c_uint,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_dom_mem_init)(dom, mem_mb) }
    }
    pub unsafe fn xc_dom_kernel_mem(
        &self,
        dom: *mut xc_dom_image,
        mem: *const ::std::os::raw::c_void,
        memsize: usize,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_dom_kernel_mem)(dom, mem, memsize) }
    }
    pub unsafe fn xc_dom_module_mem(
        &self,
        dom: *mut xc_dom_image,
        mem: *const ::std::os::raw::c_void,
        memsize: usize,
        cmdline: *const ::std::os::raw::c_char,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_dom_module_mem)(dom, mem, memsize, cmdline) }
    }
    pub unsafe fn xc_dom_parse_image(&self, dom: *mut xc_dom_image) -> ::std::os::raw::c_int {
        unsafe { (self.xc_dom_parse_image)(dom) }
    }
    pub unsafe fn xc_dom_build_image(&self, dom: *mut xc_dom_image) -> ::std::os::raw::c_int {
        unsafe { (self.xc_dom_build_image)(dom) }
    }
    pub unsafe fn xc_dom_boot_xen_init(
        &self,
        dom: *mut xc_dom_image,
        xch: *mut xc_interface,
        domid: u32,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_dom_boot_xen_init)(dom, xch, domid) }
    }
    pub unsafe fn xc_dom_boot_mem_init(&self, dom: *mut xc_dom_image) -> ::std::os::raw::c_int {
        unsafe { (self.xc_dom_boot_mem_init)(dom) }
    }
    pub unsafe fn xc_dom_boot_image(&self, dom: *mut xc_dom_image) -> ::std::os::raw::c_int {
        unsafe { (self.xc_dom_boot_image)(dom) }
    }
    pub unsafe fn xc_dom_gnttab_init(&self, dom: *mut xc_dom_image) -> ::std::os::raw::c_int {
        unsafe { (self.xc_dom_gnttab_init)(dom) }
    }
}
pub struct Control {
    __library: ::libloading::Library,
    pub xc_interface_open: unsafe extern "C" fn(
        logger: *mut xentoollog_logger,
        dombuild_logger: *mut xentoollog_logger,
        open_flags: ::std::os::raw::c_uint,
    ) -> *mut xc_interface,
    pub xc_interface_close: unsafe extern "C" fn(xch: *mut xc_interface) -> ::std::os::raw::c_int,
    pub xc_domain_create: unsafe extern "C" fn(
        xch: *mut xc_interface,
        pdomid: *mut u32,
        config: *mut xen_domctl_createdomain,
    ) -> ::std::os::raw::c_int,
    pub xc_domain_max_vcpus: unsafe extern "C" fn(
        xch: *mut xc_interface,
        domid: u32,
        max: ::std::os::raw::c_uint,
    ) -> ::std::os::raw::c_int,
    pub xc_domain_pause: unsafe extern "C" fn(xch: *mut xc_interface, domid: u32) -> ::std::os::raw::c_int,
    pub xc_domain_unpause: unsafe extern "C" fn(xch: *mut xc_interface, domid: u32) -> ::std::os::raw::c_int,
    pub xc_domain_destroy: unsafe extern "C" fn(xch: *mut xc_interface, domid: u32) -> ::std::os::raw::c_int,
    pub xc_domain_shutdown: unsafe extern "C" fn(
        xch: *mut xc_interface,
        domid: u32,
        reason: ::std::os::raw::c_int,
    ) -> ::std::os::raw::c_int,
    pub xc_domain_getinfolist: unsafe extern "C" fn(
        xch: *mut xc_interface,
        first_domain: u32,
        max_domains: ::std::os::raw::c_uint,
        info: *mut xc_domaininfo_t,
    ) -> ::std::os::raw::c_int,
    pub xc_shadow_control: unsafe extern "C" fn(
        xch: *mut xc_interface,
        domid: u32,
        sop: ::std::os::raw::c_uint,
        mb: *mut ::std::os::raw::c_uint,
        mode: ::std::os::raw::c_uint,
    ) -> ::std::os::raw::c_int,
    pub xc_evtchn_alloc_unbound:
        unsafe extern "C" fn(xch: *mut xc_interface, dom: u32, remote_dom: u32) -> xc_evtchn_port_or_error_t,
    pub xc_physinfo:
        unsafe extern "C" fn(xch: *mut xc_interface, info: *mut xc_physinfo_t) -> ::std::os::raw::c_int,
    pub xc_domain_setmaxmem:
        unsafe extern "C" fn(xch: *mut xc_interface, domid: u32, max_memkb: u64) -> ::std::os::raw::c_int,
    pub xc_domain_set_memory_map: unsafe extern "C" fn(
        xch: *mut xc_interface,
        domid: u32,
        entries: *mut e820entry,
        nr_entries: u32,
    ) -> ::std::os::raw::c_int,
    pub xc_hvm_param_set: unsafe extern "C" fn(
        handle: *mut xc_interface,
        dom: u32,
        param: u32,
        value: u64,
    ) -> ::std::os::raw::c_int,
}
impl Control {
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
        let xc_interface_open = unsafe { __library.get(b"xc_interface_open\0") }.map(|sym| *sym)?;
        let xc_interface_close = unsafe { __library.get(b"xc_interface_close\0") }.map(|sym| *sym)?;
        let xc_domain_create = unsafe { __library.get(b"xc_domain_create\0") }.map(|sym| *sym)?;
        let xc_domain_max_vcpus = unsafe { __library.get(b"xc_domain_max_vcpus\0") }.map(|sym| *sym)?;
        let xc_domain_pause = unsafe { __library.get(b"xc_domain_pause\0") }.map(|sym| *sym)?;
        let xc_domain_unpause = unsafe { __library.get(b"xc_domain_unpause\0") }.map(|sym| *sym)?;
        let xc_domain_destroy = unsafe { __library.get(b"xc_domain_destroy\0") }.map(|sym| *sym)?;
        let xc_domain_shutdown = unsafe { __library.get(b"xc_domain_shutdown\0") }.map(|sym| *sym)?;
        let xc_domain_getinfolist = unsafe { __library.get(b"xc_domain_getinfolist\0") }.map(|sym| *sym)?;
        let xc_shadow_control = unsafe { __library.get(b"xc_shadow_control\0") }.map(|sym| *sym)?;
        let xc_evtchn_alloc_unbound =
            unsafe { __library.get(b"xc_evtchn_alloc_unbound\0") }.map(|sym| *sym)?;
        let xc_physinfo = unsafe { __library.get(b"xc_physinfo\0") }.map(|sym| *sym)?;
        let xc_domain_setmaxmem = unsafe { __library.get(b"xc_domain_setmaxmem\0") }.map(|sym| *sym)?;
        let xc_domain_set_memory_map =
            unsafe { __library.get(b"xc_domain_set_memory_map\0") }.map(|sym| *sym)?;
        let xc_hvm_param_set = unsafe { __library.get(b"xc_hvm_param_set\0") }.map(|sym| *sym)?;
        Ok(Control {
            __library,
            xc_interface_open,
            xc_interface_close,
            xc_domain_create,
            xc_domain_max_vcpus,
            xc_domain_pause,
            xc_domain_unpause,
            xc_domain_destroy,
            xc_domain_shutdown,
            xc_domain_getinfolist,
            xc_shadow_control,
            xc_evtchn_alloc_unbound,
            xc_physinfo,
            xc_domain_setmaxmem,
            xc_domain_set_memory_map,
            xc_hvm_param_set,
        })
    }
    pub unsafe fn xc_interface_open(
        &self,
        logger: *mut xentoollog_logger,
        dombuild_logger: *mut xentoollog_logger,
        open_flags: ::std::os::raw::c_uint,
    ) -> *mut xc_interface {
        unsafe { (self.xc_interface_open)(logger, dombuild_logger, open_flags) }
    }
    pub unsafe fn xc_interface_close(&self, xch: *mut xc_interface) -> ::std::os::raw::c_int {
        unsafe { (self.xc_interface_close)(xch) }
    }
    pub unsafe fn xc_domain_create(
        &self,
        xch: *mut xc_interface,
        pdomid: *mut u32,
        config: *mut xen_domctl_createdomain,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_domain_create)(xch, pdomid, config) }
    }
    pub unsafe fn xc_domain_max_vcpus(
        &self,
        xch: *mut xc_interface,
        domid: u32,
        max: ::std::os::raw::c_uint,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_domain_max_vcpus)(xch, domid, max) }
    }
    pub unsafe fn xc_domain_pause(&self, xch: *mut xc_interface, domid: u32) -> ::std::os::raw::c_int {
        unsafe { (self.xc_domain_pause)(xch, domid) }
    }
    pub unsafe fn xc_domain_unpause(&self, xch: *mut xc_interface, domid: u32) -> ::std::os::raw::c_int {
        unsafe { (self.xc_domain_unpause)(xch, domid) }
    }
    pub unsafe fn xc_domain_destroy(&self, xch: *mut xc_interface, domid: u32) -> ::std::os::raw::c_int {
        unsafe { (self.xc_domain_destroy)(xch, domid) }
    }
    pub unsafe fn xc_domain_shutdown(
        &self,
        xch: *mut xc_interface,
        domid: u32,
        reason: ::std::os::raw::c_int,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_domain_shutdown)(xch, domid, reason) }
    }
    pub unsafe fn xc_domain_getinfolist(
        &self,
        xch: *mut xc_interface,
        first_domain: u32,
        max_domains: ::std::os::raw::c_uint,
        info: *mut xc_domaininfo_t,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_domain_getinfolist)(xch, first_domain, max_domains, info) }
    }
    pub unsafe fn xc_shadow_control(
        &self,
        xch: *mut xc_interface,
        domid: u32,
        sop: ::std::os::raw::c_uint,
        mb: *mut ::std::os::raw::c_uint,
        mode: ::std::os::raw::c_uint,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_shadow_control)(xch, domid, sop, mb, mode) }
    }
    pub unsafe fn xc_evtchn_alloc_unbound(
        &self,
        xch: *mut xc_interface,
        dom: u32,
        remote_dom: u32,
    ) -> xc_evtchn_port_or_error_t {
        unsafe { (self.xc_evtchn_alloc_unbound)(xch, dom, remote_dom) }
    }
    pub unsafe fn xc_physinfo(
        &self,
        xch: *mut xc_interface,
        info: *mut xc_physinfo_t,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_physinfo)(xch, info) }
    }
    pub unsafe fn xc_domain_setmaxmem(
        &self,
        xch: *mut xc_interface,
        domid: u32,
        max_memkb: u64,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_domain_setmaxmem)(xch, domid, max_memkb) }
    }
    pub unsafe fn xc_domain_set_memory_map(
        &self,
        xch: *mut xc_interface,
        domid: u32,
        entries: *mut e820entry,
        nr_entries: u32,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_domain_set_memory_map)(xch, domid, entries, nr_entries) }
    }
    pub unsafe fn xc_hvm_param_set(
        &self,
        handle: *mut xc_interface,
        dom: u32,
        param: u32,
        value: u64,
    ) -> ::std::os::raw::c_int {
        unsafe { (self.xc_hvm_param_set)(handle, dom, param, value) }
    }
}
