//! Xen, dom0's kernel, and what runs beside.

use super::{Finding, fail, ok, warn};
use crate::config::Config;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

pub async fn findings(config: &Config) -> Vec<Finding> {
    let mut all = xen(config).await;
    let floating = !config.floating_ips.is_empty();
    all.extend([consoles(), kernel(floating), devices(), backends(), clock()]);
    all.push(kernel_config());
    all
}

async fn xen(config: &Config) -> Vec<Finding> {
    let (info, memory) = match engine::probe().await {
        Ok(probed) => probed,
        // Its message says what to do.
        Err(error) => {
            return vec![fail(
                "xen",
                error.to_string(),
                "see what it says; hyperd cannot start without",
            )];
        }
    };
    let types: Vec<_> = info.guest_types.iter().map(ToString::to_string).collect();
    let mut found = vec![ok(
        "xen",
        format!(
            "Xen {} with its libraries and xenstored, {} cpus, {} guests",
            info.xen_full_version,
            info.cpus,
            types.join(" and ")
        ),
    )];
    if types.iter().all(|of| of != "pvh") {
        found.push(warn(
            "guests",
            "PV guests only: the processor has no hardware virtualisation, or it is off",
            "switch on AMD-V or VT-x in the firmware, if there is such a switch",
        ));
    }
    found.push(memory_finding(memory.free_bytes >> 20, config.memory.mib()));
    let dom0_mib = meminfo(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    let autoballoon = fs::read_to_string("/etc/xen/xl.conf").unwrap_or_default();
    found.push(dom0_memory(dom0_mib, memory.total_bytes >> 20, &autoballoon));
    found
}

fn memory_finding(free_mib: u64, default_mib: u64) -> Finding {
    let message = format!(
        "{free_mib} MiB are free for guests, of which each takes {default_mib} unless it says otherwise"
    );
    let advice = "end guests, or give dom0 less (dom0_mem= on Xen's command line)";
    match free_mib {
        free if free < crate::config::MIN_MEMORY_MIB => fail("memory", message, advice),
        free if free < default_mib => warn("memory", message, advice),
        _ => ok("memory", message),
    }
}

fn meminfo(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        >> 10
}

/// A dom0 that has all memory gives some up only to xl, which hyperd does not use.
fn dom0_memory(dom0_mib: u64, total_mib: u64, xl_conf: &str) -> Finding {
    let greedy = total_mib > 0 && dom0_mib * 10 > total_mib * 9;
    let setting = xl_conf
        .lines()
        .map(str::trim)
        .find_map(|line| line.strip_prefix("autoballoon")?.trim_start().strip_prefix('='));
    let off = setting.is_some_and(|value| ["0", "off", "\"off\""].contains(&value.trim()));
    let has = format!("dom0 has {dom0_mib} of {total_mib} MiB");
    if greedy {
        return warn(
            "dom0",
            has,
            "set dom0_mem=2G,max:2G (or as it needs) on Xen's command line: memory that dom0 has is none for guests",
        );
    }
    match off || setting.is_none() {
        true => ok("dom0", has),
        false => warn(
            "dom0",
            format!("{has}; xl may take memory from it"),
            "set autoballoon=\"off\" in /etc/xen/xl.conf",
        ),
    }
}

fn consoles() -> Finding {
    match is_running("xenconsoled") {
        true => ok("xenconsoled", "runs"),
        false => warn(
            "xenconsoled",
            "does not run: `xl console` shows nothing",
            "systemctl enable --now xenconsoled",
        ),
    }
}

fn is_running(name: &str) -> bool {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok())
        .any(|comm| comm.trim() == name)
}

fn kernel(floating: bool) -> Finding {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    kernel_finding(&release, floating)
}

/// `floating`: the config has floating IPs.
fn kernel_finding(release: &str, floating: bool) -> Finding {
    let mut numbers = release
        .split(['.', '-', '+'])
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version >= (5, 15) {
        true if floating && version < (5, 18) => warn(
            "kernel",
            format!("Linux {release} is too old for floating IPs, which the config has"),
            "run Linux 5.18 or later in dom0",
        ),
        true => ok("kernel", format!("Linux {release}")),
        false => fail(
            "kernel",
            format!("Linux {release} is too old"),
            "run Linux 5.15 or later in dom0",
        ),
    }
}

fn devices() -> Finding {
    let needed = [
        ("/dev/xen/privcmd", "xen-privcmd"),
        ("/dev/xen/evtchn", "xen-evtchn"),
        ("/dev/xen/gntdev", "xen-gntdev"),
        ("/dev/loop-control", "loop"),
        ("/dev/mapper/control", "dm-mod"),
    ];
    let missing: Vec<_> = needed
        .iter()
        .filter(|(path, _)| !Path::new(path).exists())
        .collect();
    if missing.is_empty() {
        return ok(
            "devices",
            "those of Xen, loop devices and the device mapper are there",
        );
    }
    let paths: Vec<_> = missing.iter().map(|(path, _)| *path).collect();
    let modules: Vec<_> = missing.iter().map(|(_, module)| *module).collect();
    fail(
        "devices",
        format!("missing: {}", paths.join(", ")),
        format!(
            "modprobe -a {0}, and a line for each in /etc/modules-load.d/hyper.conf",
            modules.join(" ")
        ),
    )
}

