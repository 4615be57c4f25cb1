//! `hyper pause`

use std::sync::Arc;

use anyhow::Result;

use super::each;
use crate::client::Client;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Containers to pause
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub async fn run(client: &Arc<Client>, args: Args) -> Result<i32> {
    each(client, args.containers, |client, container| async move {
        client.post(Target::container(&container).push("pause")).await?;
        Ok(container)
    })
    .await
}
