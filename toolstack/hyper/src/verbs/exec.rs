//! `hyper exec`

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use bollard::models::ExecConfig;
use clap::ArgAction;
use serde_json::{Value, json};

use crate::client::{Client, id_of};
use crate::env_file::{env_argument, environment};
use crate::error::{EXIT_HYPER_FAILED, is_broken_pipe, start_exit_code};
use crate::output::complain;
use crate::session::{Foreground, Running};
use crate::stdio::{End, detach_keys};
use crate::target::Target;
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "STRING")]
    detach_keys: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "LIST", value_parser = env_argument)]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Print usage
    #[arg(short, long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short, long, value_name = "STRING")]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "STRING")]
    workdir: Option<String>,
    /// The container, then the command with its arguments
    // One list, because what follows the container is the command's, even what looks like a flag of ours.
    #[arg(required = true, num_args = 2.., trailing_var_arg = true,
          value_names = ["CONTAINER", "COMMAND"])]
    container_and_command: Vec<String>,
}

impl Args {
    fn to_config(&self, command: &[String]) -> Result<ExecConfig> {
        let attached = !self.detach;
        Ok(ExecConfig {
            attach_stdin: Some(attached && self.interactive),
            attach_stdout: Some(attached),
            attach_stderr: Some(attached),
            console_size: self.console_size(),
            detach_keys: self.detach_keys.clone(),
            tty: Some(self.tty),
            env: Some(environment(&self.env_file, &self.env)?),
            cmd: Some(command.to_vec()),
            privileged: Some(self.privileged),
            user: self.user.clone(),
            working_dir: self.workdir.clone(),
        })
    }

    fn console_size(&self) -> Option<Vec<usize>> {
        let size = self.tty.then(terminal::size).flatten()?;
        Some(vec![size.rows.into(), size.columns.into()])
    }
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    // clap wants two at least.
    let (container, command) = args
        .container_and_command
        .split_first()
        .ok_or_else(|| anyhow!("'hyper exec' requires at least 2 arguments"))?;
    detach_keys::from_flag(args.detach_keys.as_deref())?;
    if !args.detach {
        terminal::check_input(args.tty, args.interactive)?;
    }
    let target = Target::container(container).push("exec");
    let answer = client.post_body(target, &args.to_config(command)?).await?;
    let id = id_of(&answer)?;
    match start(client, &args, &id).await {
        Ok(code) => Ok(code),
        Err(error) if is_broken_pipe(&error) => Err(error),
        Err(error) => match start_exit_code(&error.to_string()) {
            EXIT_HYPER_FAILED => Err(error),
            code => {
                complain!("{error:#}");
                Ok(code)
            }
        },
    }
}

async fn start(client: &Client, args: &Args, id: &str) -> Result<i32> {
    let target = || Target::api("exec").push(id);
    let mut body = json!({"Detach": args.detach, "Tty": args.tty});
    if let Some(size) = args.console_size() {
        body["ConsoleSize"] = size.into();
    }
    if args.detach {
        client.post_body(target().push("start"), &body).await?;
        return Ok(0);
    }
    let connection = client.hijack(target().push("start"), Some(&body)).await?;
    let keys = args.detach_keys.as_deref();
    let foreground = Foreground::start(connection, args.interactive, args.tty, keys)?;
    // Signals are ours: an exec has no address in the API that takes them.
    let running = Running {
        target: target(),
        signals: None,
    };
    match foreground.run(client, running).await? {
        End::Detached => Ok(0),
        End::Killed(signal) => Ok(128 + signal),
        End::Closed => exit_code(client, target()).await,
    }
}

async fn exit_code(client: &Client, target: Target) -> Result<i32> {
    let answer = client.get(target.push("json")).await?;
    let code = answer.get("ExitCode").and_then(Value::as_i64);
    code.and_then(|code| i32::try_from(code).ok())
        .ok_or_else(|| anyhow!("the exec has no exit code: {answer}"))
}
