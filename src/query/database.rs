//! The connection that every query runs on: opened read-only, and only if this build knows the tables.
//!
//! Runs on the caller's thread. It must not create a database, nor migrate one: a reader changes nothing.

use super::connecting::{Connected, FileStates, connect, missing};
use super::tuning::Tuning;
use crate::ground::database_version::{DatabaseVersion, KnownVersions, ReadPermit};
use crate::ground::error::IndexError;
use crate::ground::file_identity::file_at;
use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A read-only connection to a store's database.
///
/// Cheap to open. A method that returns what it read sees one state of the tables; two calls may see two. A method that
/// hands rows over (`each_request`, `each_slowest`, `each_session`) reads them page by page, and holds nothing while it
/// hands one over, however long that takes: SQLite could not begin its WAL anew otherwise, and the WAL would grow. Each row
/// comes once, none of those that were there at the start is missed unless it goes meanwhile, and what is recorded
/// meanwhile is not among them.
///
/// Errors name the database file and what SQLite said. [`completeness`](crate::completeness()) says what answers lack.
#[derive(Debug)]
pub struct Query {
    connection: Connection,
    _permit: ReadPermit,
    path: PathBuf,
    /// Which file that was; `None` if nobody could say.
    file: Option<(u64, u64)>,
    /// What the files must stay like, if no writer knows of this reader.
    unshared: Option<FileStates>,
    pub(super) tuning: Tuning,
}

