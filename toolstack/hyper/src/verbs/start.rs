//! `hyper start`

use anyhow::{Result, bail};
use serde_json::Value;

use super::run::start;
use crate::client::Client;
use crate::error::{is_broken_pipe, start_exit_code};
use crate::output;
use crate::output::complain;
use crate::session::{Foreground, Running, attach};
use crate::signals::Proxy;
use crate::stdio::{End, detach_keys};
use crate::target::Target;
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "STRING")]
    detach_keys: Option<String>,
    /// Attach container's STDIN
    #[arg(short, long)]
    interactive: bool,
    /// Containers to start
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    match args.containers.as_slice() {
        [container] if args.attach || args.interactive => foreground(client, &args, container).await,
        _ if args.attach || args.interactive => {
            bail!("you cannot start and attach multiple containers at once")
        }
        containers => each(client, containers).await,
    }
}

async fn each(client: &Client, containers: &[String]) -> Result<i32> {
    let mut failed = Vec::new();
    for container in containers {
        match start(client, container).await {
            Ok(()) => output::line(container)?,
            Err(error) => {
                complain!("{error:#}");
                failed.push(container.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(0);
    }
    complain!("failed to start containers: {}", failed.join(", "));
    Ok(1)
}

async fn foreground(client: &Client, args: &Args, container: &str) -> Result<i32> {
    let answer = client.get(Target::container(container).push("json")).await?;
    let flag = |pointer| answer.pointer(pointer).and_then(Value::as_bool) == Some(true);
    let id = answer.get("Id").and_then(Value::as_str).unwrap_or(container);
    let tty = flag("/Config/Tty");
    let stdin = args.interactive && flag("/Config/OpenStdin");
    terminal::check_input(tty, stdin)?;
    let keys = args.detach_keys.as_deref();
    detach_keys::from_flag(keys)?;
    let proxy = Proxy::catch(tty)?;

    let connection = attach(client, id, [stdin, true, true], keys).await?;
    let condition = match flag("/HostConfig/AutoRemove") {
        true => "removed",
        false => "next-exit",
    };
    let wait = client.wait(id, condition).await?;
    let foreground = Foreground::start(connection, stdin, tty, keys)?;
    if let Err(error) = start(client, id).await {
        drop(foreground);
        if is_broken_pipe(&error) {
            return Err(error);
        }
        complain!("{error:#}");
        return Ok(match start_exit_code(&error.to_string()) {
            // Only `run` has a code for failures of the daemon.
            125 => 1,
            code => code,
        });
    }
    let running = Running {
        target: Target::container(id),
        signals: Some((proxy, id)),
    };
    match foreground.run(client, running).await? {
        End::Detached => Ok(0),
        End::Killed(signal) => Ok(128 + signal),
        End::Closed => wait.exit_code().await,
    }
}
