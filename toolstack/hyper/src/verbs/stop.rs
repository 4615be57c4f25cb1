//! `hyper stop`

use std::sync::Arc;

use anyhow::Result;

use super::each;
use crate::client::Client;
use crate::options::values::timeout_seconds;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Signal to send to the container
    #[arg(short, long, value_name = "STRING")]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short, long, alias = "time", value_name = "INT", allow_negative_numbers = true,
          value_parser = timeout_seconds)]
    timeout: Option<i64>,
    /// Containers to stop
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub async fn run(client: &Arc<Client>, args: Args) -> Result<i32> {
    let Args {
        signal,
        timeout,
        containers,
    } = args;
    each(client, containers, |client, container| {
        let target = Target::container(&container)
            .push("stop")
            .query_opt("signal", signal.as_deref())
            .query_opt("t", timeout);
        async move {
            client.post(target).await?;
            Ok(container)
        }
    })
    .await
}
