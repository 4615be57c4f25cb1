//! Addresses of guests that the host answers for on its way out. Each is marked as ours, so that none of another's is
//! ever taken away.

use crate::announce::Station;
use crate::error::NetworkError;
use crate::links::{Links, failed, name_of};
use crate::mac::Mac;
use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};
use std::net::IpAddr;

/// Who made an address (`IFA_PROTO`, Linux 5.18); those of the kernel and of routing daemons are others.
const OURS: AddressProtocol = AddressProtocol::Other(0x68);

/// An address of ours that an interface has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub address: IpAddr,
    /// Index of the interface.
    pub index: u32,
}

pub(crate) fn is_ours(message: &AddressMessage) -> bool {
    message.attributes.contains(&AddressAttribute::Protocol(OURS))
}

fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    })
}

/// That address of an interface, if it is there without our mark.
fn unmarked(all: &[AddressMessage], index: u32, address: IpAddr, length: u8) -> Option<&AddressMessage> {
    all.iter().find(|message| {
        (message.header.index, message.header.prefix_len) == (index, length)
            && address_of(message) == Some(address)
            && !is_ours(message)
    })
}

impl Links {
    async fn all_addresses(&self) -> Result<Vec<AddressMessage>, NetworkError> {
        let all = self.handle().address().get().execute();
        all.try_collect()
            .await
            .map_err(|source| NetworkError::List("addresses", source))
    }

    /// The interface of that name, if it speaks Ethernet.
    pub async fn station(&self, name: &str) -> Result<Station, NetworkError> {
        let links = self.all().await?;
        let link = links.iter().find(|link| name_of(link) == Some(name));
        let station = link.and_then(|link| {
            let mac = link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok().map(Mac),
                _ => None,
            });
            Some(Station {
                name: name.to_owned(),
                index: link.header.index,
                mac: mac?,
                is_up: link.header.flags.contains(LinkFlags::LowerUp),
            })
        });
        station.ok_or_else(|| NetworkError::NoUplink(name.to_owned()))
    }

    /// Addresses of the host, those of guests apart.
    pub async fn own_addresses(&self) -> Result<Vec<IpAddr>, NetworkError> {
        let all = self.all_addresses().await?;
        let own = all.iter().filter(|message| !is_ours(message));
        Ok(own.filter_map(address_of).collect())
    }

    /// Those of guests, wherever they are.
    pub async fn placed(&self) -> Result<Vec<Placed>, NetworkError> {
        let all = self.all_addresses().await?;
        let ours = all.iter().filter(|message| is_ours(message));
        Ok(ours
            .filter_map(|message| {
                Some(Placed {
                    address: address_of(message)?,
                    index: message.header.index,
                })
            })
            .collect())
    }

    /// An address that the host has already is an error.
    pub async fn place(&self, station: &Station, address: IpAddr) -> Result<(), NetworkError> {
        let length = if address.is_ipv4() { 32 } else { 128 };
        let mut request = self.handle().address().add(station.index, address, length);
        let attributes = &mut request.message_mut().attributes;
        attributes.push(AddressAttribute::Protocol(OURS));
        if address.is_ipv6() {
            attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            // The host itself never speaks from it.
            let mut deprecated = CacheInfo::default();
            deprecated.ifa_valid = u32::MAX;
            attributes.push(AddressAttribute::CacheInfo(deprecated));
        }
        let added = request.execute().await;
        added.map_err(failed("put a floating IP on the interface", &station.name))?;
        self.check_mark(station.index, address, length).await
    }

    /// A kernel that keeps no marks takes the address all the same; nobody would know whose it is, and it would stay for ever.
    async fn check_mark(&self, index: u32, address: IpAddr, length: u8) -> Result<(), NetworkError> {
        let all = self.all_addresses().await?;
        let Some(unmarked) = unmarked(&all, index, address, length) else {
            return Ok(());
        };
        let removed = self.handle().address().del(unmarked.clone()).execute().await;
        removed.map_err(failed("take away the floating IP", &address.to_string()))?;
        Err(NetworkError::NoMarks(address))
    }

    /// One that is not there is no error.
    pub async fn take_back(&self, address: IpAddr) -> Result<(), NetworkError> {
        for message in self.all_addresses().await? {
            if is_ours(&message) && address_of(&message) == Some(address) {
                let removed = self.handle().address().del(message).execute().await;
                removed.map_err(failed("take away the floating IP", &address.to_string()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_mark_is_found() {
        let message = |address: &str, mark: Option<AddressProtocol>| {
            let mut message = AddressMessage::default();
            (message.header.index, message.header.prefix_len) = (7, 32);
            let address = AddressAttribute::Address(address.parse().unwrap());
            message.attributes.push(address);
            message.attributes.extend(mark.map(AddressAttribute::Protocol));
            message
        };
        let all = [
            message("192.0.2.1", None),
            message("192.0.2.40", Some(OURS)),
            message("192.0.2.41", None),
        ];
        let found =
            |index, address: &str, length| unmarked(&all, index, address.parse().unwrap(), length).is_some();
        assert!(!found(7, "192.0.2.40", 32) && !found(7, "192.0.2.42", 32));
        assert!(found(7, "192.0.2.41", 32));
        // Others' own.
        assert!(!found(8, "192.0.2.41", 32) && !found(7, "192.0.2.41", 24));
    }
}
