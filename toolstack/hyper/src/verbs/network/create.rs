//! `hyper network create`

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Result, bail};
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};

use crate::client::{Client, id_of};
use crate::env_file::labels;
use crate::options::values::key_value;
use crate::output;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Enable manual container attachment
    #[arg(long)]
    attachable: bool,
    /// Auxiliary IPv4 or IPv6 addresses that others have
    #[arg(long, value_name = "MAP", value_parser = key_value)]
    aux_address: Vec<String>,
    /// Driver to manage the network
    #[arg(short, long, value_name = "STRING", default_value = "bridge")]
    driver: String,
    /// IPv4 or IPv6 gateway for the subnet
    #[arg(long, value_name = "STRINGS")]
    gateway: Vec<IpAddr>,
    /// Restrict external access to the network
    #[arg(long)]
    internal: bool,
    /// Allocate container ip from a sub-range
    #[arg(long, value_name = "STRINGS")]
    ip_range: Vec<String>,
    /// IP address management driver
    #[arg(long, value_name = "STRING", default_value = "default")]
    ipam_driver: String,
    /// Enable IPv6 address assignment
    #[arg(long)]
    ipv6: bool,
    /// Set metadata on a network
    #[arg(long, value_name = "LIST")]
    label: Vec<String>,
    /// Set driver specific options
    #[arg(short, long, value_name = "MAP", value_parser = key_value)]
    opt: Vec<String>,
    /// Subnet in CIDR format that represents a network segment
    #[arg(long, value_name = "STRINGS")]
    subnet: Vec<String>,
    /// Name of the new network
    #[arg(value_name = "NETWORK")]
    name: String,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let body = body(&args)?;
    let answer = client.post_body(Target::api("networks/create"), &body).await?;
    output::line(&id_of(&answer)?)?;
    Ok(0)
}

/// Whether an address or a part of a subnet is of it.
fn inside(subnet: &str, address: &str) -> bool {
    let bits = |text: &str| -> Option<(u128, u32, u32)> {
        let (address, length) = text.split_once('/').unwrap_or((text, ""));
        Some(match address.parse().ok()? {
            IpAddr::V4(address) => (u32::from(address).into(), 32, length.parse().unwrap_or(32)),
            IpAddr::V6(address) => (address.into(), 128, length.parse().unwrap_or(128)),
        })
    };
    match (bits(subnet), bits(address)) {
        (Some((net, width, length)), Some((address, same, _))) if width == same && length <= width => {
            let shift = width - length;
            net.checked_shr(shift).unwrap_or(0) == address.checked_shr(shift).unwrap_or(0)
        }
        _ => false,
    }
}

fn body(args: &Args) -> Result<NetworkCreateRequest> {
    let mut configs: Vec<IpamConfig> = args
        .subnet
        .iter()
        .map(|subnet| IpamConfig {
            subnet: Some(subnet.clone()),
            ..IpamConfig::default()
        })
        .collect();
    let mut put = |what: &str, value: &str, set: &mut dyn FnMut(&mut IpamConfig)| {
        let of = configs
            .iter_mut()
            .find(|config| inside(config.subnet.as_deref().unwrap_or_default(), value));
        match of {
            Some(config) => {
                set(config);
                Ok(())
            }
            None => bail!("no matching subnet for {what} {value}"),
        }
    };
    for range in &args.ip_range {
        put("range", range, &mut |config| {
            config.ip_range = Some(range.clone())
        })?;
    }
    for gateway in &args.gateway {
        let gateway = gateway.to_string();
        put("gateway", &gateway, &mut |config| {
            config.gateway = Some(gateway.clone())
        })?;
    }
    for text in &args.aux_address {
        let (name, address) = text.split_once('=').unwrap_or_default();
        put("aux-address", address, &mut |config| {
            let all = config.auxiliary_addresses.get_or_insert_default();
            all.insert(name.to_owned(), address.to_owned());
        })?;
    }
    let pairs = |texts: &[String]| {
        let pairs = texts.iter().filter_map(|text| text.split_once('='));
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    Ok(NetworkCreateRequest {
        name: args.name.clone(),
        driver: Some(args.driver.clone()),
        internal: Some(args.internal),
        attachable: Some(args.attachable),
        enable_ipv6: Some(args.ipv6),
        ipam: Some(Ipam {
            driver: Some(args.ipam_driver.clone()),
            config: (!configs.is_empty()).then_some(configs),
            options: None,
        }),
        options: Some(pairs(&args.opt).into_iter().collect()),
        labels: Some(labels(&[], &args.label)?.into_iter().collect()),
        ..NetworkCreateRequest::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: Args,
    }

    fn sent(line: &str) -> Result<serde_json::Value> {
        let args = Only::try_parse_from(["create"].into_iter().chain(line.split_whitespace()))?.args;
        Ok(serde_json::to_value(body(&args)?)?)
    }

    #[test]
    fn subnets_have_what_is_in_them() {
        let body = sent(
            "--subnet 10.5.0.0/16 --subnet fd00::/64 --gateway fd00::9 --gateway 10.5.0.9 --ip-range 10.5.1.0/24 \
             --aux-address r=10.5.0.3 --internal --label a=b -o k=v net",
        )
        .unwrap();
        let first = &body["IPAM"]["Config"][0];
        assert_eq!(first["Gateway"], "10.5.0.9");
        assert_eq!(first["IPRange"], "10.5.1.0/24");
        assert_eq!(first["AuxiliaryAddresses"]["r"], "10.5.0.3");
        assert_eq!(body["IPAM"]["Config"][1]["Gateway"], "fd00::9");
        assert_eq!(
            (body["Internal"].as_bool(), body["Labels"]["a"].as_str()),
            (Some(true), Some("b"))
        );
        assert!(sent("--gateway 10.0.0.1 net").is_err());
    }
}
