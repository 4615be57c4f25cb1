//! `hyper rename`

use anyhow::Result;

use crate::client::Client;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container to rename
    container: String,
    /// Its new name
    new_name: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let target = Target::container(&args.container)
        .push("rename")
        .query("name", &args.new_name);
    client.post(target).await?;
    Ok(0)
}
