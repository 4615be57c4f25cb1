//! `hyper commit`

use anyhow::Result;

use crate::client::{Client, id_of};
use crate::output;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short, long, value_name = "STRING")]
    author: Option<String>,
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long = "change", value_name = "LIST")]
    change: Vec<String>,
    /// Commit message
    #[arg(short, long, value_name = "STRING")]
    message: Option<String>,
    /// Pause container during commit
    #[arg(short, long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, hide_possible_values = true,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    pause: bool,
    /// Container to make an image of
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Name of the new image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let mut target = Target::api("commit")
        .query("container", &args.container)
        .query("pause", if args.pause { "1" } else { "0" })
        .query_opt("repo", args.name.as_deref())
        .query_opt("comment", args.message.as_deref())
        .query_opt("author", args.author.as_deref());
    for change in &args.change {
        target = target.query("changes", change);
    }
    output::line(&id_of(&client.post(target).await?)?)?;
    Ok(0)
}