fn backends() -> Finding {
    let drivers = Path::new("/sys/bus/xen-backend/drivers");
    let (disks, nics) = (drivers.join("vbd").exists(), drivers.join("vif").exists());
    match (disks, nics) {
        (true, true) => ok("backends", "xen-blkback and xen-netback are there"),
        (true, false) => warn(
            "backends",
            "xen-netback is missing: containers have no network",
            "modprobe xen-netback, and a line for it in /etc/modules-load.d/hyper.conf",
        ),
        (false, _) => fail(
            "backends",
            "xen-blkback is missing: guests have no disks",
            "modprobe xen-blkback, and a line for it in /etc/modules-load.d/hyper.conf",
        ),
    }
}

fn kernel_config() -> Finding {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let path = format!("/boot/config-{release}");
    match fs::read_to_string(&path) {
        Ok(text) => config_finding(&text),
        Err(_) => ok(
            "kernel-config",
            format!("{path} cannot be read: the devices above tell"),
        ),
    }
}

fn config_finding(text: &str) -> Finding {
    let is_set = |option: &str| {
        let value = |line: &str| {
            line.strip_prefix(option)
                .and_then(|rest| rest.strip_prefix('='))
                .map(str::to_owned)
        };
        text.lines()
            .filter_map(value)
            .any(|value| value == "y" || value == "m")
    };
    let needed = [
        "CONFIG_XEN_BLKDEV_BACKEND",
        "CONFIG_XEN_NETDEV_BACKEND",
        "CONFIG_XEN_GNTDEV",
        "CONFIG_XEN_DEV_EVTCHN",
        "CONFIG_XEN_PRIVCMD",
        "CONFIG_BLK_DEV_LOOP",
        "CONFIG_BLK_DEV_DM",
    ];
    let missing: Vec<_> = needed.into_iter().filter(|option| !is_set(option)).collect();
    match missing.is_empty() {
        true => ok("kernel-config", "has all that is needed"),
        false => fail(
            "kernel-config",
            format!("lacks {}", missing.join(", ")),
            "boot a kernel of the distribution, or build one with them",
        ),
    }
}

/// Certificates, logs and what is pruned by age depend on it.
fn clock() -> Finding {
    let now = SystemTime::now();
    let built = std::env::current_exe()
        .and_then(fs::metadata)
        .and_then(|file| file.modified());
    if built.is_ok_and(|built| built > now) {
        return fail(
            "clock",
            "is set to a time before hyperd was installed",
            "set it: timedatectl set-ntp true, or date -s",
        );
    }
    let synchronised = Path::new("/run/systemd/timesync/synchronized").exists()
        || ["chronyd", "ntpd", "ntpd-rs"].iter().any(|name| is_running(name));
    match synchronised {
        true => ok("clock", "is kept by the network's"),
        false => warn(
            "clock",
            "nothing keeps it right",
            "timedatectl set-ntp true, or install chrony",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn memory_is_for_guests() {
        assert_eq!(memory_finding(4096, 512).level, Level::Ok);
        assert_eq!(memory_finding(400, 512).level, Level::Warn);
        assert_eq!(memory_finding(10, 512).level, Level::Fail);
        assert_eq!(meminfo("MemTotal:        2048000 kB\nMemFree: 1 kB"), 2000);
        assert_eq!(dom0_memory(2000, 8000, "").level, Level::Ok);
        assert_eq!(dom0_memory(7900, 8000, "").level, Level::Warn);
        assert_eq!(
            dom0_memory(2000, 8000, "#x\nautoballoon = \"off\"").level,
            Level::Ok
        );
        assert_eq!(dom0_memory(2000, 8000, "autoballoon=1").level, Level::Warn);
    }

    #[test]
    fn kernels_are_new_and_complete() {
        assert_eq!(kernel_finding("6.12.1-amd64", true).level, Level::Ok);
        assert_eq!(kernel_finding("5.15.0", false).level, Level::Ok);
        assert_eq!(kernel_finding("5.15.0", true).level, Level::Warn);
        assert_eq!(kernel_finding("5.4.0-generic", false).level, Level::Fail);
        let all = "CONFIG_XEN_BLKDEV_BACKEND=m\nCONFIG_XEN_NETDEV_BACKEND=m\nCONFIG_XEN_GNTDEV=m\nCONFIG_XEN_DEV_EVTCHN=m\nCONFIG_XEN_PRIVCMD=m\nCONFIG_BLK_DEV_LOOP=m\nCONFIG_BLK_DEV_DM=y\n";
        assert_eq!(config_finding(all).level, Level::Ok);
        let lacking = config_finding(&all.replace("CONFIG_BLK_DEV_DM=y", "# CONFIG_BLK_DEV_DM is not set"));
        assert!(lacking.message.contains("CONFIG_BLK_DEV_DM"), "{lacking:?}");
    }
}
