//! `hyper sg`: security groups.

mod file;
pub mod inspect;
pub mod ls;
pub mod rm;
pub mod write;

use anyhow::Result;
use std::sync::Arc;

use crate::client::Client;
use crate::target::Target;

#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub enum Verb {
    /// Create a security group from a file of YAML
    Create(write::Args),
    /// Display detailed information on one or more security groups
    Inspect(inspect::Args),
    /// List security groups
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    /// Remove one or more security groups
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    /// Replace the rules of a security group, for connections that exist too
    Update(write::Args),
}

pub async fn run(client: &Arc<Client>, verb: Verb) -> Result<i32> {
    match verb {
        Verb::Create(args) => write::create(client, args).await,
        Verb::Inspect(args) => inspect::run(client, args).await,
        Verb::Ls(args) => ls::run(client, args).await,
        Verb::Rm(args) => rm::run(client, args).await,
        Verb::Update(args) => write::update(client, args).await,
    }
}

fn target(group: &str) -> Target {
    Target::extension("sgs").push(group)
}
