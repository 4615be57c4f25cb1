//! `hyper stats`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hyper::Method;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{text, truncated_id};
use crate::client::Client;
use crate::json_lines::JsonLines;
use crate::options::values::filters;
use crate::output;
use crate::table::{self, Column, Row};
use crate::target::Target;
use crate::units::{human_memory, human_size};

const COLUMNS: &[Column] = &[
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];
const SHOWN: &[&str] = &[
    "ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs",
];
/// Docker's.
const REDRAW: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "STRING")]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Containers to show; all that run when none is named
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// What a watcher of one container has to tell.
enum News {
    Sample(Value),
    /// No more comes.
    Gone,
}

pub async fn run(client: &Arc<Client>, args: Args) -> Result<i32> {
    let wanted = match args.containers.is_empty() {
        true => running(client, args.all).await?,
        false => args.containers.clone(),
    };
    if args.no_stream {
        return once(client, &args, wanted).await;
    }
    let (sender, mut news) = mpsc::channel(64);
    let mut shown: BTreeMap<usize, (String, Option<Value>)> = BTreeMap::new();
    for (number, container) in wanted.iter().enumerate() {
        watch(client, number, container.clone(), sender.clone()).await?;
        shown.insert(number, (container.clone(), None));
    }
    // Containers that come later are found by their events.
    let mut next = shown.len();
    let follows = args.containers.is_empty();
    let mut conditions = vec![("type", "container"), ("event", "start")];
    if args.all {
        conditions.push(("event", "create"));
    }
    let conditions: Vec<_> = conditions
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let mut events = match follows {
        true => {
            let target = Target::api("events").query_opt("filters", filters(&conditions));
            Some(JsonLines::new(client.stream(Method::GET, target).await?))
        }
        false => None,
    };
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        let coming = async {
            match &mut events {
                Some(events) => events.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some((number, news)) = news.recv() => match news {
                News::Sample(sample) => {
                    if let Some((_, last)) = shown.get_mut(&number) {
                        *last = Some(sample);
                    }
                }
                News::Gone => drop(shown.remove(&number)),
            },
            event = coming => {
                let Some(event) = event? else { return Ok(0) };
                let id = event.pointer("/Actor/ID").and_then(Value::as_str).unwrap_or_default().to_owned();
                let known = shown.values().any(|(container, sample)| {
                    *container == id || sample.as_ref().is_some_and(|sample| text(sample, "id") == id)
                });
                if !known && watch(client, next, id.clone(), sender.clone()).await.is_ok() {
                    shown.insert(next, (id, None));
                    next += 1;
                }
            }
            _ = redraw.tick() => {
                draw(&args, shown.values())?;
                if shown.is_empty() && !follows {
                    return Ok(0);
                }
            }
        }
    }
}

async fn running(client: &Client, all: bool) -> Result<Vec<String>> {
    let answer = client
        .get(Target::api("containers/json").flag("all", all))
        .await?;
    let list = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(list
        .iter()
        .map(|container| text(container, "Id").to_owned())
        .collect())
}

/// A container that is not there is an error now.
async fn watch(
    client: &Arc<Client>,
    number: usize,
    container: String,
    to: mpsc::Sender<(usize, News)>,
) -> Result<()> {
    let target = Target::container(&container).push("stats").query("stream", 1);
    let mut samples = JsonLines::new(client.stream(Method::GET, target).await?);
    tokio::spawn(async move {
        while let Ok(Some(sample)) = samples.next().await {
            if to.send((number, News::Sample(sample))).await.is_err() {
                return;
            }
        }
        let _ = to.send((number, News::Gone)).await;
    });
    Ok(())
}

async fn once(client: &Arc<Client>, args: &Args, wanted: Vec<String>) -> Result<i32> {
    let asked: Vec<_> = wanted
        .iter()
        .map(|container| {
            let client = Arc::clone(client);
            let target = Target::container(container).push("stats").query("stream", 0);
            tokio::spawn(async move { client.get(target).await })
        })
        .collect();
    let mut shown = Vec::new();
    for (container, asked) in wanted.into_iter().zip(asked) {
        shown.push((container, Some(asked.await??)));
    }
    let rows: Vec<_> = shown
        .iter()
        .map(|(container, sample)| row(args, container, sample.as_ref()))
        .collect();
    table::print(args.format.as_deref(), COLUMNS, SHOWN, &rows)?;
    Ok(0)
}

/// Over what was drawn before; each line clears what was there.
fn draw<'a>(args: &Args, shown: impl Iterator<Item = &'a (String, Option<Value>)>) -> Result<()> {
    let rows: Vec<_> = shown
        .map(|(container, sample)| row(args, container, sample.as_ref()))
        .collect();
    let text = table::render(args.format.as_deref(), COLUMNS, SHOWN, &rows)?;
    let lines = text.trim_end_matches('\n').replace('\n', "\x1b[K\n");
    output::line(&format!("\x1b[H{lines}\x1b[K\n\x1b[J"))
}

