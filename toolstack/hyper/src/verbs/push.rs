//! `hyper push`

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
    /// Push all tags of an image to the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// Image to upload
    #[arg(value_name = "NAME[:TAG]")]
    name: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let reference: Reference = args.name.parse()?;
    if args.all_tags && !reference.is_bare() {
        bail!("tag can't be used with --all-tags/-a");
    }
    if reference.digest().is_some() {
        bail!("cannot push a digest reference");
    }
    let sink = if args.quiet { Sink::Nowhere } else { Sink::Stdout };
    if reference.is_bare() && !args.all_tags {
        sink.line("Using default tag: latest")?;
    }
    let tag = (!args.all_tags).then(|| reference.tag_or_digest());
    let target = Target::image(&reference.name())
        .push("push")
        .query_opt("tag", tag);
    let login = login::known(reference.registry())?;
    let body = client.stream_as(Method::POST, target, login.as_ref()).await?;
    progress::show(JsonLines::new(body), sink).await?;
    if args.quiet {
        match args.all_tags {
            true => output::line(&reference.name())?,
            false => output::line(&reference.to_string())?,
        }
    }
    Ok(0)
}
