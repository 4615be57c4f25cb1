//! Networks, floating IPs and security groups in the records: documents, each of a kind of their own.

use super::floating::FloatingIp;
use super::groups::SecurityGroup;
use super::spec::Network;
use crate::error::Error;
use crate::records::Records;
use std::net::IpAddr;

const KIND: &str = "network";
const FLOATING: &str = "fip";
const GROUP: &str = "sg";

impl Records {
    pub fn networks(&self) -> Result<Vec<Network>, Error> {
        let documents = self.documents(KIND)?;
        Ok(documents.into_iter().map(|(_, network)| network).collect())
    }

    pub fn put_network(&self, network: &Network) -> Result<(), Error> {
        self.change(|change| change.put_document(KIND, &network.id, network))
    }

    pub fn remove_network(&self, id: &str) -> Result<(), Error> {
        self.change(|change| change.remove_document(KIND, id))
    }

    pub fn groups(&self) -> Result<Vec<SecurityGroup>, Error> {
        let documents = self.documents(GROUP)?;
        Ok(documents.into_iter().map(|(_, group)| group).collect())
    }

    pub fn put_group(&self, group: &SecurityGroup) -> Result<(), Error> {
        self.change(|change| change.put_document(GROUP, &group.name, group))
    }

    pub fn remove_group(&self, name: &str) -> Result<(), Error> {
        self.change(|change| change.remove_document(GROUP, name))
    }

    pub fn floating(&self) -> Result<Vec<FloatingIp>, Error> {
        let documents = self.documents(FLOATING)?;
        Ok(documents.into_iter().map(|(_, floating)| floating).collect())
    }

    /// All of them or none.
    pub fn put_floating(&self, changed: &[FloatingIp]) -> Result<(), Error> {
        self.change(|change| {
            let mut changed = changed.iter();
            changed.try_for_each(|floating| {
                change.put_document(FLOATING, &floating.address.to_string(), floating)
            })
        })
    }

    pub fn remove_floating(&self, address: IpAddr) -> Result<(), Error> {
        self.change(|change| change.remove_document(FLOATING, &address.to_string()))
    }
}
