//! `hyper sg inspect`

use anyhow::Result;

use super::target;
use crate::client::Client;
use crate::verbs::inspect::show;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format output using a custom template: 'json' or a Go template
    #[arg(short, long, value_name = "STRING")]
    format: Option<String>,
    /// Security groups to look at
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    show(args.format.as_deref(), &args.groups, |name| {
        client.get(target(name))
    })
    .await
}
