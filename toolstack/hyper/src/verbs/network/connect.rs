//! `hyper network connect` and `disconnect`

use anyhow::Result;
use bollard::models::{
    EndpointIpamConfig, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest,
};

use super::target;
use crate::client::Client;
use crate::options::values::key_value;

#[derive(Debug, clap::Args)]
pub struct ConnectArgs {
    /// Add network-scoped alias for the container
    #[arg(long, value_name = "STRING")]
    alias: Vec<String>,
    /// Driver options for the network
    #[arg(long, value_name = "STRING", value_parser = key_value)]
    driver_opt: Vec<String>,
    /// IPv4 address (e.g., "172.30.100.104")
    #[arg(long, value_name = "IP")]
    ip: Option<String>,
    /// IPv6 address (e.g., "2001:db8::33")
    #[arg(long, value_name = "IP")]
    ip6: Option<String>,
    /// Add link to another container
    #[arg(long, value_name = "LIST")]
    link: Vec<String>,
    /// Network to connect to
    #[arg(value_name = "NETWORK")]
    network: String,
    /// Container to connect
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub async fn connect(client: &Client, args: ConnectArgs) -> Result<i32> {
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let options = args.driver_opt.iter().filter_map(|text| text.split_once('='));
    let settings = EndpointSettings {
        aliases: some(args.alias),
        links: some(args.link),
        driver_opts: Some(
            options
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        ),
        ipam_config: (args.ip.is_some() || args.ip6.is_some()).then_some(EndpointIpamConfig {
            ipv4_address: args.ip,
            ipv6_address: args.ip6,
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    };
    let body = NetworkConnectRequest {
        container: args.container,
        endpoint_config: Some(settings),
    };
    client
        .post_body(target(&args.network).push("connect"), &body)
        .await?;
    Ok(0)
}

#[derive(Debug, clap::Args)]
pub struct DisconnectArgs {
    /// Force the container to disconnect from a network
    #[arg(short, long)]
    force: bool,
    /// Network to leave
    #[arg(value_name = "NETWORK")]
    network: String,
    /// Container that leaves
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub async fn disconnect(client: &Client, args: DisconnectArgs) -> Result<i32> {
    let body = NetworkDisconnectRequest {
        container: args.container,
        force: Some(args.force),
    };
    client
        .post_body(target(&args.network).push("disconnect"), &body)
        .await?;
    Ok(0)
}
