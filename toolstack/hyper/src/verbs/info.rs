//! `hyper info`

use std::fmt::Write;

use anyhow::Result;
use serde_json::Value;

use super::{strings, text};
use crate::client::Client;
use crate::output;
use crate::output::complain;
use crate::target::Target;
use crate::template::Template;
use crate::units::human_memory;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format output using a custom template: 'json' or a Go template
    #[arg(short, long, value_name = "STRING")]
    format: Option<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let info = client.get(Target::api("info")).await?;
    let shown = match args.format.as_deref() {
        None => render(&info, client.host()),
        Some("json") => info.to_string(),
        Some(format) => Template::parse(format)?.render(&info)?,
    };
    output::line(&shown)?;
    for warning in strings(&info, "Warnings") {
        complain!("{warning}");
    }
    Ok(0)
}

/// What the daemon does not tell is left out.
fn render(info: &Value, host: &str) -> String {
    let mut out = format!(
        "Client:\n Version:    {}\n Host:       {host}\n\nServer:\n",
        env!("CARGO_PKG_VERSION")
    );
    // Writing to a String cannot fail.
    let mut line = |indent: &str, key: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "{indent}{key}: {value}");
        }
    };
    let number = |key: &str| info.get(key).and_then(Value::as_i64);
    let count = |key: &str| number(key).map(|n| n.to_string()).unwrap_or_default();
    line(" ", "Containers", &count("Containers"));
    line("  ", "Running", &count("ContainersRunning"));
    line("  ", "Paused", &count("ContainersPaused"));
    line("  ", "Stopped", &count("ContainersStopped"));
    line(" ", "Images", &count("Images"));
    line(" ", "Server Version", text(info, "ServerVersion"));
    line(" ", "Storage Driver", text(info, "Driver"));
    let status = info.get("DriverStatus").and_then(Value::as_array);
    for pair in status.into_iter().flatten() {
        let part = |at: usize| pair.get(at).and_then(Value::as_str).unwrap_or_default();
        line("  ", part(0), part(1));
    }
    line(" ", "Logging Driver", text(info, "LoggingDriver"));
    line(" ", "Default Runtime", text(info, "DefaultRuntime"));
    line(
        " ",
        "Security Options",
        &strings(info, "SecurityOptions").join(" "),
    );
    line(" ", "Kernel Version", text(info, "KernelVersion"));
    line(" ", "Operating System", text(info, "OperatingSystem"));
    line(" ", "OSType", text(info, "OSType"));
    line(" ", "Architecture", text(info, "Architecture"));
    line(" ", "CPUs", &count("NCPU"));
    line(
        " ",
        "Total Memory",
        &number("MemTotal").map(human_memory).unwrap_or_default(),
    );
    line(" ", "Name", text(info, "Name"));
    line(" ", "ID", text(info, "ID"));
    line(" ", "Docker Root Dir", text(info, "DockerRootDir"));
    line(" ", "Labels", &strings(info, "Labels").join(" "));
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_told() {
        let info = serde_json::json!({
            "Containers": 3, "NCPU": 2, "MemTotal": 1i64 << 30, "Driver": "erofs",
            "DriverStatus": [["Xen Version", "4.20.0"]],
        });
        let text = render(&info, "unix:///x");
        assert!(text.ends_with(
            "Server:\n Containers: 3\n Storage Driver: erofs\n  Xen Version: 4.20.0\n CPUs: 2\n Total Memory: 1GiB"
        ));
    }
}
