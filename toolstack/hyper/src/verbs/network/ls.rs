//! `hyper network ls`

use anyhow::Result;
use serde_json::Value;

use crate::client::Client;
use crate::options::values::{filter, filters};
use crate::output;
use crate::table::{self, Column, Row};
use crate::target::Target;
use crate::verbs::{id, text};

const COLUMNS: &[Column] = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Provide filter values (e.g. "driver=bridge")
    #[arg(short, long, value_name = "FILTER", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "STRING")]
    format: Option<String>,
    /// Do not truncate the output
    #[arg(long)]
    no_trunc: bool,
    /// Only display network IDs
    #[arg(short, long)]
    quiet: bool,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let target = Target::api("networks").query_opt("filters", filters(&args.filter));
    let answer = client.get(target).await?;
    let mut networks = answer.as_array().cloned().unwrap_or_default();
    networks.sort_by(|a, b| text(a, "Name").cmp(text(b, "Name")));
    if args.quiet && args.format.is_none() {
        for network in &networks {
            output::line(&id(network, args.no_trunc))?;
        }
        return Ok(0);
    }
    let rows: Vec<_> = networks
        .iter()
        .map(|network| {
            let mut row = Row::default();
            row.set("ID", id(network, args.no_trunc));
            row.set("Name", text(network, "Name"));
            row.set("Driver", text(network, "Driver"));
            row.set("Scope", text(network, "Scope"));
            for (field, key) in [
                ("IPv4", "EnableIPv4"),
                ("IPv6", "EnableIPv6"),
                ("Internal", "Internal"),
            ] {
                let on = network.get(key).and_then(Value::as_bool).unwrap_or(false);
                row.set(field, on.to_string());
            }
            row.set("CreatedAt", text(network, "Created"));
            row.set_labels(network.get("Labels").and_then(Value::as_object));
            row
        })
        .collect();
    table::print(
        args.format.as_deref(),
        COLUMNS,
        &["ID", "Name", "Driver", "Scope"],
        &rows,
    )?;
    Ok(0)
}
