//! [`Calls`] against the bindings of one release; compiled once for each, see `calls.rs`.

use super::sys;
use crate::DomId;
use crate::acpi;
use crate::calls::{Build, Built, CallError, Calls, Create, Listed, OpenError, Physical};
use std::ffi::{c_int, c_uint, c_void};
use std::{io, ptr, slice};
use sys::xc_dom_image__bindgen_ty_1::{XC_DOM_HVM_CONTAINER, XC_DOM_PV_CONTAINER};

const PAGE_BYTES: u64 = 4096;
const GIB: u64 = 1 << 30;
/// Where RAM below 4 GiB ends at most. The ACPI tables (0xfc000000) and the special pages lie above.
const MMIO_START: u64 = 0xf000_0000;
/// Domains asked for in one call.
const LIST_MAX: usize = 1024;

pub struct Release {
    control: sys::Control,
    guest: sys::Guest,
    handle: *mut sys::xc_interface,
}

// SAFETY: libxenctrl ties a handle to no thread; `Calls` takes `&mut self`, so one thread uses it at a time.
unsafe impl Send for Release {}

impl Drop for Release {
    fn drop(&mut self) {
        // SAFETY: the handle came from xc_interface_open, is closed once, and borrows of it end with `self`.
        unsafe { self.control.xc_interface_close(self.handle) };
    }
}

fn check(call: &'static str, result: c_int) -> Result<c_int, CallError> {
    if result < 0 {
        Err(CallError {
            call,
            source: io::Error::last_os_error(),
        })
    } else {
        Ok(result)
    }
}

impl Release {
    pub fn open(version: &str) -> Result<Box<dyn Calls>, OpenError> {
        let name = |library: &str| format!("{library}.so.{version}");
        let failed = |library: &str| {
            let library = name(library);
            move |source| OpenError::Library { library, source }
        };
        // SAFETY: these are Xen's libraries of the release the bindings were made from; they have no unsound initialisers.
        let control = unsafe { sys::Control::new(name("libxenctrl")) }.map_err(failed("libxenctrl"))?;
        // SAFETY: as above.
        let guest = unsafe { sys::Guest::new(name("libxenguest")) }.map_err(failed("libxenguest"))?;
        // SAFETY: null loggers are allowed and mean: errors to stderr.
        let handle = unsafe { control.xc_interface_open(ptr::null_mut(), ptr::null_mut(), 0) };
        if handle.is_null() {
            return Err(OpenError::Interface(io::Error::last_os_error()));
        }
        Ok(Box::new(Self {
            control,
            guest,
            handle,
        }))
    }
}

impl Calls for Release {
    fn physical(&mut self) -> Result<Physical, CallError> {
        let mut info = sys::xc_physinfo_t::default();
        // SAFETY: the handle is open, `info` outlives the call.
        check("xc_physinfo", unsafe {
            self.control.xc_physinfo(self.handle, &mut info)
        })?;
        let has = |capability: u32| info.capabilities & capability != 0;
        Ok(Physical {
            free_bytes: info.free_pages * PAGE_BYTES,
            total_bytes: info.total_pages * PAGE_BYTES,
            cpus: info.nr_cpus,
            pv: has(sys::XEN_SYSCTL_PHYSCAP_pv),
            hvm: has(sys::XEN_SYSCTL_PHYSCAP_hvm),
            hap: has(sys::XEN_SYSCTL_PHYSCAP_hap),
        })
    }

    fn list(&mut self, first: DomId) -> Result<Vec<Listed>, CallError> {
        let mut infos = vec![sys::xc_domaininfo_t::default(); LIST_MAX];
        // SAFETY: `infos` has room for the number given.
        let count = check("xc_domain_getinfolist", unsafe {
            self.control
                .xc_domain_getinfolist(self.handle, first, LIST_MAX as c_uint, infos.as_mut_ptr())
        })?;
        let listed = |info: &sys::xc_domaininfo_t| Listed {
            domid: DomId::from(info.domain),
            uuid: info.handle,
            memory_bytes: info.tot_pages * PAGE_BYTES,
            vcpus: info.nr_online_vcpus,
            cpu_time_ns: info.cpu_time,
            paused: info.flags & sys::XEN_DOMINF_paused != 0,
            dying: info.flags & sys::XEN_DOMINF_dying != 0,
            shutdown: (info.flags & sys::XEN_DOMINF_shutdown != 0)
                .then_some(info.flags >> sys::XEN_DOMINF_shutdownshift & sys::XEN_DOMINF_shutdownmask),
        };
        Ok(infos.iter().take(count as usize).map(listed).collect())
    }

    fn create(&mut self, create: &Create) -> Result<DomId, CallError> {
        let mut config = sys::xen_domctl_createdomain {
            handle: create.uuid,
            max_vcpus: create.vcpus,
            // As xl's defaults; a guest here needs a small part of them.
            max_evtchn_port: 1023,
            max_grant_frames: 64,
            max_maptrack_frames: 0,
            // Version 1: smaller entries, and all that our kernel uses.
            grant_opts: 1,
            ..Default::default()
        };
        if create.pvh {
            config.flags = sys::XEN_DOMCTL_CDF_hvm;
            if create.hap {
                config.flags |= sys::XEN_DOMCTL_CDF_hap;
            }
            config.arch.emulation_flags = sys::XEN_X86_EMU_LAPIC;
        }
        let mut domid = 0;
        // SAFETY: both pointers outlive the call.
        check("xc_domain_create", unsafe {
            self.control
                .xc_domain_create(self.handle, &mut domid, &mut config)
        })?;
        Ok(domid)
    }

