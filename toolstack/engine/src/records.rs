//! What must survive the daemon: one record for each container, in SQLite.
//!
//! A change is on disk before it is answered: WAL with `synchronous=FULL`.

use crate::error::{Error, ErrorKind};
use crate::state::Container;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bumped when the tables change; an older daemon refuses a newer database.
const SCHEMA_VERSION: i64 = 1;

pub struct Records(Mutex<Connection>);

pub(crate) fn failed(what: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| Error::from_source(ErrorKind::Failed, what, &error)
}

impl Records {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let what = "cannot open the records";
        let connection = Connection::open(path).map_err(|error| {
            Error::from_source(ErrorKind::Failed, &format!("{what} {}", path.display()), &error)
        })?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE IF NOT EXISTS containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL) STRICT;
                 CREATE TABLE IF NOT EXISTS networks (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL) STRICT;",
            )
            .map_err(failed(what))?;
        let version: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(failed(what))?;
        if version > SCHEMA_VERSION {
            return Err(Error::failed(format!(
                "the records {} are of a newer hyperd (version {version})",
                path.display()
            )));
        }
        connection
            .pragma_update(None, "user_version", SCHEMA_VERSION)
            .map_err(failed(what))?;
        Ok(Self(Mutex::new(connection)))
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All containers. A record that cannot be read is an error: to go on without it would orphan its guest.
    pub fn all(&self) -> Result<Vec<Container>, Error> {
        let what = "cannot read the records";
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT id, record FROM containers")
            .map_err(failed(what))?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
            .map_err(failed(what))?;
        rows.map(|row| {
            let (id, record) = row.map_err(failed(what))?;
            serde_json::from_str(&record).map_err(|error| {
                Error::from_source(
                    ErrorKind::Failed,
                    &format!("the record of container {id} is damaged"),
                    &error,
                )
            })
        })
        .collect()
    }

    /// Writes a container's record, new or changed.
    pub fn put(&self, container: &Container) -> Result<(), Error> {
        let record = serde_json::to_string(container)
            .map_err(|error| Error::from_source(ErrorKind::Failed, "cannot write the record", &error))?;
        let connection = self.connection();
        let taken: Option<String> = connection
            .query_row(
                "SELECT id FROM containers WHERE name = ?1 AND id != ?2",
                params![container.name, container.id],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed("cannot read the records"))?;
        if let Some(id) = taken {
            return Err(name_taken(&container.name, &id));
        }
        connection
            .execute(
                "INSERT INTO containers (id, name, record) VALUES (?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET name = ?2, record = ?3",
                params![container.id, container.name, record],
            )
            .map_err(failed("cannot write the record"))?;
        Ok(())
    }

    pub fn remove(&self, id: &str) -> Result<(), Error> {
        self.connection()
            .execute("DELETE FROM containers WHERE id = ?1", [id])
            .map_err(failed("cannot remove the record"))?;
        Ok(())
    }
}

/// In docker's words.
pub fn name_taken(name: &str, id: &str) -> Error {
    Error::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Config;
    use crate::state::State;

    fn container(id: &str, name: &str) -> Container {
        Container {
            id: id.to_owned(),
            name: name.to_owned(),
            created_at: chrono::Utc::now(),
            image_id: "sha256:0".to_owned(),
            config: Config::default(),
            state: State::default(),
        }
    }

    #[test]
    fn records_survive_and_names_are_unique() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hyper.db");
        let records = Records::open(&path).unwrap();
        let mut first = container("a", "one");
        records.put(&first).unwrap();
        first.state.exit_code = 7;
        records.put(&first).unwrap();
        let error = records.put(&container("b", "one")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        drop(records);
        let records = Records::open(&path).unwrap();
        assert_eq!(records.all().unwrap(), [first]);
        records.remove("a").unwrap();
        assert!(records.all().unwrap().is_empty());
    }
}
