//! The tables. Each version adds a step; a database of an earlier version goes through those it lacks, each in a
//! transaction of its own.

use super::failed;
use crate::error::Error;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// Step N makes version N + 1. Never changed once released: a new one goes at the end.
const STEPS: &[&str] = &[
    // IF NOT EXISTS: the first daemons made the table before they set a version.
    "CREATE TABLE IF NOT EXISTS containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL) STRICT;",
    "CREATE TABLE journal (id INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT NOT NULL) STRICT;
     CREATE TABLE documents (kind TEXT NOT NULL, id TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (kind, id)) STRICT;
     CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;",
];

/// Brings a database to the present version. One of a later version is refused.
pub fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    run(connection, path, STEPS)
}

fn run(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), Error> {
    let what = format!("cannot bring the records {} up to date", path.display());
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed(&what))?;
    let version: u32 = transaction
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(failed(&what))?;
    let newest = steps.len() as u32;
    if version > newest {
        return Err(Error::failed(format!(
            "the records {} are of a newer hyperd: their version is {version}, and this one knows {newest}",
            path.display()
        )));
    }
    for step in &steps[version as usize..] {
        transaction.execute_batch(step).map_err(failed(&what))?;
    }
    transaction
        .pragma_update(None, "user_version", newest)
        .map_err(failed(&what))?;
    transaction.commit().map_err(failed(&what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> usize {
        let version: u32 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        version as usize
    }

    #[test]
    fn every_earlier_version_comes_to_this_one_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        for first in 1..=STEPS.len() {
            let path = folder.path().join(first.to_string());
            let mut connection = Connection::open(&path).unwrap();
            run(&mut connection, &path, &STEPS[..first]).unwrap();
            assert_eq!(version(&connection), first);
            connection
                .execute("INSERT INTO containers VALUES ('a', 'one', '{}')", [])
                .unwrap();
            migrate(&mut connection, &path).unwrap();
            assert_eq!(version(&connection), STEPS.len());
            let kept: String = connection
                .query_row("SELECT name FROM containers", [], |row| row.get(0))
                .unwrap();
            assert_eq!(kept, "one");
        }
    }

    #[test]
    fn a_later_version_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, &path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let error = migrate(&mut connection, &path).unwrap_err().to_string();
        assert!(error.contains("newer hyperd") && error.contains("99"), "{error}");
        assert_eq!(version(&connection), 99);
    }

    #[test]
    fn a_step_that_fails_leaves_the_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let mut connection = Connection::open(&path).unwrap();
        run(&mut connection, &path, &STEPS[..1]).unwrap();
        let steps = [STEPS[0], "CREATE TABLE fine (a TEXT) STRICT; NONSENSE;"];
        assert!(run(&mut connection, &path, &steps).is_err());
        assert_eq!(version(&connection), 1);
        assert!(connection.execute("INSERT INTO fine VALUES ('x')", []).is_err());
    }
}
