//! Ports of a container that are published, and the host's that stand for them.

use super::spec::{Endpoint, PortBinding};
use crate::error::{Error, ErrorKind};
use crate::spec::Config;
use network::{HeldPort, PortKey, Published};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// More at once is a mistake.
const MAX_PORTS: usize = 1 << 16;

/// Ports that a container offers, of its image and of its own.
pub fn exposed(config: &Config) -> Vec<PortKey> {
    let named = config
        .exposed_ports
        .iter()
        .chain(config.host.port_bindings.keys());
    let mut ports: Vec<_> = named
        .flat_map(|text| PortKey::parse_range(text).unwrap_or_default())
        .collect();
    ports.sort();
    ports.dedup();
    ports
}

/// What is to be published where.
pub fn wanted(config: &Config) -> BTreeMap<PortKey, Vec<PortBinding>> {
    let mut wanted: BTreeMap<PortKey, Vec<PortBinding>> = BTreeMap::new();
    for (port, bindings) in &config.host.port_bindings {
        if let Ok(port) = port.parse() {
            wanted.entry(port).or_default().extend(bindings.iter().cloned());
        }
    }
    if config.host.publish_all_ports {
        for port in exposed(config) {
            let bindings = wanted.entry(port).or_default();
            if bindings.is_empty() {
                bindings.push(PortBinding::default());
            }
        }
    }
    wanted.retain(|_, bindings| !bindings.is_empty());
    wanted
}

pub fn check(config: &Config) -> Result<(), Error> {
    let bindings = config.host.port_bindings.iter();
    for (port, _) in bindings {
        port.parse::<PortKey>()
            .map_err(|error| Error::invalid(error.to_string()))?;
    }
    for port in &config.exposed_ports {
        PortKey::parse_range(port).map_err(|error| Error::invalid(error.to_string()))?;
    }
    let all: usize = wanted(config).values().map(Vec::len).sum();
    match all > MAX_PORTS {
        true => Err(Error::invalid(format!("{all} published ports are too many"))),
        false => Ok(()),
    }
}

/// Whether it is this one that keeps others from a published port.
pub fn is_held(published: &Published, held: &HeldPort) -> bool {
    published.protocol == held.protocol && published.host == SocketAddr::new(held.address, held.port)
}

/// Whether something wants this port there.
fn is_wanted(published: &Published, port: PortKey, binding: &PortBinding, host: IpAddr) -> bool {
    let last = binding.last.max(binding.first);
    (published.protocol, published.guest.port(), published.host.ip()) == (port.protocol, port.port, host)
        && (last == 0 || (binding.first..=last).contains(&published.host.port()))
}

/// Takes the host's ports for a container on these networks, but those that it has. Its first that is open gets what comes.
pub fn take(
    name: &str,
    config: &Config,
    endpoints: &[Endpoint],
    has: &[Published],
    others: &[Published],
) -> Result<(Vec<HeldPort>, Vec<Published>), Error> {
    let mut has = has.to_vec();
    let (mut held, mut published) = (Vec::new(), Vec::new());
    let open = || endpoints.iter().filter(|endpoint| !endpoint.internal);
    let v4 = open().find_map(Endpoint::v4).map(|net| net.addr());
    let v6 = open().find_map(Endpoint::v6).map(|net| net.addr());
    for (port, bindings) in wanted(config) {
        for mut binding in bindings {
            let mut known = false;
            let mut targets = Vec::new();
            let any = [
                IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            ];
            for host in binding.host_ip.map_or(any.to_vec(), |address| vec![address]) {
                if let Some(at) = has.iter().position(|had| is_wanted(had, port, &binding, host)) {
                    let number = has.swap_remove(at).host.port();
                    (known, binding.first, binding.last) = (true, number, number);
                    continue;
                }
                let guest = if host.is_ipv4() { v4 } else { v6 };
                targets.extend(guest.map(|guest| (host, SocketAddr::new(guest, port.port))));
            }
            if !known
                && targets.is_empty()
                && v4.is_some()
                && binding.host_ip.is_some_and(|address| address.is_ipv6())
            {
                return Err(Error::invalid(format!(
                    "port {port} cannot be published at an IPv6 address: none of the container's networks has IPv6"
                )));
            }
            let got = first_free(name, port, &binding, &targets, others)?;
            for (one, (_, guest)) in got.iter().zip(&targets) {
                published.push(Published {
                    protocol: port.protocol,
                    host: SocketAddr::new(one.address, one.port),
                    guest: *guest,
                });
            }
            held.extend(got);
        }
    }
    Ok((held, published))
}

/// The same port at all addresses.
fn first_free(
    name: &str,
    port: PortKey,
    binding: &PortBinding,
    targets: &[(IpAddr, SocketAddr)],
    others: &[Published],
) -> Result<Vec<HeldPort>, Error> {
    let mut refused = None;
    for wanted in binding.first..=binding.last.max(binding.first) {
        match at_all(port, wanted, targets, others) {
            Ok(held) => return Ok(held),
            Err(why) => refused = Some(why),
        }
    }
    let why = refused.unwrap_or_default();
    Err(Error::new(
        ErrorKind::Failed,
        format!(
            "failed to set up container networking: driver failed programming external connectivity on endpoint {name}: {why}"
        ),
    ))
}

