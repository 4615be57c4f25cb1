//! `hyper kill`

use std::sync::Arc;

use anyhow::Result;

use super::each;
use crate::client::Client;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Signal to send to the container
    #[arg(short, long, value_name = "STRING")]
    signal: Option<String>,
    /// Containers to kill
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub async fn run(client: &Arc<Client>, args: Args) -> Result<i32> {
    let Args { signal, containers } = args;
    each(client, containers, |client, container| {
        let target = Target::container(&container)
            .push("kill")
            .query_opt("signal", signal.as_deref());
        async move {
            client.post(target).await?;
            Ok(container)
        }
    })
    .await
}
