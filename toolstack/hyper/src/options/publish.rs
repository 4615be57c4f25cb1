//! `-p`, `--expose`, `--network` and what belongs to them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use anyhow::{Result, bail};
use bollard::models::{EndpointIpamConfig, EndpointSettings, NetworkingConfig, PortBinding};

/// `[[IP:][HOST-PORT]:]PORT[/PROTOCOL]`, where ports may be ranges.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    pub ports: Vec<(String, PortBinding)>,
}

fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<u16>().ok())
            .flatten()
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    (first <= last).then_some((first, last))
}

fn protocol(text: &str) -> Result<(&str, String), String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match protocol.to_ascii_lowercase().as_str() {
        known @ ("tcp" | "udp" | "sctp") => Ok((ports, known.to_owned())),
        _ => Err(format!("invalid proto: {protocol}")),
    }
}

/// The address, which in brackets may have colons, the host's port and the container's.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let (rest, port) = match text.rsplit_once(':') {
        None => return Some(("", "", text)),
        Some(parts) => parts,
    };
    let (address, host) = match rest.rsplit_once(':') {
        None => ("", rest),
        Some(parts) => parts,
    };
    match address.strip_prefix('[') {
        Some(inner) => Some((inner.strip_suffix(']')?, host, port)),
        None if address.contains(':') => None,
        None => Some((address, host, port)),
    }
}

pub fn publish(text: &str) -> Result<Publish, String> {
    let bad = || format!("invalid publish specification: {text}");
    let (ports, protocol) = protocol(text)?;
    let (address, host, port) = parts(ports).ok_or_else(bad)?;
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {address}"));
    }
    let (first, last) = range(port)
        .filter(|(first, _)| *first > 0)
        .ok_or_else(|| format!("invalid containerPort: {port}"))?;
    let hosts = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?),
    };
    let count = last - first;
    let host_of = |at: u16| match hosts {
        None => Ok(String::new()),
        Some((from, to)) if to - from == count => Ok((from + at).to_string()),
        // Any of them.
        Some((from, to)) if count == 0 => Ok(format!("{from}-{to}")),
        Some(_) => Err(format!(
            "invalid ranges specified for container and host Ports: {port} and {host}"
        )),
    };
    let ports = (0..=count).map(|at| {
        let binding = PortBinding {
            host_ip: Some(address.to_owned()),
            host_port: Some(host_of(at)?),
        };
        Ok((format!("{}/{protocol}", first + at), binding))
    });
    Ok(Publish {
        ports: ports.collect::<Result<_, String>>()?,
    })
}

/// `80`, `80-90/udp`
pub fn expose(text: &str) -> Result<String, String> {
    let (ports, protocol) = protocol(text)?;
    match range(ports) {
        Some((first, _)) if first > 0 => Ok(format!("{ports}/{protocol}")),
        _ => Err(format!("invalid range format for --expose: {text}")),
    }
}

/// A network by its name, or `name=…,alias=…,ip=…`.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub name: String,
    pub settings: EndpointSettings,
}

pub fn network(text: &str) -> Result<Network, String> {
    if !text.contains('=') {
        return Ok(Network {
            name: text.to_owned(),
            settings: EndpointSettings::default(),
        });
    }
    let mut network = Network {
        name: String::new(),
        settings: EndpointSettings::default(),
    };
    for field in text.split(',') {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| format!("invalid field {field:?}"))?;
        let (settings, value) = (&mut network.settings, value.to_owned());
        let ipam = |settings: &mut EndpointSettings| settings.ipam_config.take().unwrap_or_default();
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => network.name = value,
            "alias" => settings.aliases.get_or_insert_default().push(value),
            "ip" => {
                settings.ipam_config = Some(EndpointIpamConfig {
                    ipv4_address: Some(value),
                    ..ipam(settings)
                });
            }
            "ip6" => {
                settings.ipam_config = Some(EndpointIpamConfig {
                    ipv6_address: Some(value),
                    ..ipam(settings)
                });
            }
            "mac-address" => settings.mac_address = Some(value),
            "driver-opt" => {
                let (key, value) = value
                    .split_once('=')
                    .ok_or_else(|| format!("invalid key value pair {value:?}"))?;
                settings
                    .driver_opts
                    .get_or_insert_default()
                    .insert(key.to_owned(), value.to_owned());
            }
            _ => return Err(format!("invalid field key {key}")),
        }
    }
    match network.name.is_empty() {
        true => Err("network name/id is not specified".to_owned()),
        false => Ok(network),
    }
}

/// Flags that belong to the only network, or to the first.
#[derive(Debug, Default)]
pub struct OfFirst<'a> {
    pub aliases: &'a [String],
    pub ip: Option<&'a str>,
    pub ip6: Option<&'a str>,
    pub mac: Option<&'a str>,
    pub links: &'a [String],
}

impl OfFirst<'_> {
    fn any(&self) -> bool {
        !self.aliases.is_empty()
            || self.ip.is_some()
            || self.ip6.is_some()
            || self.mac.is_some()
            || !self.links.is_empty()
    }
}

