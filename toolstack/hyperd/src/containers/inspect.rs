//! `/containers/{id}/json`.

use super::create::{NEVER_KILL, annotations_of};
use super::sizes::Sizes;
use crate::api::Call;
use crate::error::Answer;
use crate::networks::{ports, settings};
use crate::request;
use crate::system::{RUNTIME, STORAGE_DRIVER};
use crate::text;
use engine::{Config, Container, Health, HostConfig, State, Status};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Docker's default size of /dev/shm.
const SHM_BYTES: u64 = 64 << 20;

pub fn inspect(call: &Call, id: &str) -> Answer {
    let container = super::find(call, id)?;
    let log = call.engine().log_path(&container).unwrap_or_default();
    let execs = call.engine().execs(&container.id);
    let mut value = container_json(&container, &log, &execs);
    if call.query.flag("size") {
        Sizes::new(call.engine()).add_to(&mut value, &container);
    }
    Ok(request::ok_json(&value))
}

fn container_json(container: &Container, log: &Path, execs: &[String]) -> Value {
    let config = &container.config;
    let args = config.args();
    json!({
        "Id": container.id,
        "Created": text::moment(container.created_at),
        "Path": args.first().map_or("", String::as_str),
        "Args": args.get(1..).unwrap_or_default(),
        "State": state_json(&container.state),
        "Image": container.image_id,
        "ResolvConfPath": "",
        "HostnamePath": "",
        "HostsPath": "",
        "LogPath": log,
        "Name": format!("/{}", container.name),
        "RestartCount": container.state.restart_count,
        "Driver": STORAGE_DRIVER,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": if execs.is_empty() { Value::Null } else { json!(execs) },
        "HostConfig": host_json(&config.host),
        "GraphDriver": { "Name": STORAGE_DRIVER, "Data": {} },
        "Mounts": [],
        "Config": config_json(config),
        "NetworkSettings": settings::settings_json(container),
    })
}

fn state_json(state: &State) -> Value {
    let mut value = json!({
        "Status": state.status.to_string(),
        "Running": state.status.is_running(),
        "Paused": state.status == Status::Paused,
        "Restarting": state.status == Status::Restarting,
        "OOMKilled": state.oom_killed,
        "Dead": state.status == Status::Dead,
        "Pid": if state.status.is_up() { state.pid } else { 0 },
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": text::moment_or_never(state.started_at),
        "FinishedAt": text::moment_or_never(state.finished_at),
        // Ours: the domain of the guest.
        "DomID": state.domid,
    });
    if let Some(health) = &state.health {
        value["Health"] = health_json(health);
    }
    value
}

fn health_json(health: &Health) -> Value {
    let log: Vec<Value> = health
        .log
        .iter()
        .map(|probe| {
            json!({
                "Start": text::moment(probe.start),
                "End": text::moment(probe.end),
                "ExitCode": probe.exit_code,
                "Output": probe.output,
            })
        })
        .collect();
    json!({ "Status": health.status.to_string(), "FailingStreak": health.failing_streak, "Log": log })
}

/// Go writes an empty slice that was never set as null.
fn list(words: &[String]) -> Value {
    if words.is_empty() {
        Value::Null
    } else {
        json!(words)
    }
}

/// A set as Go writes it.
fn set(names: &[String]) -> Value {
    names
        .iter()
        .map(|name| (name.clone(), json!({})))
        .collect::<Map<_, _>>()
        .into()
}

fn config_json(config: &Config) -> Value {
    let mut value = json!({
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": config.attach_stdin,
        "AttachStdout": config.attach_stdout,
        "AttachStderr": config.attach_stderr,
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.stdin_once,
        "Env": config.env,
        "Cmd": list(&config.cmd),
        "Image": config.image,
        "Volumes": if config.volumes.is_empty() { Value::Null } else { set(&config.volumes) },
        "WorkingDir": config.working_dir,
        "Entrypoint": list(&config.entrypoint),
        "OnBuild": null,
        "Labels": config.labels,
    });
    if !config.exposed_ports.is_empty() {
        value["ExposedPorts"] = set(&config.exposed_ports);
    }
    if !config.stop_signal.is_empty() {
        value["StopSignal"] = json!(config.stop_signal);
    }
    if let Some(check) = &config.healthcheck {
        value["Healthcheck"] = json!(check);
    }
    if let Some(seconds) = config.stop_timeout_seconds {
        value["StopTimeout"] = if seconds == NEVER_KILL {
            json!(-1)
        } else {
            json!(seconds)
        };
    }
    value
}

