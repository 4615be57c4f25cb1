//! A container's networks, as `inspect` and lists show them.

use super::ports;
use engine::Container;
use engine::network::{Endpoint, EndpointConfig, NONE};
use serde_json::{Map, Value, json};

const NO_PREFIX: u8 = 0;

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// One network: what was wanted, and what it has while it runs.
fn endpoint_json(
    name: &str,
    container: &Container,
    config: &EndpointConfig,
    has: Option<&Endpoint>,
) -> Value {
    let (v4, v6) = (has.and_then(Endpoint::v4), has.and_then(Endpoint::v6));
    let gateway = |v4: bool| {
        let gateways = has.into_iter().flat_map(|endpoint| &endpoint.gateways);
        text(
            gateways
                .filter(|gateway| gateway.is_ipv4() == v4)
                .map(ToString::to_string)
                .next(),
        )
    };
    let ipam = match (config.ipv4, config.ipv6) {
        (None, None) => Value::Null,
        (v4, v6) => {
            let mut ipam = Map::new();
            ipam.extend(v4.map(|address| ("IPv4Address".to_owned(), json!(address))));
            ipam.extend(v6.map(|address| ("IPv6Address".to_owned(), json!(address))));
            ipam.into()
        }
    };
    let list = |words: &[String]| {
        if words.is_empty() {
            Value::Null
        } else {
            json!(words)
        }
    };
    let names = match name {
        engine::network::DEFAULT => Value::Null,
        _ => json!(engine::network::names_of(container, config)),
    };
    json!({
        "IPAMConfig": ipam,
        "Links": list(&config.links),
        "Aliases": list(&config.aliases),
        "MacAddress": text(has.map(|endpoint| endpoint.mac).or(config.mac)),
        "DriverOpts": if config.driver_options.is_empty() { Value::Null } else { json!(config.driver_options) },
        "GwPriority": 0,
        "NetworkID": has.map_or(&config.network_id, |endpoint| &endpoint.network_id),
        "EndpointID": text(has.map(|endpoint| &endpoint.id)),
        "Gateway": gateway(true),
        "IPAddress": text(v4.map(|net| net.addr())),
        "IPPrefixLen": v4.map_or(NO_PREFIX, |net| net.prefix_len()),
        "IPv6Gateway": gateway(false),
        "GlobalIPv6Address": text(v6.map(|net| net.addr())),
        "GlobalIPv6PrefixLen": v6.map_or(NO_PREFIX, |net| net.prefix_len()),
        "DNSNames": names,
    })
}

/// `NetworkSettings.Networks`
pub fn networks_json(container: &Container) -> Value {
    let mut shown = Map::new();
    for (name, config) in &container.config.networks {
        let has = container
            .state
            .endpoints
            .iter()
            .find(|endpoint| endpoint.network == *name);
        shown.insert(name.clone(), endpoint_json(name, container, config, has));
    }
    if container.config.host.network_mode == NONE {
        shown.insert(
            NONE.to_owned(),
            endpoint_json(NONE, container, &EndpointConfig::default(), None),
        );
    }
    shown.into()
}

/// `NetworkSettings`
pub fn settings_json(container: &Container) -> Value {
    let networks = networks_json(container);
    // What stands beside them is of the default network.
    let nothing = json!({});
    let default = networks.get(engine::network::DEFAULT).unwrap_or(&nothing);
    let of = |key: &str| {
        default
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let number = |key: &str| default.get(key).and_then(Value::as_u64).unwrap_or_default();
    json!({
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": "",
        "Ports": ports::settings_json(&container.config, &container.state),
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": of("EndpointID"),
        "Gateway": of("Gateway"),
        "GlobalIPv6Address": of("GlobalIPv6Address"),
        "GlobalIPv6PrefixLen": number("GlobalIPv6PrefixLen"),
        "IPAddress": of("IPAddress"),
        "IPPrefixLen": number("IPPrefixLen"),
        "IPv6Gateway": of("IPv6Gateway"),
        "MacAddress": of("MacAddress"),
        "Networks": networks,
    })
}
