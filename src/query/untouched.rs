//! A database that is read as it lies: no file is made, none is changed, not even by the way.
//!
//! SQLite makes `store.db-wal` and `store.db-shm` for whoever opens a database, readers included. Who is only to say what
//! would be done opens it here. Runs on the caller's thread.

use super::database::Query;
use super::sqlite_uri::{IMMUTABLE, uri};
use crate::ground::database_version::{DatabaseVersion, KnownVersions};
use crate::ground::error::{AtPath, IndexError, PathError};
use crate::ground::file_identity::file_at;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for another process that recovers the WAL.
const PATIENCE: Duration = Duration::from_secs(5);

impl Query {
    /// Opens `store.db` of the store in `dir` and leaves every file as it is. `in_use` says whether somebody writes to it.
    ///
    /// Where nothing lies in `store.db-wal`, that file and `store.db-shm` are not asked for. Where something does,
    /// `store.db-shm` is read, or made up in memory; if there is none, a copy is read that has no name any more.
    ///
    /// # Errors
    /// As [`Query::open`]; [`IndexError::NotOurs`] for another program's database; and whoever may not write to a database of
    /// that version may not look at it so either.
    pub(crate) fn open_untouched(dir: &Path, in_use: bool) -> Result<Self, IndexError> {
        let path = dir.join("store.db");
        let file = file_at(&path);
        if let Err(error) = std::fs::metadata(&path) {
            return match error.kind() {
                std::io::ErrorKind::NotFound => Err(IndexError::Missing { path, has_log: false }),
                _ => Err(PathError { operation: "look at", path, source: error }.into()),
            };
        }
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let (wal, shm) = (beside("-wal"), beside("-shm"));
        let wal_bytes = std::fs::metadata(&wal).map(|metadata| metadata.len()).ok();
        let connection = if wal_bytes.is_some_and(|bytes| bytes > 0 || in_use) {
            if shm.exists() { open(&path, "readonly_shm=1")? } else { open_copy(&path, &wal)? }
        } else {
            open(&path, IMMUTABLE)?
        };
        let at_path = |source| IndexError::Sqlite { path: path.clone(), source };
        // Otherwise whoever closes a database last copies its WAL.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(at_path)?;
        connection.busy_timeout(PATIENCE).map_err(at_path)?;
        let number: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(at_path)?;
        let has_tables = "SELECT EXISTS (SELECT 1 FROM sqlite_schema)";
        if number == 0 && connection.query_row(has_tables, [], |row| row.get(0)).map_err(at_path)? {
            return Err(IndexError::NotOurs { path });
        }
        // Who looks is about to write: a newer version that lets readers in has more than would be kept.
        let version = DatabaseVersion { number, oldest_reader: None };
        version.check_write(KnownVersions::THIS_BUILD, &path)?;
        Self::over(connection, version, path, file)
    }

    /// What the database says in the order in which it is asked; each question by itself, because one page may be damaged
    /// and another one sound.
    pub(crate) fn ask<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Option<T> {
        self.read_with(read).ok()
    }
}

fn open(path: &Path, parameters: &str) -> Result<Connection, IndexError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(uri(path, parameters), flags);
    opened.map_err(|source| IndexError::Sqlite { path: path.to_owned(), source })
}

/// Opens a copy of the database and its WAL, which is gone once it is closed.
fn open_copy(path: &Path, wal: &Path) -> Result<Connection, IndexError> {
    let dir = temporary_dir().at("create directory", &std::env::temp_dir())?;
    let (copy, copied_wal) = (dir.join("store.db"), dir.join("store.db-wal"));
    let copied = std::fs::copy(path, &copy).and_then(|_| std::fs::copy(wal, &copied_wal)).at("copy", path);
    let opened = copied.map_err(IndexError::from).and_then(|_| {
        let connection =
            Connection::open(&copy).map_err(|source| IndexError::Sqlite { path: path.to_owned(), source })?;
        // Opens the WAL; what it says of the database is asked again.
        let _ = connection.query_row("SELECT 1 FROM sqlite_schema", [], |_| Ok(()));
        Ok(connection)
    });
    // The open files go on without their names.
    let _ = std::fs::remove_dir_all(&dir);
    opened
}

fn temporary_dir() -> std::io::Result<PathBuf> {
    let mut number = 0;
    loop {
        let dir = std::env::temp_dir().join(format!("mcplog-{}-{number}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            created => return created.map(|()| dir),
        }
    }
}
