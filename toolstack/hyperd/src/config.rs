//! The config file: every key has a default, an unknown one is refused.

use anyhow::{Context, ensure};
use engine::images::{Mirror, Registries, Retry};
use engine::network::{AddressRange, DEFAULT_POOLS, NetworkConfig, Pool, PortKey};
use engine::{EngineConfig, GuestType, LogConfig, RootForm, Settings};
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a guest needs at least to run anything.
pub const MIN_MEMORY_MIB: u64 = 32;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    pub socket: PathBuf,
    /// Who may use the socket beside root, if there is such a group.
    pub group: String,
    pub state_dir: PathBuf,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    pub kernel_cmdline: String,
    pub guest_type: DefaultGuestType,
    pub memory: Size,
    pub disk: Size,
    pub root_device: RootDevice,
    /// Where networks that ask for no subnet get theirs.
    pub address_pools: Vec<AddressPool>,
    /// The default network has IPv6 too.
    pub bridge_ipv6: bool,
    /// The interface to the outside that has floating IPs.
    pub uplink: String,
    #[serde(deserialize_with = "address_ranges")]
    pub floating_ips: Vec<AddressRange>,
    /// Ports of the host that containers may ask, beside its name servers.
    #[serde(deserialize_with = "ports")]
    pub host_services: Vec<PortKey>,
    pub insecure_registries: Vec<String>,
    /// Authorities that single registries are trusted by, as docker keeps them.
    pub certs_dir: PathBuf,
    /// By registry, as names of images have it.
    pub registries: BTreeMap<String, Registry>,
    /// Of containers that do not say it themselves.
    #[serde(deserialize_with = "log_config")]
    pub log: LogConfig,
    #[serde(deserialize_with = "duration")]
    pub stop_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub boot_timeout: Duration,
    /// Where metrics are served by TCP too, if anywhere.
    #[serde(deserialize_with = "listen_address")]
    pub metrics_addr: Option<SocketAddr>,
    pub log_level: LogLevel,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            socket: "/run/hyper/hyperd.sock".into(),
            group: "hyper".to_owned(),
            state_dir: "/var/lib/hyper".into(),
            kernel: "/usr/lib/hyper/vmlinux".into(),
            initramfs: "/usr/lib/hyper/initramfs".into(),
            kernel_cmdline: String::new(),
            guest_type: DefaultGuestType::Auto,
            memory: Size::from_mib(512),
            disk: Size::from_mib(10 << 10),
            root_device: RootDevice::Linear,
            address_pools: DEFAULT_POOLS.iter().copied().map(AddressPool).collect(),
            bridge_ipv6: false,
            uplink: String::new(),
            floating_ips: Vec::new(),
            host_services: Vec::new(),
            insecure_registries: Vec::new(),
            certs_dir: "/etc/docker/certs.d".into(),
            registries: BTreeMap::new(),
            log: default_log(),
            stop_timeout: Duration::from_secs(10),
            boot_timeout: Duration::from_secs(60),
            metrics_addr: None,
            log_level: LogLevel::Info,
        }
    }
}

fn default_log() -> LogConfig {
    LogConfig {
        driver: "json-file".to_owned(),
        options: BTreeMap::new(),
    }
}

/// `{ driver = "json-file", max-size = "10m" }`
fn log_config<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LogConfig, D::Error> {
    let mut options = BTreeMap::<String, String>::deserialize(deserializer)?;
    let driver = options.remove("driver").unwrap_or_else(|| "json-file".to_owned());
    let config = LogConfig { driver, options };
    config.check().map_err(de::Error::custom)?;
    Ok(config)
}

/// What is special about one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Registry {
    pub mirrors: Vec<Mirror>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultGuestType {
    /// The best that the host can.
    Auto,
    Pv,
    Pvh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootDevice {
    Linear,
    Layers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

/// Bytes, written as `512m` or `10g`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    bytes: u64,
}

impl Size {
    const fn from_mib(mib: u64) -> Self {
        Self { bytes: mib << 20 }
    }

    pub fn mib(self) -> u64 {
        self.bytes >> 20
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_size(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is not a size: write a number and k, m, g or t, as \"512m\""
            ))
        })
    }
}

/// A network and how long its parts' prefixes are, as `172.16.0.0/12,24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool(Pool);

