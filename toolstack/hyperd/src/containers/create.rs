//! `/containers/create`: from docker's request to the engine's.

use super::body::{Body, Host, Mount, Networking};
use super::refused::{self, network_mode};
use crate::api::Call;
use crate::config::MIN_MEMORY_MIB;
use crate::error::{Answer, ApiError, to_the_end};
use crate::images::check_platform;
use crate::networks::create::endpoint;
use crate::networks::ports;
use crate::request;
use axum::http::StatusCode;
use engine::images::Healthcheck;
use engine::network::EndpointConfig;
use engine::{CreateRequest, GuestType, HostConfig, LogConfig, RestartPolicy, Ulimit};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Of a container's stop timeout: never kill.
pub const NEVER_KILL: u32 = u32::MAX;

const TYPE_ANNOTATION: &str = "hyper.type";
/// Security groups, with commas between them.
const GROUPS_ANNOTATION: &str = "hyper.sg";

pub async fn create(call: Call) -> Answer {
    check_platform(call.query.text("platform"))?;
    let name = call.query.text("name").map(str::to_owned);
    let body: Body = request::need_json(call.request.into_body()).await?;
    let (wanted, mut warnings) = translate(body)?;
    let engine = call.app.engine.clone();
    let created = to_the_end(async move { engine.create(name.as_deref(), wanted).await }).await?;
    warnings.extend(created.warnings);
    Ok(request::json(
        StatusCode::CREATED,
        &json!({ "Id": created.id, "Warnings": warnings }),
    ))
}

/// The engine's request, and warnings about what it does not carry.
fn translate(mut body: Body) -> Result<(CreateRequest, Vec<String>), ApiError> {
    let host = body.host_config.take().unwrap_or_default();
    refused::refuse(&body, &host)?;
    let warnings = refused::warnings(&host);
    let image = body
        .image
        .filter(|image| !image.is_empty())
        .ok_or_else(|| ApiError::invalid("invalid reference format: no image is named"))?;
    let stop_signal = body.stop_signal.filter(|signal| !signal.is_empty());
    if let Some(signal) = &stop_signal {
        super::parse_signal(signal)?;
    }
    let mut host = translate_host(host)?;
    if body.network_disabled == Some(true) {
        host.network_mode = "none".to_owned();
    }
    let mac = body.mac_address.filter(|mac| !mac.is_empty());
    let networks = networks(
        body.networking_config.unwrap_or_default(),
        &host.network_mode,
        mac,
    )?;
    let exposed = body.exposed_ports.unwrap_or_default();
    let request = CreateRequest {
        exposed_ports: exposed
            .into_keys()
            .map(|port| exposed_port(&port))
            .collect::<Result<_, _>>()?,
        networks,
        image,
        entrypoint: body.entrypoint.map(Vec::from),
        cmd: body.cmd.map(Vec::from),
        env: body.env.unwrap_or_default(),
        user: body.user.unwrap_or_default(),
        working_dir: body.working_dir.unwrap_or_default(),
        hostname: body.hostname.filter(|name| !name.is_empty()),
        domainname: body.domainname.unwrap_or_default(),
        labels: body.labels.unwrap_or_default(),
        stop_signal,
        stop_timeout_seconds: body.stop_timeout.map(stop_timeout).transpose()?,
        tty: body.tty.unwrap_or_default(),
        open_stdin: body.open_stdin.unwrap_or_default(),
        stdin_once: body.stdin_once.unwrap_or_default(),
        attach_stdin: body.attach_stdin.unwrap_or_default(),
        attach_stdout: body.attach_stdout.unwrap_or_default(),
        attach_stderr: body.attach_stderr.unwrap_or_default(),
        healthcheck: body.healthcheck.map(healthcheck).transpose()?,
        request: None,
        host,
    };
    Ok((request, warnings))
}

/// `80/tcp` or `80-90/tcp`, the protocol always said.
fn exposed_port(text: &str) -> Result<String, ApiError> {
    engine::network::PortKey::parse_range(text).map_err(|error| ApiError::invalid(error.to_string()))?;
    Ok(match text.contains('/') {
        true => text.to_owned(),
        false => format!("{text}/tcp"),
    })
}