fn host_json(host: &HostConfig) -> Value {
    let ulimits: Vec<Value> = host
        .ulimits
        .iter()
        .map(|limit| json!({ "Name": limit.name, "Hard": limit.hard, "Soft": limit.soft }))
        .collect();
    let restart_policy = match host.restart_policy.name.as_str() {
        "" => "no",
        name => name,
    };
    let mut value = json!({
        "Binds": null,
        "ContainerIDFile": "",
        "LogConfig": { "Type": host.log.driver(), "Config": host.log.options },
        "NetworkMode": host.network_mode,
        "PortBindings": ports::bindings_json(&host.port_bindings),
        "RestartPolicy": {
            "Name": restart_policy,
            "MaximumRetryCount": host.restart_policy.maximum_retry_count,
        },
        "AutoRemove": host.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": null,
        "ConsoleSize": [0, 0],
        "Annotations": annotations_of(host),
        "CapAdd": list(&host.cap_add),
        "CapDrop": list(&host.cap_drop),
        "CgroupnsMode": "private",
        "Dns": host.dns,
        "DnsOptions": host.dns_options,
        "DnsSearch": host.dns_search,
        "ExtraHosts": list(&host.extra_hosts),
        "GroupAdd": list(&host.group_add),
        "IpcMode": "private",
        "Cgroup": "",
        "Links": list(&host.links),
        "OomScoreAdj": 0,
        "PidMode": "",
        "Privileged": host.privileged,
        "PublishAllPorts": host.publish_all_ports,
        "ReadonlyRootfs": host.read_only,
        "SecurityOpt": list(&host.security_opt),
        "UTSMode": "",
        "UsernsMode": "",
        "ShmSize": if host.shm_bytes == 0 { SHM_BYTES } else { host.shm_bytes },
        "Runtime": RUNTIME,
        "Isolation": "",
        "CpuShares": 0,
        "Memory": host.memory_bytes,
        "NanoCpus": host.nano_cpus,
        "CgroupParent": "",
        "BlkioWeight": 0,
        "BlkioWeightDevice": [],
        "BlkioDeviceReadBps": [],
        "BlkioDeviceWriteBps": [],
        "BlkioDeviceReadIOps": [],
        "BlkioDeviceWriteIOps": [],
        "CpuPeriod": 0,
        "CpuQuota": 0,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": "",
        "CpusetMems": "",
        "Devices": [],
        "DeviceCgroupRules": null,
        "DeviceRequests": null,
        "MemoryReservation": 0,
        "MemorySwap": 0,
        "MemorySwappiness": null,
        "OomKillDisable": false,
        "PidsLimit": null,
        "Ulimits": ulimits,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "MaskedPaths": [],
        "ReadonlyPaths": [],
    });
    if host.init {
        value["Init"] = json!(true);
    }
    if !host.tmpfs.is_empty() {
        value["Tmpfs"] = json!(host.tmpfs);
    }
    if !host.sysctls.is_empty() {
        value["Sysctls"] = json!(host.sysctls);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use engine::GuestType;

    fn container() -> Container {
        let moment = DateTime::from_timestamp(1_700_000_000, 5_000).unwrap();
        Container {
            id: "ab".repeat(32),
            name: "web".to_owned(),
            created_at: moment,
            image_id: "sha256:aa".to_owned(),
            config: Config {
                image: "nginx".to_owned(),
                cmd: vec!["nginx".to_owned(), "-g".to_owned()],
                exposed_ports: vec!["80/tcp".to_owned()],
                stop_timeout_seconds: Some(NEVER_KILL),
                host: HostConfig {
                    guest_type: Some(GuestType::Pv),
                    network_mode: "default".to_owned(),
                    ..HostConfig::default()
                },
                ..Config::default()
            },
            state: State {
                status: Status::Paused,
                pid: 7,
                domid: Some(12),
                started_at: Some(moment),
                ..State::default()
            },
        }
    }

    #[test]
    fn what_clients_read_is_there() {
        let value = container_json(&container(), Path::new("/log"), &["e1".to_owned()]);
        for (pointer, expected) in [
            ("/Path", json!("nginx")),
            ("/Args", json!(["-g"])),
            ("/Name", json!("/web")),
            ("/Created", json!("2023-11-14T22:13:20.000005Z")),
            ("/State/Status", json!("paused")),
            ("/State/Running", json!(true)),
            ("/State/Paused", json!(true)),
            ("/State/Pid", json!(7)),
            ("/State/DomID", json!(12)),
            ("/State/FinishedAt", json!("0001-01-01T00:00:00Z")),
            ("/HostConfig/LogConfig/Type", json!("json-file")),
            ("/HostConfig/NetworkMode", json!("default")),
            ("/HostConfig/RestartPolicy/Name", json!("no")),
            ("/HostConfig/ShmSize", json!(67_108_864)),
            ("/HostConfig/Annotations", json!({ "hyper.type": "pv" })),
            ("/Config/Entrypoint", Value::Null),
            ("/Config/ExposedPorts", json!({ "80/tcp": {} })),
            ("/Config/StopTimeout", json!(-1)),
            ("/NetworkSettings/Ports", json!({ "80/tcp": null })),
            ("/NetworkSettings/Networks", json!({})),
            ("/Mounts", json!([])),
            ("/LogPath", json!("/log")),
            ("/ExecIDs", json!(["e1"])),
            ("/GraphDriver/Name", json!("erofs")),
            ("/Platform", json!("linux")),
        ] {
            assert_eq!(value.pointer(pointer), Some(&expected), "{pointer}");
        }
    }

    #[test]
    fn a_stopped_container_has_no_process() {
        let mut container = container();
        container.state.status = Status::Exited;
        container.state.exit_code = 3;
        let state = state_json(&container.state);
        assert_eq!(state["Pid"], 0);
        assert_eq!(state["Running"], false);
        assert_eq!(state["ExitCode"], 3);
    }
}
