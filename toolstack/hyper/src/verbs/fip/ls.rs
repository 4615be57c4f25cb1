//! `hyper fip ls`

use anyhow::Result;

use crate::client::Client;
use crate::options::values::{filter, filters};
use crate::output;
use crate::table::{self, Column, Row};
use crate::target::Target;
use crate::verbs::text;

const COLUMNS: &[Column] = &[
    ("Address", "FLOATING IP"),
    ("Name", "NAME"),
    ("Container", "CONTAINER"),
    ("ContainerID", "CONTAINER ID"),
    ("CreatedAt", "CREATED AT"),
];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Provide filter values (e.g. "dangling=true")
    #[arg(short, long, value_name = "FILTER", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "STRING")]
    format: Option<String>,
    /// Only display addresses
    #[arg(short, long)]
    quiet: bool,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let target = Target::extension("fips").query_opt("filters", filters(&args.filter));
    let answer = client.get(target).await?;
    let fips = answer.as_array().map_or(&[][..], Vec::as_slice);
    if args.quiet && args.format.is_none() {
        for fip in fips {
            output::line(text(fip, "Address"))?;
        }
        return Ok(0);
    }
    let rows: Vec<_> = fips
        .iter()
        .map(|fip| {
            let mut row = Row::default();
            for (field, key) in [
                ("Address", "Address"),
                ("Name", "Name"),
                ("Container", "ContainerName"),
                ("ContainerID", "Container"),
                ("CreatedAt", "Allocated"),
            ] {
                row.set(field, text(fip, key));
            }
            row
        })
        .collect();
    table::print(
        args.format.as_deref(),
        COLUMNS,
        &["Address", "Name", "Container"],
        &rows,
    )?;
    Ok(0)
}
