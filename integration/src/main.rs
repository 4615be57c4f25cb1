//! `scripts/lab`: a Xen host in QEMU.
#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use integration::{Install, Lab, Status, XenRelease, build, dist};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

/// A real Xen host with a Debian dom0 in QEMU, restored in seconds
#[derive(Parser)]
#[command(name = "scripts/lab", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Args)]
struct Name {
    /// Which lab: several can run side by side
    #[arg(long, default_value = "default", value_name = "LAB")]
    name: String,
}

#[derive(Subcommand)]
enum Verb {
    /// Make what is missing: images, dom0, the booted snapshot
    Build {
        /// The Xen to build: 4.20 or 4.17
        #[arg(long, default_value_t)]
        xen: XenRelease,
    },
    /// Start a fresh host with the current build installed and hyperd running
    Up {
        #[command(flatten)]
        name: Name,
        /// The Xen to run: 4.20 or 4.17
        #[arg(long, default_value_t)]
        xen: XenRelease,
        /// Install nothing
        #[arg(long)]
        bare: bool,
    },
    /// The same as `up`
    Reset {
        #[command(flatten)]
        name: Name,
        #[arg(long, default_value_t)]
        xen: XenRelease,
        #[arg(long)]
        bare: bool,
    },
    /// Install the current build into a running lab
    Install {
        #[command(flatten)]
        name: Name,
    },
    /// Run a command in dom0
    Exec {
        #[command(flatten)]
        name: Name,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// A root shell in dom0
    Shell {
        #[command(flatten)]
        name: Name,
    },
    /// Copy a file or folder; a colon in front of a path says that it is in dom0
    Copy {
        #[command(flatten)]
        name: Name,
        from: String,
        to: String,
    },
    /// What runs
    Status {
        /// Only this lab; the exit code is 0 when it runs
        #[arg(long, value_name = "LAB")]
        name: Option<String>,
    },
    /// End a lab
    Down {
        #[command(flatten)]
        name: Name,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Build { xen } => drop(build(xen)?),
        Verb::Up { name, xen, bare } | Verb::Reset { name, xen, bare } => {
            let built = dist().join("hyperd").exists();
            if !bare && !built {
                eprintln!("lab: nothing is built yet (scripts/build): the host is brought up without Hyper");
            }
            let install = if bare || !built {
                Install::Bare
            } else {
                Install::Current
            };
            let lab = Lab::up(&name.name, xen, install)?;
            eprintln!(
                "the lab {:?} is up: Xen {xen}, ssh on port {}",
                lab.name(),
                lab.host().port
            );
        }
        Verb::Install { name } => Lab::find(&name.name)?.install()?,
        Verb::Exec { name, command } => return attached(&name.name, &command),
        Verb::Shell { name } => return attached(&name.name, &["bash", "-l"].map(OsString::from)),
        Verb::Copy { name, from, to } => Lab::find(&name.name)?.host().copy(&from, &to)?,
        Verb::Status { name: Some(name) } => {
            let status = Lab::status(&name)?;
            print_status(&name, &status);
            return Ok(if matches!(status, Status::Running { .. }) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Verb::Status { name: None } => {
            for name in Lab::names()? {
                print_status(&name, &Lab::status(&name)?);
            }
        }
        Verb::Down { name } => Lab::down(&name.name)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command with our stdio, on a terminal when ours is one.
fn attached(name: &str, command: &[OsString]) -> Result<ExitCode> {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let status = Lab::find(name)?
        .host()
        .command(command, terminal)
        .status()
        .context("cannot run ssh")?;
    // 255 is ssh's own: say why when the lab is gone.
    if status.code() == Some(255) {
        Lab::find(name)?;
    }
    Ok(ExitCode::from(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(255),
    ))
}

fn print_status(name: &str, status: &Status) {
    match status {
        Status::Running { xen, port } => println!("{name}: running, Xen {xen}, ssh on port {port}"),
        Status::Died(tail) => println!("{name}: died; the last lines of its console:\n{tail}"),
        Status::Down => println!("{name}: down"),
    }
}
