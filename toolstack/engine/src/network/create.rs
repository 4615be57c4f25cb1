//! Networks are made and removed.

use super::attach::wanted;
use super::rate::Rate;
use super::spec::{
    BRIDGE_OPTION, CLOSED_OPTION, DEFAULT, NONE, Network, NetworkRequest, Subnet, SubnetRequest,
};
use super::{Networks, failed, rules_of};
use crate::error::{Error, ErrorKind};
use crate::names::new_id;
use crate::records::Records;
use crate::spec::Config;
use chrono::Utc;
use network::{IpNet, free_subnet, gateway_of, overlap, random_v6, usable};
use std::net::IpAddr;

const DEFAULT_BRIDGE: &str = "hyper0";
/// Names that stand for something else.
const RESERVED: &[&str] = &["host", NONE, "default", "container"];

fn forbidden(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Forbidden, message)
}

fn check_name(name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let good = name.bytes().all(plain)
        && name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
    match good && name.len() <= 128 {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "invalid network name {name:?}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, at most 128 of them"
        ))),
    }
}

fn check_bridge(name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    // IFNAMSIZ; and a name of ours says that the bridge is.
    let good = (1..16).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with(['.', '-']);
    match good && !name.starts_with("hyper") && !name.starts_with("vif") {
        true => Ok(()),
        false => Err(Error::invalid(format!("invalid name of a bridge: {name:?}"))),
    }
}

/// A subnet as somebody wants it.
fn chosen(request: &SubnetRequest, subnet: IpNet) -> Result<Subnet, Error> {
    let subnet = subnet.trunc();
    let room = if subnet.addr().is_ipv4() { 30 } else { 126 };
    if subnet.prefix_len() > room || subnet.prefix_len() < 8 {
        return Err(Error::invalid(format!(
            "invalid subnet {subnet}: it has no room, or too much"
        )));
    }
    let inside = |what: &str, address: IpAddr| match usable(subnet, address) {
        true => Ok(address),
        false => Err(Error::invalid(format!("no matching subnet for {what} {address}"))),
    };
    let range = request.range.map(|range| range.trunc());
    if let Some(range) = range
        && !subnet.contains(&range)
    {
        return Err(Error::invalid(format!("no matching subnet for range {range}")));
    }
    for address in request.auxiliary.values() {
        inside("aux-address", *address)?;
    }
    Ok(Subnet {
        subnet,
        gateway: request
            .gateway
            .map_or(Ok(gateway_of(subnet)), |gateway| inside("gateway", gateway))?,
        range,
        auxiliary: request.auxiliary.clone(),
        chosen: true,
    })
}

/// `taken`: what the host has besides, its own addresses in the networks among it.
fn check_room<'a>(
    subnet: IpNet,
    mut networks: impl Iterator<Item = &'a IpNet>,
    taken: &[IpNet],
) -> Result<(), Error> {
    if networks.any(|other| overlap(*other, subnet)) {
        return Err(forbidden(
            "invalid pool request: Pool overlaps with other one on this address space",
        ));
    }
    match taken.iter().find(|other| overlap(**other, subnet)) {
        Some(other) => Err(forbidden(format!(
            "invalid pool request: subnet {subnet} overlaps with {other}, where the host has an address or a route: choose another"
        ))),
        None => Ok(()),
    }
}

fn automatic(subnet: IpNet) -> Subnet {
    Subnet {
        subnet,
        gateway: gateway_of(subnet),
        range: None,
        auxiliary: Default::default(),
        chosen: false,
    }
}

impl Networks {
    /// The network of containers that ask for none, made at the first start.
    pub(super) async fn need_default(&self, records: &Records) -> Result<(), Error> {
        if self.inner().networks.values().any(Network::is_default) {
            return Ok(());
        }
        let request = NetworkRequest {
            name: DEFAULT.to_owned(),
            ipv6: self.config.default_ipv6,
            ..NetworkRequest::default()
        };
        let network = Network {
            bridge: DEFAULT_BRIDGE.to_owned(),
            ..self.plan(request).await?
        };
        records.put_network(&network)?;
        self.inner().networks.insert(network.id.clone(), network);
        Ok(())
    }

