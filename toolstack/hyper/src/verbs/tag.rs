//! `hyper tag`

use anyhow::{Result, anyhow};

use crate::client::Client;
use crate::reference::Reference;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image as it is known now
    #[arg(value_name = "SOURCE_IMAGE[:TAG]")]
    source: String,
    /// Its further name
    #[arg(value_name = "TARGET_IMAGE[:TAG]")]
    target: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let reference = Reference::parse(&args.target).map_err(|error| anyhow!(error))?;
    if reference.has_digest() {
        anyhow::bail!("refusing to create a tag with a digest reference");
    }
    let target = Target::image(&args.source)
        .push("tag")
        .query("repo", reference.name())
        .query("tag", reference.tag_or_digest());
    client.post(target).await?;
    Ok(0)
}
