//! What a request to create may ask for and not get: refused when the container would not be what was asked for,
//! a warning when it would be but for a limit or a preference.

use super::body::{Body, Host};
use crate::error::ApiError;
use crate::system::RUNTIME;
use engine::network::DEFAULT;

pub fn refuse(body: &Body, host: &Host) -> Result<(), ApiError> {
    let modes = [
        ("pid", &host.pid_mode, ["", "private"].as_slice()),
        ("ipc", &host.ipc_mode, &["", "private", "shareable"]),
        ("uts", &host.uts_mode, &["", "private"]),
        ("cgroup namespace", &host.cgroupns_mode, &["", "private"]),
        ("user namespace", &host.userns_mode, &[""]),
        ("isolation", &host.isolation, &["", "default"]),
    ];
    for (what, mode, possible) in modes {
        let mode = mode.as_deref().unwrap_or_default();
        if !possible.contains(&mode) {
            return Err(ApiError::invalid(format!(
                "{what} mode {mode:?} is not possible: each container is a virtual machine of its own"
            )));
        }
    }
    let volumes = some(&host.binds) || body.volumes.as_ref().is_some_and(|volumes| !volumes.is_empty());
    for (asked, what) in [
        (volumes, "volumes and bind mounts are not supported yet"),
        (
            some(&host.volumes_from),
            "volumes of other containers are not supported yet",
        ),
        (
            some(&host.devices),
            "devices of the host are not supported: a container has no access to its kernel",
        ),
        (
            some(&host.device_requests),
            "device requests (GPUs) are not supported",
        ),
        (
            some(&host.device_cgroup_rules),
            "rules for devices of the host are not supported",
        ),
        (
            host.storage_opt
                .as_ref()
                .is_some_and(|options| !options.is_empty()),
            "storage options are not supported yet: the size of disks is set in the config of hyperd",
        ),
    ] {
        if asked {
            return Err(ApiError::invalid(what));
        }
    }
    match host.runtime.as_deref() {
        None | Some("" | RUNTIME) => Ok(()),
        Some(other) => Err(ApiError::invalid(format!(
            "unknown or invalid runtime name: {other}"
        ))),
    }
}

fn some<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

/// The engine's name for a network, if it can be one.
pub fn network_mode(name: &str) -> Result<&str, ApiError> {
    match name {
        "" | "default" => Ok(DEFAULT),
        "host" => Err(ApiError::invalid(
            "network mode \"host\" is not possible: each container is a virtual machine with a network stack of its own; publish ports instead",
        )),
        name if name.starts_with("container:") => Err(ApiError::invalid(format!(
            "network mode {name:?} is not possible: containers are virtual machines of their own and share no network stack; put both on one network"
        ))),
        name => Ok(name),
    }
}

pub fn warnings(host: &Host) -> Vec<String> {
    let number = |value: Option<i64>| value.is_some_and(|value| value > 0);
    let text = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
    let blkio = some(&host.blkio_weight_device)
        || some(&host.blkio_device_read_bps)
        || some(&host.blkio_device_write_bps)
        || some(&host.blkio_device_read_iops)
        || some(&host.blkio_device_write_iops);
    [
        (number(host.memory_reservation), "a soft limit of memory"),
        // Without an own value, clients send twice the memory or -1.
        (number(host.memory_swappiness), "swappiness"),
        (number(host.kernel_memory), "a limit of kernel memory"),
        (number(host.cpu_shares), "cpu shares"),
        (
            number(host.cpu_quota) || number(host.cpu_period),
            "a cpu quota (use --cpus)",
        ),
        (
            number(host.cpu_realtime_period) || number(host.cpu_realtime_runtime),
            "real-time scheduling",
        ),
        (
            text(&host.cpuset_cpus) || text(&host.cpuset_mems),
            "pinning to cpus or memory nodes",
        ),
        (
            number(host.blkio_weight) || blkio,
            "a limit of block input and output",
        ),
        (
            host.oom_kill_disable == Some(true),
            "disabling the out-of-memory killer",
        ),
        (
            host.oom_score_adj.is_some_and(|score| score != 0),
            "the out-of-memory score",
        ),
        (number(host.pids_limit), "a limit of processes"),
        (text(&host.cgroup_parent), "the parent cgroup"),
        (text(&host.volume_driver), "the volume driver"),
    ]
    .into_iter()
    .filter(|(asked, _)| *asked)
    .map(|(_, what)| format!("{what} has no effect yet: it is ignored"))
    .collect()
}
