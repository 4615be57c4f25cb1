//! What a guest is told of its networks: its interfaces, and the files that say who is where.

use super::spec::Endpoint;
use crate::spec::Config;
use guest_protocol::message::{AddressSpec, InterfaceSpec};
use std::net::IpAddr;

pub fn interfaces(endpoints: &[Endpoint]) -> Vec<InterfaceSpec> {
    endpoints
        .iter()
        .map(|endpoint| InterfaceSpec {
            mac: endpoint.mac.to_string(),
            name: endpoint.interface(),
            mtu: endpoint.mtu.unwrap_or_default(),
            addresses: endpoint
                .addresses
                .iter()
                .map(|net| AddressSpec {
                    address: net.addr(),
                    prefix_len: net.prefix_len(),
                })
                .collect(),
            // A closed network leads nowhere.
            gateways: if endpoint.internal {
                Vec::new()
            } else {
                endpoint.gateways.clone()
            },
        })
        .collect()
}

/// `/etc/hosts`
pub fn hosts(config: &Config, endpoints: &[Endpoint]) -> String {
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    text.push_str(
        "fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    for entry in &config.host.extra_hosts {
        if let Some((name, address)) = entry.split_once(':').or_else(|| entry.split_once('=')) {
            let address = match address {
                "host-gateway" => match endpoints.iter().flat_map(|endpoint| &endpoint.gateways).next() {
                    Some(gateway) => gateway.to_string(),
                    None => continue,
                },
                address => address.trim_matches(['[', ']']).to_owned(),
            };
            text.push_str(&format!("{address}\t{name}\n"));
        }
    }
    let own = match config.domainname.as_str() {
        "" => config.hostname.clone(),
        domain => format!("{0}.{domain} {0}", config.hostname),
    };
    let addresses: Vec<IpAddr> = endpoints
        .iter()
        .flat_map(|endpoint| &endpoint.addresses)
        .map(|net| net.addr())
        .collect();
    if addresses.is_empty() {
        text.push_str(&format!("127.0.1.1\t{own}\n"));
    }
    for address in addresses {
        text.push_str(&format!("{address}\t{own}\n"));
    }
    text
}

/// `/etc/resolv.conf`: the host answers at its own addresses in the networks.
pub fn resolv_conf(config: &Config, endpoints: &[Endpoint]) -> String {
    let host = &config.host;
    let mut text = String::new();
    match endpoints.iter().flat_map(|endpoint| &endpoint.gateways).next() {
        Some(gateway) => text.push_str(&format!("nameserver {gateway}\n")),
        None => host
            .dns
            .iter()
            .for_each(|server| text.push_str(&format!("nameserver {server}\n"))),
    }
    if !host.dns_search.is_empty() {
        text.push_str(&format!("search {}\n", host.dns_search.join(" ")));
    }
    if !host.dns_options.is_empty() {
        text.push_str(&format!("options {}\n", host.dns_options.join(" ")));
    }
    text
}