    fn build(&mut self, build: &Build<'_>) -> Result<Built, CallError> {
        let (control, handle, domid) = (&self.control, self.handle, build.domid);
        // SAFETY: plain numbers, and a handle that is open.
        check("xc_domain_max_vcpus", unsafe {
            control.xc_domain_max_vcpus(handle, domid, build.vcpus)
        })?;
        // 1 MiB more than its memory, for the special pages and ACPI tables, as xl gives.
        // SAFETY: as above.
        check("xc_domain_setmaxmem", unsafe {
            control.xc_domain_setmaxmem(handle, domid, (build.memory_mib + 1) << 10)
        })?;
        // SAFETY: null for "no feature set, no overrides" is what the function documents.
        check("xc_cpuid_apply_policy", unsafe {
            self.guest.xc_cpuid_apply_policy(
                handle,
                domid,
                false,
                ptr::null(),
                0,
                true,
                false,
                false,
                ptr::null(),
                ptr::null(),
            )
        })?;
        if build.pvh {
            let mut shadow_mib = build.shadow_mib;
            // SAFETY: `shadow_mib` outlives the call.
            check("xc_shadow_control", unsafe {
                control.xc_shadow_control(
                    handle,
                    domid,
                    sys::XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION,
                    &mut shadow_mib,
                    0,
                )
            })?;
        }
        let port = || {
            // SAFETY: plain numbers.
            let port = unsafe { control.xc_evtchn_alloc_unbound(handle, domid, 0) };
            check("xc_evtchn_alloc_unbound", port)
        };
        let (store_port, console_port) = (port()? as u32, port()? as u32);

        let image = Image::allocate(&self.guest, handle, build)?;
        image.build(control, handle, build, store_port, console_port)
    }

    fn pause(&mut self, domid: DomId) -> Result<(), CallError> {
        // SAFETY: a plain number.
        check("xc_domain_pause", unsafe {
            self.control.xc_domain_pause(self.handle, domid)
        })
        .map(drop)
    }

    fn unpause(&mut self, domid: DomId) -> Result<(), CallError> {
        // SAFETY: a plain number.
        check("xc_domain_unpause", unsafe {
            self.control.xc_domain_unpause(self.handle, domid)
        })
        .map(drop)
    }

    fn destroy(&mut self, domid: DomId) -> Result<(), CallError> {
        // SAFETY: a plain number.
        check("xc_domain_destroy", unsafe {
            self.control.xc_domain_destroy(self.handle, domid)
        })
        .map(drop)
    }
}

/// libxenguest's picture of a domain while it is built.
struct Image<'a> {
    guest: &'a sys::Guest,
    dom: *mut sys::xc_dom_image,
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        // SAFETY: `dom` came from xc_dom_allocate and is released once.
        unsafe { self.guest.xc_dom_release(self.dom) };
    }
}

impl<'a> Image<'a> {
    fn allocate(
        guest: &'a sys::Guest,
        handle: *mut sys::xc_interface,
        build: &Build<'_>,
    ) -> Result<Self, CallError> {
        // SAFETY: the command line is copied; null features mean none asked for.
        let dom = unsafe { guest.xc_dom_allocate(handle, build.cmdline.as_ptr(), ptr::null()) };
        if dom.is_null() {
            return Err(CallError {
                call: "xc_dom_allocate",
                source: io::Error::last_os_error(),
            });
        }
        Ok(Self { guest, dom })
    }

