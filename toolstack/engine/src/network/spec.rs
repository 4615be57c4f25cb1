//! Networks as they are recorded, what a container wants of them, and what it has got.

use super::rate::Rate;
use crate::error::Error;
use chrono::{DateTime, Utc};
use network::{IpNet, Mac, Published};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of containers that ask for none.
pub const DEFAULT: &str = "bridge";
/// A loopback and nothing else.
pub const NONE: &str = "none";

/// The MTU of a network's links, as docker's drivers are told.
const MTU_OPTION: &str = "com.docker.network.driver.mtu";
pub const BRIDGE_OPTION: &str = "com.docker.network.bridge.name";
/// Nothing comes to its containers that they have not called for, or published, or been linked for.
pub const CLOSED_OPTION: &str = "hyper.closed";
pub const MASQUERADE_OPTION: &str = "com.docker.network.bridge.enable_ip_masquerade";

/// A network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    pub name: String,
    pub created_at: DateTime<Utc>,
    /// Name of its bridge in the host.
    pub bridge: String,
    pub subnets: Vec<Subnet>,
    #[serde(default)]
    pub internal: bool,
    #[serde(default)]
    pub attachable: bool,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub subnet: IpNet,
    pub gateway: IpAddr,
    /// Where addresses are taken from; everywhere in the subnet when absent.
    #[serde(default)]
    pub range: Option<IpNet>,
    /// Addresses that others have.
    #[serde(default)]
    pub auxiliary: BTreeMap<String, IpAddr>,
    /// Somebody chose it, so that containers may choose their addresses in it.
    #[serde(default)]
    pub chosen: bool,
}

impl Network {
    pub fn is_default(&self) -> bool {
        self.name == DEFAULT
    }

    pub fn has_v6(&self) -> bool {
        self.subnets.iter().any(|subnet| subnet.subnet.addr().is_ipv6())
    }

    pub fn mtu(&self) -> Option<u32> {
        self.options.get(MTU_OPTION).and_then(|text| text.parse().ok())
    }

    pub fn closed(&self) -> bool {
        self.options.get(CLOSED_OPTION).is_some_and(|text| text == "true")
    }

    /// What each guest on it may send.
    pub fn rate(&self) -> Result<Option<Rate>, Error> {
        Rate::of(&self.options)
    }

    pub fn masquerade(&self) -> bool {
        self.options
            .get(MASQUERADE_OPTION)
            .is_none_or(|text| text != "false")
    }
}

/// A network to make; what is absent is chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkRequest {
    pub name: String,
    pub subnets: Vec<SubnetRequest>,
    pub ipv6: bool,
    pub internal: bool,
    pub attachable: bool,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubnetRequest {
    pub subnet: Option<IpNet>,
    pub gateway: Option<IpAddr>,
    pub range: Option<IpNet>,
    pub auxiliary: BTreeMap<String, IpAddr>,
}

/// How a container is to be on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConfig {
    /// The network may be removed and another of its name made: that is not the one that was meant.
    pub network_id: String,
    pub aliases: Vec<String>,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    pub mac: Option<Mac>,
    /// `container:alias`
    pub links: Vec<String>,
    pub driver_options: BTreeMap<String, String>,
}

/// How a container is on a network, while its guest runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: String,
    pub network: String,
    pub network_id: String,
    pub bridge: String,
    /// Number of the interface: eth0, eth1, …
    pub index: u32,
    pub mac: Mac,
    /// Each with the length of its subnet.
    pub addresses: Vec<IpNet>,
    pub gateways: Vec<IpAddr>,
    #[serde(default)]
    pub mtu: Option<u32>,
    /// What the guest may send.
    #[serde(default)]
    pub rate: Option<Rate>,
    #[serde(default)]
    pub internal: bool,
    #[serde(default)]
    pub closed: bool,
}

impl Endpoint {
    pub fn v4(&self) -> Option<IpNet> {
        self.addresses.iter().find(|net| net.addr().is_ipv4()).copied()
    }

    pub fn v6(&self) -> Option<IpNet> {
        self.addresses.iter().find(|net| net.addr().is_ipv6()).copied()
    }

    /// Its interface in the guest.
    pub fn interface(&self) -> String {
        format!("eth{}", self.index)
    }

    /// For tests: the first interface of a guest.
    #[cfg(test)]
    pub fn sample(network: &str, address: &str, internal: bool) -> Self {
        Self {
            id: String::new(),
            network: network.to_owned(),
            network_id: format!("id-{network}"),
            bridge: String::new(),
            index: 0,
            mac: Mac::random(),
            addresses: address.parse().into_iter().collect(),
            gateways: Vec::new(),
            mtu: None,
            rate: None,
            internal,
            closed: false,
        }
    }
}

/// Where a port is to be published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortBinding {
    /// All when absent.
    pub host_ip: Option<IpAddr>,
    /// Any when 0; the first that is free of a range.
    pub first: u16,
    pub last: u16,
}

/// What a start has got of the network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attachment {
    pub endpoints: Vec<Endpoint>,
    pub published: Vec<Published>,
}
