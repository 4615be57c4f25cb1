//! Everything a guest is, as one value that can be printed and tested.

use crate::error::Error;
use crate::hypervisor::{GuestType, HostInfo};
use crate::network::{Endpoint, Rate, guest, ports};
use crate::spec::{Config, Ulimit};
use crate::state::Container;
use guest_protocol::capability;
use guest_protocol::message::{
    ContainerSpec, FileSpec, InterfaceSpec, MountKind, MountSpec, ProcessId, ProcessSpec, Rlimit, RootSpec,
    StreamId, WindowSize,
};
use images::RootDisk;
use network::Mac;
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The container's first process.
pub const FIRST_PROCESS: ProcessId = 1;
pub const STDIN: StreamId = 1;
pub const STDOUT: StreamId = 2;
pub const STDERR: StreamId = 3;
pub const KERNEL_LOG: StreamId = 4;
/// Execs have processes and streams from here on.
pub const FIRST_EXEC: u32 = 16;

/// As docker has it.
const MIN_NANO_CPUS: u64 = 10_000_000;

/// Their names in a guest have one letter.
const MAX_DISKS: usize = 26;

/// What the smallest guest boots with.
pub const MIN_MEMORY_MIB: u64 = 32;

/// Docker's default, moby `oci/caps/defaults.go`.
const DEFAULT_CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    pub uuid: Uuid,
    /// What `xl list` shows.
    pub name: String,
    pub guest_type: GuestType,
    pub memory_mib: u64,
    pub vcpus: u32,
    pub cmdline: String,
    /// xvda, xvdb, …
    pub disks: Vec<PlannedDisk>,
    /// eth0, eth1, …
    pub nics: Vec<PlannedNic>,
    pub interfaces: Vec<InterfaceSpec>,
    pub container: ContainerSpec,
    pub process: ProcessSpec,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedDisk {
    #[serde(flatten)]
    pub source: DiskSource,
    pub read_only: bool,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedNic {
    pub mac: Mac,
    /// Of the host.
    pub bridge: String,
    pub mtu: Option<u32>,
    /// What the guest may send.
    pub rate: Option<Rate>,
}

impl From<&Endpoint> for PlannedNic {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            mac: endpoint.mac,
            bridge: endpoint.bridge.clone(),
            mtu: endpoint.mtu,
            rate: endpoint.rate,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskSource {
    File(PathBuf),
    /// The parts of an image's root as one disk.
    Root(RootDisk),
}

/// How guests get the root of their image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RootForm {
    /// As one disk, which the host puts together.
    #[default]
    Linear,
    /// A disk for the index and one for each layer, which the guest's kernel puts together.
    Layers,
}

/// What plans have in common.
pub struct Defaults<'a> {
    pub host: &'a HostInfo,
    pub guest_type: Option<GuestType>,
    pub memory_mib: u64,
    pub cmdline: &'a str,
    pub root_form: RootForm,
}

impl Plan {
    pub fn make(
        container: &Container,
        uuid: Uuid,
        root: &RootDisk,
        disk: &Path,
        defaults: &Defaults<'_>,
    ) -> Result<Self, Error> {
        let config = &container.config;
        let guest_type = config
            .host
            .guest_type
            .or(defaults.guest_type)
            .or(defaults.host.guest_types.first().copied())
            .ok_or_else(|| Error::failed("this host can run no guest"))?;
        let disks = disks(root, disk, defaults.root_form)?;
        Ok(Self {
            uuid,
            name: container.name.clone(),
            guest_type,
            memory_mib: memory_mib(config, defaults.memory_mib),
            vcpus: vcpus(config, defaults.host.cpus)?,
            // A panic is told to Xen as a crash, not as a restart.
            cmdline: format!("console=hvc0 quiet xen_legacy_crash {}", defaults.cmdline)
                .trim_end()
                .to_owned(),
            container: container_spec(container, &disks),
            disks,
            nics: container.state.endpoints.iter().map(PlannedNic::from).collect(),
            interfaces: guest::interfaces(&container.state.endpoints),
            process: first_process(container)?,
        })
    }
}

