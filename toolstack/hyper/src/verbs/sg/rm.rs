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
    let mut code = 0;
    // One after another: whom the rules of the first name can go after it.
    for group in args.groups {
        let removed = each(client, vec![group], |client, group| async move {
            client.delete(target(&group)).await?;
            Ok(group)
        });
        code = code.max(removed.await?);
    }
    Ok(code)
}