impl Query {
    /// Opens `store.db` of the store in `dir`. Other processes may write to it meanwhile; where it can't be shared with them
    /// (read-only media, another user's directory, a full disk), its files are read as long as nobody changes them.
    ///
    /// # Errors
    /// [`IndexError::Missing`] if there is no database or no tables in it yet; [`IndexError::UnsupportedVersion`] if a
    /// newer version wrote it and did not say that readers of this one may read it; [`IndexError::OlderVersion`] if
    /// what records is to be started with this version first; [`IndexError::NotOurs`] if it is another program's;
    /// [`IndexError::Io`] if nobody may look; [`IndexError::Sqlite`] if it can't be read. Of an answer,
    /// [`IndexError::Changed`] where the files can't be shared and somebody wrote to them.
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        let path = dir.join("store.db");
        // Asked before the file is opened: should another take its place meanwhile, the older answer only makes the
        // reader open it once more.
        let file = file_at(&path);
        let Connected { connection, version, unshared } = connect(&path)?;
        let at_path = |source| IndexError::Sqlite { path: path.clone(), source };
        if version.number == 0 {
            let has_tables = "SELECT EXISTS (SELECT 1 FROM sqlite_schema)";
            let has_tables = connection.query_row(has_tables, [], |row| row.get(0)).map_err(at_path)?;
            return Err(if has_tables { IndexError::NotOurs { path } } else { missing(&path) });
        }
        let permit = version.check_read(KnownVersions::THIS_BUILD, &path)?;
        Ok(Self { connection, _permit: permit, path, file, unshared, tuning: Tuning::DEFAULT })
    }

    /// A query over a connection that only reads a database of that version.
    pub(super) fn over(
        connection: Connection,
        version: DatabaseVersion,
        path: PathBuf,
        file: Option<(u64, u64)>,
    ) -> Result<Self, IndexError> {
        let permit = version.check_read(KnownVersions::THIS_BUILD, &path)?;
        Ok(Self { connection, _permit: permit, path, file, unshared: None, tuning: Tuning::DEFAULT })
    }

    /// A number that changes when anybody has written to the database. It says nothing else; asking takes microseconds.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn data_version(&self) -> Result<i64, IndexError> {
        self.value("PRAGMA data_version", &[])
    }

    /// Whether the database that was opened is still the one in the store's directory. Another may have been put there, or
    /// none be left; who reads on then reads what nobody writes to any more.
    pub fn is_current(&self) -> bool {
        self.file.is_some() && file_at(&self.path) == self.file && self.expect_unchanged().is_ok()
    }

    /// An error if somebody wrote to files that are not shared: then what was just read is worth nothing.
    fn expect_unchanged(&self) -> Result<(), IndexError> {
        let is_changed = self.unshared.as_ref().is_some_and(|states| *states != FileStates::of(&self.path));
        if is_changed { Err(IndexError::Changed { path: self.path.clone() }) } else { Ok(()) }
    }

    /// What makes a statement that runs on another thread end with an error.
    pub(crate) fn interrupter(&self) -> impl Fn() + Send + Sync + use<> {
        let handle = self.connection.get_interrupt_handle();
        move || handle.interrupt()
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs several statements on one state of the tables.
    pub(super) fn at_one_time<T>(&self, read: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
        // Where a transaction is open already, its state is the right one.
        let _transaction = match self.connection.is_autocommit() {
            true => Some(self.connection.unchecked_transaction().map_err(|source| self.error(source))?),
            false => None,
        };
        // The transaction is rolled back when it is dropped. For a transaction that only read, that equals a commit.
        read()
    }

    /// Runs `read` on one state of the tables. The index needs this: it plans by the tables what expires next.
    pub(crate) fn read_with<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, IndexError> {
        self.at_one_time(|| {
            let answer = read(&self.connection).map_err(|source| self.error(source))?;
            self.expect_unchanged()?;
            Ok(answer)
        })
    }

    /// Runs a statement and hands over one row after the other, until `each` breaks off.
    pub(super) fn each_row<'a>(
        &self,
        sql: &str,
        values: &[Value],
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>> + 'a,
    ) -> Result<(), IndexError> {
        let mut run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                if each(row)?.is_break() {
                    break;
                }
            }
            Ok(())
        };
        run().map_err(|source| self.error(source))?;
        self.expect_unchanged()
    }

    /// Runs a statement and collects its rows.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        values: &[Value],
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, IndexError> {
        let mut results = Vec::new();
        self.each_row(sql, values, |row| {
            results.push(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(results)
    }

    /// Runs a statement that has exactly one row with one column.
    pub(super) fn value<T: rusqlite::types::FromSql>(&self, sql: &str, values: &[Value]) -> Result<T, IndexError> {
        self.row(sql, values, |row| row.get(0))
    }

    /// Runs a statement that has exactly one row.
    pub(super) fn row<T>(
        &self,
        sql: &str,
        values: &[Value],
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        let row = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(rusqlite::params_from_iter(values), read))
            .map_err(|source| self.error(source))?;
        self.expect_unchanged()?;
        Ok(row)
    }

    fn error(&self, source: rusqlite::Error) -> IndexError {
        // What SQLite says of files that change under it is about the change.
        self.expect_unchanged().err().unwrap_or_else(|| IndexError::Sqlite { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::database_version::DATABASE_VERSION;
    use crate::ground::error::PathError;
    use crate::query::test_store::TestStore;
    use std::io::ErrorKind;

    #[test]
    fn a_directory_without_a_database_is_missing_and_stays_empty() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Query::open(dir.path()), Err(IndexError::Missing { .. })));
        assert!(matches!(Query::open(&dir.path().join("nowhere")), Err(IndexError::Missing { has_log: false, .. })));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_log_without_a_database_is_told_with_the_next_step() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("wal")).unwrap();
        assert!(matches!(Query::open(dir.path()), Err(IndexError::Missing { has_log: false, .. })));
        std::fs::write(dir.path().join("wal/000000000001.seg"), b"").unwrap();
        let error = Query::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("mcplog rebuild"), "{error}");
    }

    #[test]
    fn what_nobody_may_look_at_is_not_told_as_missing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Query::open(&file).unwrap_err();
        assert!(
            matches!(&error, IndexError::Io(PathError { source, .. }) if source.kind() == ErrorKind::NotADirectory),
            "{error}"
        );
    }

    #[test]
    fn a_database_without_tables_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("store.db"), b"").unwrap();
        assert!(matches!(Query::open(dir.path()), Err(IndexError::Missing { .. })));
    }

    #[test]
    fn another_programs_database_is_told_as_such_and_not_as_none() {
        let dir = tempfile::tempdir().unwrap();
        Connection::open(dir.path().join("store.db")).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(Query::open(dir.path()), Err(IndexError::NotOurs { .. })));
    }

    #[test]
    fn a_newer_database_is_refused_unless_it_says_that_readers_of_this_version_may() {
        let store = TestStore::new();
        store.request("a", 1, "tools/call").insert();
        store.derive();
        store.execute(&format!("PRAGMA user_version = {}", DATABASE_VERSION + 1));
        let assert_refused = || {
            let error = Query::open(store.dir()).unwrap_err();
            let (expected, newer) = (DATABASE_VERSION, DATABASE_VERSION + 1);
            let is_newer = matches!(error, IndexError::UnsupportedVersion { supported, found, .. }
                if (supported, found) == (expected, newer));
            assert!(is_newer, "{error}");
        };
        assert_refused();
        store.execute(&format!("INSERT INTO meta VALUES ('oldest_reader', '{}')", DATABASE_VERSION + 1));
        assert_refused();
        store.execute(&format!("UPDATE meta SET value = '{DATABASE_VERSION}'"));
        assert_eq!(Query::open(store.dir()).unwrap().totals().unwrap().requests, 1);
        store.execute("DROP TABLE meta");
        assert_refused();
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("store.db"), [b'x'; 4096]).unwrap();
        let error = Query::open(dir.path()).unwrap_err();
        assert!(matches!(error, IndexError::Sqlite { .. }));
        assert!(error.to_string().contains("store.db"), "{error}");
    }

    #[test]
    fn the_connection_refuses_to_write() {
        let store = TestStore::new();
        let query = Query::open(store.dir()).unwrap();
        assert!(query.connection.execute("DELETE FROM meta", []).is_err());
    }

    #[test]
    fn a_reader_sees_rows_that_a_writer_adds_later() {
        let store = TestStore::new();
        let query = Query::open(store.dir()).unwrap();
        assert_eq!(query.value::<i64>("SELECT count(*) FROM requests", &[]).unwrap(), 0);
        store.request("a", 1, "tools/call").insert();
        assert_eq!(query.value::<i64>("SELECT count(*) FROM requests", &[]).unwrap(), 1);
    }

    #[test]
    fn a_reader_notices_that_somebody_wrote_and_that_another_file_took_the_place_of_its_own() {
        let store = TestStore::new();
        let query = Query::open(store.dir()).unwrap();
        let before = query.data_version().unwrap();
        assert_eq!(query.data_version().unwrap(), before);
        store.request("a", 1, "tools/call").insert();
        assert_ne!(query.data_version().unwrap(), before);
        assert!(query.is_current());
        let (path, aside) = (store.dir().join("store.db"), store.dir().join("aside.db"));
        std::fs::rename(&path, &aside).unwrap();
        assert!(!query.is_current());
        std::fs::copy(&aside, &path).unwrap();
        assert!(!query.is_current());
        std::fs::rename(&aside, &path).unwrap();
        assert!(query.is_current());
    }
}
