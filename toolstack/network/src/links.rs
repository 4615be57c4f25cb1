//! Bridges of the host and what it has besides, by rtnetlink.

use crate::error::NetworkError;
use crate::mac::Mac;
use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{InfoBridge, LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, RouteMessageBuilder};
use std::net::{IpAddr, Ipv6Addr};

/// Begins the alias of each bridge that is ours; the network's id follows.
const ALIAS: &str = "hyper network ";

/// Of routes to the host's own addresses (RT_TABLE_LOCAL in linux/rtnetlink.h).
const LOCAL_TABLE: u32 = 255;

/// Of routes in IPv6 that do not say one; the higher the later.
const LAST_PRIORITY: u32 = 1024;

/// A network's bridge as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    pub name: String,
    /// Of the network.
    pub id: String,
    /// The host's own addresses in it, each with its subnet's length.
    pub addresses: Vec<IpNet>,
    /// Bytes; the kernel's default when absent.
    pub mtu: Option<u32>,
}

/// A connection to rtnetlink.
pub struct Links {
    handle: Handle,
    connection: tokio::task::JoinHandle<()>,
}

impl Drop for Links {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

pub(crate) fn failed(what: &'static str, name: &str) -> impl FnOnce(rtnetlink::Error) -> NetworkError {
    let name = name.to_owned();
    move |source| NetworkError::Link { what, name, source }
}

impl Links {
    /// On a tokio runtime.
    pub fn open() -> Result<Self, NetworkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetworkError::Open)?;
        Ok(Self {
            handle,
            connection: tokio::spawn(connection),
        })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) async fn all(&self) -> Result<Vec<LinkMessage>, NetworkError> {
        let links = self.handle.link().get().execute();
        links
            .try_collect()
            .await
            .map_err(|source| NetworkError::List("interfaces", source))
    }

    /// Makes a bridge, or makes the one that is there what it is to be.
    pub async fn make_bridge(&self, bridge: &Bridge) -> Result<(), NetworkError> {
        let name = bridge.name.as_str();
        let alias = format!("{ALIAS}{}", bridge.id);
        let found = self
            .all()
            .await?
            .into_iter()
            .find(|link| name_of(link) == Some(name));
        let index = match found {
            Some(link) if alias_of(&link) == Some(&alias) => link.header.index,
            // Whoever made the bridge did not get as far as naming it ours: with a name only we give.
            Some(link) if alias_of(&link).is_none() && is_ours(name, &bridge.id) => link.header.index,
            Some(_) => return Err(NetworkError::Foreign(name.to_owned())),
            None => {
                // An address of its own, or it would have that of its first port and change with it.
                let made = LinkBridge::new(name).address(Mac::random().0.to_vec()).build();
                let made = self.handle.link().add(made).execute().await;
                made.map_err(failed("make the bridge", name))?;
                let links = self.all().await?;
                let index = links
                    .iter()
                    .find(|link| name_of(link) == Some(name))
                    .map(|link| link.header.index);
                index.ok_or_else(|| NetworkError::Foreign(name.to_owned()))?
            }
        };
        // Or a guest that asks for listeners would have the bridge keep from others what they did not ask for, neighbour
        // solicitations too. Networks are small: what is for many goes to all.
        let all_hear = LinkBridge::new(name).append_info_data(InfoBridge::MulticastSnooping(false));
        let set = self.handle.link().change(all_hear.build()).execute().await;
        set.map_err(failed("set up the bridge", name))?;
        let mut wanted = LinkUnspec::new_with_index(index).alias(alias).up();
        if let Some(mtu) = bridge.mtu {
            wanted = wanted.mtu(mtu);
        }
        let set = self.handle.link().set(wanted.build()).execute().await;
        set.map_err(failed("set up the bridge", name))?;
        self.set_addresses(index, bridge).await?;
        if bridge.addresses.iter().any(|net| net.addr().is_ipv6()) {
            self.route_loopback(index, name).await?;
        }
        Ok(())
    }

    /// Lets the bridge bring in answers to ::1, which the host gets when it asks there for a port that a guest publishes:
    /// Linux believes in packets for that address only on interfaces with a route to it. Those that come with it as their
    /// destination it drops before.
    async fn route_loopback(&self, index: u32, name: &str) -> Result<(), NetworkError> {
        let route = RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(Ipv6Addr::LOCALHOST, 128)
            .output_interface(index)
            .table_id(LOCAL_TABLE)
            .kind(RouteType::Local)
            // One for each bridge, all behind the kernel's own.
            .priority(LAST_PRIORITY.saturating_add(index));
        let added = self.handle.route().add(route.build()).replace().execute().await;
        added.map_err(failed("set up the bridge", name))
    }

    async fn set_addresses(&self, index: u32, bridge: &Bridge) -> Result<(), NetworkError> {
        let name = bridge.name.as_str();
        let present: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .set_link_index_filter(index)
            .execute()
            .try_collect()
            .await
            .map_err(|source| NetworkError::List("addresses", source))?;
        let has: Vec<IpNet> = present.iter().filter_map(net_of).collect();
        for wanted in bridge.addresses.iter().filter(|wanted| !has.contains(wanted)) {
            let mut request = self
                .handle
                .address()
                .add(index, wanted.addr(), wanted.prefix_len())
                .replace();
            if wanted.addr().is_ipv6() {
                // Nobody else can have it, and a bridge without ports would never find out.
                request
                    .message_mut()
                    .attributes
                    .push(AddressAttribute::Flags(AddressFlags::Nodad));
            }
            let added = request.execute().await;
            added.map_err(failed("give an address to the bridge", name))?;
        }
        for message in present {
            let Some(net) = net_of(&message) else { continue };
            let kept = bridge.addresses.contains(&net)
                || matches!(net.addr(), IpAddr::V6(own) if own.is_unicast_link_local());
            if !kept {
                let removed = self.handle.address().del(message).execute().await;
                removed.map_err(failed("take an address from the bridge", name))?;
            }
        }
        Ok(())
    }

    /// Bridges of ours: their names and their networks' ids.
    pub async fn ours(&self) -> Result<Vec<(String, String)>, NetworkError> {
        let links = self.all().await?;
        Ok(links
            .iter()
            .filter_map(|link| {
                let id = alias_of(link)?.strip_prefix(ALIAS)?;
                Some((name_of(link)?.to_owned(), id.to_owned()))
            })
            .collect())
    }

    /// Names of the interfaces on bridges of ours.
    pub async fn ports(&self) -> Result<Vec<String>, NetworkError> {
        let links = self.all().await?;
        let ours = links
            .iter()
            .filter(|link| alias_of(link).is_some_and(|alias| alias.starts_with(ALIAS)));
        let bridges: Vec<u32> = ours.map(|bridge| bridge.header.index).collect();
        let on_ours = |link: &&LinkMessage| {
            link.attributes.iter().any(
                |attribute| matches!(attribute, LinkAttribute::Controller(bridge) if bridges.contains(bridge)),
            )
        };
        Ok(links
            .iter()
            .filter(on_ours)
            .filter_map(name_of)
            .map(str::to_owned)
            .collect())
    }

    /// One that is not there is no error.
    pub async fn remove_bridge(&self, name: &str, id: &str) -> Result<(), NetworkError> {
        let alias = format!("{ALIAS}{id}");
        let links = self.all().await?;
        let ours = links
            .iter()
            .find(|link| name_of(link) == Some(name) && alias_of(link) == Some(&alias));
        let Some(link) = ours else { return Ok(()) };
        let removed = self.handle.link().del(link.header.index).execute().await;
        removed.map_err(failed("remove the bridge", name))
    }

    /// Every network that the host has an address in or a route to, default routes apart, also those in a few parts (0.0.0.0/1
    /// and 128.0.0.0/1, 2000::/3).
    pub async fn taken(&self) -> Result<Vec<IpNet>, NetworkError> {
        let mut taken = Vec::new();
        for family in [
            rtnetlink::packet_route::AddressFamily::Inet,
            rtnetlink::packet_route::AddressFamily::Inet6,
        ] {
            let mut all = RouteMessage::default();
            all.header.address_family = family;
            let routes: Vec<RouteMessage> = self
                .handle
                .route()
                .get(all)
                .execute()
                .try_collect()
                .await
                .map_err(|source| NetworkError::List("routes", source))?;
            taken.extend(routes.iter().filter_map(destination_of));
        }
        let addresses: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|source| NetworkError::List("addresses", source))?;
        taken.extend(addresses.iter().filter_map(net_of));
        Ok(taken)
    }
}

/// A name that nobody but us gives: `hyper0`, or `hyper-` and the beginning of the id.
fn is_ours(name: &str, id: &str) -> bool {
    name == "hyper0"
        || name
            .strip_prefix("hyper-")
            .is_some_and(|rest| id.starts_with(rest))
}

pub(crate) fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn alias_of(link: &LinkMessage) -> Option<&String> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfAlias(alias) => Some(alias),
        _ => None,
    })
}

fn net_of(message: &AddressMessage) -> Option<IpNet> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    })?;
    IpNet::new(address, message.header.prefix_len).ok()
}

fn destination_of(route: &RouteMessage) -> Option<IpNet> {
    let address: IpAddr = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some((*address).into()),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some((*address).into()),
        _ => None,
    })?;
    let length = route.header.destination_prefix_length;
    (length > 3).then(|| IpNet::new(address, length).ok()).flatten()
}