/// The mode, and the settings of each network.
pub fn networking(
    networks: &[Network],
    of_first: &OfFirst<'_>,
) -> Result<(String, Option<NetworkingConfig>)> {
    let mode = networks
        .first()
        .map_or_else(|| "default".to_owned(), |network| network.name.clone());
    let user_defined =
        !["default", "bridge", "none", "host"].contains(&mode.as_str()) && !mode.starts_with("container:");
    if !of_first.aliases.is_empty() && !user_defined {
        bail!("network-scoped aliases are only supported for user-defined networks");
    }
    let mut endpoints = HashMap::new();
    for (at, network) in networks.iter().enumerate() {
        let mut settings = network.settings.clone();
        if at == 0 {
            settings.aliases = with(settings.aliases, of_first.aliases);
            if user_defined {
                settings.links = with(settings.links, of_first.links);
            }
            settings.mac_address = of_first.mac.map(str::to_owned).or(settings.mac_address);
            if of_first.ip.is_some() || of_first.ip6.is_some() {
                settings.ipam_config = Some(EndpointIpamConfig {
                    ipv4_address: of_first.ip.map(str::to_owned),
                    ipv6_address: of_first.ip6.map(str::to_owned),
                    ..EndpointIpamConfig::default()
                });
            }
        }
        if endpoints.insert(network.name.clone(), settings).is_some() {
            bail!("network {:?} is specified multiple times", network.name);
        }
    }
    if networks.is_empty() && of_first.any() {
        let settings = EndpointSettings {
            mac_address: of_first.mac.map(str::to_owned),
            ipam_config: (of_first.ip.is_some() || of_first.ip6.is_some()).then(|| EndpointIpamConfig {
                ipv4_address: of_first.ip.map(str::to_owned),
                ipv6_address: of_first.ip6.map(str::to_owned),
                ..EndpointIpamConfig::default()
            }),
            ..EndpointSettings::default()
        };
        endpoints.insert(mode.clone(), settings);
    }
    let config = (!endpoints.is_empty()).then_some(NetworkingConfig {
        endpoints_config: Some(endpoints),
    });
    Ok((mode, config))
}

fn with(list: Option<Vec<String>>, more: &[String]) -> Option<Vec<String>> {
    let mut list = list.unwrap_or_default();
    list.extend_from_slice(more);
    (!list.is_empty()).then_some(list)
}

/// By port, each with all its places in the host.
pub fn bindings(published: &[Publish]) -> Option<HashMap<String, Option<Vec<PortBinding>>>> {
    let mut bindings: BTreeMap<&str, Vec<PortBinding>> = BTreeMap::new();
    for (port, binding) in published.iter().flat_map(|publish| &publish.ports) {
        bindings.entry(port).or_default().push(binding.clone());
    }
    let bindings: HashMap<_, _> = bindings
        .into_iter()
        .map(|(port, hosts)| (port.to_owned(), Some(hosts)))
        .collect();
    (!bindings.is_empty()).then_some(bindings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Result<Vec<String>, String> {
        let show = |(port, binding): &(String, PortBinding)| {
            let of = |text: &Option<String>| text.clone().unwrap_or_default();
            format!("{}|{}|{port}", of(&binding.host_ip), of(&binding.host_port))
        };
        publish(text).map(|publish| publish.ports.iter().map(show).collect())
    }

    #[test]
    fn ports_are_read_as_docker_reads_them() {
        for (text, expected) in [
            ("80", "||80/tcp"),
            ("8080:80", "|8080|80/tcp"),
            ("127.0.0.1:8080:80/udp", "127.0.0.1|8080|80/udp"),
            ("127.0.0.1::80", "127.0.0.1||80/tcp"),
            ("[::1]:8080:80", "::1|8080|80/tcp"),
            ("8000-8010:80", "|8000-8010|80/tcp"),
        ] {
            assert_eq!(shown(text).unwrap(), [expected], "{text}");
        }
        assert_eq!(
            shown("8000-8001:80-81").unwrap(),
            ["|8000|80/tcp", "|8001|81/tcp"]
        );
        for bad in [
            "",
            "a",
            "1:a",
            "a:1",
            "x:1:2",
            "::1:80:80",
            "80/icmp",
            "1-2:3-9",
            "9-8",
            "0",
            "[::1:80:80",
        ] {
            assert!(publish(bad).is_err(), "{bad}");
        }
        assert_eq!(expose("80-90/UDP").unwrap(), "80-90/udp");
        assert!(expose("x").is_err());
    }

    #[test]
    fn networks_in_both_forms() {
        assert_eq!(network("front").unwrap().name, "front");
        let long = network("name=front,alias=a,alias=b,ip=10.0.0.5,mac-address=02:00:00:00:00:01").unwrap();
        assert_eq!(long.settings.aliases.unwrap(), ["a", "b"]);
        assert!(network("alias=a").is_err());
        let all = [network("front").unwrap(), network("back").unwrap()];
        let of_first = OfFirst {
            ip: Some("10.0.0.7"),
            ..OfFirst::default()
        };
        let (mode, config) = networking(&all, &of_first).unwrap();
        assert_eq!(mode, "front");
        let endpoints = config.unwrap().endpoints_config.unwrap();
        assert!(endpoints["front"].ipam_config.is_some() && endpoints["back"].ipam_config.is_none());
        let alias = ["x".to_owned()];
        assert!(
            networking(
                &[],
                &OfFirst {
                    aliases: &alias,
                    ..OfFirst::default()
                }
            )
            .is_err()
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,30}") {
            let _ = (publish(&text), expose(&text), network(&text));
        }
    }
}