fn at_all(
    port: PortKey,
    wanted: u16,
    targets: &[(IpAddr, SocketAddr)],
    others: &[Published],
) -> Result<Vec<HeldPort>, String> {
    let mut held: Vec<HeldPort> = Vec::new();
    for (address, guest) in targets {
        let wanted = held.first().map_or(wanted, |first| first.port);
        let shown = SocketAddr::new(*address, wanted);
        let taken = HeldPort::take(*address, wanted, port.protocol).map_err(|error| {
            let ours = others.iter().any(|other| {
                let (ip, all) = (
                    other.host.ip(),
                    other.host.ip().is_unspecified() || address.is_unspecified(),
                );
                other.protocol == port.protocol
                    && other.host.port() == wanted
                    && ip.is_ipv4() == address.is_ipv4()
                    && (all || ip == *address)
            });
            match error.kind() {
                std::io::ErrorKind::AddrInUse if ours => {
                    format!("Bind for {shown} failed: port is already allocated")
                }
                std::io::ErrorKind::AddrInUse => {
                    format!(
                        "failed to bind host port for {shown}:{guest}/{}: address already in use",
                        port.protocol
                    )
                }
                _ => format!(
                    "failed to bind host port for {shown}:{guest}/{}: {error}",
                    port.protocol
                ),
            }
        })?;
        held.push(taken);
    }
    Ok(held)
}

/// The same ports on the networks that a container has now.
pub fn lead_to(published: &[Published], endpoints: &[Endpoint]) -> Vec<Published> {
    let open = || endpoints.iter().filter(|endpoint| !endpoint.internal);
    let still =
        |address: IpAddr| open().any(|endpoint| endpoint.addresses.iter().any(|net| net.addr() == address));
    let lead = |published: &Published| {
        let guest = published.guest.ip();
        let first = |v4: bool| {
            if v4 {
                open().find_map(Endpoint::v4)
            } else {
                open().find_map(Endpoint::v6)
            }
        };
        let to = if still(guest) {
            guest
        } else {
            first(guest.is_ipv4())?.addr()
        };
        Some(Published {
            guest: SocketAddr::new(to, published.guest.port()),
            ..*published
        })
    };
    published.iter().filter_map(lead).collect()
}

/// Takes ports again that a guest that runs has had. What somebody else has meanwhile is theirs, and told.
pub fn take_again(published: &[Published]) -> Vec<HeldPort> {
    let take = |published: &Published| {
        HeldPort::take(published.host.ip(), published.host.port(), published.protocol)
            .inspect_err(|error| tracing::error!(port = %published.host, %error, "a published port is somebody else's too"))
            .ok()
    };
    published.iter().filter_map(take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use network::Protocol;

    fn config(port: &str, binding: PortBinding) -> Config {
        let mut config = Config::default();
        config.host.port_bindings.insert(port.to_owned(), vec![binding]);
        config
    }

    fn loopback(first: u16, last: u16) -> PortBinding {
        PortBinding {
            host_ip: Some(Ipv4Addr::LOCALHOST.into()),
            first,
            last,
        }
    }

    #[test]
    fn a_port_leads_to_the_first_open_network() {
        let endpoints = [
            Endpoint::sample("n", "10.1.0.2/24", true),
            Endpoint::sample("n", "10.2.0.2/24", false),
        ];
        let (held, published) = take("web", &config("80/tcp", loopback(0, 0)), &endpoints, &[], &[]).unwrap();
        assert_eq!(published[0].guest, "10.2.0.2:80".parse().unwrap());
        assert_eq!(published[0].host.port(), held[0].port);
        assert_eq!(published[0].protocol, Protocol::Tcp);
    }

    #[test]
    fn what_is_taken_is_told_in_dockers_words() {
        let endpoints = [Endpoint::sample("n", "10.2.0.2/24", false)];
        let (held, published) = take("web", &config("80/udp", loopback(0, 0)), &endpoints, &[], &[]).unwrap();
        let again = config("80/udp", loopback(held[0].port, held[0].port));
        let error = take("other", &again, &endpoints, &[], &published)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!(
                "Bind for 127.0.0.1:{} failed: port is already allocated",
                held[0].port
            )),
            "{error}"
        );
        let error = take("other", &again, &endpoints, &[], &[])
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("address already in use"), "{error}");
        if held[0].port < u16::MAX {
            let range = config("80/udp", loopback(held[0].port, u16::MAX));
            assert!(take("other", &range, &endpoints, &[], &published).unwrap().0[0].port > held[0].port);
        }
    }

    #[test]
    fn all_that_is_exposed_is_published() {
        let mut config = Config {
            exposed_ports: vec!["80/tcp".to_owned(), "5000-5001/udp".to_owned()],
            ..Config::default()
        };
        assert!(wanted(&config).is_empty());
        config.host.publish_all_ports = true;
        let ports: Vec<_> = wanted(&config).keys().map(PortKey::to_string).collect();
        assert_eq!(ports, ["80/tcp", "5000/udp", "5001/udp"]);
        assert!(check(&config).is_ok());
        config.exposed_ports.push("x".to_owned());
        assert!(check(&config).is_err());
    }
}
