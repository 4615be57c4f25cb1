//! `hyper doctor`
//!
//! The checks are hyperd's, which has Xen's libraries and reads the config: this verb is its `--doctor`, and works
//! where no daemon runs.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, anyhow};

/// Where it is installed, then wherever PATH leads.
const DAEMONS: [&str; 2] = ["/usr/sbin/hyperd", "hyperd"];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format of the report: 'text' or 'json'
    #[arg(long, value_name = "STRING", default_value = "text", value_parser = ["text", "json"])]
    format: String,
    /// Config file of the daemon
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
}

pub fn run(args: &Args) -> Result<i32> {
    for daemon in DAEMONS {
        let mut command = Command::new(daemon);
        command.args(["--doctor", "--format", &args.format]);
        if let Some(config) = &args.config {
            command.arg("--config").arg(config);
        }
        // Comes back only when it could not be started.
        let error = command.exec();
        if error.kind() != std::io::ErrorKind::NotFound {
            return Err(anyhow!("cannot run {daemon}: {error}"));
        }
    }
    Err(anyhow!(
        "hyperd is not installed on this host: doctor is for the dom0 that it is to run on"
    ))
}
