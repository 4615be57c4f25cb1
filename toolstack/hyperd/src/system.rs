//! What the daemon and its host are.

use crate::api::Call;
use crate::containers::list as container_list;
use crate::containers::sizes::Sizes;
use crate::error::{Answer, ApiError};
use crate::images::list as image_list;
use crate::request;
use crate::router::{API_MINOR, MIN_API_MINOR};
use anyhow::Context;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode};
use chrono::Utc;
use engine::HostSummary;
use engine::images::Usage;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

pub const VERSION: &str = env!("CARGO_PKG_VERSION");
pub const RUNTIME: &str = "hyper";
pub const STORAGE_DRIVER: &str = "erofs";

/// Names the daemon as long as its state lives.
pub fn daemon_id(state_dir: &Path) -> anyhow::Result<String> {
    let path = state_dir.join("daemon-id");
    if let Ok(id) = fs::read_to_string(&path)
        && !id.trim().is_empty()
    {
        return Ok(id.trim().to_owned());
    }
    let source = "/proc/sys/kernel/random/uuid";
    let id = fs::read_to_string(source).with_context(|| format!("cannot read {source}"))?;
    fs::write(&path, &id).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(id.trim().to_owned())
}

pub fn ping() -> Response<Body> {
    let mut response = request::of(StatusCode::OK, "text/plain; charset=utf-8", Body::from("OK"));
    let headers = response.headers_mut();
    for (name, value) in [
        // The classic builder: there is no BuildKit in here.
        ("builder-version", "1"),
        ("swarm", "inactive"),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn kernel_version() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn guest_types(summary: &HostSummary) -> Vec<String> {
    summary.host.guest_types.iter().map(ToString::to_string).collect()
}

pub async fn version(call: &Call) -> Answer {
    let summary = call.engine().summary().await?;
    Ok(request::ok_json(&version_json(&summary, &kernel_version())))
}

fn version_json(summary: &HostSummary, kernel: &str) -> Value {
    let (api, min_api) = (format!("1.{API_MINOR}"), format!("1.{MIN_API_MINOR}"));
    let arch = "amd64";
    json!({
        "Platform": { "Name": "Hyper for Xen" },
        "Components": [
            {
                "Name": "Engine",
                "Version": VERSION,
                "Details": {
                    "ApiVersion": api, "Arch": arch, "BuildTime": "", "Experimental": "false", "GitCommit": "",
                    "GoVersion": "", "KernelVersion": kernel, "MinAPIVersion": min_api, "Os": "linux",
                },
            },
            {
                "Name": "Xen",
                "Version": summary.host.xen_full_version,
                "Details": {
                    "Release": summary.host.xen_version,
                    "GuestTypes": guest_types(summary).join(", "),
                },
            },
        ],
        "Version": VERSION, "ApiVersion": api, "MinAPIVersion": min_api, "GitCommit": "", "GoVersion": "",
        "Os": "linux", "Arch": arch, "KernelVersion": kernel, "BuildTime": "",
    })
}

/// What `info` says beside the summary.
struct Host {
    id: String,
    name: String,
    kernel: String,
    operating_system: String,
    os_version: String,
    insecure_registries: Vec<String>,
    mirrors: Vec<String>,
    log_driver: String,
}

pub async fn info(call: &Call) -> Answer {
    let summary = call.engine().summary().await?;
    let settings = call.engine().settings();
    let mirrors = settings
        .registries
        .mirrors
        .get("docker.io")
        .map(|mirrors| mirrors.iter());
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let host = Host {
        id: call.app.id.clone(),
        name: host_name(),
        kernel: kernel_version(),
        operating_system: os_release(&release, "PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()),
        os_version: os_release(&release, "VERSION_ID").unwrap_or_default(),
        insecure_registries: settings.registries.insecure.clone(),
        mirrors: mirrors.into_iter().flatten().map(ToString::to_string).collect(),
        log_driver: settings.log.driver().to_owned(),
    };
    Ok(request::ok_json(&info_json(&summary, &host)))
}

/// A value of os-release(5).
fn os_release(text: &str, key: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(|value| value.trim_matches(['"', '\'']).to_owned())
}

fn info_json(summary: &HostSummary, host: &Host) -> Value {
    let registries = ["127.0.0.0/8", "::1/128"];
    let index_configs: serde_json::Map<String, Value> = host
        .insecure_registries
        .iter()
        .map(|name| {
            (
                name.clone(),
                json!({ "Name": name, "Mirrors": [], "Secure": false, "Official": false }),
            )
        })
        .chain([(
            "docker.io".to_owned(),
            json!({ "Name": "docker.io", "Mirrors": host.mirrors, "Secure": true, "Official": true }),
        )])
        .collect();
    let types = guest_types(summary);
    json!({
        "ID": host.id,
        "Containers": summary.running + summary.paused + summary.stopped,
        "ContainersRunning": summary.running,
        "ContainersPaused": summary.paused,
        "ContainersStopped": summary.stopped,
        "Images": summary.images,
        "Driver": STORAGE_DRIVER,
        "DriverStatus": [
            ["Xen", summary.host.xen_full_version],
            ["Guest types", types.join(", ")],
            ["Free memory", crate::text::size(summary.memory.free_bytes)],
        ],
        "Plugins": { "Volume": [], "Network": ["null"], "Authorization": null, "Log": engine::LOG_DRIVERS },
        "MemoryLimit": true, "SwapLimit": false, "CpuCfsPeriod": false, "CpuCfsQuota": false, "CPUShares": false,
        "CPUSet": false, "PidsLimit": false, "IPv4Forwarding": false, "OomKillDisable": false,
        "Debug": false, "NFd": 0, "NGoroutines": 0, "NEventsListener": 0,
        "SystemTime": crate::text::moment(Utc::now()),
        "LoggingDriver": host.log_driver, "CgroupDriver": "none", "CgroupVersion": "2",
        "KernelVersion": host.kernel, "OperatingSystem": host.operating_system, "OSVersion": host.os_version,
        "OSType": "linux", "Architecture": "x86_64",
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "AllowNondistributableArtifactsCIDRs": null,
            "AllowNondistributableArtifactsHostnames": null,
            "InsecureRegistryCIDRs": registries,
            "IndexConfigs": index_configs,
            "Mirrors": host.mirrors,
        },
        "NCPU": summary.host.cpus,
        "MemTotal": summary.memory.total_bytes,
        "GenericResources": null,
        "DockerRootDir": summary.state_dir,
        "HttpProxy": "", "HttpsProxy": "", "NoProxy": "",
        "Name": host.name,
        "Labels": [],
        "ExperimentalBuild": false,
        "ServerVersion": VERSION,
        "Runtimes": { RUNTIME: { "path": "hyperd" } },
        "DefaultRuntime": RUNTIME,
        "Swarm": {
            "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
            "RemoteManagers": null,
        },
        "LiveRestoreEnabled": true,
        "Isolation": "",
        "InitBinary": "",
        "ContainerdCommit": { "ID": "" }, "RuncCommit": { "ID": "" }, "InitCommit": { "ID": "" },
        "SecurityOptions": [],
        "CDISpecDirs": [],
        "Warnings": [],
        "Xen": {
            "Version": summary.host.xen_version,
            "FullVersion": summary.host.xen_full_version,
            "GuestTypes": types,
            "DefaultGuestType": types.first(),
            "MemTotal": summary.memory.total_bytes,
            "MemFree": summary.memory.free_bytes,
        },
    })
}

/// What `/system/df` may be asked about.
const USAGE_TYPES: [&str; 4] = ["container", "image", "volume", "build-cache"];

pub fn disk_usage(call: &Call) -> Answer {
    let types = call.query.texts("type");
    if let Some(other) = types.iter().find(|kind| !USAGE_TYPES.contains(&kind.as_str())) {
        return Err(ApiError::invalid(format!("unknown object type: {other}")));
    }
    let wants = |kind: &str| types.is_empty() || types.iter().any(|wanted| wanted == kind);
    let containers = call.engine().containers();
    let mut answer = json!({ "LayersSize": 0, "Images": null, "Containers": null, "Volumes": null, "BuildCache": null,
        "BuilderSize": 0 });
    if wants("image") {
        let images = call.engine().images().list()?;
        let usage = Usage::of(&images);
        answer["LayersSize"] = json!(usage.layers_bytes);
        let images = images.iter().zip(&usage.shared_bytes).map(|(image, shared)| {
            let users = containers
                .iter()
                .filter(|container| container.image_id == image.id);
            image_list::image_json(image, Some(users.count()), Some(*shared))
        });
        answer["Images"] = images.collect();
    }
    if wants("container") {
        let (sizes, now) = (Sizes::new(call.engine()), Utc::now());
        let containers = containers
            .iter()
            .map(|container| container_list::container_json(container, now, Some(&sizes)));
        answer["Containers"] = containers.collect();
    }
    // There are none of these.
    for (kind, key) in [("volume", "Volumes"), ("build-cache", "BuildCache")] {
        if wants(kind) {
            answer[key] = json!([]);
        }
    }
    Ok(request::ok_json(&answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{GuestType, HostInfo, MemoryInfo};

    fn summary() -> HostSummary {
        HostSummary {
            host: HostInfo {
                xen_version: "4.20".to_owned(),
                xen_full_version: "4.20.2-pre".to_owned(),
                cpus: 4,
                guest_types: vec![GuestType::Pvh, GuestType::Pv],
            },
            memory: MemoryInfo {
                total_bytes: 8 << 30,
                free_bytes: 2_000_000_000,
            },
            running: 2,
            paused: 1,
            stopped: 3,
            images: 5,
            state_dir: "/var/lib/hyper".into(),
        }
    }

    #[test]
    fn version_names_xen() {
        let version = version_json(&summary(), "6.12.1");
        assert_eq!(version["ApiVersion"], "1.51");
        assert_eq!(version["MinAPIVersion"], "1.24");
        assert_eq!(version["Components"][1]["Version"], "4.20.2-pre");
        assert_eq!(version["Components"][1]["Details"]["GuestTypes"], "pvh, pv");
    }

    #[test]
    fn info_counts_containers() {
        let host = Host {
            id: "id".to_owned(),
            name: "dom0".to_owned(),
            kernel: "6.12.1".to_owned(),
            operating_system: "Debian".to_owned(),
            os_version: "13".to_owned(),
            insecure_registries: vec!["registry:5000".to_owned()],
            mirrors: vec!["https://mirror/".to_owned()],
            log_driver: "journald".to_owned(),
        };
        let info = info_json(&summary(), &host);
        assert_eq!(info["Containers"], 6);
        assert_eq!(info["NCPU"], 4);
        assert_eq!(info["MemTotal"], 8u64 << 30);
        assert_eq!(info["DockerRootDir"], "/var/lib/hyper");
        assert_eq!(
            info["RegistryConfig"]["IndexConfigs"]["registry:5000"]["Secure"],
            false
        );
        assert_eq!(info["RegistryConfig"]["Mirrors"][0], "https://mirror/");
        assert_eq!(info["Xen"]["DefaultGuestType"], "pvh");
        assert_eq!(info["Runtimes"]["hyper"]["path"], "hyperd");
    }

    #[test]
    fn daemon_ids_last() {
        let folder = tempfile::tempdir().unwrap();
        let id = daemon_id(folder.path()).unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(daemon_id(folder.path()).unwrap(), id);
    }

    #[test]
    fn os_release_values() {
        let text = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_ID=13\n";
        assert_eq!(
            os_release(text, "PRETTY_NAME").unwrap(),
            "Debian GNU/Linux 13 (trixie)"
        );
        assert_eq!(os_release(text, "VERSION_ID").unwrap(), "13");
        assert_eq!(os_release(text, "MISSING"), None);
    }
}
