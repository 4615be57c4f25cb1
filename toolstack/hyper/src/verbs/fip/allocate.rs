//! `hyper fip allocate`

use anyhow::Result;
use serde_json::json;

use super::target;
use crate::client::Client;
use crate::output;
use crate::verbs::strings;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many
    #[arg(value_name = "COUNT", default_value_t = 1)]
    count: u32,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let body = json!({ "Count": args.count });
    let answer = client.post_body(target("allocate"), &body).await?;
    for address in strings(&answer, "Addresses") {
        output::line(address)?;
    }
    Ok(0)
}
