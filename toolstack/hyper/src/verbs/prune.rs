//! `hyper container prune` and `hyper system prune`, and what prunes have in common.

use std::io::{self, BufRead, Read, Write};

use anyhow::Result;
use serde_json::Value;

use super::{prune_images, strings};
use crate::client::Client;
use crate::error::status_of;
use crate::options::values::{filter, filters};
use crate::output;
use crate::target::Target;
use crate::units::human_size;

// What every prune can be told: not documentation, which clap would take for what the verb is about.
#[derive(Debug, clap::Args)]
pub struct Choice {
    /// Provide filter values (e.g. "until=24h", "label=KEY")
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    pub filter: Vec<(String, String)>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Debug, clap::Args)]
pub struct SystemArgs {
    /// Remove all unused images, not just dangling ones
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    choice: Choice,
}

pub async fn containers(client: &Client, args: Choice) -> Result<i32> {
    if !args.force && !confirmed("WARNING! This will remove all stopped containers.")? {
        return Ok(0);
    }
    let answer = prune(client, "containers", &args.filter).await?;
    let text = removed("Containers", &strings(&answer, "ContainersDeleted"));
    output::line(&(text + &total(reclaimed(&answer))))?;
    Ok(0)
}

pub async fn system(client: &Client, args: SystemArgs) -> Result<i32> {
    if !args.choice.force && !confirmed(&warning(args.all, &args.choice.filter))? {
        return Ok(0);
    }
    let mut text = String::new();
    let mut space = 0;
    let answer = prune(client, "containers", &args.choice.filter).await?;
    text += &removed("Containers", &strings(&answer, "ContainersDeleted"));
    space += reclaimed(&answer);
    match prune(client, "networks", &args.choice.filter).await {
        Ok(answer) => text += &removed("Networks", &strings(&answer, "NetworksDeleted")),
        // A daemon without networks has none to remove.
        Err(error) if matches!(status_of(&error), Some(404 | 501)) => {}
        Err(error) => return Err(error),
    }
    let mut conditions = args.choice.filter;
    conditions.push(("dangling".to_owned(), (!args.all).to_string()));
    let answer = prune(client, "images", &conditions).await?;
    text += &prune_images::removed(&answer);
    space += reclaimed(&answer);
    output::line(&(text + &total(space)))?;
    Ok(0)
}

async fn prune(client: &Client, what: &str, conditions: &[(String, String)]) -> Result<Value> {
    let target = Target::api(what)
        .push("prune")
        .query_opt("filters", filters(conditions));
    client.post(target).await
}

fn warning(all: bool, conditions: &[(String, String)]) -> String {
    let images = match all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    };
    let mut text = format!(
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  - {images}\n"
    );
    if !conditions.is_empty() {
        text.push_str("\n  Items to be pruned will be filtered with:\n");
        for (key, value) in conditions {
            text.push_str(&format!("  - {key}={value}\n"));
        }
    }
    text
}

/// Only a yes is one: no answer is none.
pub fn confirmed(warning: &str) -> Result<bool> {
    let mut stdout = io::stdout();
    write!(stdout, "{warning}\nAre you sure you want to continue? [y/N] ")?;
    stdout.flush()?;
    let mut answer = String::new();
    io::stdin().lock().take(1 << 10).read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y"))
}

fn removed(what: &str, names: &[&str]) -> String {
    match names {
        [] => String::new(),
        names => format!("Deleted {what}:\n{}\n\n", names.join("\n")),
    }
}

pub fn reclaimed(answer: &Value) -> i64 {
    answer.get("SpaceReclaimed").and_then(Value::as_i64).unwrap_or(0)
}

pub fn total(bytes: i64) -> String {
    format!("Total reclaimed space: {}", human_size(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_dockers() {
        assert_eq!(
            removed("Containers", &["a", "b"]),
            "Deleted Containers:\na\nb\n\n"
        );
        assert_eq!(removed("Networks", &[]), "");
        assert_eq!(total(1500), "Total reclaimed space: 1.5kB");
        let text = warning(true, &[("label".to_owned(), "a=b".to_owned())]);
        assert!(text.contains("  - all images without at least one container"));
        assert!(text.ends_with("will be filtered with:\n  - label=a=b\n"));
    }
}