/// The root first, then the container's own disk, then layers that are disks of their own.
fn disks(root: &RootDisk, disk: &Path, form: RootForm) -> Result<Vec<PlannedDisk>, Error> {
    let file = |path: &Path, read_only| PlannedDisk {
        source: DiskSource::File(path.to_owned()),
        read_only,
    };
    let own = file(disk, false);
    let disks = match form {
        RootForm::Linear => {
            let root = PlannedDisk {
                source: DiskSource::Root(root.clone()),
                read_only: true,
            };
            vec![root, own]
        }
        RootForm::Layers => {
            let layers = root.layers.iter().map(|layer| file(layer, true));
            [file(&root.index, true), own].into_iter().chain(layers).collect()
        }
    };
    if disks.len() > MAX_DISKS {
        return Err(Error::failed(format!(
            "the image has {} layers, and a guest at most {MAX_DISKS} disks: root-device must be \"linear\"",
            root.layers.len()
        )));
    }
    Ok(disks)
}

/// Names in the guest of the disks that make its root.
fn lower(disks: &[PlannedDisk]) -> Vec<String> {
    let named = disks.iter().zip(b'a'..=b'z');
    named
        .filter(|(disk, _)| disk.read_only)
        .map(|(_, letter)| format!("xvd{}", char::from(letter)))
        .collect()
}

fn memory_mib(config: &Config, default_mib: u64) -> u64 {
    match config.host.memory_bytes {
        0 => default_mib,
        bytes => (bytes >> 20).max(MIN_MEMORY_MIB),
    }
}

/// Whole processors: a share of one is one, of which the guest's kernel gives so much.
fn vcpus(config: &Config, host_cpus: u32) -> Result<u32, Error> {
    let nano_cpus = config.host.nano_cpus;
    let wanted = nano_cpus.div_ceil(1_000_000_000).max(1);
    match u32::try_from(wanted) {
        Ok(wanted) if wanted <= host_cpus && (nano_cpus == 0 || nano_cpus >= MIN_NANO_CPUS) => Ok(wanted),
        _ => Err(Error::invalid(format!(
            "range of CPUs is from 0.01 to {host_cpus}.00, as there are only {host_cpus} CPUs available"
        ))),
    }
}

fn container_spec(container: &Container, disks: &[PlannedDisk]) -> ContainerSpec {
    let config = &container.config;
    let mounts = config.host.tmpfs.iter().map(|(target, options)| MountSpec {
        target: target.clone(),
        kind: MountKind::Tmpfs,
        options: options
            .split(',')
            .filter(|option| !option.is_empty())
            .map(str::to_owned)
            .collect(),
    });
    let mut files = vec![file("/etc/hostname", format!("{}\n", config.hostname))];
    files.extend(network_files(container));
    ContainerSpec {
        id: container.id.clone(),
        hostname: config.hostname.clone(),
        domainname: config.domainname.clone(),
        root: RootSpec {
            lower: lower(disks),
            upper: Some("xvdb".to_owned()),
            read_only: config.host.read_only,
        },
        mounts: mounts.collect(),
        files,
        sysctls: config.host.sysctls.clone().into_iter().collect(),
        shm_bytes: config.host.shm_bytes,
        nano_cpus: config.host.nano_cpus,
        privileged: config.host.privileged,
        init: config.host.init,
    }
}

fn file(path: &str, content: String) -> FileSpec {
    FileSpec {
        path: path.to_owned(),
        content,
        mode: 0o644,
    }
}

/// Files that follow from a container's networks.
pub fn network_files(container: &Container) -> Vec<FileSpec> {
    let (config, endpoints) = (&container.config, &container.state.endpoints);
    vec![
        file("/etc/hosts", guest::hosts(config, endpoints)),
        file("/etc/resolv.conf", guest::resolv_conf(config, endpoints)),
    ]
}

fn first_process(container: &Container) -> Result<ProcessSpec, Error> {
    let config = &container.config;
    let privileges = no_new_privileges(&config.host.security_opt);
    Ok(ProcessSpec {
        process: FIRST_PROCESS,
        container: container.id.clone(),
        first: true,
        args: config.args(),
        env: config.env.clone(),
        cwd: config.working_dir.clone(),
        user: config.user.clone(),
        groups: config.host.group_add.clone(),
        tty: config.tty.then(WindowSize::default),
        stdin: config.open_stdin.then_some(STDIN),
        stdout: Some(STDOUT),
        stderr: (!config.tty).then_some(STDERR),
        capabilities: capabilities(&config.host.cap_add, &config.host.cap_drop)?,
        no_new_privileges: privileges,
        rlimits: config.host.ulimits.iter().map(rlimit).collect(),
    })
}

