//! `hyper tag`

use anyhow::Result;

use crate::client::Client;
use crate::target::Target;
use reference::Reference;

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
    let reference: Reference = args.target.parse()?;
    if reference.digest().is_some() {
        anyhow::bail!("refusing to create a tag with a digest reference");
    }
    let target = Target::image(&args.source)
        .push("tag")
        .query("repo", reference.name())
        .query("tag", reference.tag_or_digest());
    client.post(target).await?;
    Ok(0)
}
