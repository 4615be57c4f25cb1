//! `hyper pull`

use anyhow::{Result, bail};
use hyper::Method;

use super::login;
use crate::client::Client;
use crate::json_lines::JsonLines;
use crate::output;
use crate::progress::{self, Sink};
use crate::target::Target;
use reference::Reference;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Download all tagged images in the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "STRING")]
    platform: Option<String>,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// Image to download
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let reference: Reference = args.name.parse()?;
    let sink = if args.quiet { Sink::Nowhere } else { Sink::Stdout };
    if args.all_tags {
        if !reference.is_bare() {
            bail!("tag can't be used with --all-tags/-a");
        }
        download(client, &reference, None, args.platform.as_deref(), sink).await?;
        output::line(&reference.name())?;
        return Ok(0);
    }
    if reference.is_bare() {
        sink.line("Using default tag: latest")?;
    }
    pull(client, &reference, args.platform.as_deref(), sink).await?;
    output::line(&reference.to_string())?;
    Ok(0)
}

/// Downloads and shows the progress.
pub async fn pull(client: &Client, reference: &Reference, platform: Option<&str>, sink: Sink) -> Result<()> {
    let tag = Some(reference.tag_or_digest());
    download(client, reference, tag, platform, sink).await
}

/// Without a tag: all of them.
async fn download(
    client: &Client,
    reference: &Reference,
    tag: Option<&str>,
    platform: Option<&str>,
    sink: Sink,
) -> Result<()> {
    let target = Target::api("images/create")
        .query("fromImage", reference.name())
        .query_opt("tag", tag)
        .query_opt("platform", platform);
    let login = login::known(reference.registry())?;
    let body = client.stream_as(Method::POST, target, login.as_ref()).await?;
    progress::show(JsonLines::new(body), sink).await
}
