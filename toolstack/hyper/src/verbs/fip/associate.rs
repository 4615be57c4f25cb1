//! `hyper fip associate` and `disassociate`

use anyhow::Result;
use serde_json::json;

use super::target;
use crate::client::Client;
use crate::output;
use crate::verbs::text;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take it from the container that has it
    #[arg(short, long)]
    force: bool,
    /// Floating IP, or its name
    #[arg(value_name = "FIP")]
    fip: String,
    /// Container that gets it, running or not
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub async fn associate(client: &Client, args: Args) -> Result<i32> {
    let body = json!({ "Container": args.container, "Force": args.force });
    client
        .post_body(target(&args.fip).push("associate"), &body)
        .await?;
    Ok(0)
}

#[derive(Debug, clap::Args)]
pub struct DisassociateArgs {
    /// Floating IP, its name, or the container that has it
    #[arg(value_name = "FIP|CONTAINER")]
    from: String,
}

pub async fn disassociate(client: &Client, args: DisassociateArgs) -> Result<i32> {
    let answer = client.post(target(&args.from).push("disassociate")).await?;
    output::line(text(&answer, "Address"))?;
    Ok(0)
}