impl<'de> Deserialize<'de> for AddressPool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let pool = text.split_once(',').and_then(|(base, prefix_len)| {
            let pool = Pool {
                base: base.trim().parse().ok()?,
                prefix_len: prefix_len.trim().parse().ok()?,
            };
            (pool.base.prefix_len()..=30)
                .contains(&pool.prefix_len)
                .then_some(pool)
        });
        pool.map(Self).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is no pool of addresses: write a network and the length of each part's prefix, as \"172.16.0.0/12,24\""
            ))
        })
    }
}

fn address_ranges<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<AddressRange>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let ranges = texts.iter().map(|text| text.parse().map_err(de::Error::custom));
    ranges.collect()
}

fn ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PortKey>, D::Error> {
    let mut ports = Vec::new();
    for text in Vec::<String>::deserialize(deserializer)? {
        ports.extend(PortKey::parse_range(&text).map_err(de::Error::custom)?);
    }
    Ok(ports)
}

/// Nowhere when empty.
fn listen_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        de::Error::custom(format!(
            "{text:?} is no address to listen at: write one with its port, as \"127.0.0.1:9323\" or \"[::1]:9323\""
        ))
    })
}

fn parse_size(text: &str) -> Option<Size> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let bytes = digits.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    Some(Size { bytes })
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| {
        de::Error::custom(format!(
            "{text:?} is not a duration: write a number and ms, s, m or h, as \"10s\""
        ))
    })
}

/// `10s`, `500ms`, `2m`, `1m30s`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let part = match &rest[..unit_end] {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(total)
}