    pub async fn create(&self, records: &Records, request: NetworkRequest) -> Result<Network, Error> {
        check_name(&request.name)?;
        if RESERVED.contains(&request.name.as_str()) || request.name == DEFAULT {
            return Err(forbidden(format!(
                "operation is not permitted on predefined {} network ",
                request.name
            )));
        }
        let _changing = self.changing.lock().await;
        if self
            .inner()
            .networks
            .values()
            .any(|network| network.name == request.name)
        {
            return Err(Error::conflict(format!(
                "network with name {} already exists",
                request.name
            )));
        }
        let network = self.plan(request).await?;
        let taken = self
            .inner()
            .networks
            .values()
            .any(|other| other.bridge == network.bridge);
        if taken {
            return Err(forbidden(format!(
                "a network has the bridge {} already",
                network.bridge
            )));
        }
        // Recorded first: what is made for it is then known, and removed when hyperd ends before it is whole.
        records.put_network(&network)?;
        self.inner().networks.insert(network.id.clone(), network.clone());
        let rules = rules_of(&network);
        let made = async {
            self.make_bridge(&network).await?;
            self.rules(move |firewall| firewall.add_network(rules)).await?;
            match network.has_v6() {
                true => self.route_v6().await,
                false => Ok(()),
            }
        };
        if let Err(error) = made.await {
            for left in self.take_away(records, &network).await {
                tracing::error!(network = network.name, error = %left, "undoing a network");
            }
            return Err(error);
        }
        Ok(network)
    }

    /// A network with all that the request leaves open.
    async fn plan(&self, request: NetworkRequest) -> Result<Network, Error> {
        let taken = self.links.taken().await.map_err(|error| failed(&error))?;
        let ours: Vec<IpNet> = {
            let inner = self.inner();
            let subnets = inner.networks.values().flat_map(|network| &network.subnets);
            subnets.map(|subnet| subnet.subnet).collect()
        };
        let mut subnets: Vec<Subnet> = Vec::new();
        for wanted in &request.subnets {
            let Some(subnet) = wanted.subnet else {
                if wanted.gateway.is_some() || wanted.range.is_some() {
                    return Err(Error::invalid(
                        "every ip-range or gateway must have a corresponding subnet",
                    ));
                }
                continue;
            };
            let subnet = chosen(wanted, subnet)?;
            let others = ours.iter().chain(subnets.iter().map(|subnet| &subnet.subnet));
            check_room(subnet.subnet, others, &taken)?;
            subnets.push(subnet);
        }
        let has =
            |v4: bool, subnets: &[Subnet]| subnets.iter().any(|subnet| subnet.subnet.addr().is_ipv4() == v4);
        if !has(true, &subnets) {
            let all: Vec<_> = taken.iter().chain(&ours).copied().collect();
            let subnet = free_subnet(&self.config.pools, &all).ok_or_else(|| {
                Error::failed("all predefined address pools have been fully subnetted: choose a subnet")
            })?;
            subnets.insert(0, automatic(subnet.into()));
        }
        if request.ipv6 && !has(false, &subnets) {
            subnets.push(automatic(random_v6().into()));
        }
        if !request.ipv6 && has(false, &subnets) {
            return Err(Error::invalid(
                "a network with an IPv6 subnet needs IPv6 to be enabled",
            ));
        }
        let id = new_id();
        let bridge = match request.options.get(BRIDGE_OPTION) {
            Some(name) => {
                check_bridge(name)?;
                name.clone()
            }
            None => format!("hyper-{}", &id[..9]),
        };
        let network = Network {
            id,
            name: request.name,
            created_at: Utc::now(),
            bridge,
            subnets,
            internal: request.internal,
            attachable: request.attachable,
            labels: request.labels,
            options: request.options,
        };
        network.rate()?;
        if let Some(text) = network.options.get(CLOSED_OPTION)
            && !["true", "false"].contains(&text.as_str())
        {
            return Err(Error::invalid(format!(
                "invalid {CLOSED_OPTION} {text:?}: it is true or false"
            )));
        }
        match network.mtu() {
            None | Some(1280..=65535) => Ok(network),
            Some(mtu) => Err(Error::invalid(format!("invalid MTU {mtu}: it is 1280 to 65535"))),
        }
    }

