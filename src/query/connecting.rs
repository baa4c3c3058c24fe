//! How the database is opened for reading: shared with its writer, or, where that can't be, as files that nobody changes.
//!
//! SQLite shares a database in WAL mode through `store.db-shm`, a file that every reader maps and writes to. On read-only
//! media, in another user's directory, on a full disk or a file system that maps nothing (NFS) there may be none, and none
//! can be made. What is recorded can be read all the same:
//!
//! | in `store.db-wal` | read |
//! |---|---|
//! | nothing, as after a clean end | `immutable`: SQLite reads `store.db`, and takes no lock |
//! | commits, as after a kill | without locks, and exclusively: then SQLite keeps in memory what it would share, and finds the commits by reading the whole file |
//!
//! Rejected: `immutable` in both cases, which leaves the commits out without a word; and a copy in another directory, which
//! needs as much room again, for the same answer. Nobody would notice a writer who begins meanwhile. So what the files are
//! like is remembered, and looked at again after each answer.

use super::sqlite_uri::{IMMUTABLE, uri};
use crate::ground::database_version::{DatabaseVersion, KnownVersions, OLDEST_READER_KEY};
use crate::ground::error::{AtPath, IndexError, PathError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a reader waits for a lock of the writer, which holds it for one batch (a checkpoint, a recovery).
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// SQLite's own way to files without locks.
const WITHOUT_LOCKS: &str = "unix-none";
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// A connection that may read, and what it depends on.
pub(super) struct Connected {
    pub(super) connection: Connection,
    pub(super) version: DatabaseVersion,
    /// What the files must stay like, if the connection is not shared with a writer.
    pub(super) unshared: Option<FileStates>,
}

/// What tells whether a database's files have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileStates([Option<FileState>; 2]);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileState {
    file: (u64, u64),
    bytes: u64,
    written: (i64, i64),
}

/// Opens the database at `path`.
///
/// # Errors
/// There is none, or nobody may look; SQLite refuses.
pub(super) fn connect(path: &Path) -> Result<Connected, IndexError> {
    let refused = match shared(path) {
        Ok((connection, version)) => return Ok(Connected { connection, version, unshared: None }),
        Err(source) => source,
    };
    std::fs::metadata(path).map_err(|source| absent_or_hidden(path, source))?;
    if !is_about_sharing(&refused) {
        return Err(IndexError::Sqlite { path: path.to_owned(), source: refused });
    }
    expect_readable(path)?;
    let wal = wal_of(path);
    if wal.symlink_metadata().is_ok() {
        expect_readable(&wal)?;
    }
    let states = FileStates::of(path);
    let (connection, version) =
        unshared(path, &states).map_err(|source| IndexError::Sqlite { path: path.to_owned(), source })?;
    Ok(Connected { connection, version, unshared: Some(states) })
}

impl FileStates {
    /// What the database at `path` and SQLite's WAL beside it are like now.
    pub(super) fn of(path: &Path) -> Self {
        let state = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            let written = (metadata.mtime(), metadata.mtime_nsec());
            Some(FileState { file: (metadata.dev(), metadata.ino()), bytes: metadata.len(), written })
        };
        Self([state(path), state(&wal_of(path))])
    }

    fn has_commits_in_wal(&self) -> bool {
        self.0[1].as_ref().is_some_and(|wal| wal.bytes > 0)
    }
}

fn shared(path: &Path) -> rusqlite::Result<(Connection, DatabaseVersion)> {
    // SQLITE_OPEN_NOFOLLOW would refuse a link anywhere in the path, and `/tmp` is one on some systems.
    configured(Connection::open_with_flags(path, FLAGS)?)
}

fn unshared(path: &Path, states: &FileStates) -> rusqlite::Result<(Connection, DatabaseVersion)> {
    let connection = if states.has_commits_in_wal() {
        let connection = Connection::open_with_flags_and_vfs(path, FLAGS, WITHOUT_LOCKS)?;
        connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
        // Who closes the last connection copies the WAL. That is for those who have locks.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection
    } else {
        Connection::open_with_flags(uri(path, IMMUTABLE), FLAGS.union(OpenFlags::SQLITE_OPEN_URI))?
    };
    configured(connection)
}

/// Sets the connection up, and asks for the first time: only now SQLite looks at the files.
fn configured(connection: Connection) -> rusqlite::Result<(Connection, DatabaseVersion)> {
    connection.busy_timeout(BUSY_WAIT)?;
    // Plans that don't depend on bound values. Otherwise SQLite makes a new one for each value, because a partial index
    // might fit it: measured, 50 microseconds for each row that was looked up by its id.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let version = version(&connection)?;
    Ok((connection, version))
}

/// The version of the database.
fn version(connection: &Connection) -> rusqlite::Result<DatabaseVersion> {
    let number = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut oldest_reader = None;
    if number > KnownVersions::THIS_BUILD.newest {
        let sql = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?1";
        // A database without that table does not say.
        let answer = connection.query_row(sql, [OLDEST_READER_KEY], |row| row.get(0));
        oldest_reader = answer.or_else(|error| match error.sqlite_error_code() {
            Some(ErrorCode::Unknown) | None => Ok(None),
            Some(_) => Err(error),
        })?;
    }
    Ok(DatabaseVersion { number, oldest_reader })
}

