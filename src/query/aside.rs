//! A database that was moved aside, or copied: how new what is in it is.
//!
//! Runs on the caller's thread. The file may be damaged, of another version, or no database at all. Nothing is made beside
//! it: SQLite is told that nobody changes it.

use super::sqlite_uri::{IMMUTABLE, uri};
use crate::ground::database_version::{DatabaseVersion, KnownVersions};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// The time of the newest row of the database at `path` that has a time, in Unix milliseconds; `i64::MIN` if there is none,
/// and `None` if the database can't be read. What SQLite's WAL has beside it is not seen.
pub(crate) fn newest_in_database(path: &Path) -> Option<i64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(path, IMMUTABLE), flags).ok()?;
    let number = connection.pragma_query_value(None, "user_version", |row| row.get(0)).ok()?;
    DatabaseVersion { number, oldest_reader: None }.check_read(KnownVersions::THIS_BUILD, path).ok()?;
    let sql = "SELECT max(coalesce((SELECT max(ts) FROM request_rows), ?1),
                          coalesce((SELECT max(max(last_seen_at, coalesce(closed_at, last_seen_at))) FROM session_state), ?1),
                          coalesce((SELECT max(ts) FROM schema_sightings), ?1),
                          coalesce((SELECT max(to_ts) FROM gaps), ?1),
                          coalesce((SELECT max(max(from_ts, to_ts)) FROM clock_steps), ?1),
                          coalesce((SELECT max(noted_at) FROM newer_records), ?1),
                          coalesce((SELECT max(noted_at) FROM quarantine), ?1))";
    connection.query_row(sql, [i64::MIN], |row| row.get(0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::WriterId;
    use crate::query::test_store::TestStore;

    #[test]
    fn the_newest_row_counts_whatever_the_directory_is_called_and_nothing_is_made_beside_it() {
        let store = TestStore::new();
        store.request("a", 5, "tools/call").insert();
        store.request("b", 7, "tools/call").insert();
        store.derive();
        store.execute("PRAGMA journal_mode = DELETE");
        let dir = store.dir().join("100% sure? #1 ü");
        std::fs::create_dir(&dir).unwrap();
        let copy = dir.join("store.db.1");
        std::fs::copy(store.dir().join("store.db"), &copy).unwrap();
        assert_eq!(newest_in_database(&copy), Some(7));
        store.writer(WriterId([1; 16]));
        store.execute("INSERT INTO gaps VALUES (1, 8, 9, 1, 0, 1, 1)");
        std::fs::copy(store.dir().join("store.db"), &copy).unwrap();
        assert_eq!(newest_in_database(&copy), Some(9));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::write(&copy, b"no database").unwrap();
        assert_eq!((newest_in_database(&copy), newest_in_database(&dir.join("gone"))), (None, None));
    }
}
