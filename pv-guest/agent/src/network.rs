//! The guest's interfaces, as the engine wants them.

use crate::arrivals;
use crate::error::{Context, Failure, failure};
use crate::kmsg;
use crate::netlink::Netlink;
use guest_protocol::message::{ErrorKind, InterfaceSpec, NetworkSpec};
use std::fs;
use std::io;
use std::path::Path;

const INTERFACES: &str = "/sys/class/net";
/// linux/if.h, with the NUL.
const MAX_NAME_BYTES: usize = 16;

/// Interfaces have what is asked for when this returns; it may be asked for again.
pub fn apply(spec: &NetworkSpec) -> Result<(), Failure> {
    if spec.interfaces.is_empty() {
        return Ok(());
    }
    let netlink = Netlink::open().context("open netlink")?;
    let (mut way4, mut way6) = (false, false);
    for interface in &spec.interfaces {
        check_name(&interface.name)?;
        let (index, present) = find(&interface.mac)?;
        if present != interface.name {
            netlink
                .rename(index, &interface.name)
                .context(format_args!("rename {present} to {}", interface.name))?;
        }
        settings(interface);
        netlink
            .up(index, interface.mtu)
            .context(format_args!("bring {} up", interface.name))?;
        for address in &interface.addresses {
            netlink
                .add_address(index, address.address, address.prefix_len)
                .context(format_args!(
                    "give {} the address {}",
                    interface.name, address.address
                ))?;
        }
        for gateway in &interface.gateways {
            let way = if gateway.is_ipv4() { &mut way4 } else { &mut way6 };
            if !std::mem::replace(way, true) {
                netlink
                    .default_route(index, *gateway)
                    .context(format_args!("route by {gateway}"))?;
            }
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Failure> {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if name.is_empty() || name.len() >= MAX_NAME_BYTES || !plain || name.starts_with('.') {
        return Err(failure(
            ErrorKind::Invalid,
            format!("{name:?} is no name of an interface"),
        ));
    }
    Ok(())
}

/// Index and name of the interface with this address, as soon as it is there.
fn find(mac: &str) -> Result<(u32, String), Failure> {
    let found = arrivals::until(|| present(mac)).context(format_args!("look for {mac}"))?;
    found.ok_or_else(|| {
        failure(
            ErrorKind::Guest,
            format!("there is no interface with the address {mac}"),
        )
    })
}

fn present(mac: &str) -> io::Result<Option<(u32, String)>> {
    let read = |name: &str, file: &str| {
        let text = fs::read_to_string(Path::new(INTERFACES).join(name).join(file));
        text.map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    for entry in fs::read_dir(INTERFACES)?.flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if read(&name, "address").eq_ignore_ascii_case(mac)
            && let Ok(index) = read(&name, "ifindex").parse()
        {
            return Ok(Some((index, name)));
        }
    }
    Ok(None)
}

/// Addresses come from the engine alone, so routers are not listened to; without IPv6 addresses there is no IPv6.
fn settings(interface: &InterfaceSpec) {
    let has_v6 = interface
        .addresses
        .iter()
        .any(|address| address.address.is_ipv6());
    let disabled = if has_v6 { "0" } else { "1" };
    for (name, value) in [
        ("accept_ra", "0"),
        ("autoconf", "0"),
        ("accept_dad", "0"),
        ("disable_ipv6", disabled),
    ] {
        let path = format!("/proc/sys/net/ipv6/conf/{}/{name}", interface.name);
        // A kernel of somebody's own may be without IPv6.
        if Path::new(&path).exists()
            && let Err(error) = fs::write(&path, value)
        {
            kmsg::log(&format!("cannot set {path}: {error}"));
        }
    }
}
