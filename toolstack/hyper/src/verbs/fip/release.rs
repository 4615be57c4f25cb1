//! `hyper fip release`

use std::sync::Arc;

use anyhow::Result;

use super::target;
use crate::client::Client;
use crate::verbs::each;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Floating IPs, or their names
    #[arg(required = true, value_name = "FIP")]
    fips: Vec<String>,
}

pub async fn run(client: &Arc<Client>, args: Args) -> Result<i32> {
    each(client, args.fips, |client, fip| async move {
        client.delete(target(&fip)).await?;
        Ok(fip)
    })
    .await
}
