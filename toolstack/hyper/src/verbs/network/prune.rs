//! `hyper network prune`

use anyhow::Result;

use crate::client::Client;
use crate::options::values::{filter, filters};
use crate::output;
use crate::target::Target;
use crate::verbs::prune::confirmed;
use crate::verbs::strings;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Provide filter values (e.g. "until=24h")
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let warning = "WARNING! This will remove all custom networks not used by at least one container.";
    if !args.force && !confirmed(warning)? {
        return Ok(0);
    }
    let target = Target::api("networks")
        .push("prune")
        .query_opt("filters", filters(&args.filter));
    let answer = client.post(target).await?;
    let deleted = strings(&answer, "NetworksDeleted");
    if !deleted.is_empty() {
        output::line(&format!("Deleted Networks:\n{}\n", deleted.join("\n")))?;
    }
    Ok(0)
}
