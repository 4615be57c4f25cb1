//! `hyper port`

use anyhow::{Result, bail};
use serde_json::Value;
use std::net::IpAddr;

use super::text;
use crate::client::Client;
use crate::output;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container whose ports are shown
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Only where this port is published
    #[arg(value_name = "PRIVATE_PORT[/PROTO]")]
    port: Option<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let answer = client
        .get(Target::container(&args.container).push("json"))
        .await?;
    let lines = lines(&answer, args.port.as_deref());
    if let (Some(port), true) = (&args.port, lines.is_empty()) {
        let port = if port.contains('/') {
            port.clone()
        } else {
            format!("{port}/tcp")
        };
        bail!("Error: No public port '{port}' published for {}", args.container);
    }
    for line in lines {
        output::line(&line)?;
    }
    Ok(0)
}

fn lines(container: &Value, port: Option<&str>) -> Vec<String> {
    let wanted = port.map(|port| {
        if port.contains('/') {
            port.to_owned()
        } else {
            format!("{port}/tcp")
        }
    });
    let ports = container
        .pointer("/NetworkSettings/Ports")
        .and_then(Value::as_object);
    let mut all: Vec<_> = ports.into_iter().flatten().collect();
    all.sort_by_key(|(port, _)| {
        let (number, protocol) = port.split_once('/').unwrap_or((port, ""));
        (number.parse::<u16>().unwrap_or(0), protocol.to_owned())
    });
    let mut lines = Vec::new();
    for (port, hosts) in all {
        if wanted.as_ref().is_some_and(|wanted| wanted != port) {
            continue;
        }
        let mut hosts: Vec<_> = hosts.as_array().into_iter().flatten().collect();
        hosts.sort_by_key(|host| {
            let address = text(host, "HostIp").parse::<IpAddr>().ok();
            (address, text(host, "HostPort").parse::<u16>().ok())
        });
        for host in hosts {
            let ip = text(host, "HostIp");
            let ip = if ip.contains(':') {
                format!("[{ip}]")
            } else {
                ip.to_owned()
            };
            let at = format!("{ip}:{}", text(host, "HostPort"));
            lines.push(if wanted.is_some() {
                at
            } else {
                format!("{port} -> {at}")
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_are_listed_in_order() {
        let container = json!({ "NetworkSettings": { "Ports": {
            "443/tcp": null,
            "8080/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "80" }, { "HostIp": "::", "HostPort": "80" }],
            "53/udp": [{ "HostIp": "127.0.0.1", "HostPort": "5353" }],
        } } });
        assert_eq!(
            lines(&container, None),
            [
                "53/udp -> 127.0.0.1:5353",
                "8080/tcp -> 0.0.0.0:80",
                "8080/tcp -> [::]:80"
            ]
        );
        assert_eq!(lines(&container, Some("53/udp")), ["127.0.0.1:5353"]);
        assert!(lines(&container, Some("443")).is_empty());
    }
}
