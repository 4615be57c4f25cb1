//! Published ports, as clients ask for them and as they are shown.

use super::body;
use crate::error::ApiError;
use engine::network::{PortBinding, PortKey, Published};
use engine::{Config, State};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// `HostConfig.PortBindings`
pub fn bindings(
    wanted: BTreeMap<String, Option<Vec<body::PortBinding>>>,
) -> Result<BTreeMap<String, Vec<PortBinding>>, ApiError> {
    let mut bindings: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for (port, hosts) in wanted {
        let port: PortKey = port
            .parse()
            .map_err(|error| ApiError::invalid(format!("{error}")))?;
        let hosts = hosts.unwrap_or_default().into_iter().map(binding);
        bindings
            .entry(port.to_string())
            .or_default()
            .extend(hosts.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(bindings)
}

fn binding(wanted: body::PortBinding) -> Result<PortBinding, ApiError> {
    let text = wanted.host_port.unwrap_or_default();
    let bad = || ApiError::invalid(format!("invalid port specification: {text:?}"));
    let number = |text: &str| text.parse::<u16>().map_err(|_| bad());
    let (first, last) = match text.split_once('-') {
        None if text.is_empty() => (0, 0),
        None => (number(&text)?, number(&text)?),
        Some((first, last)) => (number(first)?, number(last)?),
    };
    if first > last {
        return Err(bad());
    }
    Ok(PortBinding {
        host_ip: super::create::parse("host IP address", wanted.host_ip.as_deref())?,
        first,
        last,
    })
}

/// The same again.
pub fn bindings_json(bindings: &BTreeMap<String, Vec<PortBinding>>) -> Value {
    let shown = bindings.iter().map(|(port, hosts)| {
        let hosts: Vec<_> = hosts
            .iter()
            .map(|host| {
                let text = match (host.first, host.last) {
                    (0, _) => String::new(),
                    (first, last) if first == last => first.to_string(),
                    (first, last) => format!("{first}-{last}"),
                };
                json!({ "HostIp": host.host_ip.map_or_else(String::new, |ip| ip.to_string()), "HostPort": text })
            })
            .collect();
        (port.clone(), json!(hosts))
    });
    shown.collect::<Map<_, _>>().into()
}

fn key(published: &Published) -> PortKey {
    PortKey {
        port: published.guest.port(),
        protocol: published.protocol,
    }
}

/// Ports of a container that runs, and where they are published.
fn all(config: &Config, state: &State) -> BTreeMap<PortKey, Vec<(IpAddr, u16)>> {
    let mut ports: BTreeMap<PortKey, Vec<(IpAddr, u16)>> = BTreeMap::new();
    if !state.status.is_up() {
        return ports;
    }
    for text in &config.exposed_ports {
        for port in PortKey::parse_range(text).unwrap_or_default() {
            ports.entry(port).or_default();
        }
    }
    for published in &state.published {
        let host = (published.host.ip(), published.host.port());
        ports.entry(key(published)).or_default().push(host);
    }
    ports
}

/// `NetworkSettings.Ports`
pub fn settings_json(config: &Config, state: &State) -> Value {
    let shown = all(config, state).into_iter().map(|(port, hosts)| {
        let hosts: Vec<_> = hosts
            .into_iter()
            .map(|(ip, port)| json!({ "HostIp": ip.to_string(), "HostPort": port.to_string() }))
            .collect();
        (
            port.to_string(),
            if hosts.is_empty() {
                Value::Null
            } else {
                json!(hosts)
            },
        )
    });
    shown.collect::<Map<_, _>>().into()
}

/// `Ports` of a list.
pub fn list_json(config: &Config, state: &State) -> Value {
    let mut shown = Vec::new();
    for (port, hosts) in all(config, state) {
        let (private, kind) = (port.port, port.protocol.to_string());
        if hosts.is_empty() {
            shown.push(json!({ "PrivatePort": private, "Type": kind }));
        }
        for (ip, public) in hosts {
            shown.push(
                json!({ "IP": ip.to_string(), "PrivatePort": private, "PublicPort": public, "Type": kind }),
            );
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Status;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<BTreeMap<String, Vec<PortBinding>>, ApiError> {
        bindings(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn bindings_are_read_and_shown_again() {
        let text = r#"{"80/tcp":[{"HostIp":"","HostPort":"8080"}],"53/udp":[{"HostIp":"127.0.0.1","HostPort":""}],"9/tcp":[{"HostIp":"","HostPort":"10-20"}]}"#;
        let shown = bindings_json(&read(text).unwrap());
        assert_eq!(shown, serde_json::from_str::<Value>(text).unwrap());
        assert!(read(r#"{"80":null}"#).unwrap()["80/tcp"].is_empty());
        for bad in [
            r#"{"80/tcp":[{"HostPort":"x"}]}"#,
            r#"{"80/icmp":[]}"#,
            r#"{"80/tcp":[{"HostPort":"9-8"}]}"#,
            r#"{"80/tcp":[{"HostIp":"x"}]}"#,
        ] {
            assert_eq!(read(bad).unwrap_err().status.as_u16(), 400, "{bad}");
        }
    }

    #[test]
    fn ports_are_shown_while_it_runs() {
        let config = Config {
            exposed_ports: vec!["80/tcp".to_owned(), "81/tcp".to_owned()],
            ..Config::default()
        };
        let mut state = State {
            status: Status::Running,
            published: vec![Published {
                protocol: engine::network::Protocol::Tcp,
                host: "0.0.0.0:8080".parse().unwrap(),
                guest: "10.0.0.2:80".parse().unwrap(),
            }],
            ..State::default()
        };
        assert_eq!(
            settings_json(&config, &state),
            json!({ "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8080" }], "81/tcp": null })
        );
        assert_eq!(
            list_json(&config, &state)[0],
            json!({ "IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" })
        );
        state.status = Status::Exited;
        assert_eq!(settings_json(&config, &state), json!({}));
    }

    proptest! {
        #[test]
        fn any_port_is_read_or_refused(port in ".{0,12}", host in ".{0,12}") {
            let _ = bindings(BTreeMap::from([(port, Some(vec![body::PortBinding { host_ip: None, host_port: Some(host) }]))]));
        }
    }
}