    pub async fn remove(&self, records: &Records, text: &str) -> Result<Network, Error> {
        if RESERVED.contains(&text) && text != "default" {
            return Err(forbidden(format!(
                "{text} is a pre-defined network and cannot be removed"
            )));
        }
        let _changing = self.changing.lock().await;
        let network = self.find(text)?;
        if network.is_default() {
            return Err(forbidden(format!(
                "{} is a pre-defined network and cannot be removed",
                network.name
            )));
        }
        let on = self.on(&network.id);
        if !on.is_empty() {
            let shown: Vec<_> = on
                .iter()
                .map(|(_, name, endpoint)| format!("name:{name:?} id:{:?}", &endpoint.id[..12]))
                .collect();
            return Err(forbidden(format!(
                "error while removing network: network {} has active endpoints ({})",
                network.name,
                shown.join(", ")
            )));
        }
        match self.take_away(records, &network).await.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(network),
        }
    }

    /// Goes on after an error and gives all of them. The record goes last.
    async fn take_away(&self, records: &Records, network: &Network) -> Vec<Error> {
        let mut errors = Vec::new();
        self.servers().remove(&network.id);
        let bridge = network.bridge.clone();
        errors.extend(
            self.rules(move |firewall| firewall.remove_network(&bridge))
                .await
                .err(),
        );
        let removed = self.links.remove_bridge(&network.bridge, &network.id).await;
        errors.extend(removed.err().map(|error| failed(&error)));
        if errors.is_empty() {
            match records.remove_network(&network.id) {
                Ok(()) => drop(self.inner().networks.remove(&network.id)),
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// Settles which networks a new container means, and whether it may be on them as it wants.
    pub fn settle(&self, config: &mut Config) -> Result<(), Error> {
        let mode = config.host.network_mode.as_str();
        if mode == NONE {
            if config.networks.keys().any(|name| name != NONE) {
                return Err(Error::invalid(
                    "conflicting options: cannot attach both network 'none' and others",
                ));
            }
            config.networks.clear();
            return Ok(());
        }
        let mut settled = std::collections::BTreeMap::new();
        let mode = if ["", "default"].contains(&mode) {
            DEFAULT
        } else {
            mode
        }
        .to_owned();
        if !config.networks.contains_key(&mode)
            && !config
                .networks
                .values()
                .any(|endpoint| endpoint.network_id == mode)
        {
            config.networks.insert(mode.clone(), Default::default());
        }
        for (name, mut endpoint) in std::mem::take(&mut config.networks) {
            let network = self.find(&name)?;
            check_wanted(&network, &endpoint)?;
            endpoint.network_id.clone_from(&network.id);
            settled.insert(network.name, endpoint);
        }
        config.host.network_mode = mode;
        config.networks = settled;
        debug_assert!(!wanted(config).is_empty());
        Ok(())
    }
}

/// Whether a container may be on a network as it wants to.
pub fn check_wanted(network: &Network, wanted: &super::EndpointConfig) -> Result<(), Error> {
    if network.is_default() && !wanted.aliases.is_empty() {
        return Err(Error::invalid(
            "invalid endpoint settings:\nnetwork-scoped aliases are only supported for user-defined networks",
        ));
    }
    Rate::of(&wanted.driver_options)?;
    let addresses = [wanted.ipv4.map(IpAddr::V4), wanted.ipv6.map(IpAddr::V6)];
    for address in addresses.into_iter().flatten() {
        if network.is_default() {
            return Err(Error::invalid(
                "invalid endpoint settings:\nuser specified IP address is supported on user defined networks only",
            ));
        }
        let mut chosen = network.subnets.iter().filter(|subnet| subnet.chosen);
        if !chosen
            .clone()
            .any(|subnet| subnet.subnet.addr().is_ipv4() == address.is_ipv4())
        {
            return Err(Error::invalid(
                "invalid endpoint settings:\nuser specified IP address is supported only when connecting to networks with user configured subnets",
            ));
        }
        if !chosen.any(|subnet| usable(subnet.subnet, address)) {
            return Err(Error::invalid(format!(
                "invalid endpoint settings:\nno configured subnet or ip-range contain the IP address {address}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_subnet_is_nobodys() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let networks = [net("10.60.0.0/24")];
        // The host has an address in its networks, too.
        let taken = [net("10.60.0.1/24"), net("192.168.1.0/24"), net("10.0.2.15/32")];
        let refused = |subnet: &str| check_room(net(subnet), networks.iter(), &taken).err();
        assert!(refused("10.61.0.0/24").is_none());
        let ours = refused("10.60.0.128/25").unwrap().to_string();
        assert!(
            ours.ends_with("Pool overlaps with other one on this address space"),
            "{ours}"
        );
        for (subnet, other) in [
            ("192.168.0.0/16", "192.168.1.0/24"),
            ("10.0.2.0/24", "10.0.2.15/32"),
        ] {
            let error = refused(subnet).unwrap().to_string();
            assert!(error.contains(&format!("overlaps with {other}")), "{error}");
        }
    }
}