/// By name. A MAC address beside them is for the network of the mode.
fn networks(
    config: Networking,
    mode: &str,
    mac: Option<String>,
) -> Result<BTreeMap<String, EndpointConfig>, ApiError> {
    let mut networks = BTreeMap::new();
    for (name, settings) in config.endpoints_config.unwrap_or_default() {
        let endpoint = endpoint(settings.unwrap_or_default())?;
        networks.insert(network_mode(&name)?.to_owned(), endpoint);
    }
    if let Some(mac) = mac {
        let of_mode: &mut EndpointConfig = networks.entry(mode.to_owned()).or_default();
        of_mode.mac = Some(mac.parse().map_err(ApiError::invalid)?);
    }
    Ok(networks)
}

/// Docker's bounds.
fn healthcheck(check: Healthcheck) -> Result<Healthcheck, ApiError> {
    const LEAST_NS: i64 = 1_000_000;
    for (what, ns) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if ns != 0 && ns < LEAST_NS {
            return Err(ApiError::invalid(format!(
                "{what} in Healthcheck cannot be less than 1ms"
            )));
        }
    }
    if check.retries < 0 {
        return Err(ApiError::invalid("Retries in Healthcheck cannot be negative"));
    }
    match check.test.first().map(String::as_str) {
        None | Some("NONE" | "CMD" | "CMD-SHELL") => Ok(check),
        Some(other) => Err(ApiError::invalid(format!(
            "Unknown healthcheck type \"{other}\": it is NONE, CMD or CMD-SHELL"
        ))),
    }
}

fn stop_timeout(seconds: i64) -> Result<u32, ApiError> {
    match seconds {
        -1 => Ok(NEVER_KILL),
        other => {
            u32::try_from(other).map_err(|_| ApiError::invalid(format!("invalid stop timeout: {other}")))
        }
    }
}

fn translate_host(host: Host) -> Result<HostConfig, ApiError> {
    let annotations = host.annotations.unwrap_or_default();
    let guest_type = annotations
        .get(TYPE_ANNOTATION)
        .map(|text| text.parse::<GuestType>())
        .transpose()?;
    let security_groups = annotations
        .get(GROUPS_ANNOTATION)
        .map_or_else(Vec::new, |text| groups(text));
    let auto_remove = host.auto_remove.unwrap_or_default();
    let restart_policy = restart_policy(host.restart_policy.unwrap_or_default())?;
    if auto_remove && !["", "no"].contains(&restart_policy.name.as_str()) {
        return Err(ApiError::invalid(
            "can't create 'AutoRemove' container with restart policy",
        ));
    }
    let mode = host.network_mode.unwrap_or_default();
    let mut tmpfs = host.tmpfs.unwrap_or_default();
    for mount in host.mounts.unwrap_or_default() {
        let (target, options) = tmpfs_mount(mount)?;
        tmpfs.insert(target, options);
    }
    Ok(HostConfig {
        guest_type,
        memory_bytes: memory_bytes(host.memory.unwrap_or_default())?,
        nano_cpus: not_negative("NanoCpus", host.nano_cpus)?,
        auto_remove,
        read_only: host.readonly_rootfs.unwrap_or_default(),
        tmpfs,
        restart_policy,
        privileged: host.privileged.unwrap_or_default(),
        cap_add: host.cap_add.map(Vec::from).unwrap_or_default(),
        cap_drop: host.cap_drop.map(Vec::from).unwrap_or_default(),
        group_add: host.group_add.unwrap_or_default(),
        extra_hosts: host.extra_hosts.unwrap_or_default(),
        dns: host.dns.unwrap_or_default(),
        dns_search: host.dns_search.unwrap_or_default(),
        dns_options: host.dns_options.unwrap_or_default(),
        ulimits: host
            .ulimits
            .unwrap_or_default()
            .into_iter()
            .map(ulimit)
            .collect::<Result<_, _>>()?,
        sysctls: host.sysctls.unwrap_or_default(),
        shm_bytes: not_negative("ShmSize", host.shm_size)?,
        init: host.init.unwrap_or_default(),
        annotations,
        security_opt: host.security_opt.unwrap_or_default(),
        network_mode: network_mode(&mode)?.to_owned(),
        port_bindings: ports::bindings(host.port_bindings.unwrap_or_default())?,
        publish_all_ports: host.publish_all_ports.unwrap_or_default(),
        links: host.links.unwrap_or_default(),
        security_groups,
        log: log_config(host.log_config),
    })
}

