//! Writes the bindings: `xen-sys-generate INCLUDE-DIR release|stable OUT.rs`. Called by `scripts/bindings`.
#![forbid(unsafe_code)]

use bindgen::{Builder, EnumVariation, Formatter};
use std::error::Error;

/// Functions whose ABI each Xen release changes, and the structures they take.
const XENCTRL: &[&str] = &[
    "xc_interface_open",
    "xc_interface_close",
    "xc_physinfo",
    "xc_domain_create",
    "xc_domain_destroy",
    "xc_domain_max_vcpus",
    "xc_domain_setmaxmem",
    "xc_domain_pause",
    "xc_domain_unpause",
    "xc_domain_shutdown",
    "xc_domain_getinfolist",
    "xc_domain_set_memory_map",
    "xc_shadow_control",
    "xc_evtchn_alloc_unbound",
    "xc_hvm_param_set",
];
const XENGUEST: &[&str] = &[
    "xc_dom_allocate",
    "xc_dom_release",
    "xc_dom_kernel_mem",
    "xc_dom_module_mem",
    "xc_dom_boot_xen_init",
    "xc_dom_parse_image",
    "xc_dom_mem_init",
    "xc_dom_boot_mem_init",
    "xc_dom_build_image",
    "xc_dom_boot_image",
    "xc_dom_gnttab_init",
    "xc_cpuid_apply_policy",
];
const RELEASE_CONSTANTS: &str = "XEN_DOMCTL_CDF_.*|XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION|XEN_X86_EMU_LAPIC|HVM_PARAM_(STORE|CONSOLE)_.*|\
     XEN_DOMINF_.*|SHUTDOWN_.*|XEN_SYSCTL_PHYSCAP_.*|XEN_HVM_MEMMAP_TYPE_.*|E820_.*|X86_HVM_.*|\
     LAPIC_BASE_ADDRESS|ACPI_INFO_PHYSICAL_ADDRESS";

/// Functions with a stable ABI.
const STABLE: &[(&str, &str)] = &[
    (
        "Evtchn",
        "xenevtchn_(open|close|fd|bind_interdomain|unbind|notify|pending|unmask)",
    ),
    ("Gnttab", "xengnttab_(open|close|map_domain_grant_refs|unmap)"),
];

fn builder(include: &str) -> Builder {
    Builder::default()
        .clang_args([
            format!("-I{include}"),
            "-D__XEN_TOOLS__=1".to_owned(),
            "-std=gnu11".to_owned(),
        ])
        .default_enum_style(EnumVariation::ModuleConsts)
        .layout_tests(true)
        .derive_default(true)
        .generate_comments(false)
        .merge_extern_blocks(true)
        .wrap_unsafe_ops(true)
        .dynamic_link_require_all(true)
        .disable_header_comment()
        .formatter(Formatter::Rustfmt)
}

fn release(include: &str) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    // One run per library, for each gets a structure of its own; types come with the first.
    let guest = builder(include)
        .header_contents("xen.h", "#include <stdint.h>\n#include <stdbool.h>\n#include <xenctrl.h>\n#include <xenguest.h>\n#include <xen/hvm/params.h>\n#include <xen/arch-x86/hvm/start_info.h>\n#include <xen/hvm/e820.h>\n")
        .dynamic_library_name("Guest")
        .allowlist_function(XENGUEST.join("|"))
        .allowlist_var(RELEASE_CONSTANTS)
        .allowlist_type("xen_domctl_createdomain|xen_domctl_getdomaininfo|xen_sysctl_physinfo|xc_physinfo_t|xc_domaininfo_t|e820entry|xc_interface_core|xentoollog_logger|domid_t|evtchn_port_or_error_t|xen_domain_handle_t|xc_cpu_policy.*|xc_xend_cpuid|xc_msr|xc_evtchn_port_or_error_t|hvm_start_info|hvm_modlist_entry")
        .generate()?;
    text.push_str(&guest.to_string());
    let control = builder(include)
        .header_contents(
            "xen.h",
            "#include <stdint.h>\n#include <stdbool.h>\n#include <xenctrl.h>\n#include <xenguest.h>\n",
        )
        .dynamic_library_name("Control")
        .allowlist_function(XENCTRL.join("|"))
        .blocklist_type(".*")
        .layout_tests(false)
        .generate()?;
    text.push_str(&control.to_string());
    Ok(text)
}

fn stable(include: &str) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    for (index, (name, functions)) in STABLE.iter().enumerate() {
        let mut one = builder(include)
            .header_contents("xen.h", "#include <stdint.h>\n#include <stdbool.h>\n#include <xenevtchn.h>\n#include <xengnttab.h>\n#include <xen/io/xs_wire.h>\n")
            .dynamic_library_name(*name)
            .allowlist_function(functions);
        if index == 0 {
            one = one.allowlist_var("XENSTORE_PAYLOAD_MAX").allowlist_type(
                "xenevtchn_.*|xengnttab_.*|xsd_sockmsg.*|xentoollog_logger|evtchn_port_t|xenevtchn_port_or_error_t",
            );
        } else {
            one = one.blocklist_type(".*").layout_tests(false);
        }
        text.push_str(&one.generate()?.to_string());
    }
    Ok(text)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [include, what, out] = args.as_slice() else {
        return Err("usage: xen-sys-generate INCLUDE-DIR release|stable OUT.rs".into());
    };
    let text = match what.as_str() {
        "release" => release(include)?,
        "stable" => stable(include)?,
        other => return Err(format!("release or stable, not {other}").into()),
    };
    std::fs::write(
        out,
        format!("// Made by scripts/bindings from Xen's headers. Not to be edited.\n\n{text}"),
    )?;
    Ok(())
}
