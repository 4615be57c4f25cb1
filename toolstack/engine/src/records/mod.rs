//! What must survive the daemon, in SQLite: containers, what else has a name, and operations that are on their way.
//!
//! ```text
//!   schema       the tables, step by step from the first version        (schema.rs)
//!   containers   one record for each container                          (containers.rs)
//!   documents    small records of other kinds, by kind and id           (documents.rs)
//!   journal      changes of several steps that have begun               (journal.rs)
//! ```
//!
//! A change is on disk before it is answered: WAL with `synchronous=FULL`. What belongs together is one transaction
//! ([`Records::change`]).

mod containers;
mod documents;
mod journal;
mod schema;

pub use containers::name_taken;
pub use journal::{Entry, Operation};

use crate::error::{Error, ErrorKind};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub struct Records(Mutex<Connection>);

/// How long a change has to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Forever,
    /// It tells of guests that run: without the host it is of no more use, and the disk is not waited for.
    HostEnds,
}

/// Changes that are made together or not at all.
pub struct Change<'a>(Transaction<'a>);

/// An error of SQLite, with what to do where the file system is the reason.
fn failed(what: &str) -> impl Fn(rusqlite::Error) -> Error + '_ {
    move |error| {
        let (kind, what) = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => (
                ErrorKind::Unavailable,
                format!("{what}: no space is left, free some where the state-dir is"),
            ),
            Some(ErrorCode::ReadOnly) => (
                ErrorKind::Unavailable,
                format!("{what}: the state-dir must be writable"),
            ),
            Some(ErrorCode::SystemIoFailure) => (
                ErrorKind::Unavailable,
                format!("{what}: look at the file system of the state-dir"),
            ),
            _ => (ErrorKind::Failed, what.to_owned()),
        };
        Error::from_source(kind, &what, &error)
    }
}

impl Records {
    /// Opens the records, made or brought up to date where needed. Those that cannot be written are refused: a daemon
    /// that cannot record what it does would lose it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let what = format!("cannot open the records {}", path.display());
        let mut connection = Connection::open(path).map_err(failed(&what))?;
        // Nobody else opens them, and shared memory would kill the daemon when the file system turns read-only.
        connection
            .execute_batch(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
            )
            .map_err(failed(&what))?;
        schema::migrate(&mut connection, path)?;
        let what = format!("cannot write the records {}", path.display());
        // Takes room as any change would.
        connection
            .execute(
                "INSERT INTO facts (name, value) VALUES ('opened', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1",
                [chrono::Utc::now().to_rfc3339()],
            )
            .map_err(failed(&what))?;
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Several changes as one.
    pub fn change<T>(&self, change: impl FnOnce(&Change<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.change_until(Until::Forever, change)
    }

    pub fn change_until<T>(
        &self,
        until: Until,
        change: impl FnOnce(&Change<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut connection = self.connection();
        if until == Until::Forever {
            return transact(&mut connection, change);
        }
        let set = |connection: &Connection, level| {
            connection
                .pragma_update(None, "synchronous", level)
                .map_err(failed("cannot write the records"))
        };
        set(&connection, "NORMAL")?;
        let result = transact(&mut connection, change);
        set(&connection, "FULL")?;
        result
    }
}

fn transact<T>(
    connection: &mut Connection,
    change: impl FnOnce(&Change<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let what = "cannot write the records";
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed(what))?;
    let transaction = Change(transaction);
    let result = change(&transaction)?;
    transaction.0.commit().map_err(failed(what))?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn records_that_cannot_be_written_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hyper.db");
        drop(Records::open(&path).unwrap());
        // Root writes what it likes, so the file is none where root is who tests.
        if rustix::process::geteuid().is_root() {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        }
        let error = Records::open(&path).err().unwrap().to_string();
        assert!(error.contains("the records"), "{error}");
    }

    #[test]
    fn a_full_database_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(&folder.path().join("hyper.db")).unwrap();
        records
            .connection()
            .execute_batch("PRAGMA max_page_count = 1")
            .unwrap();
        let big = "x".repeat(1 << 20);
        let error = records
            .change(|change| change.put_document("big", "one", &big))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("no space is left"), "{error}");
        // And nothing of it is there.
        assert!(records.documents::<String>("big").unwrap().is_empty());
    }

    #[test]
    fn what_fails_midway_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(&folder.path().join("hyper.db")).unwrap();
        let result: Result<(), Error> = records.change(|change| {
            change.put_document("kind", "id", &1)?;
            Err(Error::failed("no"))
        });
        assert!(result.is_err());
        assert!(records.documents::<u32>("kind").unwrap().is_empty());
        records
            .change_until(Until::HostEnds, |change| change.put_document("kind", "id", &1))
            .unwrap();
        assert_eq!(records.documents::<u32>("kind").unwrap(), [("id".to_owned(), 1)]);
    }
}
