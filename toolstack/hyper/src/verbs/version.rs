//! `hyper version`

use std::fmt::Write;

use anyhow::Result;
use serde_json::{Value, json};

use super::text;
use crate::client::Client;
use crate::output;
use crate::target::{API_VERSION, Target};
use crate::template::Template;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format output using a custom template: 'json' or a Go template
    #[arg(short, long, value_name = "STRING")]
    format: Option<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    // Our own half is told even when nobody answers.
    let (server, error) = match client.get(Target::api("version")).await {
        Ok(server) => (server, None),
        Err(error) => (Value::Null, Some(error)),
    };
    let ours = json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "ApiVersion": API_VERSION,
        "DefaultAPIVersion": API_VERSION,
        "Os": std::env::consts::OS,
        "Arch": go_arch(),
        "Host": client.host(),
    });
    let both = json!({"Client": ours, "Server": server});
    let shown = match args.format.as_deref() {
        None => render(&both),
        Some("json") => both.to_string(),
        Some(format) => Template::parse(format)?.render(&both)?,
    };
    output::line(&shown)?;
    error.map_or(Ok(0), Err)
}

/// Go's name of our architecture, as everywhere in the API.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn render(both: &Value) -> String {
    let mut out = String::new();
    let client = &both["Client"];
    section(
        &mut out,
        "Client:",
        "",
        &[
            ("Version", text(client, "Version").to_owned()),
            ("API version", text(client, "ApiVersion").to_owned()),
            ("OS/Arch", platform(client)),
            ("Host", text(client, "Host").to_owned()),
        ],
    );
    let server = &both["Server"];
    if server.is_null() {
        return out.trim_end().to_owned();
    }
    let title = match server.pointer("/Platform/Name").and_then(Value::as_str) {
        Some(name) if !name.is_empty() => format!("\nServer: {name}"),
        _ => "\nServer:".to_owned(),
    };
    let _ = writeln!(out, "{title}");
    let versions = format!(
        "{} (minimum version {})",
        text(server, "ApiVersion"),
        text(server, "MinAPIVersion")
    );
    section(
        &mut out,
        " Engine:",
        " ",
        &[
            ("Version", text(server, "Version").to_owned()),
            ("API version", versions),
            ("Git commit", text(server, "GitCommit").to_owned()),
            ("Built", text(server, "BuildTime").to_owned()),
            ("OS/Arch", platform(server)),
            ("Kernel", text(server, "KernelVersion").to_owned()),
        ],
    );
    let components = server.get("Components").and_then(Value::as_array);
    for component in components.into_iter().flatten() {
        let name = text(component, "Name");
        // Docker's own name for what stands above.
        if name == "Engine" {
            continue;
        }
        let mut lines = vec![("Version", text(component, "Version").to_owned())];
        let details = component.get("Details").and_then(Value::as_object);
        for (key, value) in details.into_iter().flatten() {
            lines.push((key, value.as_str().unwrap_or_default().to_owned()));
        }
        section(&mut out, &format!(" {name}:"), " ", &lines);
    }
    out.trim_end().to_owned()
}

fn platform(of: &Value) -> String {
    format!("{}/{}", text(of, "Os"), text(of, "Arch"))
}

fn section(out: &mut String, title: &str, indent: &str, lines: &[(&str, String)]) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{title}");
    for (key, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "{indent} {:<18}{value}", format!("{key}:"));
    }
}
