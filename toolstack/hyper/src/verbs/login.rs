//! `hyper login`

use std::io::{self, BufRead, Read, Write};

use anyhow::{Context, Result, bail};

use crate::client::Client;
use crate::credentials::{Config, DOCKER_IO, Login, server};
use crate::error::EXIT_INTERRUPTED;
use crate::output;
use crate::output::complain;
use crate::target::Target;
use crate::terminal::{NoEcho, Restored, stdin_is_terminal};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Username
    #[arg(short, long, value_name = "STRING")]
    username: Option<String>,
    /// Password (others can see it in the list of processes: prefer --password-stdin)
    #[arg(short, long, value_name = "STRING", conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Take the password from stdin
    #[arg(long)]
    password_stdin: bool,
    /// Registry; docker.io when none is given
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let server = server(args.server.as_deref().unwrap_or_default());
    let mut config = Config::load()?;
    let login = match (args.username, args.password, args.password_stdin) {
        (None, _, true) => bail!("must provide --username with --password-stdin"),
        (None, None, false) if !stdin_is_terminal() => match config.find(&server)? {
            // As docker does: those of the last time are tried again.
            Some(login) => login,
            None => bail!("cannot perform an interactive login from a non TTY device"),
        },
        (username, password, from_stdin) => {
            // An interrupt may come while the terminal hides what is typed.
            let _restored = stdin_is_terminal().then(Restored::enter).transpose()?;
            let to = server.clone();
            let asked = tokio::task::spawn_blocking(move || ask(&to, username, password, from_stdin));
            tokio::select! {
                login = asked => login??,
                _ = tokio::signal::ctrl_c() => {
                    complain!();
                    return Ok(EXIT_INTERRUPTED);
                }
            }
        }
    };
    client.post_body(Target::api("auth"), &login).await?;
    config.store(&login)?;
    if config.helper(&server).is_none() {
        complain!(
            "WARNING! Your credentials are stored unencrypted in '{}'.",
            config.path().display()
        );
        complain!("Configure a credential helper (credsStore) to remove this warning.");
    }
    output::line("Login Succeeded")?;
    Ok(0)
}

fn ask(server: &str, username: Option<String>, password: Option<String>, from_stdin: bool) -> Result<Login> {
    let username = match username {
        Some(username) => username,
        None => prompt("Username: ", true)?,
    };
    let password = match password {
        Some(password) => {
            complain!("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
            password
        }
        None if from_stdin => {
            let mut text = String::new();
            io::stdin()
                .lock()
                .take(1 << 20)
                .read_to_string(&mut text)
                .context("cannot read the password from stdin")?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        None => prompt("Password: ", false)?,
    };
    if username.is_empty() {
        bail!("username is empty");
    }
    if password.is_empty() {
        bail!("password is empty");
    }
    // A colon ends the name in what the registry is sent.
    if username.contains(':') {
        bail!("username contains a colon");
    }
    Ok(Login {
        username,
        password,
        identity_token: String::new(),
        server: server.to_owned(),
    })
}

fn prompt(question: &str, shown: bool) -> Result<String> {
    if !stdin_is_terminal() {
        bail!("cannot perform an interactive login from a non TTY device");
    }
    let mut stderr = io::stderr();
    let _ = stderr
        .write_all(question.as_bytes())
        .and_then(|()| stderr.flush());
    let hidden = if shown { None } else { Some(NoEcho::enter()?) };
    let mut line = String::new();
    io::stdin().lock().take(1 << 16).read_line(&mut line)?;
    if hidden.is_some() {
        complain!();
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The login that a pull of `registry` takes along, if there is one.
pub fn known(registry: &str) -> Result<Option<Login>> {
    Config::load()?.find(&server(registry))
}

/// As people know it.
pub fn familiar(server: &str) -> &str {
    if server == DOCKER_IO { "docker.io" } else { server }
}
