//! `hyper logs`

use anyhow::{Result, anyhow};
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use serde_json::Value;

use crate::client::Client;
use crate::stdio::Output;
use crate::stdio::fd::Fd;
use crate::target::Target;
use crate::time::parse_point;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show the messages of the guest's kernel instead
    #[arg(long, conflicts_with_all = ["details", "since", "tail", "timestamps", "until"])]
    console: bool,
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    /// Follow log output
    #[arg(short, long)]
    follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "STRING", value_parser = parse_point)]
    since: Option<String>,
    /// Number of lines to show from the end of the logs
    #[arg(
        short = 'n',
        long,
        value_name = "STRING",
        default_value = "all",
        allow_hyphen_values = true
    )]
    tail: String,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "STRING", value_parser = parse_point)]
    until: Option<String>,
    /// Container whose logs to show
    container: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    if args.console {
        let target = Target::extension("containers")
            .push(&args.container)
            .push("console")
            .query("follow", u8::from(args.follow));
        let body = client.stream(Method::GET, target).await?;
        return copy(body, Output::new(true)).await;
    }
    let answer = client
        .get(Target::container(&args.container).push("json"))
        .await?;
    let tty = answer.pointer("/Config/Tty").and_then(Value::as_bool) == Some(true);
    let id = answer
        .get("Id")
        .and_then(Value::as_str)
        .unwrap_or(&args.container);
    let target = Target::container(id)
        .push("logs")
        .query("stdout", 1)
        .query("stderr", 1)
        .flag("follow", args.follow)
        .flag("timestamps", args.timestamps)
        .flag("details", args.details)
        .query_opt("since", args.since.as_deref())
        .query_opt("until", args.until.as_deref())
        .query("tail", &args.tail);
    let body = client.stream(Method::GET, target).await?;
    copy(body, Output::new(tty)).await
}

/// Writes block: the next piece is read when the last is out.
async fn copy(mut body: Incoming, mut output: Output) -> Result<i32> {
    let (mut stdout, mut stderr) = (Fd::stdout(), Fd::stderr());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| anyhow!("read the logs: {error}"))?;
        if let Ok(data) = frame.into_data() {
            output.write(&data, &mut stdout, &mut stderr)?;
        }
    }
    output.finish()?;
    Ok(0)
}
