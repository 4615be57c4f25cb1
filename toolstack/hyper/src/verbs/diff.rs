//! `hyper diff`

use anyhow::Result;
use serde_json::Value;

use super::text;
use crate::client::Client;
use crate::output;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container to inspect
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let changes = client
        .get(Target::container(&args.container).push("changes"))
        .await?;
    for change in changes.as_array().into_iter().flatten() {
        let kind = match change.get("Kind").and_then(Value::as_u64) {
            Some(0) => "C",
            Some(1) => "A",
            Some(2) => "D",
            _ => "?",
        };
        output::line(&format!("{kind} {}", text(change, "Path")))?;
    }
    Ok(0)
}
