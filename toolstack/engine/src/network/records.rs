//! Networks in the records: documents of a kind of their own.

use super::spec::Network;
use crate::error::Error;
use crate::records::Records;

const KIND: &str = "network";

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
}
