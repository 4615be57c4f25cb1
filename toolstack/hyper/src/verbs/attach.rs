//! `hyper attach`

use anyhow::{Result, bail};
use serde_json::Value;

use crate::client::Client;
use crate::session::{self, Foreground, Running};
use crate::signals::Proxy;
use crate::stdio::{End, detach_keys};
use crate::target::Target;
use crate::terminal::{self, Size};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "STRING")]
    detach_keys: Option<String>,
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    /// Proxy all received signals to the process
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, hide_possible_values = true,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
    /// Container to attach to
    container: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let answer = client
        .get(Target::container(&args.container).push("json"))
        .await?;
    let flag = |pointer| answer.pointer(pointer).and_then(Value::as_bool) == Some(true);
    if !flag("/State/Running") {
        bail!("cannot attach to a stopped container, start it first");
    }
    if flag("/State/Paused") {
        bail!("cannot attach to a paused container, unpause it first");
    }
    if flag("/State/Restarting") {
        bail!("cannot attach to a restarting container, wait until it is running");
    }
    let id = answer
        .get("Id")
        .and_then(Value::as_str)
        .unwrap_or(&args.container);
    let tty = flag("/Config/Tty");
    let stdin = !args.no_stdin && flag("/Config/OpenStdin");
    terminal::check_input(tty, stdin)?;
    let proxy = match args.sig_proxy {
        true => Some(Proxy::catch(tty)?),
        false => None,
    };
    let keys = args.detach_keys.as_deref();
    detach_keys::from_flag(keys)?;

    let wait = client.wait(id, "not-running").await?;
    let connection = session::attach(client, id, [stdin, true, true], keys).await?;
    let foreground = Foreground::start(connection, stdin, tty, keys)?;
    if tty && let Some(size) = terminal::size() {
        // A change of size makes whatever runs there draw itself again, for us who see an empty terminal.
        let other = Size {
            rows: size.rows.saturating_add(1),
            columns: size.columns.saturating_add(1),
        };
        terminal::resize(client, &Target::container(id), other).await;
    }
    let running = Running {
        target: Target::container(id),
        signals: proxy.map(|proxy| (proxy, id)),
    };
    match foreground.run(client, running).await? {
        End::Detached => Ok(0),
        End::Killed(signal) => Ok(128 + signal),
        End::Closed => wait.exit_code().await,
    }
}