    fn build(
        &self,
        control: &sys::Control,
        handle: *mut sys::xc_interface,
        build: &Build<'_>,
        store_port: u32,
        console_port: u32,
    ) -> Result<Built, CallError> {
        let (guest, dom, domid) = (self.guest, self.dom, build.domid);
        let memory_bytes = build.memory_mib << 20;
        let low_bytes = memory_bytes.min(MMIO_START);
        let high_bytes = memory_bytes - low_bytes;

        // SAFETY: `dom` is a live xc_dom_image that nothing else uses until the next call on it.
        let fields = unsafe { &mut *dom };
        fields.container_type = if build.pvh {
            XC_DOM_HVM_CONTAINER
        } else {
            XC_DOM_PV_CONTAINER
        };
        fields.store(store_port, console_port);
        fields.max_vcpus = build.vcpus;
        if build.pvh {
            fields.target_pages = memory_bytes / PAGE_BYTES;
            fields.device_model = false;
            fields.lowmem_end = low_bytes;
            fields.highmem_end = if high_bytes > 0 { 4 * GIB + high_bytes } else { 0 };
            fields.mmio_start = MMIO_START;
            fields.mmio_size = 4 * GIB - MMIO_START;
            if !build.acpi.is_empty() {
                let module = &mut fields.acpi_modules[0];
                module.data = build.acpi.as_ptr().cast_mut();
                module.length = build.acpi.len() as u32;
                module.guest_addr_out = acpi::ADDRESS;
            }
        }
        // SAFETY: libxenguest reads kernel and module from the given memory, never writes it, and `build` outlives `self`.
        unsafe {
            check(
                "xc_dom_kernel_mem",
                guest.xc_dom_kernel_mem(dom, build.kernel.as_ptr().cast::<c_void>(), build.kernel.len()),
            )?;
            check(
                "xc_dom_module_mem",
                guest.xc_dom_module_mem(
                    dom,
                    build.initramfs.as_ptr().cast::<c_void>(),
                    build.initramfs.len(),
                    ptr::null(),
                ),
            )?;
            check(
                "xc_dom_boot_xen_init",
                guest.xc_dom_boot_xen_init(dom, handle, domid),
            )?;
            check("xc_dom_parse_image", guest.xc_dom_parse_image(dom))?;
            check(
                "xc_dom_mem_init",
                guest.xc_dom_mem_init(dom, build.memory_mib as c_uint),
            )?;
            check("xc_dom_boot_mem_init", guest.xc_dom_boot_mem_init(dom))?;
            check("xc_dom_build_image", guest.xc_dom_build_image(dom))?;
        }
        if build.pvh {
            let special =
                u64::from(sys::X86_HVM_END_SPECIAL_REGION - sys::X86_HVM_NR_SPECIAL_PAGES) * PAGE_BYTES;
            let entry = |addr, size, kind| sys::e820entry {
                addr,
                size,
                type_: kind,
            };
            let mut map = vec![
                entry(0, low_bytes, sys::E820_RAM),
                entry(
                    acpi::ADDRESS,
                    (build.acpi.len() as u64).next_multiple_of(PAGE_BYTES),
                    sys::E820_ACPI,
                ),
                entry(
                    special,
                    u64::from(sys::X86_HVM_NR_SPECIAL_PAGES) * PAGE_BYTES,
                    sys::E820_RESERVED,
                ),
            ];
            if high_bytes > 0 {
                map.push(entry(4 * GIB, high_bytes, sys::E820_RAM));
            }
            map.retain(|entry| entry.size > 0);
            // SAFETY: `map` outlives the calls and its length is the one given.
            unsafe {
                check(
                    "xc_domain_set_memory_map",
                    control.xc_domain_set_memory_map(handle, domid, map.as_mut_ptr(), map.len() as c_uint),
                )?;
                let set = |param: u32, value: u64| {
                    check(
                        "xc_hvm_param_set",
                        control.xc_hvm_param_set(handle, domid, param, value),
                    )
                };
                set(sys::HVM_PARAM_STORE_EVTCHN, store_port.into())?;
                set(sys::HVM_PARAM_CONSOLE_EVTCHN, console_port.into())?;
            }
        }
        // SAFETY: the image was parsed and built above.
        unsafe {
            check("xc_dom_boot_image", guest.xc_dom_boot_image(dom))?;
            check("xc_dom_gnttab_init", guest.xc_dom_gnttab_init(dom))?;
        }
        // SAFETY: as for the first borrow.
        let fields = unsafe { &*dom };
        let (store_frame, console_frame) = (
            fields.frame(fields.xenstore_pfn)?,
            fields.frame(fields.console_pfn)?,
        );
        if build.pvh {
            // SAFETY: plain numbers.
            unsafe {
                check(
                    "xc_hvm_param_set",
                    control.xc_hvm_param_set(handle, domid, sys::HVM_PARAM_STORE_PFN, store_frame),
                )?;
                check(
                    "xc_hvm_param_set",
                    control.xc_hvm_param_set(handle, domid, sys::HVM_PARAM_CONSOLE_PFN, console_frame),
                )?;
            }
        }
        Ok(Built {
            store_frame,
            store_port,
            console_frame,
            console_port,
        })
    }
}

trait ImageFields {
    fn store(&mut self, store_port: u32, console_port: u32);
    fn frame(&self, pfn: u64) -> Result<u64, CallError>;
}

impl ImageFields for sys::xc_dom_image {
    fn store(&mut self, store_port: u32, console_port: u32) {
        self.xenstore_evtchn = store_port;
        self.console_evtchn = console_port;
    }

    /// What names a page of the guest to Xen: its own number, or for PV the machine's.
    fn frame(&self, pfn: u64) -> Result<u64, CallError> {
        if self.container_type == XC_DOM_HVM_CONTAINER {
            return Ok(pfn);
        }
        // SAFETY: for PV libxenguest keeps `p2m_size` entries at `pv_p2m` until the image is released.
        let p2m = unsafe { slice::from_raw_parts(self.pv_p2m, self.p2m_size as usize) };
        pfn.checked_sub(self.rambase_pfn)
            .and_then(|index| p2m.get(index as usize))
            .copied()
            .ok_or_else(|| CallError {
                call: "xc_dom_p2m",
                source: io::Error::from(io::ErrorKind::NotFound),
            })
    }
}
