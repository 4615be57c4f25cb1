//! `hyper import`

use std::fs::File;
use std::io;

use anyhow::{Context, Result};
use hyper::Method;

use crate::client::Client;
use crate::json_lines::JsonLines;
use crate::progress::{self, Sink};
use crate::target::Target;
use crate::upload::Upload;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "LIST")]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short, long, value_name = "STRING")]
    message: Option<String>,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "STRING")]
    platform: Option<String>,
    /// A tar of files, the URL of one, or - for stdin
    #[arg(value_name = "FILE|URL|-")]
    source: String,
    /// Name of the new image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let is_url = args.source.contains("://");
    let target = Target::api("images/create")
        .query("fromSrc", if is_url { &args.source } else { "-" })
        .query_opt("repo", args.name.as_deref())
        .query_opt("message", args.message.as_deref())
        .query_opt("platform", args.platform.as_deref());
    let target = args
        .change
        .iter()
        .fold(target, |target, change| target.query("changes", change));
    let content = match args.source.as_str() {
        _ if is_url => Upload::of(io::empty()),
        "-" => Upload::of(io::stdin()),
        path => Upload::of(File::open(path).with_context(|| format!("cannot open {path}"))?),
    };
    let body = client.upload(Method::POST, target, content).await?;
    progress::show(JsonLines::new(body), Sink::Stdout).await?;
    Ok(0)
}