/// Each once.
fn groups(text: &str) -> Vec<String> {
    let names: BTreeSet<_> = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Checked by the engine, once the daemon's own is under it.
fn log_config(log: Option<super::body::LogConfig>) -> LogConfig {
    let log = log.unwrap_or_default();
    LogConfig {
        driver: log.r#type.unwrap_or_default(),
        options: log.config.unwrap_or_default(),
    }
}

fn not_negative(what: &str, value: Option<i64>) -> Result<u64, ApiError> {
    let value = value.unwrap_or_default();
    u64::try_from(value)
        .map_err(|_| ApiError::invalid(format!("invalid {what}: {value} must not be negative")))
}

pub fn memory_bytes(bytes: i64) -> Result<u64, ApiError> {
    let bytes = not_negative("Memory", Some(bytes))?;
    if bytes != 0 && bytes < MIN_MEMORY_MIB << 20 {
        return Err(ApiError::invalid(format!(
            "Minimum memory limit allowed is {MIN_MEMORY_MIB}MB"
        )));
    }
    Ok(bytes)
}

pub fn restart_policy(policy: super::body::RestartPolicy) -> Result<RestartPolicy, ApiError> {
    let name = policy.name.unwrap_or_default();
    let count = policy.maximum_retry_count.unwrap_or_default();
    if !["", "no", "always", "unless-stopped", "on-failure"].contains(&name.as_str()) {
        return Err(ApiError::invalid(format!(
            "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )));
    }
    if count != 0 && name != "on-failure" {
        return Err(ApiError::invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ));
    }
    let maximum_retry_count = u32::try_from(count)
        .map_err(|_| ApiError::invalid("invalid restart policy: maximum retry count cannot be negative"))?;
    Ok(RestartPolicy {
        name,
        maximum_retry_count,
    })
}

fn ulimit(limit: super::body::Ulimit) -> Result<Ulimit, ApiError> {
    let name = limit.name.unwrap_or_default();
    let soft = limit.soft.unwrap_or_default();
    let hard = limit.hard.unwrap_or(soft);
    if name.is_empty() {
        return Err(ApiError::invalid("a ulimit has no name"));
    }
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(ApiError::invalid(format!(
            "ulimit soft limit must be less than or equal to hard limit: {name} {soft} > {hard}"
        )));
    }
    Ok(Ulimit { name, soft, hard })
}

/// Target and options of a mount that is a tmpfs; others are refused.
fn tmpfs_mount(mount: Mount) -> Result<(String, String), ApiError> {
    let kind = mount.r#type.unwrap_or_default();
    if kind != "tmpfs" {
        return Err(ApiError::invalid(format!(
            "mounts of type {kind:?} are not supported yet"
        )));
    }
    let target = mount.target.unwrap_or_default();
    if !target.starts_with('/') {
        return Err(ApiError::invalid(format!(
            "invalid mount target, must be an absolute path: {target}"
        )));
    }
    let mut options = Vec::new();
    if mount.read_only == Some(true) {
        options.push("ro".to_owned());
    }
    if let Some(limits) = mount.tmpfs_options {
        match not_negative("SizeBytes", limits.size_bytes)? {
            0 => {}
            bytes => options.push(format!("size={bytes}")),
        }
        if let Some(mode) = limits.mode.filter(|mode| *mode != 0) {
            options.push(format!("mode={mode:o}"));
        }
    }
    Ok((target, options.join(",")))
}

/// Annotations as they are shown again: the guest's type and its groups are among them, however they were asked for.
pub fn annotations_of(host: &HostConfig) -> BTreeMap<&str, String> {
    let mut annotations: BTreeMap<&str, String> = host
        .annotations
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    if let Some(guest_type) = host.guest_type {
        annotations.insert(TYPE_ANNOTATION, guest_type.to_string());
    }
    annotations.remove(GROUPS_ANNOTATION);
    if !host.security_groups.is_empty() {
        annotations.insert(GROUPS_ANNOTATION, host.security_groups.join(","));
    }
    annotations
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
