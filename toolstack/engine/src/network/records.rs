//! Networks in the records.

use super::spec::Network;
use crate::error::{Error, ErrorKind};
use crate::records::{Records, failed};
use rusqlite::params;

impl Records {
    pub fn networks(&self) -> Result<Vec<Network>, Error> {
        let what = "cannot read the records of networks";
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT id, record FROM networks")
            .map_err(failed(what))?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
            .map_err(failed(what))?;
        rows.map(|row| {
            let (id, record) = row.map_err(failed(what))?;
            serde_json::from_str(&record).map_err(|error| {
                Error::from_source(
                    ErrorKind::Failed,
                    &format!("the record of network {id} is damaged"),
                    &error,
                )
            })
        })
        .collect()
    }

    pub fn put_network(&self, network: &Network) -> Result<(), Error> {
        let what = "cannot write the record of a network";
        let record = serde_json::to_string(network)
            .map_err(|error| Error::from_source(ErrorKind::Failed, what, &error))?;
        self.connection()
            .execute(
                "INSERT INTO networks (id, name, record) VALUES (?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET name = ?2, record = ?3",
                params![network.id, network.name, record],
            )
            .map_err(failed(what))?;
        Ok(())
    }

    pub fn remove_network(&self, id: &str) -> Result<(), Error> {
        self.connection()
            .execute("DELETE FROM networks WHERE id = ?1", [id])
            .map_err(failed("cannot remove the record of a network"))?;
        Ok(())
    }
}
