//! `hyper run`: create, attach, wait, start, in this order. Attach and wait stand before the container starts, so that
//! neither its first byte nor its exit can be missed.

use anyhow::{Result, bail};

use super::create::create;
use crate::client::{Client, Wait};
use crate::error::{EXIT_HYPER_FAILED, is_broken_pipe, is_unreachable, start_exit_code};
use crate::options::ContainerOptions;
use crate::output;
use crate::output::complain;
use crate::session::{Foreground, Running, attach};
use crate::signals::Proxy;
use crate::stdio::{End, detach_keys};
use crate::target::Target;
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run container in background and print container ID
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "STRING")]
    detach_keys: Option<String>,
    /// Proxy received signals to the process
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, hide_possible_values = true,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
    #[command(flatten)]
    options: ContainerOptions,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let options = &args.options;
    if args.detach && !options.attach.is_empty() {
        bail!("conflicting options: cannot specify both --attach and --detach");
    }
    if !args.detach {
        terminal::check_input(options.tty, options.attached(false).stdin)?;
    }
    detach_keys::from_flag(args.detach_keys.as_deref())?;
    match create(client, options, args.detach).await {
        Ok(id) if options.attached(args.detach).any() => foreground(client, &args, &id).await,
        Ok(id) => background(client, &args, &id).await,
        Err(error) => failed("run", error, None),
    }
}

async fn background(client: &Client, args: &Args, id: &str) -> Result<i32> {
    if let Err(error) = start(client, id).await {
        return start_failed(client, args, id, error).await;
    }
    output::line(id)?;
    Ok(0)
}

async fn foreground(client: &Client, args: &Args, id: &str) -> Result<i32> {
    let options = &args.options;
    let attached = options.attached(false);
    let proxy = match args.sig_proxy {
        true => Some(Proxy::catch(options.tty)?),
        false => None,
    };
    let prepare = async {
        let streams = [attached.stdin, attached.stdout, attached.stderr];
        let keys = args.detach_keys.as_deref();
        let connection = attach(client, id, streams, keys).await?;
        let condition = if options.rm { "removed" } else { "next-exit" };
        let wait = client.wait(id, condition).await?;
        let foreground = Foreground::start(connection, attached.stdin, options.tty, keys)?;
        anyhow::Ok((wait, foreground))
    };
    let (wait, foreground) = match prepare.await {
        Ok(prepared) => prepared,
        Err(error) => return start_failed(client, args, id, error).await,
    };
    if let Err(error) = start(client, id).await {
        // The terminal must be itself again before anything is printed on it.
        drop(foreground);
        return start_failed(client, args, id, error).await;
    }
    let running = Running {
        target: Target::container(id),
        signals: proxy.map(|proxy| (proxy, id)),
    };
    match foreground.run(client, running).await {
        Ok(End::Detached) => Ok(0),
        Ok(End::Killed(signal)) => Ok(128 + signal),
        Ok(End::Closed) => exit_code(wait).await,
        Err(error) => failed("run", error, None),
    }
}

async fn exit_code(wait: Wait) -> Result<i32> {
    match wait.exit_code().await {
        Ok(code) => Ok(code),
        Err(error) => failed("run", error, None),
    }
}

pub async fn start(client: &Client, id: &str) -> Result<()> {
    client.post(Target::container(id).push("start")).await.map(drop)
}

/// Nothing of a container that was to be removed at its end may stay when it never began.
async fn start_failed(client: &Client, args: &Args, id: &str, error: anyhow::Error) -> Result<i32> {
    if args.options.rm {
        // It may be gone already: the daemon removes it too.
        let _ = client
            .delete(Target::container(id).query("force", 1).query("v", 1))
            .await;
    }
    let code = start_exit_code(&error.to_string());
    failed("run", error, Some(code))
}

/// Prints as docker does for `run` and `create`, whose failures must not look like the container's.
pub fn failed(verb: &str, error: anyhow::Error, code: Option<i32>) -> Result<i32> {
    if is_broken_pipe(&error) {
        return Err(error);
    }
    complain!("hyper: {error:#}");
    if !is_unreachable(&error) {
        complain!("\nRun 'hyper {verb} --help' for more information");
    }
    Ok(code.unwrap_or(match verb {
        "run" => EXIT_HYPER_FAILED,
        _ => 1,
    }))
}
