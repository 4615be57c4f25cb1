//! Changes of several steps that have begun: written before the first step that leaves something behind, removed with the
//! last. One that is found at the start of a daemon was cut off midway, and is finished or undone (`restore.rs`).

use super::{Change, Records, failed};
use crate::error::{Error, ErrorKind};
use rusqlite::params;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A change of several steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Operation {
    /// Folder and disk, then the record with the end of this. Cut off: undone.
    Create { container: String },
    /// A guest, devices, its process, then the record that it runs with the end of this. Cut off: undone, since nobody
    /// was told that it runs.
    Start { container: String, guest: Uuid },
    /// The end of a run, and then a new one. Cut off: finished.
    Restart { container: String },
    /// Files, then the record with the end of this. Cut off: finished.
    Remove { container: String },
}

/// Names an operation in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry(i64);

impl Change<'_> {
    pub fn begin(&self, operation: &Operation) -> Result<Entry, Error> {
        let text = serde_json::to_string(operation)
            .map_err(|error| Error::from_source(ErrorKind::Failed, "cannot write the journal", &error))?;
        self.0
            .execute("INSERT INTO journal (operation) VALUES (?1)", params![text])
            .map_err(failed("cannot write the journal"))?;
        Ok(Entry(self.0.last_insert_rowid()))
    }

    pub fn finish(&self, entry: Entry) -> Result<(), Error> {
        self.0
            .execute("DELETE FROM journal WHERE id = ?1", [entry.0])
            .map_err(failed("cannot write the journal"))?;
        Ok(())
    }
}

impl Records {
    pub fn begin(&self, operation: &Operation) -> Result<Entry, Error> {
        self.change(|change| change.begin(operation))
    }

    pub fn finish(&self, entry: Entry) -> Result<(), Error> {
        self.change(|change| change.finish(entry))
    }

    /// What has begun and not ended, in the order in which it began.
    pub fn journal(&self) -> Result<Vec<(Entry, Operation)>, Error> {
        let what = "cannot read the journal";
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT id, operation FROM journal ORDER BY id")
            .map_err(failed(what))?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
            .map_err(failed(what))?;
        rows.map(|row| {
            let (id, text) = row.map_err(failed(what))?;
            let operation = serde_json::from_str(&text).map_err(|error| {
                Error::from_source(
                    ErrorKind::Failed,
                    &format!("entry {id} of the journal is damaged"),
                    &error,
                )
            })?;
            Ok((Entry(id), operation))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_ended_is_found_again_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hyper.db");
        let records = Records::open(&path).unwrap();
        let create = Operation::Create {
            container: "a".to_owned(),
        };
        let start = Operation::Start {
            container: "a".to_owned(),
            guest: Uuid::from_u128(7),
        };
        let remove = Operation::Remove {
            container: "a".to_owned(),
        };
        let first = records.begin(&create).unwrap();
        let second = records.begin(&start).unwrap();
        let third = records.begin(&remove).unwrap();
        records.finish(second).unwrap();
        // Ended already: nothing to do.
        records.finish(second).unwrap();
        drop(records);
        let records = Records::open(&path).unwrap();
        assert_eq!(records.journal().unwrap(), [(first, create), (third, remove)]);
    }
}