fn row(args: &Args, container: &str, sample: Option<&Value>) -> Row {
    let mut row = Row::default();
    row.set("Container", container);
    let Some(sample) = sample else {
        for (field, _) in &COLUMNS[1..] {
            row.set(field, "--");
        }
        return row;
    };
    let id = text(sample, "id");
    row.set(
        "ID",
        if args.no_trunc {
            id.to_owned()
        } else {
            truncated_id(id)
        },
    );
    row.set("Name", text(sample, "name").trim_start_matches('/'));
    let number = |pointer: &str| sample.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (usage, inactive) = (
        number("/memory_stats/usage"),
        number("/memory_stats/stats/inactive_file"),
    );
    // Cache that can be had back at once is none that is used.
    let used = if inactive < usage { usage - inactive } else { usage };
    let limit = number("/memory_stats/limit");
    let share = if limit == 0 {
        0.0
    } else {
        used as f64 / limit as f64 * 100.0
    };
    row.set("CPUPerc", format!("{:.2}%", cpu_percent(sample)));
    row.set("MemUsage", format!("{} / {}", memory(used), memory(limit)));
    row.set("MemPerc", format!("{share:.2}%"));
    let nics = sample.get("networks").and_then(Value::as_object);
    let net = |key: &str| -> u64 {
        nics.into_iter()
            .flatten()
            .filter_map(|(_, nic)| nic.get(key)?.as_u64())
            .sum()
    };
    row.set(
        "NetIO",
        format!("{} / {}", size(net("rx_bytes")), size(net("tx_bytes"))),
    );
    let disk = |op: &str| -> u64 {
        let entries = sample
            .pointer("/blkio_stats/io_service_bytes_recursive")
            .and_then(Value::as_array);
        let fits = |entry: &&Value| text(entry, "op").eq_ignore_ascii_case(op);
        entries
            .into_iter()
            .flatten()
            .filter(fits)
            .filter_map(|entry| entry.get("value")?.as_u64())
            .sum()
    };
    row.set(
        "BlockIO",
        format!("{} / {}", size(disk("read")), size(disk("write"))),
    );
    row.set("PIDs", number("/pids_stats/current").to_string());
    row
}

/// As docker's client reckons.
fn cpu_percent(sample: &Value) -> f64 {
    let number = |pointer: &str| sample.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0);
    let used = number("/cpu_stats/cpu_usage/total_usage") - number("/precpu_stats/cpu_usage/total_usage");
    let had = number("/cpu_stats/system_cpu_usage") - number("/precpu_stats/system_cpu_usage");
    if used > 0.0 && had > 0.0 {
        used / had * number("/cpu_stats/online_cpus") * 100.0
    } else {
        0.0
    }
}

fn memory(bytes: u64) -> String {
    human_memory(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn size(bytes: u64) -> String {
    human_size(i64::try_from(bytes).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn args() -> Args {
        Args {
            all: false,
            format: None,
            no_stream: true,
            no_trunc: false,
            containers: Vec::new(),
        }
    }

    #[test]
    fn a_sample_is_a_row() {
        let sample = json!({
            "name": "/web", "id": "0123456789abcdef",
            "cpu_stats": { "cpu_usage": { "total_usage": 1500 }, "system_cpu_usage": 4000, "online_cpus": 2 },
            "precpu_stats": { "cpu_usage": { "total_usage": 1000 }, "system_cpu_usage": 2000 },
            "memory_stats": { "usage": 3 << 20, "limit": 64 << 20, "stats": { "inactive_file": 1 << 20 } },
            "networks": { "eth0": { "rx_bytes": 1000, "tx_bytes": 2 }, "eth1": { "rx_bytes": 500 } },
            "blkio_stats": { "io_service_bytes_recursive": [{ "op": "read", "value": 7 }, { "op": "Write", "value": 2048 }] },
            "pids_stats": { "current": 4 },
        });
        let rows = [row(&args(), "web", Some(&sample))];
        let text = table::render(None, COLUMNS, SHOWN, &rows).unwrap();
        assert_eq!(
            text,
            "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O      BLOCK I/O     PIDS\n\
             0123456789ab   web       50.00%    2MiB / 64MiB        3.12%     1.5kB / 2B   7B / 2.05kB   4\n"
        );
    }

    #[test]
    fn one_that_does_not_run_is_nothing() {
        let rows = [
            row(&args(), "x", Some(&json!({ "name": "/x", "id": "ab" }))),
            row(&args(), "y", None),
        ];
        let text = table::render(
            Some("{{.CPUPerc}} {{.MemUsage}} {{.PIDs}}"),
            COLUMNS,
            SHOWN,
            &rows,
        )
        .unwrap();
        assert_eq!(text, "0.00% 0B / 0B 0\n-- -- --\n");
    }
}
