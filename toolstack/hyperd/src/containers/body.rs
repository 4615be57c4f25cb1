//! The body of `/containers/create`. Everything may be absent or null.

use crate::networks::body::{EndpointSettings, PortBinding};
use engine::images::Healthcheck;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A JSON object whose values do not matter, as Go writes sets.
pub type Set = BTreeMap<String, Value>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Body {
    pub image: Option<String>,
    pub entrypoint: Option<Words>,
    pub cmd: Option<Words>,
    pub env: Option<Vec<String>>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub labels: Option<BTreeMap<String, String>>,
    pub stop_signal: Option<String>,
    pub stop_timeout: Option<i64>,
    pub tty: Option<bool>,
    pub open_stdin: Option<bool>,
    pub stdin_once: Option<bool>,
    pub attach_stdin: Option<bool>,
    pub attach_stdout: Option<bool>,
    pub attach_stderr: Option<bool>,
    pub network_disabled: Option<bool>,
    pub mac_address: Option<String>,
    pub exposed_ports: Option<Set>,
    pub volumes: Option<Set>,
    pub healthcheck: Option<Healthcheck>,
    pub host_config: Option<Host>,
    pub networking_config: Option<Networking>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Networking {
    pub endpoints_config: Option<BTreeMap<String, Option<EndpointSettings>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Host {
    pub memory: Option<i64>,
    pub nano_cpus: Option<i64>,
    pub auto_remove: Option<bool>,
    pub readonly_rootfs: Option<bool>,
    pub tmpfs: Option<BTreeMap<String, String>>,
    pub restart_policy: Option<RestartPolicy>,
    pub privileged: Option<bool>,
    pub cap_add: Option<Words>,
    pub cap_drop: Option<Words>,
    pub group_add: Option<Vec<String>>,
    pub extra_hosts: Option<Vec<String>>,
    pub dns: Option<Vec<String>>,
    pub dns_search: Option<Vec<String>>,
    pub dns_options: Option<Vec<String>>,
    pub ulimits: Option<Vec<Ulimit>>,
    pub sysctls: Option<BTreeMap<String, String>>,
    pub shm_size: Option<i64>,
    pub init: Option<bool>,
    pub annotations: Option<BTreeMap<String, String>>,
    pub security_opt: Option<Vec<String>>,
    pub network_mode: Option<String>,
    pub port_bindings: Option<BTreeMap<String, Option<Vec<PortBinding>>>>,
    pub publish_all_ports: Option<bool>,
    pub links: Option<Vec<String>>,
    pub mounts: Option<Vec<Mount>>,
    pub log_config: Option<LogConfig>,
    pub runtime: Option<String>,

    // What is refused.
    pub binds: Option<Vec<String>>,
    pub volumes_from: Option<Vec<String>>,
    pub volume_driver: Option<String>,
    pub devices: Option<Vec<Value>>,
    pub device_requests: Option<Vec<Value>>,
    pub device_cgroup_rules: Option<Vec<String>>,
    pub pid_mode: Option<String>,
    pub ipc_mode: Option<String>,
    #[serde(rename = "UTSMode")]
    pub uts_mode: Option<String>,
    pub userns_mode: Option<String>,
    pub cgroupns_mode: Option<String>,
    pub storage_opt: Option<BTreeMap<String, String>>,
    pub isolation: Option<String>,

    // What makes no difference in a virtual machine, or not yet: a warning.
    pub memory_swap: Option<i64>,
    pub memory_reservation: Option<i64>,
    pub memory_swappiness: Option<i64>,
    pub kernel_memory: Option<i64>,
    pub cpu_shares: Option<i64>,
    pub cpu_period: Option<i64>,
    pub cpu_quota: Option<i64>,
    pub cpu_realtime_period: Option<i64>,
    pub cpu_realtime_runtime: Option<i64>,
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    pub blkio_weight: Option<i64>,
    pub blkio_weight_device: Option<Vec<Value>>,
    pub blkio_device_read_bps: Option<Vec<Value>>,
    pub blkio_device_write_bps: Option<Vec<Value>>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Option<Vec<Value>>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Option<Vec<Value>>,
    pub oom_kill_disable: Option<bool>,
    pub oom_score_adj: Option<i64>,
    pub pids_limit: Option<i64>,
    pub cgroup_parent: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RestartPolicy {
    pub name: Option<String>,
    pub maximum_retry_count: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Ulimit {
    pub name: Option<String>,
    pub soft: Option<i64>,
    pub hard: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LogConfig {
    pub r#type: Option<String>,
    pub config: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Mount {
    pub r#type: Option<String>,
    pub target: Option<String>,
    pub read_only: Option<bool>,
    pub tmpfs_options: Option<TmpfsOptions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TmpfsOptions {
    pub size_bytes: Option<i64>,
    pub mode: Option<u32>,
}

/// Docker takes one string for a list of one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Words {
    One(String),
    Many(Vec<String>),
}

impl From<Words> for Vec<String> {
    fn from(words: Words) -> Self {
        match words {
            Words::One(word) => vec![word],
            Words::Many(words) => words,
        }
    }
}
