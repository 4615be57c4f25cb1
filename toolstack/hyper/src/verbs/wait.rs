//! `hyper wait`

use std::sync::Arc;

use anyhow::Result;

use super::each;
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Containers to wait for
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub async fn run(client: &Arc<Client>, args: Args) -> Result<i32> {
    each(client, args.containers, |client, container| async move {
        let code = client.wait(&container, "not-running").await?.exit_code().await?;
        Ok(code.to_string())
    })
    .await
}
