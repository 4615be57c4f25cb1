//! One record for each container.

use super::{Change, Records, failed};
use crate::error::{Error, ErrorKind};
use crate::state::Container;
use rusqlite::{OptionalExtension, params};

impl Records {
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
}

impl Change<'_> {
    /// Writes a container's record, new or changed.
    pub fn put(&self, container: &Container) -> Result<(), Error> {
        let record = serde_json::to_string(container)
            .map_err(|error| Error::from_source(ErrorKind::Failed, "cannot write the record", &error))?;
        let taken: Option<String> = self
            .0
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
        self.0
            .execute(
                "INSERT INTO containers (id, name, record) VALUES (?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET name = ?2, record = ?3",
                params![container.id, container.name, record],
            )
            .map_err(failed("cannot write the record"))?;
        Ok(())
    }

    pub fn remove(&self, id: &str) -> Result<(), Error> {
        self.0
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

    fn put(records: &Records, container: &Container) -> Result<(), Error> {
        records.change(|change| change.put(container))
    }

    #[test]
    fn records_survive_and_names_are_unique() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hyper.db");
        let records = Records::open(&path).unwrap();
        let mut first = container("a", "one");
        put(&records, &first).unwrap();
        first.state.exit_code = 7;
        put(&records, &first).unwrap();
        let error = put(&records, &container("b", "one")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        drop(records);
        let records = Records::open(&path).unwrap();
        assert_eq!(records.all().unwrap(), [first]);
        records.change(|change| change.remove("a")).unwrap();
        assert!(records.all().unwrap().is_empty());
    }
}