impl Config {
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the config {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("the config {} is wrong", file.display()))
    }

    /// An absent file stands for the defaults.
    pub fn read_if_there(file: &Path) -> anyhow::Result<Self> {
        match std::fs::metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            _ => Self::read(file),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map_err(|error| {
            // The parser draws the place over several lines; a log wants one.
            let line = error
                .span()
                .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let message = error.message().replace('\n', " ");
            match line {
                Some(line) => anyhow::anyhow!("line {line}: {message}"),
                None => anyhow::anyhow!("{message}"),
            }
        })
    }

    /// What can be told to be wrong without Xen.
    pub fn check(&self) -> anyhow::Result<()> {
        for (key, path) in [
            ("socket", &self.socket),
            ("state-dir", &self.state_dir),
            ("kernel", &self.kernel),
            ("initramfs", &self.initramfs),
            ("certs-dir", &self.certs_dir),
        ] {
            ensure!(
                path.is_absolute(),
                "{key} must be an absolute path, not {}",
                path.display()
            );
        }
        ensure!(
            self.memory.mib() >= MIN_MEMORY_MIB,
            "memory is {} MiB: a guest needs at least {MIN_MEMORY_MIB}",
            self.memory.mib()
        );
        ensure!(
            self.disk.mib() >= 16,
            "disk is {} MiB: a container needs at least 16",
            self.disk.mib()
        );
        ensure!(
            self.floating_ips.is_empty() || !self.uplink.is_empty(),
            "floating-ips need an uplink: name the interface to the outside"
        );
        ensure!(
            !self.boot_timeout.is_zero(),
            "boot-timeout must be longer than nothing"
        );
        Ok(())
    }

    fn images_registries(&self) -> Registries {
        let mirrors = self.registries.iter();
        Registries {
            insecure: self.insecure_registries.clone(),
            mirrors: mirrors
                .map(|(registry, of)| (registry.clone(), of.mirrors.clone()))
                .collect(),
            certificates: self.certs_dir.clone(),
            retry: Retry::default(),
        }
    }

    /// What a reload brings.
    pub fn settings(&self) -> Settings {
        Settings {
            registries: self.images_registries(),
            log: self.log.clone(),
        }
    }

    pub fn engine(&self) -> EngineConfig {
        EngineConfig {
            state_dir: self.state_dir.clone(),
            kernel: self.kernel.clone(),
            initramfs: self.initramfs.clone(),
            kernel_cmdline: self.kernel_cmdline.clone(),
            guest_type: match self.guest_type {
                DefaultGuestType::Auto => None,
                DefaultGuestType::Pv => Some(GuestType::Pv),
                DefaultGuestType::Pvh => Some(GuestType::Pvh),
            },
            default_memory_mib: self.memory.mib(),
            disk_mib: self.disk.mib(),
            root_form: match self.root_device {
                RootDevice::Linear => RootForm::Linear,
                RootDevice::Layers => RootForm::Layers,
            },
            network: NetworkConfig {
                run_dir: self.socket.parent().unwrap_or(Path::new("/run/hyper")).to_owned(),
                pools: self.address_pools.iter().map(|pool| pool.0).collect(),
                default_ipv6: self.bridge_ipv6,
                uplink: self.uplink.clone(),
                floating_ips: self.floating_ips.clone(),
                host_services: self.host_services.clone(),
            },
            settings: self.settings(),
            stop_timeout: self.stop_timeout,
            boot_timeout: self.boot_timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../dist/hyperd.toml");

    #[test]
    fn the_shipped_config_is_the_defaults() {
        assert_eq!(Config::parse(SHIPPED).unwrap(), Config::default());
    }

    #[test]
    fn the_shipped_config_shows_every_key_with_its_default() {
        let shown: String = SHIPPED
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()) && line.contains(" = "))
            .flat_map(|line| [line, "\n"])
            .collect();
        assert_eq!(Config::parse(&shown).unwrap(), Config::default());
        // A `Config` of other values in every key would fail above; that no key is missing, below.
        let shown: toml::Table = toml::from_str(&shown).unwrap();
        let error = toml::from_str::<Config>("no-such-key = 1")
            .unwrap_err()
            .to_string();
        let (_, known) = error.split_once("expected one of ").unwrap();
        for key in known.split(',').map(|key| key.trim().trim_matches('`')) {
            assert!(shown.contains_key(key), "{key} is not in dist/hyperd.toml");
        }
    }

    #[test]
    fn wrong_configs_are_refused_on_one_line() {
        for (text, expected) in [
            ("\nmemroy = \"1g\"", "line 2: unknown field `memroy`"),
            ("memory = \"lots\"", "line 1: \"lots\" is not a size"),
            ("memory = 512", "line 1: invalid type"),
            ("address-pools = [\"10.0.0.0/8\"]", "\"10.0.0.0/8\" is no pool"),
            (
                "floating-ips = [\"a-b\"]",
                "line 1: invalid range of addresses: \"a-b\"",
            ),
            (
                "host-services = [\"ssh\"]",
                "line 1: invalid port specification: \"ssh\"",
            ),
            ("stop-timeout = \"10\"", "\"10\" is not a duration"),
            (
                "metrics-addr = \"localhost\"",
                "line 1: \"localhost\" is no address to listen at",
            ),
            ("guest-type = \"hvm\"", "unknown variant `hvm`"),
            ("registries.a.mirors = []", "line 1: unknown field `mirors`"),
            (
                "registries.a.mirrors = [\"a:5000\"]",
                "\"a:5000\" is not a mirror",
            ),
        ] {
            let error = format!("{:#}", Config::parse(text).unwrap_err());
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let small = Config::parse("memory = \"16m\"").unwrap();
        assert!(small.check().unwrap_err().to_string().contains("at least 32"));
        let nowhere = Config::parse("floating-ips = [\"192.0.2.8/29\"]").unwrap();
        assert!(
            nowhere
                .check()
                .unwrap_err()
                .to_string()
                .contains("need an uplink")
        );
        let relative = Config::parse("socket = \"x.sock\"").unwrap();
        assert!(relative.check().unwrap_err().to_string().contains("absolute"));
        assert!(Config::default().check().is_ok());
    }

    #[test]
    fn mirrors_belong_to_a_registry() {
        let text = "[registries.\"docker.io\"]\nmirrors = [\"https://mirror.lan:5000\"]";
        let registries = Config::parse(text).unwrap().images_registries();
        assert_eq!(
            registries.mirrors["docker.io"],
            ["https://mirror.lan:5000".parse().unwrap()]
        );
    }

    #[test]
    fn sizes_and_durations() {
        assert_eq!(parse_size("10G").unwrap().mib(), 10 << 10);
        assert_eq!(parse_size("512MiB").unwrap().mib(), 512);
        for bad in ["", "m", "1", "-1m", "1.5g", "99999999999t", "1x"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
        assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("0s"), Some(Duration::ZERO));
        for bad in ["", "10", "s", "1d", "1s2", "-1s", "99999999999999999999s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
