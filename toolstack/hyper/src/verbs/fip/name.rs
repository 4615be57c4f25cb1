//! `hyper fip name`

use anyhow::Result;
use serde_json::json;

use super::target;
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Floating IP, or the name that it has
    #[arg(value_name = "FIP")]
    fip: String,
    /// What it is called from now on; nothing takes its name
    #[arg(value_name = "NAME", default_value = "", hide_default_value = true)]
    name: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let body = json!({ "Name": args.name });
    client.post_body(target(&args.fip).push("name"), &body).await?;
    Ok(0)
}
