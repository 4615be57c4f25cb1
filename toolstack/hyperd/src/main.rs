//! The daemon: Docker Engine API over the engine.
//!
//! ```text
//!   main        flags, config, log, signals
//!   server      the socket and its connections                       (server.rs, listener.rs)
//!   service     systemd: readiness, watchdog, reload                 (service.rs, reload.rs)
//!   api         one request: version, route, handler, error          (api.rs, router.rs, error.rs)
//!   containers  images  system  events  networks                     (handlers by family)
//!   metrics     for Prometheus                                   (metrics/)
//!   doctor      whether this host can run containers                 (doctor/)
//!   request     bodies, query, filters, times of requests            (request.rs, query.rs, filters.rs)
//!   hijack      a connection that became a stream, and its frames    (hijack.rs, frames.rs)
//! ```
#![forbid(unsafe_code)]
// The shape of a container is one `json!` of a hundred fields.
#![recursion_limit = "256"]

mod api;
mod config;
mod containers;
mod doctor;
mod error;
mod events;
mod extension;
mod filters;
mod frames;
mod hijack;
mod images;
mod listener;
mod metrics;
mod networks;
mod pattern;
mod query;
mod reload;
mod request;
mod router;
mod server;
mod service;
mod system;
mod text;

use anyhow::Context;
use clap::Parser;
use config::Config;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

const DEFAULT_CONFIG: &str = "/etc/hyper/hyperd.toml";

/// Containers on Xen, each in a virtual machine of its own: the daemon.
#[derive(Debug, Parser)]
#[command(name = "hyperd", version)]
struct Flags {
    /// Config file; without this flag the default file may be absent
    #[arg(long, value_name = "FILE", help = format!("Config file [default: {DEFAULT_CONFIG}, which may be absent]"))]
    config: Option<PathBuf>,
    /// Say whether the config is right, and end
    #[arg(long)]
    check_config: bool,
    /// Take hyperd's bridges and rules from this host, and end: hyperd must not run, and is not to run again
    #[arg(long)]
    remove_network: bool,
    /// Check whether this host can run containers, and end: with 1 if it cannot
    #[arg(long)]
    doctor: bool,
    /// Format of what --doctor says: 'text' or 'json'
    #[arg(long, value_name = "STRING", default_value = "text", value_parser = ["text", "json"], requires = "doctor")]
    format: String,
    /// Listen here instead of where the config says
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Log more
    #[arg(short = 'D', long)]
    debug: bool,
}

impl Flags {
    /// The config with what stands on the command line over it.
    fn read(&self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(file) => Config::read(file)?,
            None => Config::read_if_there(Path::new(DEFAULT_CONFIG))?,
        };
        if let Some(socket) = &self.socket {
            config.socket.clone_from(socket);
        }
        if self.debug {
            config.log_level = config::LogLevel::Debug;
        }
        config.check()?;
        Ok(config)
    }
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let result = if flags.doctor {
        examine(&flags)
    } else {
        run(flags).map(|()| true)
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hyperd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `false`: containers cannot run here.
fn examine(flags: &Flags) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let findings = runtime.block_on(doctor::findings(flags.read()));
    match flags.format.as_str() {
        "json" => println!("{}", serde_json::to_string(&findings)?),
        _ => print!("{}", doctor::render(&findings)),
    }
    Ok(doctor::is_healthy(&findings))
}

/// Threads of the runtime at least: dom0 may have one processor, and one that waits for the disk, which a record is written
/// to, holds up nobody else.
const WORKERS: usize = 4;

fn run(flags: Flags) -> anyhow::Result<()> {
    let config = flags.read()?;
    if flags.check_config {
        println!("the config is right");
        return Ok(());
    }
    start_log(&config)?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cpus.max(WORKERS))
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    if flags.remove_network {
        return runtime.block_on(remove_network(&config));
    }
    let result = runtime.block_on(server::run(config, Box::new(move || flags.read())));
    // Clients may hold streams open for ever: what they wait for goes on in the guests.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn remove_network(config: &Config) -> anyhow::Result<()> {
    // Not under a daemon that relies on it.
    let _lock = listener::lock(&config.state_dir.join("hyperd.lock"))?;
    let errors = engine::network::remove_all(&config.engine().network.run_dir).await;
    for error in &errors {
        eprintln!("hyperd: {error}");
    }
    anyhow::ensure!(errors.is_empty(), "something of the network is left");
    Ok(())
}

/// Messages go to stderr, which systemd gives to the journal with times of its own.
fn start_log(config: &Config) -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => text.parse::<EnvFilter>().context("RUST_LOG is wrong")?,
        _ => EnvFilter::new(config.log_level.to_string()),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.without_time().init();
    } else {
        builder.init();
    }
    Ok(())
}
