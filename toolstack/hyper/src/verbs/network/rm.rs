//! `hyper network rm`

use std::sync::Arc;

use anyhow::Result;

use super::target;
use crate::client::Client;
use crate::error::is_not_found;
use crate::verbs::each;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do not error if the network does not exist
    #[arg(short, long)]
    force: bool,
    /// Networks to remove
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

pub async fn run(client: &Arc<Client>, args: Args) -> Result<i32> {
    let force = args.force;
    each(client, args.networks, move |client, network| async move {
        match client.delete(target(&network)).await {
            Ok(_) => Ok(network),
            Err(error) if force && is_not_found(&error) => Ok(String::new()),
            Err(error) => Err(error),
        }
    })
    .await
}
