//! What a container is asked to be, and what it is once image and request are put together.

use crate::hypervisor::GuestType;
use crate::log::LogConfig;
use crate::network::{EndpointConfig, PortBinding};
use images::{Healthcheck, ImageConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a client asks for. What is absent is as the image says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreateRequest {
    /// As the user named it.
    pub image: String,
    /// `Some` replaces the image's, and its `cmd` with it; `Some(vec![])` or one empty word clears it.
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    /// `NAME=value`; `NAME` alone removes what the image has.
    pub env: Vec<String>,
    pub user: String,
    pub working_dir: String,
    /// The short id when absent.
    pub hostname: Option<String>,
    pub domainname: String,
    pub labels: BTreeMap<String, String>,
    /// A name or a number.
    pub stop_signal: Option<String>,
    pub stop_timeout_seconds: Option<u32>,
    pub tty: bool,
    pub open_stdin: bool,
    /// The process's stdin ends with the first client that was attached to it.
    pub stdin_once: bool,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    /// Beside the image's.
    pub exposed_ports: Vec<String>,
    /// By name.
    pub networks: BTreeMap<String, EndpointConfig>,
    pub healthcheck: Option<Healthcheck>,
    /// Name of the request in xenstore that asks for it.
    pub request: Option<String>,
    pub host: HostConfig,
}

/// The part that is about the host rather than the program; kept as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostConfig {
    /// Default of the host when absent.
    pub guest_type: Option<GuestType>,
    /// Default of the config when 0.
    pub memory_bytes: u64,
    /// Billionths of a processor: as many vcpus as it takes, 1 when 0, and a limit in the guest.
    pub nano_cpus: u64,
    pub auto_remove: bool,
    pub read_only: bool,
    /// Target and mount options.
    pub tmpfs: BTreeMap<String, String>,
    pub restart_policy: RestartPolicy,
    pub privileged: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub group_add: Vec<String>,
    /// `name:address`.
    pub extra_hosts: Vec<String>,
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    pub ulimits: Vec<Ulimit>,
    pub sysctls: BTreeMap<String, String>,
    /// 64 MiB when 0.
    pub shm_bytes: u64,
    pub init: bool,
    pub annotations: BTreeMap<String, String>,
    pub security_opt: Vec<String>,
    /// `bridge`, `none` or the name of another network.
    pub network_mode: String,
    /// By port of the container, as `80/tcp`.
    pub port_bindings: BTreeMap<String, Vec<PortBinding>>,
    pub publish_all_ports: bool,
    /// `container:alias`
    pub links: Vec<String>,
    /// Names; without any, the guest has no fence.
    pub security_groups: Vec<String>,
    pub log: LogConfig,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// `no` (or empty), `always`, `unless-stopped`, `on-failure`.
    pub name: String,
    pub maximum_retry_count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub soft: i64,
    pub hard: i64,
}

/// What a container is, settled when it was created.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    pub image: String,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub env: Vec<String>,
    pub user: String,
    pub working_dir: String,
    pub hostname: String,
    pub domainname: String,
    pub labels: BTreeMap<String, String>,
    /// As given or as the image says; `SIGTERM` when empty.
    pub stop_signal: String,
    pub stop_timeout_seconds: Option<u32>,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub exposed_ports: Vec<String>,
    pub volumes: Vec<String>,
    /// By name; of each at least the one that [`HostConfig::network_mode`] names.
    pub networks: BTreeMap<String, EndpointConfig>,
    pub healthcheck: Option<Healthcheck>,
    /// Name of the request in xenstore that it is of.
    pub request: Option<String>,
    pub host: HostConfig,
}

impl Config {
    /// Puts request and image together as docker does.
    pub fn merge(request: CreateRequest, image: &ImageConfig, short_id: &str) -> Self {
        let (entrypoint, image_cmd) = match request.entrypoint {
            None => (image.entrypoint.clone(), image.cmd.clone()),
            // An entrypoint of one's own takes the image's arguments away.
            Some(words) if words.iter().all(String::is_empty) => (Vec::new(), Vec::new()),
            Some(words) => (words, Vec::new()),
        };
        let cmd = match request.cmd {
            Some(cmd) if !cmd.is_empty() => cmd,
            _ => image_cmd,
        };
        let mut exposed_ports = image.exposed_ports.clone();
        exposed_ports.extend(request.exposed_ports);
        exposed_ports.sort();
        exposed_ports.dedup();
        let mut labels = image.labels.clone();
        labels.extend(request.labels);
        Self {
            image: request.image,
            entrypoint,
            cmd,
            env: merge_env(&image.env, &request.env),
            user: or(request.user, &image.user),
            working_dir: or(request.working_dir, &image.working_dir),
            hostname: request.hostname.unwrap_or_else(|| short_id.to_owned()),
            domainname: request.domainname,
            labels,
            stop_signal: request
                .stop_signal
                .or_else(|| image.stop_signal.clone())
                .unwrap_or_default(),
            stop_timeout_seconds: request.stop_timeout_seconds,
            tty: request.tty,
            open_stdin: request.open_stdin,
            stdin_once: request.stdin_once,
            attach_stdin: request.attach_stdin,
            attach_stdout: request.attach_stdout,
            attach_stderr: request.attach_stderr,
            exposed_ports,
            networks: request.networks,
            volumes: image.volumes.clone(),
            healthcheck: match request.healthcheck {
                Some(own) => Some(own.over(image.healthcheck.as_ref())),
                None => image.healthcheck.clone(),
            },
            request: request.request,
            host: request.host,
        }
    }

    /// Program and arguments.
    pub fn args(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

fn or(own: String, other: &str) -> String {
    if own.is_empty() { other.to_owned() } else { own }
}

/// The image's variables with the request's over them; a name without a value takes one away.
fn merge_env(image: &[String], request: &[String]) -> Vec<String> {
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let mut env: Vec<String> = image.to_vec();
    for pair in request {
        let position = env.iter().position(|known| name(known) == name(pair));
        match (position, pair.contains('=')) {
            (Some(at), true) => env[at].clone_from(pair),
            (Some(at), false) => drop(env.remove(at)),
            (None, true) => env.push(pair.clone()),
            (None, false) => {}
        }
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn args(entrypoint: Option<&str>, cmd: Option<&str>) -> String {
        let image = ImageConfig {
            entrypoint: words("/entry -x"),
            cmd: words("default args"),
            ..ImageConfig::default()
        };
        let request = CreateRequest {
            entrypoint: entrypoint.map(words),
            cmd: cmd.map(words),
            ..CreateRequest::default()
        };
        Config::merge(request, &image, "abc").args().join(" ")
    }

    #[test]
    fn entrypoint_and_command_follow_dockers_rules() {
        assert_eq!(args(None, None), "/entry -x default args");
        assert_eq!(args(None, Some("mine")), "/entry -x mine");
        assert_eq!(args(Some("/own"), None), "/own");
        assert_eq!(args(Some("/own"), Some("mine")), "/own mine");
        assert_eq!(args(Some(""), Some("mine")), "mine");
        assert_eq!(args(Some(""), None), "");
    }

    #[test]
    fn variables_are_replaced_added_and_removed() {
        assert_eq!(
            merge_env(&words("A=1 B=2 C=3"), &words("B=x D=4 A NONE")),
            words("B=x C=3 D=4")
        );
    }
}
