//! `hyper fip`: floating IPs.

pub mod allocate;
pub mod associate;
pub mod ls;
pub mod name;
pub mod release;

use anyhow::Result;
use std::sync::Arc;

use crate::client::Client;
use crate::target::Target;

#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub enum Verb {
    /// Allocate floating IPs from the pools of the daemon's config
    Allocate(allocate::Args),
    /// Associate a floating IP with a container
    #[command(visible_alias = "attach")]
    Associate(associate::Args),
    /// Disassociate a floating IP from its container
    #[command(visible_alias = "detach")]
    Disassociate(associate::DisassociateArgs),
    /// List floating IPs
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    /// Name a floating IP
    Name(name::Args),
    /// Release one or more floating IPs
    Release(release::Args),
}

pub async fn run(client: &Arc<Client>, verb: Verb) -> Result<i32> {
    match verb {
        Verb::Allocate(args) => allocate::run(client, args).await,
        Verb::Associate(args) => associate::associate(client, args).await,
        Verb::Disassociate(args) => associate::disassociate(client, args).await,
        Verb::Ls(args) => ls::run(client, args).await,
        Verb::Name(args) => name::run(client, args).await,
        Verb::Release(args) => release::run(client, args).await,
    }
}

fn target(fip: &str) -> Target {
    Target::extension("fips").push(fip)
}
