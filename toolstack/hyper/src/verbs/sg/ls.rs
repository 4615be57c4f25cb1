//! `hyper sg ls`

use anyhow::Result;

use crate::client::Client;
use crate::output;
use crate::table::{self, Column, Row};
use crate::target::Target;
use crate::verbs::{strings, text};

const COLUMNS: &[Column] = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("Containers", "CONTAINERS"),
    ("CreatedAt", "CREATED AT"),
];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "STRING")]
    format: Option<String>,
    /// Only display names
    #[arg(short, long)]
    quiet: bool,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let answer = client.get(Target::extension("sgs")).await?;
    let groups = answer.as_array().map_or(&[][..], Vec::as_slice);
    if args.quiet && args.format.is_none() {
        for group in groups {
            output::line(text(group, "Name"))?;
        }
        return Ok(0);
    }
    let rows: Vec<_> = groups
        .iter()
        .map(|group| {
            let mut row = Row::default();
            row.set("Name", text(group, "Name"));
            row.set("Description", text(group, "Description"));
            row.set("Containers", strings(group, "Containers").join(","));
            row.set("CreatedAt", text(group, "Created"));
            row
        })
        .collect();
    table::print(
        args.format.as_deref(),
        COLUMNS,
        &["Name", "Description", "Containers"],
        &rows,
    )?;
    Ok(0)
}
