//! `hyper rm`

use std::sync::Arc;

use anyhow::Result;

use super::each;
use crate::client::Client;
use crate::error::is_not_found;
use crate::output::complain;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    force: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    volumes: bool,
    /// Containers to remove
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub async fn run(client: &Arc<Client>, args: Args) -> Result<i32> {
    let Args {
        force,
        volumes,
        containers,
    } = args;
    each(client, containers, |client, container| async move {
        // A slash before the name is how the API lists it.
        let name = container.trim_matches('/');
        let target = Target::container(name).flag("force", force).flag("v", volumes);
        match client.delete(target).await {
            Ok(_) => Ok(container),
            // By force it is to be gone, and it is.
            Err(error) if force && is_not_found(&error) => {
                complain!("{error:#}");
                Ok(String::new())
            }
            Err(error) => Err(error),
        }
    })
    .await
}
