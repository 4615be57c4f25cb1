//! `hyper load`

use std::fs::File;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use hyper::Method;
use rustix::termios::isatty;

use crate::client::Client;
use crate::json_lines::JsonLines;
use crate::progress::{self, Sink};
use crate::target::Target;
use crate::upload::Upload;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Load only the given platform variant
    #[arg(long, value_name = "STRING")]
    platform: Option<String>,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let archive = match &args.input {
        Some(path) => {
            Upload::of(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
        }
        None if isatty(io::stdin()) => bail!("requested load from stdin, but stdin is empty"),
        None => Upload::of(io::stdin()),
    };
    let target = Target::api("images/load")
        .query("quiet", if args.quiet { "1" } else { "0" })
        .query_opt("platform", args.platform.as_deref());
    let body = client.upload(Method::POST, target, archive).await?;
    let sink = if args.quiet { Sink::Nowhere } else { Sink::Stdout };
    progress::show(JsonLines::new(body), sink).await?;
    Ok(0)
}
