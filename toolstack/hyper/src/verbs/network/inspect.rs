//! `hyper network inspect`

use anyhow::Result;

use super::target;
use crate::client::Client;
use crate::verbs::inspect::show;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format output using a custom template: 'json' or a Go template
    #[arg(short, long, value_name = "STRING")]
    format: Option<String>,
    /// Verbose output for diagnostics
    #[arg(short, long)]
    verbose: bool,
    /// Networks to look at
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let verbose = args.verbose;
    show(args.format.as_deref(), &args.networks, |name| {
        client.get(target(name).flag("verbose", verbose))
    })
    .await
}
