//! `hyper ps`

use anyhow::Result;
use serde_json::Value;

use crate::client::Client;
use crate::options::values::{filter, filters};
use crate::output;
use crate::table::{self, Column, Row};
use crate::target::Target;
use crate::time;
use crate::units::human_size;

use super::{id, text, truncated_id};

pub(super) const COLUMNS: &[Column] = &[
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
];

/// Longest command that is shown as it is.
const COMMAND_WIDTH: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "FILTER", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "STRING")]
    format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, value_name = "INT", allow_negative_numbers = true)]
    last: Option<i64>,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let limit = match args.latest {
        true => Some(1),
        false => args.last.filter(|last| *last > 0),
    };
    let wants_size = args.size || args.format.as_deref().is_some_and(shows_size);
    let target = Target::api("containers/json")
        .flag("all", args.all)
        .flag("size", wants_size)
        .query_opt("limit", limit)
        .query_opt("filters", filters(&args.filter));
    let answer = client.get(target).await?;
    let containers = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    if args.quiet && args.format.is_none() {
        for container in containers {
            output::line(&id(container, args.no_trunc))?;
        }
        return Ok(0);
    }
    let rows: Vec<_> = containers
        .iter()
        .map(|container| row(container, args.no_trunc))
        .collect();
    let mut shown = vec!["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"];
    if args.size {
        shown.push("Size");
    }
    table::print(args.format.as_deref(), COLUMNS, &shown, &rows)?;
    Ok(0)
}

/// Whether a format shows what costs the engine a look at every disk: the size by its name, or all there is.
fn shows_size(format: &str) -> bool {
    let words: String = format.split_whitespace().collect();
    words == "json" || words.contains(".Size") || words.contains("json.}}")
}

pub(super) fn row(container: &Value, whole: bool) -> Row {
    let mut row = Row::default();
    let number = |key: &str| container.get(key).and_then(Value::as_i64);
    let created = number("Created").unwrap_or(0);
    row.set("ID", id(container, whole));
    row.set("Image", image(container, whole));
    row.set("Command", command(text(container, "Command"), whole));
    row.set("CreatedAt", time::local(created));
    row.set("RunningFor", time::ago(created));
    row.set("State", text(container, "State"));
    row.set("Status", text(container, "Status"));
    row.set("Ports", ports(container));
    row.set("Names", names(container));
    let virtual_size = number("SizeRootFs").unwrap_or(0);
    let size = human_size(number("SizeRw").unwrap_or(0));
    row.set(
        "Size",
        match virtual_size {
            0 => size,
            all => format!("{size} (virtual {})", human_size(all)),
        },
    );
    row.set_labels(container.get("Labels").and_then(Value::as_object));
    row.set("Mounts", mounts(container));
    row.set("LocalVolumes", "0");
    row.set("Networks", networks(container));
    row
}

fn image(container: &Value, whole: bool) -> String {
    match text(container, "Image") {
        "" => "<no image>".to_owned(),
        id if !whole && id.starts_with("sha256:") => truncated_id(id),
        name => name.to_owned(),
    }
}

fn command(command: &str, whole: bool) -> String {
    let shown = if !whole && command.chars().count() > COMMAND_WIDTH {
        let head: String = command.chars().take(COMMAND_WIDTH - 1).collect();
        format!("{head}…")
    } else {
        command.to_owned()
    };
    format!("{shown:?}")
}

/// Names without their slash; those with a second slash are links of other containers.
fn names(container: &Value) -> String {
    let names = container.get("Names").and_then(Value::as_array);
    let names: Vec<_> = names
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|name| name.strip_prefix('/').unwrap_or(name))
        .filter(|name| !name.contains('/'))
        .collect();
    names.join(",")
}

fn ports(container: &Value) -> String {
    let ports = container.get("Ports").and_then(Value::as_array);
    let ports: Vec<_> = ports
        .into_iter()
        .flatten()
        .map(|port| {
            let number = |key| port.get(key).and_then(Value::as_u64).unwrap_or(0);
            let private = format!("{}/{}", number("PrivatePort"), text(port, "Type"));
            match number("PublicPort") {
                0 => private,
                public if text(port, "IP").contains(':') => {
                    format!("[{}]:{public}->{private}", text(port, "IP"))
                }
                public => format!("{}:{public}->{private}", text(port, "IP")),
            }
        })
        .collect();
    ports.join(", ")
}

fn mounts(container: &Value) -> String {
    let mounts = container.get("Mounts").and_then(Value::as_array);
    let mounts: Vec<_> = mounts
        .into_iter()
        .flatten()
        .map(|mount| match text(mount, "Name") {
            "" => text(mount, "Source"),
            name => name,
        })
        .collect();
    mounts.join(",")
}

fn networks(container: &Value) -> String {
    let networks = container
        .pointer("/NetworkSettings/Networks")
        .and_then(Value::as_object);
    let names: Vec<_> = networks
        .into_iter()
        .flat_map(|networks| networks.keys().map(String::as_str))
        .collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn commands_are_cut_and_quoted() {
        assert_eq!(command("sh", false), "\"sh\"");
        assert_eq!(
            command("nginx -g 'daemon off;'", false),
            "\"nginx -g 'daemon of…\""
        );
        assert_eq!(command("sh -c \"x\"", true), r#""sh -c \"x\"""#);
    }

    #[test]
    fn names_and_ports() {
        let container = json!({
            "Names": ["/web", "/other/alias"],
            "Ports": [
                {"PrivatePort": 80, "Type": "tcp"},
                {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            ],
        });
        assert_eq!(names(&container), "web");
        assert_eq!(ports(&container), "80/tcp, 0.0.0.0:8080->80/tcp");
    }
}
