//! Small records that need no table of their own, each under a kind and an id.

use super::{Change, Records, failed};
use crate::error::{Error, ErrorKind};
use rusqlite::params;
use serde::{Serialize, de::DeserializeOwned};

impl Records {
    /// All of a kind, by id. One that cannot be read is an error.
    pub fn documents<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<(String, T)>, Error> {
        let what = "cannot read the records";
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT id, record FROM documents WHERE kind = ?1 ORDER BY id")
            .map_err(failed(what))?;
        let rows = statement
            .query_map([kind], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .map_err(failed(what))?;
        rows.map(|row| {
            let (id, record) = row.map_err(failed(what))?;
            let read = serde_json::from_str(&record).map_err(|error| {
                Error::from_source(
                    ErrorKind::Failed,
                    &format!("the record of {kind} {id} is damaged"),
                    &error,
                )
            })?;
            Ok((id, read))
        })
        .collect()
    }
}

impl Change<'_> {
    /// Writes one, new or changed.
    pub fn put_document<T: Serialize>(&self, kind: &str, id: &str, document: &T) -> Result<(), Error> {
        let record = serde_json::to_string(document)
            .map_err(|error| Error::from_source(ErrorKind::Failed, "cannot write the record", &error))?;
        self.0
            .execute(
                "INSERT INTO documents (kind, id, record) VALUES (?1, ?2, ?3)
                 ON CONFLICT (kind, id) DO UPDATE SET record = ?3",
                params![kind, id, record],
            )
            .map_err(failed("cannot write the record"))?;
        Ok(())
    }

    /// One that is not there is no error.
    pub fn remove_document(&self, kind: &str, id: &str) -> Result<(), Error> {
        self.0
            .execute(
                "DELETE FROM documents WHERE kind = ?1 AND id = ?2",
                params![kind, id],
            )
            .map_err(failed("cannot remove the record"))?;
        Ok(())
    }
}
