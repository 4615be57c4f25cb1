//! `hyper link`

use anyhow::Result;
use serde_json::json;

use crate::client::Client;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container that gets a name for another
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// The other, on a network that both are on, and what it is called
    #[arg(value_name = "CONTAINER[:ALIAS]")]
    target: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let (target, alias) = args.target.split_once(':').unwrap_or((&args.target, ""));
    let body = json!({ "Container": target, "Alias": alias });
    let links = Target::extension("containers")
        .push(&args.container)
        .push("links");
    client.post_body(links, &body).await?;
    Ok(0)
}
