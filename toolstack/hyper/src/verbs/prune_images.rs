//! `hyper image prune`

use anyhow::Result;
use serde_json::Value;

use super::prune::{Choice, confirmed, reclaimed, total};
use crate::client::Client;
use crate::options::values::filters;
use crate::output;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove all images that no container uses, not just those without a name
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    choice: Choice,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let what = match args.all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    };
    if !args.choice.force && !confirmed(&format!("WARNING! This will remove {what}."))? {
        return Ok(0);
    }
    let mut conditions = args.choice.filter;
    conditions.push(("dangling".to_owned(), (!args.all).to_string()));
    let target = Target::api("images")
        .push("prune")
        .query_opt("filters", filters(&conditions));
    output::line(&report(&client.post(target).await?))?;
    Ok(0)
}

fn report(answer: &Value) -> String {
    removed(answer) + &total(reclaimed(answer))
}

/// What went, for the reports of prunes.
pub fn removed(answer: &Value) -> String {
    let mut out = String::new();
    let done = answer.get("ImagesDeleted").and_then(Value::as_array);
    if let Some(done) = done.filter(|done| !done.is_empty()) {
        out.push_str("Deleted Images:\n");
        for (what, name) in done.iter().filter_map(Value::as_object).flatten() {
            let name = name.as_str().unwrap_or_default();
            out.push_str(&format!("{}: {name}\n", what.to_lowercase()));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_went_is_listed() {
        let answer = json!({ "ImagesDeleted": [{ "Untagged": "a:1" }, { "Deleted": "sha256:aa" }], "SpaceReclaimed": 1500 });
        assert_eq!(
            report(&answer),
            "Deleted Images:\nuntagged: a:1\ndeleted: sha256:aa\n\nTotal reclaimed space: 1.5kB"
        );
        let answer = json!({ "ImagesDeleted": null, "SpaceReclaimed": 0 });
        assert_eq!(report(&answer), "Total reclaimed space: 0B");
    }
}
