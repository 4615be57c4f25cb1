//! The flags that `run` and `create` share.

mod body;
mod publish;
pub mod values;

use std::path::PathBuf;

use bollard::models::{ResourcesUlimits, RestartPolicy};
use clap::{ArgAction, Args, ValueEnum};

use crate::env_file::env_argument;
use crate::units::{parse_nano_cpus, parse_size};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PullPolicy {
    Always,
    #[default]
    Missing,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GuestType {
    Pv,
    Pvh,
}

#[derive(Debug, Args)]
pub struct ContainerOptions {
    /// Add a custom host-to-IP mapping (host:ip)
    #[arg(long, value_name = "LIST", value_parser = values::add_host)]
    add_host: Vec<String>,
    /// Add an annotation to the container
    #[arg(long, value_name = "MAP", value_parser = values::key_value)]
    annotation: Vec<String>,
    /// Attach to STDIN, STDOUT or STDERR
    #[arg(short, long, value_name = "LIST", value_parser = values::attach_stream)]
    pub attach: Vec<String>,
    /// Add Linux capabilities
    #[arg(long, value_name = "LIST")]
    cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "LIST")]
    cap_drop: Vec<String>,
    /// Write the container ID to the file
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    /// Number of CPUs
    #[arg(long, value_name = "DECIMAL", value_parser = parse_nano_cpus)]
    cpus: Option<i64>,
    /// Set custom DNS servers
    #[arg(long, value_name = "LIST", value_parser = values::ip_address)]
    dns: Vec<String>,
    /// Set DNS options
    #[arg(long, visible_alias = "dns-opt", value_name = "LIST")]
    dns_option: Vec<String>,
    /// Set custom DNS search domains
    #[arg(long, value_name = "LIST")]
    dns_search: Vec<String>,
    /// Container NIS domain name
    #[arg(long, value_name = "STRING")]
    domainname: Option<String>,
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long, value_name = "STRING")]
    entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "LIST", value_parser = env_argument)]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Expose a port or a range of ports
    #[arg(long, value_name = "LIST", value_parser = publish::expose)]
    expose: Vec<String>,
    /// Add additional groups to join
    #[arg(long, value_name = "LIST")]
    group_add: Vec<String>,
    /// Command to run to check health
    #[arg(long, value_name = "STRING")]
    health_cmd: Option<String>,
    /// Time between running the check (ms|s|m|h)
    #[arg(long, value_name = "DURATION", value_parser = values::nanoseconds)]
    health_interval: Option<i64>,
    /// Consecutive failures needed to report unhealthy
    #[arg(long, value_name = "INT", value_parser = values::retries)]
    health_retries: Option<i64>,
    /// Time between running the check during the start period (ms|s|m|h)
    #[arg(long, value_name = "DURATION", value_parser = values::nanoseconds)]
    health_start_interval: Option<i64>,
    /// Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)
    #[arg(long, value_name = "DURATION", value_parser = values::nanoseconds)]
    health_start_period: Option<i64>,
    /// Maximum time to allow one check to run (ms|s|m|h)
    #[arg(long, value_name = "DURATION", value_parser = values::nanoseconds)]
    health_timeout: Option<i64>,
    /// Print usage
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Container host name
    #[arg(short = 'h', long, value_name = "STRING")]
    hostname: Option<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long)]
    init: bool,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    pub interactive: bool,
    /// IPv4 address (e.g., 172.30.100.104)
    #[arg(long, value_name = "IP")]
    ip: Option<String>,
    /// IPv6 address (e.g., 2001:db8::33)
    #[arg(long, value_name = "IP")]
    ip6: Option<String>,
    /// Set meta data on a container
    #[arg(short, long, value_name = "LIST")]
    label: Vec<String>,
    /// Read in a line delimited file of labels
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Add link to another container
    #[arg(long, value_name = "LIST")]
    link: Vec<String>,
    /// Container MAC address (e.g., 92:d0:c6:0a:29:33)
    #[arg(long, value_name = "STRING")]
    mac_address: Option<String>,
    /// Logging driver for the container
    #[arg(long, value_name = "STRING")]
    log_driver: Option<String>,
    /// Log driver options
    #[arg(long, value_name = "LIST", value_parser = values::log_option)]
    log_opt: Vec<String>,
    /// Memory limit (of the guest, with its kernel)
    #[arg(short, long, value_name = "BYTES", value_parser = parse_size)]
    memory: Option<i64>,
    /// Assign a name to the container
    #[arg(long, value_name = "STRING")]
    pub name: Option<String>,
    /// Connect a container to a network
    #[arg(long, visible_alias = "net", value_name = "NETWORK", value_parser = publish::network)]
    network: Vec<publish::Network>,
    /// Add network-scoped alias for the container
    #[arg(long, visible_alias = "net-alias", value_name = "LIST")]
    network_alias: Vec<String>,
    /// Disable any container-specified HEALTHCHECK
    #[arg(long)]
    no_healthcheck: bool,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "STRING")]
    pub platform: Option<String>,
    /// Give extended privileges to this container
    #[arg(long)]
    privileged: bool,
    /// Publish a container's port(s) to the host
    #[arg(short, long, value_name = "LIST", value_parser = publish::publish)]
    publish: Vec<publish::Publish>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Pull image before running
    #[arg(long, value_name = "WHEN", value_enum, default_value = "missing")]
    pub pull: PullPolicy,
    /// Suppress the pull output
    #[arg(short, long)]
    pub quiet: bool,
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    read_only: bool,
    /// Restart policy to apply when a container exits
    #[arg(long, value_name = "STRING", value_parser = values::restart_policy)]
    restart: Option<RestartPolicy>,
    /// Automatically remove the container when it exits
    #[arg(long)]
    pub rm: bool,
    /// Security options
    #[arg(long, value_name = "LIST")]
    security_opt: Vec<String>,
    /// Security group (`hyper sg`) that says what may come and go; may be repeated
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    sg: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    shm_size: Option<i64>,
    /// Signal to stop the container
    #[arg(long, value_name = "STRING")]
    stop_signal: Option<String>,
    /// Timeout (in seconds) to stop a container
    #[arg(long, value_name = "INT", allow_negative_numbers = true, value_parser = values::timeout_seconds)]
    stop_timeout: Option<i64>,
    /// Sysctl options
    #[arg(long, value_name = "MAP", value_parser = values::key_value)]
    sysctl: Vec<String>,
    /// Mount a tmpfs directory
    #[arg(long, value_name = "LIST", value_parser = values::tmpfs)]
    tmpfs: Vec<String>,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    pub tty: bool,
    /// Type of the guest
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    guest_type: Option<GuestType>,
    /// Ulimit options
    #[arg(long, value_name = "ULIMIT", value_parser = values::ulimit)]
    ulimit: Vec<ResourcesUlimits>,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long, value_name = "STRING")]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "STRING")]
    workdir: Option<String>,

    /// The image, then the command with its arguments
    // One list, because what follows the image is the command's, even what looks like a flag of ours: clap stops
    // reading flags at the first value of a trailing argument.
    #[arg(required = true, trailing_var_arg = true, value_names = ["IMAGE", "COMMAND"])]
    image_and_command: Vec<String>,
}

impl ContainerOptions {
    pub fn image(&self) -> &str {
        // clap wants at least one.
        self.image_and_command.first().map_or("", String::as_str)
    }

    fn command(&self) -> &[String] {
        self.image_and_command.get(1..).unwrap_or_default()
    }
}
