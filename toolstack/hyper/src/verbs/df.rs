//! `hyper system df`

mod verbose;

use anyhow::Result;
use serde_json::Value;

use super::text;
use crate::client::Client;
use crate::table::{self, Column, Row};
use crate::target::Target;
use crate::units::human_size;

const COLUMNS: &[Column] = &[
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];
const SHOWN: &[&str] = &["Type", "TotalCount", "Active", "Size", "Reclaimable"];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "STRING")]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    verbose: bool,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let usage = client.get(Target::api("system").push("df")).await?;
    if args.verbose {
        verbose::print(&usage, args.format.as_deref())?;
        return Ok(0);
    }
    let rows: Vec<_> = kinds(&usage).iter().map(Kind::row).collect();
    table::print(args.format.as_deref(), COLUMNS, SHOWN, &rows)?;
    Ok(0)
}

/// What takes space: how many there are, how many are in use, and how much of it could be had back.
#[derive(Debug, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    total: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
}

fn kinds(usage: &Value) -> [Kind; 4] {
    let list = |key: &str| usage.get(key).and_then(Value::as_array).map(Vec::as_slice);
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_i64).unwrap_or(0);
    let (images, containers) = (
        list("Images").unwrap_or_default(),
        list("Containers").unwrap_or_default(),
    );
    let used = |image: &&Value| number(image, "Containers") > 0;
    let layers = number(usage, "LayersSize");
    let used_size: i64 = images
        .iter()
        .filter(used)
        .map(|image| number(image, "Size") - number(image, "SharedSize").max(0))
        .sum();
    let up = |container: &&Value| matches!(text(container, "State"), "running" | "paused" | "restarting");
    let written = |containers: &mut dyn Iterator<Item = &Value>| -> i64 {
        containers.map(|container| number(container, "SizeRw")).sum()
    };
    let nothing = |name| Kind {
        name,
        total: 0,
        active: 0,
        size: 0,
        reclaimable: 0,
    };
    [
        Kind {
            name: "Images",
            total: images.len(),
            active: images.iter().filter(used).count(),
            size: layers,
            reclaimable: (layers - used_size).max(0),
        },
        Kind {
            name: "Containers",
            total: containers.len(),
            active: containers.iter().filter(up).count(),
            size: written(&mut containers.iter()),
            reclaimable: written(&mut containers.iter().filter(|container| !up(container))),
        },
        nothing("Local Volumes"),
        nothing("Build Cache"),
    ]
}

impl Kind {
    fn row(&self) -> Row {
        let mut row = Row::default();
        row.set("Type", self.name);
        row.set("TotalCount", self.total.to_string());
        row.set("Active", self.active.to_string());
        row.set("Size", human_size(self.size));
        let share = match self.size {
            size if size > 0 => format!(" ({}%)", self.reclaimable.saturating_mul(100) / size),
            _ => String::new(),
        };
        row.set("Reclaimable", format!("{}{share}", human_size(self.reclaimable)));
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_nobody_uses_can_be_had_back() {
        let usage = json!({
            "LayersSize": 1000,
            "Images": [
                { "Containers": 1, "Size": 400, "SharedSize": -1 },
                { "Containers": 0, "Size": 600, "SharedSize": -1 },
            ],
            "Containers": [
                { "State": "running", "SizeRw": 10 },
                { "State": "exited", "SizeRw": 30 },
                { "State": "created" },
            ],
        });
        let [images, containers, volumes, _] = kinds(&usage);
        assert_eq!(
            (images.total, images.active, images.size, images.reclaimable),
            (2, 1, 1000, 600)
        );
        assert_eq!(
            (
                containers.total,
                containers.active,
                containers.size,
                containers.reclaimable
            ),
            (3, 1, 40, 30)
        );
        assert_eq!(volumes.size, 0);
    }
}
