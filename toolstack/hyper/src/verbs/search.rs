//! `hyper search`

use anyhow::Result;
use serde_json::Value;

use super::{login, text};
use crate::client::Client;
use crate::options::values::{filter, filters};
use crate::table::{self, Column, Row};
use crate::target::Target;

const COLUMNS: &[Column] = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("StarCount", "STARS"),
    ("IsOfficial", "OFFICIAL"),
    ("IsAutomated", "AUTOMATED"),
];
const SHOWN: &[&str] = &["Name", "Description", "StarCount", "IsOfficial"];
/// Longest description that is shown as it is.
const DESCRIPTION_WIDTH: usize = 45;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Filter output based on conditions provided: stars=N, is-official=BOOL
    #[arg(short, long, value_name = "FILTER", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "STRING")]
    format: Option<String>,
    /// Max number of search results
    #[arg(long, value_name = "INT")]
    limit: Option<u32>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// What to look for; at docker.io unless a registry stands before it, as in registry.example/TERM
    term: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let target = Target::api("images/search")
        .query("term", &args.term)
        .query_opt("limit", args.limit)
        .query_opt("filters", filters(&args.filter));
    let registry = args.term.split_once('/').map_or("", |(first, _)| first);
    let registry = if registry.contains(['.', ':']) {
        registry
    } else {
        "docker.io"
    };
    let login = login::known(registry)?;
    let answer = client.get_as(target, login.as_ref()).await?;
    let found = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<_> = found.iter().map(|found| row(found, args.no_trunc)).collect();
    table::print(args.format.as_deref(), COLUMNS, SHOWN, &rows)?;
    Ok(0)
}

fn row(found: &Value, whole: bool) -> Row {
    let mut row = Row::default();
    let flag = |key: &str| match found.get(key).and_then(Value::as_bool) {
        Some(true) => "[OK]",
        _ => "",
    };
    let stars = found.get("star_count").and_then(Value::as_u64).unwrap_or(0);
    row.set("Name", printable(text(found, "name")));
    row.set("Description", description(text(found, "description"), whole));
    row.set("StarCount", stars.to_string());
    row.set("IsOfficial", flag("is_official"));
    row.set("IsAutomated", flag("is_automated"));
    row
}

fn description(text: &str, whole: bool) -> String {
    let text = printable(text);
    if whole || text.chars().count() <= DESCRIPTION_WIDTH {
        return text;
    }
    let kept: String = text.chars().take(DESCRIPTION_WIDTH - 1).collect();
    kept + "\u{2026}"
}

/// Strangers write it: on one line, and without what a terminal would take for a command.
fn printable(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    plain.filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_fit_on_a_line() {
        assert_eq!(description("a\nb\u{1b}[31m", false), "a b[31m");
        let long = "x".repeat(50);
        assert_eq!(description(&long, true), long);
        assert_eq!(description(&long, false), format!("{}\u{2026}", "x".repeat(44)));
    }
}