pub fn no_new_privileges(options: &[String]) -> bool {
    options.iter().any(|option| {
        matches!(
            option.as_str(),
            "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true"
        )
    })
}

fn rlimit(limit: &Ulimit) -> Rlimit {
    // -1 is without limit, which is all ones.
    Rlimit {
        name: limit.name.clone(),
        soft: limit.soft.cast_unsigned(),
        hard: limit.hard.cast_unsigned(),
    }
}

/// Docker's rule: the default (or all), without what is dropped, with what is added. `None`: the default as it is.
pub fn capabilities(add: &[String], drop: &[String]) -> Result<Option<Vec<String>>, Error> {
    if add.is_empty() && drop.is_empty() {
        return Ok(None);
    }
    let known = |name: &String| -> Result<String, Error> {
        let upper = name.to_ascii_uppercase();
        let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if plain == "ALL" || capability::NAMES.contains(&plain) {
            return Ok(plain.to_owned());
        }
        Err(Error::invalid(format!(
            "invalid capability: unknown capability {name:?}"
        )))
    };
    let add = add.iter().map(known).collect::<Result<BTreeSet<_>, _>>()?;
    let drop = drop.iter().map(known).collect::<Result<BTreeSet<_>, _>>()?;
    let base = if add.contains("ALL") {
        capability::NAMES
    } else if drop.contains("ALL") {
        &[]
    } else {
        DEFAULT_CAPABILITIES
    };
    let mut kept: BTreeSet<String> = base.iter().map(|name| (*name).to_owned()).collect();
    if !drop.contains("ALL") || add.contains("ALL") {
        kept.retain(|name| !drop.contains(name));
    }
    kept.extend(add.into_iter().filter(|name| name != "ALL"));
    Ok(Some(kept.into_iter().map(|name| format!("CAP_{name}")).collect()))
}

/// Everything there is, for a privileged exec.
pub fn all_capabilities() -> Vec<String> {
    capability::NAMES
        .iter()
        .map(|name| format!("CAP_{name}"))
        .collect()
}

/// What can be found wrong with a request before there is a guest.
pub fn check(config: &Config, host_cpus: u32) -> Result<(), Error> {
    if config.args().is_empty() {
        return Err(Error::invalid("no command specified"));
    }
    if (1..MIN_MEMORY_MIB << 20).contains(&config.host.memory_bytes) {
        return Err(Error::invalid(format!(
            "Minimum memory limit allowed is {MIN_MEMORY_MIB}MB: a guest has a kernel of its own"
        )));
    }
    if !config.stop_signal.is_empty() && crate::signal::parse(&config.stop_signal).is_none() {
        return Err(Error::invalid(format!("invalid signal: {}", config.stop_signal)));
    }
    vcpus(config, host_cpus)?;
    capabilities(&config.host.cap_add, &config.host.cap_drop)?;
    let label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if config.hostname.is_empty() || config.hostname.len() > 63 || !config.hostname.chars().all(label) {
        return Err(Error::invalid(format!("invalid hostname: {:?}", config.hostname)));
    }
    if !config.domainname.chars().all(label) || config.domainname.len() > 64 {
        return Err(Error::invalid(format!(
            "invalid domain name: {:?}",
            config.domainname
        )));
    }
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(Error::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    for target in config.host.tmpfs.keys() {
        if !target.starts_with('/') || target.split('/').any(|part| part == "..") {
            return Err(Error::invalid(format!(
                "invalid mount path: '{target}' must be absolute"
            )));
        }
    }
    for server in &config.host.dns {
        server
            .parse::<IpAddr>()
            .map_err(|_| Error::invalid(format!("{server} is not an ip address")))?;
    }
    for entry in &config.host.extra_hosts {
        let address = entry
            .split_once(':')
            .map(|(_, address)| address.trim_matches(['[', ']']));
        let known = |address: &str| address == "host-gateway" || address.parse::<IpAddr>().is_ok();
        if !address.is_some_and(known) {
            return Err(Error::invalid(format!("bad format for add-host: {entry:?}")));
        }
    }
    ports::check(config)?;
    for text in config.args().iter().chain(&config.env) {
        if text.contains('\0') {
            return Err(Error::invalid("a NUL byte in the command or the environment"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