/// Whether SQLite was kept from sharing the database, rather than from reading it.
fn is_about_sharing(error: &rusqlite::Error) -> bool {
    let Some(failure) = error.sqlite_error() else { return false };
    match failure.code {
        ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::DiskFull
        | ErrorCode::FileLockingProtocolFailed => true,
        ErrorCode::SystemIoFailure => matches!(
            failure.extended_code,
            ffi::SQLITE_IOERR_SHMOPEN
                | ffi::SQLITE_IOERR_SHMSIZE
                | ffi::SQLITE_IOERR_SHMLOCK
                | ffi::SQLITE_IOERR_SHMMAP
                | ffi::SQLITE_IOERR_LOCK
                | ffi::SQLITE_IOERR_RDLOCK
        ),
        _ => false,
    }
}

/// Why there is nothing to open. What nobody may look at is not told as absent.
fn absent_or_hidden(path: &Path, source: std::io::Error) -> IndexError {
    if source.kind() != ErrorKind::NotFound {
        return PathError { operation: "look at", path: path.to_owned(), source }.into();
    }
    missing(path)
}

/// That there is no database, and whether there is a log beside the place where it would be.
pub(super) fn missing(path: &Path) -> IndexError {
    let wal_dir = path.with_file_name("wal");
    match std::fs::read_dir(&wal_dir) {
        Ok(mut log) => IndexError::Missing { path: path.to_owned(), has_log: log.next().is_some() },
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            IndexError::Missing { path: path.to_owned(), has_log: false }
        }
        Err(source) => PathError { operation: "read directory", path: wal_dir, source }.into(),
    }
}

/// The file is not opened for that: closing it would drop every lock that this process has on it.
fn expect_readable(path: &Path) -> Result<(), PathError> {
    accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).at("read", path)
}

/// SQLite's WAL of a database.
fn wal_of(path: &Path) -> PathBuf {
    // SQLite looks beside the file that a link leads to.
    let mut wal = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    wal.push("-wal");
    wal.into()
}

#[cfg(test)]
mod tests {
    use crate::ground::error::IndexError;
    use crate::query::Query;
    use crate::query::test_store::TestStore;
    use std::path::Path;

    /// The files of a store with a request, at a place where nothing can be shared: SQLite follows no link for `-shm`.
    fn unshareable(in_wal: bool) -> tempfile::TempDir {
        let store = TestStore::new();
        store.request("first", 1, "tools/call").insert();
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)");
        if in_wal {
            store.request("second", 2, "tools/call").insert();
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["store.db", "store.db-wal"] {
            std::fs::copy(store.dir().join(name), dir.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("nowhere", dir.path().join("store.db-shm")).unwrap();
        let refused = super::shared(&dir.path().join("store.db")).unwrap_err();
        assert!(super::is_about_sharing(&refused), "{refused}");
        dir
    }

    fn requests(query: &Query) -> Result<i64, IndexError> {
        query.read_with(|connection| connection.query_row("SELECT count(*) FROM request_rows", [], |row| row.get(0)))
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_can_t_be_shared_is_read_all_the_same_also_what_only_the_wal_has_and_no_byte_changes() {
        for (in_wal, expected) in [(false, 1), (true, 2)] {
            let dir = unshareable(in_wal);
            let files = || ["store.db", "store.db-wal"].map(|name| std::fs::read(dir.path().join(name)).unwrap());
            let before = (names(dir.path()), files());
            assert_eq!(!before.1[1].is_empty(), in_wal);
            let query = Query::open(dir.path()).unwrap();
            assert_eq!(requests(&query).unwrap(), expected, "{in_wal}");
            assert_eq!(query.integrity(false).unwrap().damage, Vec::<String>::new());
            assert!(query.is_current());
            drop(query);
            assert!((names(dir.path()), files()) == before, "{in_wal}");
        }
    }

    #[test]
    fn a_writer_who_begins_meanwhile_is_noticed() {
        for in_wal in [false, true] {
            for touched in ["store.db", "store.db-wal"] {
                let dir = unshareable(in_wal);
                let query = Query::open(dir.path()).unwrap();
                requests(&query).unwrap();
                let path = dir.path().join(touched);
                let mut bytes = std::fs::read(&path).unwrap();
                bytes.extend([7; 32]);
                std::fs::write(&path, bytes).unwrap();
                let asked = requests(&query);
                assert!(matches!(asked, Err(IndexError::Changed { .. })), "{in_wal} {touched}: {asked:?}");
                assert!(!query.is_current());
            }
        }
    }

    #[test]
    fn where_it_can_be_shared_a_writer_may_go_on() {
        let store = TestStore::new();
        let query = Query::open(store.dir()).unwrap();
        store.request("first", 1, "tools/call").insert();
        assert_eq!(requests(&query).unwrap(), 1);
        assert!(query.is_current());
    }
}
