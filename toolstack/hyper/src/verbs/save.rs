//! `hyper save`

use std::io;
use std::path::PathBuf;

use anyhow::{Result, bail};
use hyper::Method;
use rustix::termios::isatty;

use crate::client::Client;
use crate::download;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Save only the given platform variant
    #[arg(long, value_name = "STRING")]
    platform: Option<String>,
    /// Images to save
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    if args.output.is_none() && isatty(io::stdout()) {
        bail!("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    }
    let mut target = Target::api("images/get").query_opt("platform", args.platform.as_deref());
    for image in &args.images {
        target = target.query("names", image);
    }
    let body = client.stream(Method::GET, target).await?;
    download::write(body, args.output.as_deref()).await?;
    Ok(0)
}
