//! `hyper history`

use anyhow::Result;
use clap::ArgAction;
use serde_json::Value;

use super::{text, truncated_id};
use crate::client::Client;
use crate::output;
use crate::table::{self, Column, Row};
use crate::target::Target;
use crate::time;
use crate::units::human_size;

const COLUMNS: &[Column] = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];
const SHOWN: &[&str] = &["ID", "CreatedSince", "CreatedBy", "Size", "Comment"];
/// Longest instruction that is shown as it is.
const CREATED_BY_WIDTH: usize = 45;
const MISSING: &str = "<missing>";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "STRING")]
    format: Option<String>,
    /// Print sizes and dates in human readable format
    #[arg(short = 'H', long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, hide_possible_values = true,
          default_missing_value = "true", action = ArgAction::Set)]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Image whose history to show
    image: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let answer = client.get(Target::image(&args.image).push("history")).await?;
    let steps = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    if args.quiet && args.format.is_none() {
        for step in steps {
            output::line(&id(step, args.no_trunc))?;
        }
        return Ok(0);
    }
    let rows: Vec<_> = steps.iter().map(|step| row(step, &args)).collect();
    table::print(args.format.as_deref(), COLUMNS, SHOWN, &rows)?;
    Ok(0)
}

fn id(step: &Value, whole: bool) -> String {
    match text(step, "Id") {
        "" | MISSING => MISSING.to_owned(),
        id if whole => id.to_owned(),
        id => truncated_id(id),
    }
}

fn row(step: &Value, args: &Args) -> Row {
    let mut row = Row::default();
    let number = |key: &str| step.get(key).and_then(Value::as_i64).unwrap_or(0);
    let created = number("Created");
    row.set("ID", id(step, args.no_trunc));
    row.set("CreatedAt", time::iso(created));
    row.set(
        "CreatedSince",
        match args.human {
            // An image made to be the same each time has no date.
            true if created <= 0 => "N/A".to_owned(),
            true => time::ago(created),
            false => time::iso(created),
        },
    );
    row.set("CreatedBy", created_by(text(step, "CreatedBy"), args.no_trunc));
    row.set(
        "Size",
        match args.human {
            true => human_size(number("Size")),
            false => number("Size").to_string(),
        },
    );
    row.set("Comment", text(step, "Comment"));
    row
}

fn created_by(instruction: &str, whole: bool) -> String {
    let instruction = instruction.replace('\t', " ");
    if whole || instruction.chars().count() <= CREATED_BY_WIDTH {
        return instruction;
    }
    let head: String = instruction.chars().take(CREATED_BY_WIDTH - 1).collect();
    format!("{head}…")
}
