//! `hyper sg rm`

use std::sync::Arc;

use anyhow::Result;

use super::target;
use crate::client::Client;
use crate::verbs::each;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Security groups to remove
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

pub async fn run(client: &Arc<Client>, args: Args) -> Result<i32> {
    each(client, args.groups, |client, group| async move {
        client.delete(target(&group)).await?;
        Ok(group)
    })
    .await
}
