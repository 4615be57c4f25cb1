//! `hyper network`: a file for each verb.

pub mod connect;
pub mod create;
pub mod inspect;
pub mod ls;
pub mod prune;
pub mod rm;

use anyhow::Result;
use std::sync::Arc;

use crate::client::Client;
use crate::target::Target;

#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub enum Verb {
    /// Connect a container to a network
    Connect(connect::ConnectArgs),
    /// Create a network
    Create(create::Args),
    /// Disconnect a container from a network
    Disconnect(connect::DisconnectArgs),
    /// Display detailed information on one or more networks
    Inspect(inspect::Args),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    /// Remove all unused networks
    Prune(prune::Args),
    /// Remove one or more networks
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
}

pub async fn run(client: &Arc<Client>, verb: Verb) -> Result<i32> {
    match verb {
        Verb::Connect(args) => connect::connect(client, args).await,
        Verb::Create(args) => create::run(client, args).await,
        Verb::Disconnect(args) => connect::disconnect(client, args).await,
        Verb::Inspect(args) => inspect::run(client, args).await,
        Verb::Ls(args) => ls::run(client, args).await,
        Verb::Prune(args) => prune::run(client, args).await,
        Verb::Rm(args) => rm::run(client, args).await,
    }
}

fn target(name: &str) -> Target {
    Target::api("networks").push(name)
}
